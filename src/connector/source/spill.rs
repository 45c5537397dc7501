//! Bodies that are too large for memory, in unnamed files. The event loop must not wait for a disk,
//! so a separate thread writes them, one piece at a time for each body.

use super::queue::{Queue, QueueLimits};
use crate::api::{Busy, Failure};
use crate::ops::cause;
use crate::ops::threads;
use crate::relay::{PushDecision, RequestToken};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Callback after the last piece is written.
type OnComplete = Box<dyn FnOnce(Arc<SpilledBody>) + Send>;

/// Handle of the thread, for the event loop.
#[derive(Clone, Debug)]
pub struct SpillThread {
    jobs: Sender<WriteJob>,
    room: Arc<DiskBudget>,
}

/// Disk space in use.
#[derive(Debug)]
struct DiskBudget {
    folder: PathBuf,
    most: u64,
    used: AtomicU64,
}

struct WriteJob {
    ticket: RequestToken,
    file: Arc<SpilledBody>,
    bytes: Vec<u8>,
    last: Option<OnComplete>,
}

/// A body on disk, as far as it has been received. Its space is released on drop.
#[derive(Debug)]
pub struct SpilledBody {
    file: File,
    room: Arc<DiskBudget>,
    bytes: AtomicU64,
}

impl std::fmt::Debug for WriteJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl SpillThread {
    /// Starts the thread. All bodies together may take `most` bytes in this folder; a verdict in
    /// the queue reports when a body can continue.
    ///
    /// # Errors
    /// If the folder is not writable, or no thread can be started.
    pub fn start(folder: &Path, most: u64, queue: Arc<Queue>) -> io::Result<Self> {
        let (jobs, work) = channel();
        let room =
            Arc::new(DiskBudget { folder: folder.to_owned(), most, used: AtomicU64::new(0) });
        room.file()?;
        threads::spawn("spill", move || write_all(&work, &queue))?;
        Ok(Self { jobs, room })
    }

    /// Creates a file for a body.
    ///
    /// # Errors
    /// Errors of open(2).
    pub fn open(&self) -> io::Result<Arc<SpilledBody>> {
        let room = Arc::clone(&self.room);
        Ok(Arc::new(SpilledBody { file: room.file()?, room, bytes: AtomicU64::new(0) }))
    }

    /// Appends bytes to a body, and then resumes its sender.
    pub fn append(&self, ticket: RequestToken, file: &Arc<SpilledBody>, bytes: Vec<u8>) {
        self.send(WriteJob { ticket, file: Arc::clone(file), bytes, last: None });
    }

    /// Appends the last bytes, and passes the complete body to `last`.
    pub fn finish(
        &self,
        ticket: RequestToken,
        file: Arc<SpilledBody>,
        bytes: Vec<u8>,
        last: OnComplete,
    ) {
        self.send(WriteJob { ticket, file, bytes, last: Some(last) });
    }

    fn send(&self, job: WriteJob) {
        // The thread ends only when all senders of the channel are dropped.
        let _ = self.jobs.send(job);
    }
}

impl DiskBudget {
    /// Creates an unnamed file.
    fn file(&self) -> io::Result<File> {
        tempfile::tempfile_in(&self.folder).map_err(|error| {
            let why = format!("no temporary file in {}: {}", self.folder.display(), cause(&error));
            io::Error::new(error.kind(), why)
        })
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        if self.used.fetch_add(bytes, Ordering::Relaxed) + bytes > self.most {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(io::Error::other("large bodies take as much of the disk as they may"));
        }
        Ok(())
    }
}

impl SpilledBody {
    /// Creates a body that is already complete.
    pub fn of(file: File, bytes: u64) -> Arc<Self> {
        let room = DiskBudget { folder: PathBuf::new(), most: 0, used: AtomicU64::new(bytes) };
        Arc::new(Self { file, room: Arc::new(room), bytes: AtomicU64::new(bytes) })
    }

    /// Returns the file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the length, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.room.take(bytes.len() as u64)?;
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        (&self.file).write_all(bytes)
    }
}

#[cfg(test)]
impl SpilledBody {
    /// Creates a complete body with these bytes.
    pub fn holding(bytes: &[u8]) -> Arc<Self> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Self::of(file, bytes.len() as u64)
    }
}

impl Drop for SpilledBody {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

fn write_all(work: &Receiver<WriteJob>, queue: &Queue) {
    while let Ok(WriteJob { ticket, file, bytes, last }) = work.recv() {
        let verdict = match (file.append(&bytes), last) {
            (Ok(()), None) => PushDecision::GoOn,
            (Ok(()), Some(last)) => {
                last(file);
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
