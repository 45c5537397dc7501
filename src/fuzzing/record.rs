//! An untrusted line, parsed as a record: parsing never panics, and a valid record is unchanged
//! after it is written and read again.

use crate::connector::record::{Data, Record, json};

/// Fuzzes one line, also as the inner part of an otherwise valid record.
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
