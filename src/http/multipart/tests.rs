use super::*;
use proptest::prelude::*;

/// One part as parsed by a reader of the form.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    head: Vec<(String, Vec<u8>)>,
    content: Vec<u8>,
}

fn boundary() -> Boundary {
    Boundary::from_random(*b"\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff")
}

/// Returns the complete form.
fn write(parts: &[(Part, &[u8])]) -> Vec<u8> {
    let mut form = FormWriter::new(boundary());
    let mut document = Vec::new();
    for (part, content) in parts {
        document.extend(form.part(part));
        document.extend_from_slice(content);
    }
    document.extend(form.close());
    document
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Parses a form from its content type alone: preamble, parts, epilogue (RFC 2046, section 5.1.1).
/// Panics at anything that is not exactly one document.
fn read(content_type: &str, document: &[u8]) -> Vec<Found> {
    let boundary = content_type.split_once("boundary=").expect("a boundary").1;
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    // The first delimiter may be at the very beginning.
    let text = [b"\r\n", document].concat();
    let mut rest = &text[find(&text, delimiter).expect("a delimiter") + delimiter.len()..];
    assert!(text.starts_with(delimiter), "no preamble");
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n").expect("a line ends after a delimiter");
        let end = find(rest, delimiter).expect("every part has an end");
        parts.push(read_part(&rest[..end]));
        rest = &rest[end + delimiter.len()..];
    }
    assert_eq!(rest, b"--\r\n", "nothing is after the close delimiter");
    parts
}

fn read_part(part: &[u8]) -> Found {
    let end = find(part, b"\r\n\r\n").expect("a head ends");
    let mut fields = [httparse::EMPTY_HEADER; 4];
    let (used, fields) =
        httparse::parse_headers(&part[..end + 4], &mut fields).expect("a head of fields").unwrap();
    assert_eq!(used, end + 4);
    let head = fields.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
    Found { head, content: part[end + 4..].to_vec() }
}

/// Returns the value between the quotes after `key=`, with the escapes of browsers undone.
fn quoted(value: &[u8], key: &str) -> String {
    let value = str::from_utf8(value).expect("raw UTF-8");
    let from = value.split_once(&format!("; {key}=\"")).expect("the parameter").1;
    let text = from.split_once('"').expect("the quotes end").0;
    text.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

#[test]
fn a_form_is_exactly_these_bytes() {
    let file = Part::file("file", "a \"b\".txt", Some("text/plain")).unwrap();
    let text = write(&[(Part::field("note"), b"hi"), (file, b"1\r\n2")]);
    let expected = "--rdv-000102030405060708090a0b0c0d0eff\r\n\
        Content-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n\
        --rdv-000102030405060708090a0b0c0d0eff\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a %22b%22.txt\"\r\n\
        Content-Type: text/plain\r\n\r\n1\r\n2\r\n\
        --rdv-000102030405060708090a0b0c0d0eff--\r\n";
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[test]
fn a_form_without_parts_is_its_close_delimiter() {
    assert_eq!(write(&[]), b"--rdv-000102030405060708090a0b0c0d0eff--\r\n");
    assert_eq!(read(&boundary().content_type(), &write(&[])), []);
}

#[test]
fn a_boundary_is_valid_and_keeps_all_random_bits() {
    let one = boundary().content_type();
    let text = one.strip_prefix("multipart/form-data; boundary=").unwrap();
    assert!(text.len() <= 70);
    assert!(
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte))
    );
    for bit in 0..128_u32 {
        let other = Boundary::from_random((1_u128 << bit).to_be_bytes());
        assert_ne!(other, Boundary::from_random([0; 16]), "bit {bit}");
    }
}

#[test]
fn a_content_type_cannot_inject_a_field() {
    for (name, content_type, valid) in [
        ("plain", "text/plain", true),
        ("a parameter", "text/plain; charset=utf-8", true),
        ("a quoted parameter", "text/plain;a=\"b/c; d\"", true),
        ("a blank before the parameter", "image/svg+xml ;a=b", true),
        ("empty", "", false),
        ("no subtype", "text", false),
        ("an empty subtype", "text/", false),
        ("an empty type", "/plain", false),
        ("two slashes", "a/b/c", false),
        ("a blank in front", " text/plain", false),
        ("a line break", "text/plain\r\nX: y", false),
        ("a line break in a parameter", "text/plain; a=b\r\nX: y", false),
        ("a bare line feed", "text/plain;\n", false),
        ("a zero byte", "text/plain;\0", false),
        ("an umlaut", "text/plain; ä", false),
    ] {
        assert_eq!(Part::file("f", "n", Some(content_type)).is_ok(), valid, "{name}");
    }
}

#[test]
fn a_length_beyond_64_bits_is_none() {
    let part = || Part::field("a");
    assert_eq!(FormWriter::length_bytes(&boundary(), &[(part(), u64::MAX)]), None);
    assert_eq!(
        FormWriter::length_bytes(&boundary(), &[(part(), u64::MAX / 2), (part(), u64::MAX / 2)]),
        None
    );
}

/// Names without a percent sign: escapes are ambiguous where the name itself contains one.
fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[^%\\x00-\\x09\\x0b\\x0c\\x0e-\\x1f\\x7f]{0,20}", "[\"\\r\\n;=\\\\ ]{0,8}"]
}

/// Contents, including some that look like the form's own bytes.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"--".to_vec()),
        Just(b"\r\n--rdv-".to_vec()),
        Just(b"--rdv-000102030405060708090a0b0c0d0e--".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn names_and_contents_are_read_back_from_a_form(
        parts in prop::collection::vec((names(), prop::option::of(names()), contents()), 0..5)
    ) {
        let written: Vec<_> = parts
            .iter()
            .map(|(name, file, content)| {
                let part = match file {
                    Some(file) => Part::file(name, file, None).unwrap(),
                    None => Part::field(name),
                };
                (part, content.as_slice())
            })
            .collect();
        let document = write(&written);
        let lengths: Vec<_> =
            written.iter().map(|(part, content)| (part.clone(), content.len() as u64)).collect();
        prop_assert_eq!(FormWriter::length_bytes(&boundary(), &lengths), Some(document.len() as u64));
        let found = read(&boundary().content_type(), &document);
        prop_assert_eq!(found.len(), parts.len());
        for (found, (name, file, content)) in found.iter().zip(&parts) {
            let (field, disposition) = &found.head[0];
            prop_assert_eq!(field, "Content-Disposition");
            prop_assert_eq!(&quoted(disposition, "name"), name);
            prop_assert_eq!(found.head.len(), if file.is_some() { 2 } else { 1 });
            if let Some(file) = file {
                prop_assert_eq!(&quoted(disposition, "filename"), file);
            }
            prop_assert_eq!(&found.content, content);
        }
    }
}
