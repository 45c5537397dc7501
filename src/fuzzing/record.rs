//! A line that nobody vouches for, read as a record: it never panics, and what is a record is the
//! same one when it is written and read again.

use crate::connector::record::{Data, Record, json};

/// One line; also as the inner part of a record that is otherwise good.
pub fn record(data: &[u8]) {
    same_again(data);
    same_again(&[b"{\"position\":\"cA==\",\"operation\":\"update\",", data, b"}"].concat());
    same_again(&[b"{\"position\":\"\",\"operation\":\"create\",\"key\":", data, b"}"].concat());
}

fn same_again(line: &[u8]) {
    let Ok(record) = Record::parse(line) else { return };
    let mut written = Vec::new();
    record.write(&mut written);
    let end = written.iter().position(|byte| *byte == b'\n');
    assert_eq!(end, Some(written.len() - 1), "a record is one line");
    assert_eq!(Record::parse(&written).as_ref(), Ok(&record), "what is written is read");
    for data in [&record.key, &record.payload.before, &record.payload.after].into_iter().flatten() {
        let Data::Structured(object) = data else { continue };
        let text = object.get().as_bytes();
        assert_eq!(json::compact(text), text, "structured data is kept without whitespace");
    }
}
