//! The operator's log: a few lines on standard error, which must not block the event loop when its
//! reader is slow. Lines that do not fit into its buffer are dropped and counted.

use super::line_queue::{LineQueue, PushOutcome, Sink};
use super::{cause, stdio};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum waiting lines: far more than a relay in trouble writes in a second.
const LINES: usize = 1024;

/// The log; waiting lines are written when it is dropped.
#[derive(Debug)]
#[must_use = "lines are written to their end only while it is held"]
pub struct OperatorLog {
    lines: Shared,
}

type Shared = Arc<Mutex<Option<LineQueue>>>;

/// The output of the logger.
struct LogWriter(Shared);

/// Standard error.
struct Stderr;

impl OperatorLog {
    /// Installs the log for this process, filtered by `RUST_LOG`.
    ///
    /// # Errors
    /// If the thread cannot be created.
    pub fn start() -> io::Result<Self> {
        let lines = LineQueue::start("log", LINES, Stderr).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot start the log: {}", cause(&error)))
        })?;
        let lines = Arc::new(Mutex::new(Some(lines)));
        let filter = env_logger::Env::default().default_filter_or("info");
        let target = env_logger::Target::Pipe(Box::new(LogWriter(Arc::clone(&lines))));
        env_logger::Builder::from_env(filter).format_target(false).target(target).init();
        Ok(Self { lines })
    }

    /// Waits until all logged lines are written, with a timeout.
    pub fn flush(&self) {
        if let Some(lines) = &*self.lines.lock().unwrap_or_else(PoisonError::into_inner) {
            lines.flush();
        }
    }
}

impl Drop for OperatorLog {
    fn drop(&mut self) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut lines) = lines else { return };
        // If the reader is stuck, one more line would block indefinitely.
        if lines.close() && lines.dropped() > 0 {
            stdio::error_line(format_args!("{} lines of this log were dropped", lines.dropped()));
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(lines) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            match lines.add(line) {
                // Reported on drop: reporting it here would occupy the same buffer.
                PushOutcome::Taken | PushOutcome::Dropped { .. } => lines.wake(),
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Stderr {
    fn write(&mut self, lines: &[u8]) -> u64 {
        // The error cannot be reported anywhere.
        u64::from(stdio::error().write_all(lines).is_err())
    }
}
