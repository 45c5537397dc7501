//! The operator's log: a few lines on standard error, which must not hold the event loop up when
//! whoever reads them is slow. What does not fit into its buffer is dropped and counted.

use super::line_queue::{LineQueue, PushOutcome, Sink};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that may wait: far more than a relay in trouble writes in a second.
const LINES: usize = 1024;

/// The log; its lines are written when it is dropped.
#[derive(Debug)]
#[must_use = "lines are written to their end only while it is held"]
pub struct OperatorLog {
    lines: Shared,
}

type Shared = Arc<Mutex<Option<LineQueue>>>;

/// What the logger writes into.
struct LogWriter(Shared);

/// Standard error.
struct Stderr;

impl OperatorLog {
    /// Sets the log up for this process, filtered by `RUST_LOG`.
    ///
    /// # Errors
    /// When there is no further thread.
    pub fn start() -> io::Result<Self> {
        let lines = Arc::new(Mutex::new(Some(LineQueue::start("log", LINES, Stderr)?)));
        let filter = env_logger::Env::default().default_filter_or("info");
        let target = env_logger::Target::Pipe(Box::new(LogWriter(Arc::clone(&lines))));
        env_logger::Builder::from_env(filter).format_target(false).target(target).init();
        Ok(Self { lines })
    }

    /// Waits until what was logged so far is written, but not for ever.
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
        // If its reader is stuck, one more line would wait for it for ever.
        if lines.close() && lines.dropped() > 0 {
            let _ = writeln!(io::stderr(), "{} lines of this log were dropped", lines.dropped());
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(lines) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            match lines.add(line) {
                // Told at the end: telling it here would take a place in the same buffer.
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
        // Nobody is left to tell.
        u64::from(io::stderr().write_all(lines).is_err())
    }
}
