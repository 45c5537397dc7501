//! The log of an agent on standard error, in the format of the relay's: a line for each change and
//! each request. A stalled reader loses lines, but never blocks a request.

use super::calls::Served;
use crate::client::file_name::printable;
use crate::ops::line_queue::{LineQueue, PushOutcome, Sink};
use crate::ops::stdio;
use jiff::Timestamp;
use std::io::{self, Write as _};

/// Maximum queued lines: those of a busy second.
const LINES: usize = 4096;

/// The log; queued lines are written when it is dropped.
#[derive(Debug)]
pub(super) struct Journal(Option<LineQueue>);

impl Journal {
    /// Starts the log on standard error, or discards it if `quiet`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn start(quiet: bool) -> io::Result<Self> {
        let lines = if quiet { None } else { Some(LineQueue::start("journal", LINES, Stderr)?) };
        Ok(Self(lines))
    }

    /// Logs a line with the time.
    pub(super) fn log(&self, text: &str) {
        self.add("INFO", text);
    }

    /// Logs a warning with the time.
    pub(super) fn warn(&self, text: &str) {
        self.add("WARN", text);
    }

    fn add(&self, level: &str, text: &str) {
        let Some(lines) = &self.0 else { return };
        let line = format!("[{:.0} {level} ] {}\n", Timestamp::now(), printable(text));
        match lines.add(line.as_bytes()) {
            PushOutcome::Taken | PushOutcome::Dropped { .. } => lines.wake(),
        }
    }

    /// Logs a served request.
    pub(super) fn served(&self, served: &Served) {
        if self.0.is_some() {
            self.log(&described(served));
        }
    }

    /// Waits until queued lines are written, for a limited time.
    pub(super) fn flush(&self) {
        if let Some(lines) = &self.0 {
            lines.flush();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(lines) = &mut self.0 {
            lines.close();
        }
    }
}

fn described(served: &Served) -> String {
    let Served { method, path, status, bytes, time, correlation, whole } = served;
    let status = status.map_or("-".to_owned(), |status| status.to_string());
    let correlation = correlation.as_deref().unwrap_or("-");
    let end = if *whole { "" } else { " interrupted" };
    let time = time.as_millis();
    format!("{method} {path} {status} {bytes} bytes {time} ms {correlation}{end}")
}

/// The standard error stream.
struct Stderr;

impl Sink for Stderr {
    fn write(&mut self, lines: &[u8]) -> u64 {
        // A write error cannot be reported anywhere.
        u64::from(stdio::error().write_all(lines).is_err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_request_is_one_line() {
        let mut served = Served {
            method: "GET".into(),
            path: "/a?b".into(),
            status: Some(200),
            bytes: 7,
            time: Duration::from_millis(12),
            correlation: Some("c".into()),
            whole: true,
        };
        assert_eq!(described(&served), "GET /a?b 200 7 bytes 12 ms c");
        served = Served { status: None, correlation: None, whole: false, ..served };
        assert_eq!(described(&served), "GET /a?b - 7 bytes 12 ms - interrupted");
    }
}
