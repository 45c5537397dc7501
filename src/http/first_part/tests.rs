use super::*;
use proptest::prelude::*;

const BOUNDARY: &[u8] = b"x-1";

/// The content of the first part, its fields as written, and why the form is refused.
type Read = (Vec<u8>, String, Option<FormError>);

/// Reads a form in pieces of these lengths, and the rest at once.
fn read(form: &[u8], pieces: &[usize]) -> Read {
    let (mut part, mut content) = (FirstPart::new(BOUNDARY), Vec::new());
    let mut rest = form;
    let mut error = None;
    for length in pieces.iter().copied().chain([usize::MAX]) {
        let (piece, tail) = rest.split_at(length.min(rest.len()));
        rest = tail;
        error = error.or_else(|| part.received(piece, &mut content).err());
        assert!(part.head.len() <= HEAD_MAX, "what it keeps is bounded");
    }
    let mut fields = Vec::new();
    let _ = part.fields(HeadWriter::following(&mut fields));
    (content, String::from_utf8(fields).unwrap(), error.or(part.end()))
}

#[test]
fn the_first_part_is_read_with_its_fields() {
    for (name, form, content, fields) in [
        (
            "alone",
            "--x-1\r\nContent-Type: a/b\r\n\r\nhi\r\n--x-1--\r\n",
            "hi",
            "Content-Type: a/b\r\n",
        ),
        ("before others", "--x-1\r\n\r\nhi\r\n--x-1\r\n\r\nho\r\n--x-1--\r\n", "hi", ""),
        ("after a preamble", "a\r\n--x-\r\n--x-1\r\n\r\nhi\r\n--x-1--", "hi", ""),
        ("empty", "--x-1\r\n\r\n\r\n--x-1--\r\n", "", ""),
        ("padded", "--x-1 \t\r\n\r\nhi\r\n--x-1--\r\n", "hi", ""),
        (
            "line ends",
            "--x-1\r\n\r\n\r\n\r\n\r\r\n-\n--x-1\r\n--x-1--",
            "\r\n\r\n\r\r\n-\n--x-1",
            "",
        ),
        ("its start at the beginning", "--x-1\r\n\r\n--x-1\r\n--x-1--", "--x-1", ""),
        (
            "longer boundaries",
            "--x-12\r\n--x-1\r\n\r\nhi\r\n--x-12\r\n--x-1-y\r\n--x-1\r\r\n--x-1\n\r\n--x-1 \r\n",
            "hi\r\n--x-12\r\n--x-1-y\r\n--x-1\r\r\n--x-1\n",
            "",
        ),
        ("within its close delimiter", "--x-1\r\n\r\nhi\r\n--x-1-", "hi", ""),
        ("no close delimiter", "--x-1\r\n\r\nhi\r\n--x-1", "hi", ""),
        (
            "both fields, others not",
            "--x-1\r\nX: y\r\ncontent-disposition: form-data; name=\"\u{e4}\"\r\nContent-Type: text/html; a=b\r\n\r\n\r\n--x-1",
            "",
            "Content-Type: text/plain; a=b\r\nContent-Disposition: form-data; name=\"\u{e4}\"\r\n",
        ),
    ] {
        let expected = (content.as_bytes().to_vec(), fields.to_owned(), None);
        for length in 1..=form.len() {
            let pieces = vec![length; form.len() / length];
            assert_eq!(read(form.as_bytes(), &pieces), expected, "{name}, {length} bytes a read");
        }
    }
}

#[test]
fn an_invalid_form_is_refused() {
    let long = format!("--x-1\r\nA: {}\r\n\r\n", "a".repeat(HEAD_MAX));
    let many = format!("--x-1\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
    for (name, form, error) in [
        ("empty", "", FormError::NoPart),
        ("no delimiter", "hello", FormError::NoPart),
        ("another delimiter", "--y\r\n\r\nhi\r\n--y--\r\n", FormError::NoPart),
        ("no part", "--x-1--\r\n", FormError::NoPart),
        ("no part, and more", "--x-1--\r\n\r\n", FormError::NoPart),
        ("within the head", "--x-1\r\nA: b\r\n", FormError::Unterminated),
        ("within the content", "--x-1\r\n\r\nhi", FormError::Unterminated),
        ("within the delimiter", "--x-1\r\n\r\nhi\r\n--x-", FormError::Unterminated),
        ("a longer boundary", "--x-12\r\n\r\nhi\r\n--x-1--", FormError::NoPart),
        ("a longer boundary at the end", "--x-1\r\n\r\nhi\r\n--x-12--", FormError::Unterminated),
        ("lines with LF only", "--x-1\nA: b\n\nhi\n--x-1--\n", FormError::BareLf),
        ("no colon", "--x-1\r\nA\r\n\r\nhi\r\n--x-1--", FormError::BadHead),
        ("a folded line", "--x-1\r\nA: b\r\n c\r\n\r\nhi\r\n--x-1--", FormError::BadHead),
        ("a bare LF", "--x-1\r\nA: b\nB: c\r\n\r\nhi\r\n--x-1--", FormError::BareLf),
        ("an empty line with LF", "--x-1\r\nA: b\n\nB: c\r\n\r\nhi\r\n--x-1--", FormError::BareLf),
        ("a control byte", "--x-1\r\nA: b\0\r\n\r\nhi\r\n--x-1--", FormError::BadHead),
        ("a long head", &long, FormError::HeadTooLong),
        ("many fields", &many, FormError::BadHead),
    ] {
        for pieces in [vec![], vec![1; form.len()]] {
            assert_eq!(read(form.as_bytes(), &pieces).2, Some(error), "{name}");
        }
    }
}

/// Contents, including some that look like delimiters.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n--x-".to_vec()),
        Just(b"--x-1".to_vec()),
        Just(b"\r\n--x-12".to_vec()),
        Just(b"\r\n--x-1-\r".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    let contents = prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat());
    contents.prop_filter("a delimiter ends it", |content| {
        let form = [content, &b"\r\n--x-1--"[..]].concat();
        let mut found = memmem::find_iter(&form, b"\r\n--x-1").map(|at| (at, &form[at + 7..]));
        let ends = |rest: &[u8]| {
            [&b"--"[..], b" ", b"\t", b"\r\n"].iter().any(|after| rest.starts_with(after))
        };
        found.find(|(_, rest)| ends(rest)).map(|(at, _)| at) == Some(content.len())
    })
}

proptest! {
    #[test]
    fn a_content_is_read_unchanged_however_it_is_split(
        content in contents(),
        end in prop::sample::select(vec![&b"--"[..], b" ", b"\t", b"\r\n", b""]),
        after in contents(),
        pieces in prop::collection::vec(0..9_usize, 0..40),
    ) {
        let after = if end.is_empty() { Vec::new() } else { after };
        let head = &b"--x-1\r\nContent-Type: a/b\r\n\r\n"[..];
        let form = [head, &content, b"\r\n--x-1", end, &after].concat();
        let (read, fields, error) = read(&form, &pieces);
        prop_assert_eq!(read, content);
        prop_assert_eq!((fields.as_str(), error), ("Content-Type: a/b\r\n", None));
    }
}
