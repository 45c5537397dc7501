//! Who sends: workers, each with a connection of its own and a short queue. Records of one key go to
//! one worker, so they keep their order; all queues together hold a bounded number of bytes.

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

/// How many records may wait for one worker.
const QUEUE_MAX: usize = 64;

/// What a record takes besides its line, in bytes; about.
const RECORD_BYTES: usize = 512;

/// What happens while the command runs.
#[derive(Debug)]
pub(super) enum Event {
    /// There will be no more records.
    InputEnded(Result<(), Failure>),
    /// A worker gave a record up, or could not acknowledge one.
    Failed(Failure),
    /// Somebody asks to end, with this exit status.
    Signal(Exit),
    /// A worker has ended.
    WorkerEnded,
}

/// What workers have in common.
pub(super) struct Shared {
    pub(super) options: DestinationOptions,
    pub(super) dead_letters: Option<DeadLetters>,
    pub(super) halt: CancelFlag,
    pub(super) events: Sender<Event>,
    pub(super) room: ByteBudget,
    /// One for each worker; gone when there will be nothing more in them.
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

    /// No other record is begun: not by workers that are at one, nor by those that wait.
    pub(super) fn stop(&self) {
        self.halt.ask();
        self.close();
    }

    /// Workers end when they have done what is in their queues.
    fn close(&self) {
        self.queues().clear();
    }

    fn queues(&self) -> MutexGuard<'_, Vec<SyncSender<QueuedRecord>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record, and where its acknowledgement goes.
struct QueuedRecord {
    incoming: Incoming,
    acks: Arc<Acks>,
    held_bytes: usize,
}

/// Who gives records to the workers. When it is gone, they end as soon as they are done.
pub(super) struct Dispatch {
    workers: usize,
    pub(super) shared: Arc<Shared>,
    /// Whether there may be one record only, and whether it came.
    only_one: Option<bool>,
}

impl Dispatch {
    /// Starts a worker for each way.
    ///
    /// # Errors
    /// There can be no more threads.
    pub(super) fn start(ways: Vec<Transport>, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let only_one = ways.iter().any(Transport::is_for_one).then_some(false);
        let workers = ways.len();
        let dispatch = Self { workers, shared: Arc::clone(shared), only_one };
        for (number, way) in ways.into_iter().enumerate() {
            let (sender, jobs) = mpsc::sync_channel(QUEUE_MAX);
            let shared = Arc::clone(shared);
            let named = thread::Builder::new().name(format!("worker {number}"));
            let started = named.spawn(move || work(&shared, way, &jobs));
            started.map_err(|error| Failure::local("starting a worker", error))?;
            dispatch.shared.queues().push(sender);
        }
        Ok(dispatch)
    }

    /// Gives a record to its worker, when that has room for it; whether there may be more.
    ///
    /// # Errors
    /// It is the second one of a stream, which takes one.
    pub(super) fn give(&mut self, incoming: Incoming, acks: &Arc<Acks>) -> Result<bool, Failure> {
        if self.only_one == Some(true) {
            let position = position_text(&incoming.record.position);
            let why = "a stream takes one record; name the relay, not a stream, for many";
            return Err(Failure::local(format!("the record at position {position}"), why));
        }
        self.only_one = self.only_one.map(|_| true);
        let held_bytes = match incoming.spilled {
            // What is in files is bounded as well: about one for each worker.
            Some(_) => ROOM_BYTES / self.workers,
            None => incoming.held_bytes + RECORD_BYTES,
        };
        self.shared.room.take(held_bytes);
        let worker = worker_of(&incoming.record, self.workers);
        // A copy, since it may have to wait for room in the queue.
        let Some(queue) = self.shared.queues().get(worker).cloned() else { return Ok(false) };
        Ok(queue.send(QueuedRecord { incoming, acks: Arc::clone(acks), held_bytes }).is_ok())
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Which of so many workers has the records of this key. Those without a key have one together.
fn worker_of(record: &Record, workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    if let Some(key) = &record.key {
        hasher.write(key.bytes());
    }
    let hash = usize::try_from(hasher.finish() >> 32).unwrap_or_default();
    hash % workers
}

fn work(shared: &Shared, way: Transport, jobs: &Receiver<QueuedRecord>) {
    // Nobody would wait for the end of a worker that says nothing of it.
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
            // Before the next job is looked at, so none behind it is sent.
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
        // It is sent again by whoever was not told that it arrived.
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
