//! The workers that send records, each with its own connection and a short queue. Records of one
//! key go to one worker, which keeps them in order; all queues together hold a bounded number of
//! bytes.

use super::acks::Acks;
use super::byte_budget::{ByteBudget, ROOM_BYTES};
use super::dead_letters::DeadLetters;
use super::delivery::{CancelFlag, Transport};
use super::options::DestinationOptions;
use super::outgoing_request::position_text;
use crate::client::commands::{Exit, Failure};
use crate::connector::record::{Incoming, Record};
use std::hash::{DefaultHasher, Hasher as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Maximum records in the queue of a worker.
const QUEUE_MAX: usize = 64;

/// Approximate memory of a record besides its line, in bytes.
const RECORD_BYTES: usize = 512;

/// An event while the command runs.
#[derive(Debug)]
pub(super) enum Event {
    /// The input ended.
    InputEnded(Result<(), Failure>),
    /// A worker gave up a record, or could not acknowledge one.
    Failed(Failure),
    /// A signal requests the end, with this exit status.
    Signal(Exit),
    /// A worker has ended.
    WorkerEnded,
}

/// The state that workers share.
pub(super) struct Shared {
    pub(super) options: DestinationOptions,
    pub(super) dead_letters: Option<DeadLetters>,
    pub(super) halt: CancelFlag,
    pub(super) events: Sender<Event>,
    pub(super) room: ByteBudget,
    /// The queue of each worker; empty after shutdown.
    queues: Mutex<Vec<SyncSender<QueuedRecord>>>,
}

impl Shared {
    pub(super) fn new(
        options: DestinationOptions,
        dead_letters: Option<DeadLetters>,
        events: Sender<Event>,
    ) -> Arc<Self> {
        let (halt, room, queues) = (CancelFlag::default(), ByteBudget::default(), Mutex::default());
        Arc::new(Self { options, dead_letters, halt, events, room, queues })
    }

    /// Stops delivery: workers start no other record, neither queued ones nor retries.
    pub(super) fn stop(&self) {
        self.halt.ask();
        self.close();
    }

    /// Closes the queues; workers end when theirs are empty.
    fn close(&self) {
        self.queues().clear();
    }

    fn queues(&self) -> MutexGuard<'_, Vec<SyncSender<QueuedRecord>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record, and the output for its acknowledgement.
struct QueuedRecord {
    incoming: Incoming,
    acks: Arc<Acks>,
    held_bytes: usize,
}

/// Distributes records to the workers. When dropped, they end after their queued records.
pub(super) struct Dispatch {
    workers: usize,
    pub(super) shared: Arc<Shared>,
    /// For a transport of one record: whether it was received.
    only_one: Option<bool>,
}

impl Dispatch {
    /// Starts a worker for each transport.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    pub(super) fn start(ways: Vec<Transport>, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let only_one = ways.iter().any(Transport::is_for_one).then_some(false);
        let workers = ways.len();
        let dispatch = Self { workers, shared: Arc::clone(shared), only_one };
        for (number, way) in ways.into_iter().enumerate() {
            let (sender, jobs) = mpsc::sync_channel(QUEUE_MAX);
            let shared = Arc::clone(shared);
            let named = thread::Builder::new().name(format!("worker {number}"));
            let started = named.spawn(move || work(&shared, way, &jobs));
            started.map_err(|error| Failure::local("cannot start a worker", error))?;
            dispatch.shared.queues().push(sender);
        }
        Ok(dispatch)
    }

    /// Queues a record for its worker, and waits for room. Returns whether more are accepted.
    ///
    /// # Errors
    /// Returns an error for the second record of a stream, which accepts one.
    pub(super) fn give(&mut self, incoming: Incoming, acks: &Arc<Acks>) -> Result<bool, Failure> {
        if self.only_one == Some(true) {
            let position = position_text(&incoming.record.position);
            let why = "a stream takes one record; name the relay, not a stream, for many";
            return Err(Failure::new(
                Exit::Local,
                format!("the record at position {position}: {why}"),
            ));
        }
        self.only_one = self.only_one.map(|_| true);
        let held_bytes = match incoming.spilled {
            // Content in files is bounded as well: about one file for each worker.
            Some(_) => ROOM_BYTES / self.workers,
            None => incoming.held_bytes + RECORD_BYTES,
        };
        self.shared.room.take(held_bytes);
        let worker = worker_of(&incoming.record, self.workers);
        // Cloned, because sending may block while the queue is full.
        let Some(queue) = self.shared.queues().get(worker).cloned() else { return Ok(false) };
        Ok(queue.send(QueuedRecord { incoming, acks: Arc::clone(acks), held_bytes }).is_ok())
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Returns the worker for the key of a record. All records without a key share one.
fn worker_of(record: &Record, workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    if let Some(key) = &record.key {
        hasher.write(key.bytes());
    }
    let hash = usize::try_from(hasher.finish() >> 32).unwrap_or_default();
    hash % workers
}

fn work(shared: &Shared, way: Transport, jobs: &Receiver<QueuedRecord>) {
    // Without an event the command would wait indefinitely for a worker that panicked.
    let worked = panic::catch_unwind(AssertUnwindSafe(|| work_off(shared, way, jobs)));
    if worked.is_err() {
        shared.stop();
        let failure = Failure::new(Exit::Local, "a worker failed, which is a mistake of rdv");
        let _ = shared.events.send(Event::Failed(failure));
    }
    let _ = shared.events.send(Event::WorkerEnded);
}

fn work_off(shared: &Shared, mut way: Transport, jobs: &Receiver<QueuedRecord>) {
    for job in jobs {
        if shared.halt.is_asked() {
            break;
        }
        if let Err(failure) = send(shared, &mut way, &job) {
            // Before the next job, so that none after it is sent.
            shared.stop();
            let _ = shared.events.send(Event::Failed(failure));
            break;
        }
        shared.room.free(job.held_bytes);
    }
}

fn send(shared: &Shared, way: &mut Transport, job: &QueuedRecord) -> Result<(), Failure> {
    let Incoming { record, spilled, .. } = &job.incoming;
    match way.deliver(record, spilled.as_ref(), &shared.options, &shared.halt) {
        Ok(()) => job.acks.acknowledge(record),
        // The source was not acknowledged, so it resends the record.
        Err(end) if end.stopped => Ok(()),
        Err(end) => match &shared.dead_letters {
            Some(dead_letters) if end.failure.exit != Exit::Local => {
                dead_letters.add(&job.incoming, &end)?;
                job.acks.acknowledge(record)
            }
            Some(_) | None => Err(Failure::new(end.failure.exit, end.to_string())),
        },
    }
}
