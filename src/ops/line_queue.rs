//! A bounded buffer of lines, and the one thread that writes them. Whoever adds a line never waits
//! for the thread: what does not fit is counted and dropped.

use super::threads;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// All waiting lines together, in bytes, however many they may be.
const BYTES_MAX: usize = 8 << 20;

/// How long the end waits for a sink that does not take the last lines.
const FINISH_PATIENCE: Duration = Duration::from_secs(2);

/// How long the thread rests after it has written, unless the buffer is half full by then. Waking
/// it and a write for each line would cost the loop more than the line itself.
const REST: Duration = Duration::from_millis(50);

/// A buffer that grew beyond this for a burst is given back after it.
const KEPT_BYTES: usize = 1 << 20;

/// Where lines go. Only the writing thread calls it, so it may block.
pub trait Sink: Send + 'static {
    /// Writes whole lines; how many of them were lost.
    fn write(&mut self, lines: &[u8]) -> u64;

    /// Opens its file anew, which somebody has moved away.
    fn reopen(&mut self) {}
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// It waits to be written.
    Taken,
    /// It was dropped: the first since the buffer was empty, or not.
    Dropped {
        /// Whether somebody should be told.
        first: bool,
    },
}

/// The buffer, and the thread behind it.
#[derive(Debug)]
pub struct LineQueue {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    limit: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<LineQueueState>,
    /// There is something to write, to reopen or to end.
    work: Condvar,
    /// Nothing is left to write.
    idle: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a question of its own")]
struct LineQueueState {
    waiting: Vec<u8>,
    lines: usize,
    /// Lines the thread has taken and not written yet; they count against the bound.
    writing: usize,
    /// The thread waits for `work`, for as long as there is none.
    asleep: bool,
    /// What waits must not wait for the thread's rest to end.
    urgent: bool,
    /// Lines were dropped since the buffer was empty.
    bursting: bool,
    reopen: bool,
    closing: bool,
}

impl LineQueue {
    /// Starts the thread. At most `max_lines` wait, those being written included.
    ///
    /// # Errors
    /// When there is no further thread.
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

    /// Adds a line, which brings its own end. The thread is not woken before
    /// [`wake`](Self::wake), unless the buffer fills.
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

    /// Has the lines written that were added, soon: to be called once for many of them.
    pub fn wake(&self) {
        let mut state = self.shared.lock();
        if state.lines > 0 {
            self.shared.wake(&mut state);
        }
    }

    /// Has the sink reopened, before any line that is written from now on.
    pub fn reopen(&self) {
        let mut state = self.shared.lock();
        state.reopen = true;
        self.shared.wake_early(&mut state);
    }

    /// Lines that were dropped or could not be written, since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written, but not for ever: a sink that blocks loses them.
    pub fn flush(&self) -> bool {
        let mut state = self.shared.lock();
        self.shared.wake_early(&mut state);
        let busy = |state: &mut LineQueueState| state.lines + state.writing > 0;
        let waited = self.shared.idle.wait_timeout_while(state, FINISH_PATIENCE, busy);
        let (_state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    /// Writes what is left and ends the thread; whether all was written. A thread that is stuck
    /// ends with the process.
    pub fn close(&mut self) -> bool {
        let Some(thread) = self.thread.take() else { return false };
        self.shared.lock().closing = true;
        let all = self.flush();
        if all {
            let _ = thread.join();
        }
        all
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

    /// The same, even if the thread rests.
    fn wake_early(&self, state: &mut LineQueueState) {
        if !std::mem::replace(&mut state.urgent, true) {
            state.asleep = false;
            self.work.notify_one();
        }
    }

    /// The thread's life.
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

    /// Waits for work, after a rest if there was some before; whether to reopen first. `None`: all is written, and nothing will come.
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

    /// A sink that says what it was given, and goes on when it is told to.
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
    fn lines_beyond_the_bound_are_dropped_and_the_first_of_a_burst_says_so() {
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
    fn the_thread_is_started_without_signals_and_its_maker_keeps_them() {
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
    fn what_waits_is_written_before_the_end() {
        let (lines, taken, go) = gate(100);
        for line in ["a\n", "b\n", "c\n"] {
            lines.add(line.as_bytes());
        }
        go.send(()).unwrap();
        drop(lines);
        assert_eq!(taken.try_iter().collect::<String>(), "a\nb\nc\n");
    }

    #[test]
    fn the_sink_is_reopened_before_the_lines_that_wait() {
        let (lines, taken, go) = gate(100);
        lines.add(b"a\n");
        lines.reopen();
        assert_eq!(taken.recv().unwrap(), "reopened");
        assert_eq!(taken.recv().unwrap(), "a\n");
        go.send(()).unwrap();
    }

    #[test]
    fn lines_a_sink_loses_are_counted() {
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
