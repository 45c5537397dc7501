//! A consumer of records: reads and counts lines until the end; optionally verifies each record.

use std::io::{self, Read as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::push::body;
use super::report;
use crate::options::CountArgs;
use crate::{Result, failure};

/// Bytes per read.
const READ_BYTES: usize = 256 << 10;

/// The expected contents of the records.
struct Expected {
    body: Vec<u8>,
    /// The position of the last record; the next must be greater.
    last: Vec<u8>,
    /// The part of an incomplete line read so far.
    begun: Vec<u8>,
}

/// Counts the lines and bytes of standard input, and prints both.
pub(crate) fn run(task: &CountArgs) -> Result<()> {
    let mut expected = task.verify.map(|bytes| Expected {
        body: body(bytes),
        last: Vec::new(),
        begun: Vec::new(),
    });
    let mut buffer = vec![0; READ_BYTES];
    let (mut lines, mut total, mut is_line_open) = (0, 0, false);
    loop {
        let count = io::stdin().read(&mut buffer)?;
        let bytes = &buffer[..count];
        let Some(last) = bytes.last() else { break };
        is_line_open = *last != b'\n';
        lines += memchr::memchr_iter(b'\n', bytes).count();
        total += count;
        if let Some(expected) = &mut expected {
            expected.take(bytes)?;
        }
    }
    if is_line_open {
        return Err(failure("the records end with an incomplete line"));
    }
    report(&format!("counted {lines} {total}"));
    Ok(())
}

impl Expected {
    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.begun.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.begun);
            self.check(&line)?;
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    fn check(&mut self, line: &[u8]) -> Result<()> {
        let record: Value = serde_json::from_slice(line)?;
        let bytes = |pointer: &str| {
            let text = record.pointer(pointer).and_then(Value::as_str);
            Ok::<_, crate::BoxError>(BASE64_STANDARD.decode(text.unwrap_or_default())?)
        };
        if bytes("/payload/after")? != self.body {
            return Err(failure("a record has a different body"));
        }
        let position = bytes("/position")?;
        if position <= self.last {
            return Err(failure("a record's position is not after the previous one"));
        }
        self.last = position;
        Ok(())
    }
}
