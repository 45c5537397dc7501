//! The reader of a form's first part against a naive one that has all of the form: at once, byte by
//! byte, and in strides. What it keeps is bounded, and no field of the part adds another one.

use super::choices::Choices;
use crate::http::first_part::{FirstPart, FormError};
use crate::http::response::HeadWriter;
use memchr::memmem;

const BOUNDARY: &[u8] = b"b-b";
const DELIMITER: &[u8] = b"\r\n--b-b";

/// Words that forms are made of.
const WORDS: [&[u8]; 20] = [
    b"--b-b\r\n",
    b"\r\n",
    b"\r\n--b-b\r\n",
    b"\r\n--b-b--\r\n",
    b"\r\n--b-b",
    b"\r\n\r\n",
    b"\r",
    b"\n",
    b"--",
    b"--b-",
    b"b",
    b"\r\n--b-",
    b"Content-Type: text/html; a=b\r\n",
    b"content-disposition: form-data; name=\"a\"\r\n",
    b"A: b\r\n",
    b"2",
    b": ",
    b" ",
    b"\t",
    b"\x80",
];

/// What was read: the content, the fields, and why the form is refused.
type Outcome = (Vec<u8>, Vec<u8>, Option<FormError>);

/// Fuzzes a form: words, then noise.
pub fn form(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut form = if choices.one_in(4) { Vec::new() } else { b"--b-b\r\nA: b\r\n\r\n".to_vec() };
    for _ in 0..choices.below(24) {
        let word = choices.pick(&WORDS);
        let times = if choices.one_in(16) { choices.below(2000) } else { 1 };
        form.extend(word.repeat(times));
    }
    let stride = 1 + usize::from(choices.byte());
    form.extend_from_slice(choices.rest());

    let outcome = read([&form[..]]);
    assert_eq!(read(form.chunks(1)), outcome, "byte by byte");
    assert_eq!(read(form.chunks(stride)), outcome, "in strides of {stride}");
    check_fields(&outcome.1);
    let malformed = [FormError::BadHead, FormError::BareLf, FormError::HeadTooLong];
    let malformed = outcome.2.is_some_and(|error| malformed.contains(&error));
    if malformed {
        assert!(outcome.0.is_empty(), "nothing is content before the head was read");
    } else {
        assert_eq!((outcome.0, outcome.2), naive(&form), "at once");
    }
}

fn read<'f>(pieces: impl IntoIterator<Item = &'f [u8]>) -> Outcome {
    let (mut part, mut content, mut fields) = (FirstPart::new(BOUNDARY), Vec::new(), Vec::new());
    let mut refused = None;
    for piece in pieces {
        refused = part.received(piece, &mut content).err();
        if refused.is_some() {
            break;
        }
    }
    let _ = part.fields(HeadWriter::following(&mut fields));
    (content, fields, refused.or(part.end()))
}

/// Reads a form whose head is not malformed.
fn naive(form: &[u8]) -> (Vec<u8>, Option<FormError>) {
    let text = [b"\r\n", form].concat();
    let Some(rest) = delimiter(&text).map(|at| &text[at + DELIMITER.len()..]) else {
        return (Vec::new(), Some(FormError::NoPart));
    };
    if rest.starts_with(b"--") {
        return (Vec::new(), Some(FormError::NoPart));
    }
    let Some(head) = memmem::find(rest, b"\r\n\r\n") else {
        return (Vec::new(), Some(FormError::Unterminated));
    };
    let content = &rest[head + 4..];
    // At the end of the form nothing need follow.
    let cut = ["", "-", "\r"].map(|after| [DELIMITER, after.as_bytes()].concat());
    let cut = cut.iter().find(|cut| content.ends_with(cut)).map(|cut| content.len() - cut.len());
    if let Some(end) = delimiter(content).or(cut) {
        return (content[..end].to_vec(), None);
    }
    // The bytes that may begin a delimiter are not content yet.
    let open = (0..DELIMITER.len()).rev().find(|count| content.ends_with(&DELIMITER[..*count]));
    let end = content.len() - open.unwrap_or(0);
    (content[..end].to_vec(), Some(FormError::Unterminated))
}

/// Returns where the first delimiter is, which its boundary alone does not make.
fn delimiter(text: &[u8]) -> Option<usize> {
    let ends = |at: &usize| {
        let rest = &text[at + DELIMITER.len()..];
        [&b"--"[..], b" ", b"\t", b"\r\n"].iter().any(|after| rest.starts_with(after))
    };
    memmem::find_iter(text, DELIMITER).find(ends)
}

fn check_fields(fields: &[u8]) {
    let mut slots = [httparse::EMPTY_HEADER; 3];
    let text = [fields, b"\r\n"].concat();
    let parsed = httparse::parse_headers(&text, &mut slots).expect("fields can be read");
    let httparse::Status::Complete((length, fields)) = parsed else { panic!("they are complete") };
    assert_eq!(length, text.len(), "no field ends the head");
    assert!(fields.len() <= 2, "{fields:?}");
    let html = |value: &[u8]| value.to_ascii_lowercase().starts_with(b"text/html");
    let typed = fields.iter().find(|field| field.name == "Content-Type");
    assert!(typed.is_none_or(|typed| !html(typed.value) || typed.value.len() > 9), "{fields:?}");
}
