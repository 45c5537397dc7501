//! Stores bodies that are too large for memory. The event loop must not wait for a disk, so a
//! separate thread writes them, one piece at a time for each body.

use super::queue::{Queue, QueueLimits};
use crate::api::{Busy, Failure};
use crate::connector::spill::{SpillSpace, SpilledContent};
use crate::ops::threads;
use crate::relay::{PushDecision, RequestToken};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Callback after the last piece is written.
type OnComplete = Box<dyn FnOnce(Arc<SpilledContent>) + Send>;

/// Handle of the thread, for the event loop.
#[derive(Clone, Debug)]
pub struct SpillThread {
    jobs: Sender<WriteJob>,
    space: Arc<SpillSpace>,
}

struct WriteJob {
    ticket: RequestToken,
    body: Arc<SpilledContent>,
    bytes: Vec<u8>,
    last: Option<OnComplete>,
}

impl std::fmt::Debug for WriteJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteJob").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl SpillThread {
    /// Starts the thread; a verdict in the queue reports when a body can continue.
    ///
    /// # Errors
    /// If no file can be created in the space, or no thread can be started.
    pub(super) fn start(space: Arc<SpillSpace>, queue: Arc<Queue>) -> io::Result<Self> {
        let (jobs, work) = channel();
        space.create()?;
        threads::spawn("spill", move || write_all(&work, &queue))?;
        Ok(Self { jobs, space })
    }

    /// Creates a file for a body.
    ///
    /// # Errors
    /// Errors of open(2).
    pub fn open(&self) -> io::Result<Arc<SpilledContent>> {
        self.space.create().map(Arc::new)
    }

    /// Appends bytes to a body, and then resumes its sender.
    pub fn append(&self, ticket: RequestToken, body: &Arc<SpilledContent>, bytes: Vec<u8>) {
        self.send(WriteJob { ticket, body: Arc::clone(body), bytes, last: None });
    }

    /// Appends the last bytes, and passes the complete body to `last`.
    pub fn finish(
        &self,
        ticket: RequestToken,
        body: Arc<SpilledContent>,
        bytes: Vec<u8>,
        last: OnComplete,
    ) {
        self.send(WriteJob { ticket, body, bytes, last: Some(last) });
    }

    fn send(&self, job: WriteJob) {
        // The thread ends only when all senders of the channel are dropped.
        let _ = self.jobs.send(job);
    }
}

fn write_all(work: &Receiver<WriteJob>, queue: &Queue) {
    while let Ok(WriteJob { ticket, body, bytes, last }) = work.recv() {
        let verdict = match (body.append(&bytes), last) {
            (Ok(()), None) => PushDecision::GoOn,
            (Ok(()), Some(last)) => {
                last(body);
                continue;
            }
            (Err(error), _) => failed(&error),
        };
        queue.settle(QueueLimits { records: 0, bytes: 0 }, [(ticket, verdict)]);
    }
}

fn failed(error: &io::Error) -> PushDecision {
    log::error!("a large body could not be kept: {error}");
    PushDecision::Refused(Failure::TooBusy(Busy::Storage))
}
