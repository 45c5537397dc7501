//! What lies between the event loop and the thread that hands records over: lines one way, verdicts
//! the other. Both ways are bounded by the senders that wait: each has one record here at most, and
//! there is a limit besides.

use super::line::OutgoingLine;
use super::positions::Positions;
use super::worker_handle::WorkerHandle;
use crate::api::{Busy, Failure};
use crate::relay::{PushDecision, RequestToken, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Buffers kept for lines to come.
const SPARE_MAX: usize = 128;

/// Larger ones are given back: they are rare, and 128 of them much.
const SPARE_BYTES: usize = 4096;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Records that were not handed over, or not acknowledged, yet.
    pub records: usize,
    /// Bytes they take in memory.
    pub bytes: usize,
}

/// Lines and verdicts on their way.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<QueueState>,
    limits: QueueLimits,
    /// The thread that takes lines.
    work: Arc<WorkerHandle>,
    waker: Waker,
    over: AtomicBool,
    failed: AtomicBool,
}

#[derive(Debug)]
struct QueueState {
    lines: VecDeque<OutgoingLine>,
    positions: Positions,
    /// Buffers of lines that went out, for the next ones.
    spare: Vec<Vec<u8>>,
    /// What counts against the limits: lines that have no verdict yet.
    held: QueueLimits,
    verdicts: Vec<(RequestToken, PushDecision)>,
    /// New records are refused, for this reason.
    closed: Option<Busy>,
    /// The thread has not been woken since it looked here.
    asleep: bool,
    quiet: bool,
}

impl Queue {
    /// An empty queue whose verdicts wake this loop, and whose first position is after `last`.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new(limits: QueueLimits, waker: Waker, last: Uuid) -> io::Result<Self> {
        let state = QueueState {
            lines: VecDeque::new(),
            positions: Positions::after(last),
            spare: Vec::new(),
            held: QueueLimits { records: 0, bytes: 0 },
            verdicts: Vec::new(),
            closed: None,
            asleep: false,
            quiet: false,
        };
        let work = Arc::new(WorkerHandle::new()?);
        let (over, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { state: Mutex::new(state), limits, work, waker, over, failed })
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no record can be taken now.
    pub fn refusal(&self) -> Option<Busy> {
        let state = self.lock();
        let full =
            state.held.records >= self.limits.records || state.held.bytes >= self.limits.bytes;
        state.closed.or(full.then_some(Busy::Records))
    }

    /// Adds the line that `make` makes of the next position, at this time, and of an empty buffer; the
    /// thread is not woken before [`wake`](Self::wake).
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub fn push(
        &self,
        unix_ms: i64,
        make: impl FnOnce(Uuid, Vec<u8>) -> OutgoingLine,
    ) -> Result<(), Busy> {
        let mut state = self.lock();
        if let Some(busy) = state.closed {
            return Err(busy);
        }
        // Positions are given out where lines are lined up, so they are in the same order.
        let buffer = state.spare.pop().unwrap_or_default();
        let line = make(state.positions.next(unix_ms), buffer);
        let bytes = state.held.bytes + line.memory();
        // One that is too large by itself has to wait until it is alone, or it could never be taken.
        let too_much = bytes > self.limits.bytes && state.held.records > 0;
        if state.held.records >= self.limits.records || too_much {
            return Err(Busy::Records);
        }
        state.held = QueueLimits { records: state.held.records + 1, bytes };
        state.lines.push_back(line);
        Ok(())
    }

    /// Wakes the thread if there is something for it to do.
    pub fn wake(&self) {
        let mut state = self.lock();
        if state.asleep && !state.lines.is_empty() {
            state.asleep = false;
            drop(state);
            self.work.poke();
        }
    }

    /// Whether there are lines that nobody has taken.
    pub fn has_new(&self) -> bool {
        !self.lock().lines.is_empty()
    }

    /// While it is quiet, verdicts do not wake the loop: it looks for them itself.
    pub fn be_quiet(&self, quiet: bool) {
        self.lock().quiet = quiet;
    }

