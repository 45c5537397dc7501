//! A bounded buffer of lines, and the one thread that writes them. Adding a line never waits for
//! the thread: lines that do not fit are counted and dropped.

use super::threads;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Maximum total size of waiting lines in bytes, regardless of their number.
const BYTES_MAX: usize = 8 << 20;

/// Timeout at exit for a sink that does not accept the last lines.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause of the thread after a write, unless the buffer is half full by then. A wake-up and a write
/// for each line would cost the loop more than the line itself.
const REST: Duration = Duration::from_millis(50);

/// Maximum buffer capacity kept after a burst.
const KEPT_BYTES: usize = 1 << 20;

/// The sink of lines. Only the writing thread calls it, so it may block.
pub trait Sink: Send + 'static {
    /// Writes complete lines; returns how many were lost.
    fn write(&mut self, lines: &[u8]) -> u64;

    /// Reopens its file after a rotation.
    fn reopen(&mut self) {}
}

/// The result of adding a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// It is queued.
    Taken,
    /// It was dropped.
    Dropped {
        /// Whether it is the first since the buffer was empty, and should be reported.
        first: bool,
    },
}

/// The buffer and its thread.
#[derive(Debug)]
pub struct LineQueue {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    limit: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<LineQueueState>,
    /// Signals that there is something to write, to reopen or to end.
    work: Condvar,
    /// Signals that nothing is left to write.
    idle: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a question of its own")]
struct LineQueueState {
    waiting: Vec<u8>,
    lines: usize,
    /// Lines the thread has taken but not yet written; they count against the limit.
    writing: usize,
    /// Whether the thread is waiting for `work`.
    asleep: bool,
    /// Whether waiting lines must be written before the thread's pause ends.
    urgent: bool,
    /// Whether lines were dropped since the buffer was empty.
    bursting: bool,
    reopen: bool,
    closing: bool,
    /// Whether the thread has written its last line.
    ended: bool,
}

impl LineQueue {
    /// Starts the thread. At most `max_lines` wait, including those being written.
    ///
    /// # Errors
    /// If the thread cannot be created.
    pub fn start(name: &str, max_lines: usize, sink: impl Sink) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            idle: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let thread = threads::spawn(name, move || theirs.write_all(sink))?;
        Ok(Self { shared, thread: Some(thread), limit: max_lines })
    }

    /// Adds a line, including its line end. The thread is not woken before [`wake`](Self::wake),
    /// unless the buffer fills.
    pub fn add(&self, line: &[u8]) -> PushOutcome {
        let mut state = self.shared.lock();
        let full = state.lines + state.writing >= self.limit;
        if full || state.waiting.len() + line.len() > BYTES_MAX {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            let first = !std::mem::replace(&mut state.bursting, true);
            self.shared.wake_early(&mut state);
            return PushOutcome::Dropped { first };
        }
        state.waiting.extend_from_slice(line);
        state.lines += 1;
        if state.lines * 2 >= self.limit {
            self.shared.wake_early(&mut state);
        }
        PushOutcome::Taken
    }

    /// Wakes the thread to write the added lines soon; called once for many lines.
    pub fn wake(&self) {
        let mut state = self.shared.lock();
        if state.lines > 0 {
            self.shared.wake(&mut state);
        }
    }

    /// Reopens the sink before any further line is written.
    pub fn reopen(&self) {
        let mut state = self.shared.lock();
        state.reopen = true;
        self.shared.wake_early(&mut state);
    }

    /// Returns how many lines were dropped or could not be written since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written, with a timeout: a sink that blocks loses them. Returns
    /// whether all were written.
    pub fn flush(&self) -> bool {
        self.wait_while(|state| state.lines + state.writing > 0)
    }

