//! The client's parsing of an untrusted server's output: response heads and server-sent events. The
//! result does not depend on how the bytes are split.

use crate::http::answer::{ANSWER_HEAD_MAX_BYTES, AnswerFraming, AnswerHead};
use crate::http::framing::Framing;
use crate::http::sse::Events;

/// Fuzzes a response head, and the same bytes as events.
pub fn answer(data: &[u8]) {
    head(data);
    head(&[b"HTTP/1.1 200 OK\r\n", data].concat());
    events(data);
}

fn head(data: &[u8]) {
    let complete = AnswerHead::parse(data);
    if let Ok(Some(head)) = &complete {
        described(head, data);
    }
    for cut in 0..data.len().min(512) {
        match AnswerHead::parse(&data[..cut]) {
            Ok(None) => {}
            Ok(Some(early)) => {
                assert_eq!(complete.as_ref(), Ok(&Some(early)), "more bytes change no head");
            }
            Err(error) => assert_eq!(complete, Err(error), "what is wrong stays wrong"),
        }
    }
}

fn described(head: &AnswerHead, data: &[u8]) {
    assert!(head.len <= data.len() && head.len <= ANSWER_HEAD_MAX_BYTES);
    assert!((100..1000).contains(&head.status), "a status has three digits");
    for (name, value) in &head.fields {
        assert!(!name.is_empty() && head.field(name).is_some(), "a field is found by its name");
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "in one line");
    }
    let (length, coding) = (head.field("Content-Length"), head.field("Transfer-Encoding"));
    match head.framing() {
        Ok(AnswerFraming::UntilClose) => assert!(length.is_none() && coding.is_none()),
        Ok(AnswerFraming::Framed(Framing::Chunked)) => assert!(length.is_none()),
        Ok(AnswerFraming::Framed(Framing::Length(bytes))) => {
            assert!(
                bytes == 0 || (length.is_some() && coding.is_none()),
                "no length or coding is guessed"
            );
        }
        Err(_) => assert!(length.is_some() || coding.is_some(), "nothing is wrong with nothing"),
    }
}

fn events(data: &[u8]) {
    let (mut at_once, mut by_byte) = (Vec::new(), Vec::new());
    let complete = Events::default().received(data, &mut at_once);
    let mut reader = Events::default();
    let parts = data.iter().try_for_each(|byte| reader.received(&[*byte], &mut by_byte));
    assert_eq!(complete.is_ok(), parts.is_ok());
    assert_eq!(at_once, by_byte, "events do not depend on how they come");
}