    /// The thread that takes lines, as others know it.
    pub fn work(&self) -> &Arc<WorkerHandle> {
        &self.work
    }

    /// What the loop has to do, said since it asked last.
    pub fn verdicts(&self) -> Vec<(RequestToken, PushDecision)> {
        std::mem::take(&mut self.lock().verdicts)
    }

    /// Whether nobody takes records any more, and nobody will.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether that is because of what records are kept in, and not of who takes them.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The thread's end.
impl Queue {
    /// Moves new lines behind `lines`; what comes next wakes the thread.
    pub fn take(&self, lines: &mut VecDeque<OutgoingLine>) {
        let mut state = self.lock();
        state.asleep = true;
        lines.append(&mut state.lines);
    }

    /// These are records now.
    pub fn created(&self, lines: Vec<OutgoingLine>) {
        let mut freed = QueueLimits { records: 0, bytes: 0 };
        for line in &lines {
            freed.add(line);
        }
        let verdict =
            |line: &OutgoingLine| Some((line.ticket?, PushDecision::Created(line.position)));
        self.settle(freed, lines.iter().filter_map(verdict));
        self.lock().reuse(lines);
    }

    /// These are kept elsewhere now, and take no memory any more; who sent them waits on.
    pub fn kept(&self, lines: &[OutgoingLine]) {
        let mut freed = QueueLimits { records: 0, bytes: 0 };
        for line in lines {
            freed.add(line);
        }
        self.settle(freed, []);
    }

    /// The request became the record at this position.
    pub fn create(&self, ticket: RequestToken, position: Uuid) {
        let nothing = QueueLimits { records: 0, bytes: 0 };
        self.settle(nothing, [(ticket, PushDecision::Created(position))]);
    }

    /// These did not become records.
    pub fn refused(&self, lines: impl IntoIterator<Item = OutgoingLine>, busy: Busy) {
        let mut freed = QueueLimits { records: 0, bytes: 0 };
        let verdicts: Vec<_> = lines
            .into_iter()
            .filter_map(|line| {
                freed.add(&line);
                Some((line.ticket?, PushDecision::Refused(Failure::TooBusy(busy))))
            })
            .collect();
        self.settle(freed, verdicts);
    }

    /// A record that was never in the queue is refused.
    pub fn refuse(&self, ticket: RequestToken, busy: Busy) {
        let verdict = PushDecision::Refused(Failure::TooBusy(busy));
        self.settle(QueueLimits { records: 0, bytes: 0 }, [(ticket, verdict)]);
    }

    /// Says what becomes of requests, and what is free again.
    pub fn settle(
        &self,
        freed: QueueLimits,
        verdicts: impl IntoIterator<Item = (RequestToken, PushDecision)>,
    ) {
        let mut state = self.lock();
        state.held.records = state.held.records.saturating_sub(freed.records);
        state.held.bytes = state.held.bytes.saturating_sub(freed.bytes);
        let before = state.verdicts.len();
        state.verdicts.extend(verdicts);
        // A loop that was rung for before, and has not come yet, will find these, too.
        let ring = before == 0 && !state.quiet && !state.verdicts.is_empty();
        drop(state);
        if ring {
            self.waker.wake();
        }
    }

    /// From now on new records are refused for this reason, or taken again.
    pub fn close(&self, why: Option<Busy>) {
        self.lock().closed = why;
    }

    /// What records are kept in cannot be read any more: the loop is to end.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.end();
    }

    /// Nobody takes records any more, and nobody will: the loop is to end.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

impl QueueState {
    /// Keeps the buffers of small lines for the next ones.
    fn reuse(&mut self, lines: Vec<OutgoingLine>) {
        let room = SPARE_MAX.saturating_sub(self.spare.len());
        let small = lines.into_iter().filter(|line| line.head.capacity() <= SPARE_BYTES);
        self.spare.extend(small.take(room).map(|OutgoingLine { mut head, .. }| {
            head.clear();
            head
        }));
    }
}

impl QueueLimits {
    /// Counts a line.
    pub fn add(&mut self, line: &OutgoingLine) {
        self.records += 1;
        self.bytes += line.memory();
    }
}