    /// Wakes the thread, and waits while it is `busy`, with a timeout; returns whether it no longer
    /// is.
    fn wait_while(&self, busy: impl Fn(&LineQueueState) -> bool) -> bool {
        let mut state = self.shared.lock();
        self.shared.wake_early(&mut state);
        let busy = |state: &mut LineQueueState| busy(state);
        let waited = self.shared.idle.wait_timeout_while(state, FINISH_TIMEOUT, busy);
        let (_state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    /// Writes the remaining lines and ends the thread; returns whether all were written. A stuck
    /// thread ends with the process.
    pub fn close(&mut self) -> bool {
        let Some(thread) = self.thread.take() else { return false };
        self.shared.lock().closing = true;
        let ended = self.wait_while(|state| !state.ended);
        if ended {
            let _ = thread.join();
        }
        ended
    }
}

impl Drop for LineQueue {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, LineQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, state: &mut LineQueueState) {
        if std::mem::take(&mut state.asleep) {
            self.work.notify_one();
        }
    }

    /// Wakes the thread even during its pause.
    fn wake_early(&self, state: &mut LineQueueState) {
        if !std::mem::replace(&mut state.urgent, true) {
            state.asleep = false;
            self.work.notify_one();
        }
    }

    /// Runs the thread: writes batches until the queue is closed.
    fn write_all(&self, mut sink: impl Sink) {
        let mut batch = Vec::new();
        let mut wrote = false;
        while let Some(reopen) = self.take(&mut batch, wrote) {
            if reopen {
                sink.reopen();
            }
            wrote = !batch.is_empty();
            if wrote {
                let lost = sink.write(&batch);
                self.dropped.fetch_add(lost, Ordering::Relaxed);
            }
            batch.clear();
            batch.shrink_to(KEPT_BYTES);
        }
    }

    /// Waits for work, after a pause if `rest`; returns whether to reopen first. `None`: all lines
    /// are written, and the queue is closed.
    fn take(&self, batch: &mut Vec<u8>, rest: bool) -> Option<bool> {
        let mut state = self.lock();
        state.writing = 0;
        if state.lines == 0 {
            state.bursting = false;
            self.idle.notify_all();
        }
        if rest {
            let calm = |state: &mut LineQueueState| !state.urgent;
            let rested = self.work.wait_timeout_while(state, REST, calm);
            state = rested.unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.lines == 0 && !state.reopen {
            if state.closing {
                state.ended = true;
                drop(state);
                self.idle.notify_all();
                return None;
            }
            state.asleep = true;
            state.urgent = false;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep = false;
        state.urgent = false;
        std::mem::swap(batch, &mut state.waiting);
        state.writing = std::mem::take(&mut state.lines);
        Some(std::mem::take(&mut state.reopen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigSet, Signal};
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A sink that reports the lines it received, and continues on a signal.
    struct Gate {
        given: Sender<String>,
        go_on: Receiver<()>,
    }

    impl Sink for Gate {
        fn write(&mut self, lines: &[u8]) -> u64 {
            self.given.send(String::from_utf8_lossy(lines).into_owned()).unwrap();
            self.go_on.recv().map_or(1, |()| 0)
        }

        fn reopen(&mut self) {
            self.given.send("reopened".into()).unwrap();
        }
    }

    fn gate(max_lines: usize) -> (LineQueue, Receiver<String>, Sender<()>) {
        let ((given, taken), (go, go_on)) = (channel(), channel());
        let lines = LineQueue::start("test", max_lines, Gate { given, go_on }).unwrap();
        (lines, taken, go)
    }

    #[test]
    fn lines_above_the_limit_are_dropped_and_the_first_is_flagged() {
        let (lines, taken, go) = gate(2);
        assert_eq!(lines.add(b"1\n"), PushOutcome::Taken);
        assert_eq!(taken.recv().unwrap(), "1\n", "half full: it is written without being asked");
        assert_eq!(lines.add(b"2\n"), PushOutcome::Taken);
        assert_eq!(lines.add(b"3\n"), PushOutcome::Dropped { first: true });
        assert_eq!(lines.add(b"4\n"), PushOutcome::Dropped { first: false });
        assert_eq!(lines.dropped(), 2);
        go.send(()).unwrap();
        assert_eq!(taken.recv().unwrap(), "2\n");
        go.send(()).unwrap();
        assert!(lines.flush());
        assert_eq!(lines.add(b"5\n"), PushOutcome::Taken, "there is room again");
        go.send(()).unwrap();
    }

    #[test]
    fn the_thread_blocks_signals_and_its_parent_keeps_its_mask() {
        struct Mask(Sender<SigSet>);
        impl Sink for Mask {
            fn write(&mut self, _lines: &[u8]) -> u64 {
                self.0.send(SigSet::thread_get_mask().unwrap()).unwrap();
                0
            }
        }
        let (sender, masks) = channel();
        let before = SigSet::thread_get_mask().unwrap();
        let lines = LineQueue::start("test", 1, Mask(sender)).unwrap();
        lines.add(b"1\n");
        let theirs = masks.recv().unwrap();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
            assert!(theirs.contains(signal), "{signal}");
        }
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }

    #[test]
    fn queued_lines_are_written_before_the_end() {
        let (lines, taken, go) = gate(100);
        for line in ["a\n", "b\n", "c\n"] {
            lines.add(line.as_bytes());
        }
        go.send(()).unwrap();
        drop(lines);
        assert_eq!(taken.try_iter().collect::<String>(), "a\nb\nc\n");
    }

    #[test]
    fn the_sink_is_reopened_before_queued_lines() {
        let (lines, taken, go) = gate(100);
        lines.add(b"a\n");
        lines.reopen();
        assert_eq!(taken.recv().unwrap(), "reopened");
        assert_eq!(taken.recv().unwrap(), "a\n");
        go.send(()).unwrap();
    }

    #[test]
    fn lines_lost_by_a_sink_are_counted() {
        let (lines, _taken, go) = gate(100);
        drop(go);
        lines.add(b"a\n");
        assert!(lines.flush());
        assert_eq!(lines.dropped(), 1);
    }

    #[test]
    fn one_line_too_long_for_the_buffer_is_dropped() {
        let (lines, _taken, _go) = gate(100);
        assert_eq!(lines.add(&vec![b'x'; BYTES_MAX + 1]), PushOutcome::Dropped { first: true });
    }
}
