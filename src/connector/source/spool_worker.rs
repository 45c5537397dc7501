//! The thread that stores records in a spool, before their senders are answered.

use super::line::OutgoingLine;
use super::pending::Pending;
use super::queue::Queue;
use super::worker_handle::{WorkerCommand, WorkerHandle};
use crate::api::Busy;
use crate::connector::spool::{SpoolError, SpoolWriter};
use std::collections::VecDeque;
use std::sync::Arc;

/// State of the thread.
#[derive(Debug)]
pub struct SpoolWorker {
    queue: Arc<Queue>,
    writer: SpoolWriter,
    /// Senders that wait for an acknowledgement; `None`: they are answered once records are stored.
    pending: Option<Arc<Pending>>,
    /// The thread that delivers stored records.
    delivery: Arc<WorkerHandle>,
    /// Whether the last record could not be stored; logged once, as there may be thousands.
    failing: bool,
}

impl SpoolWorker {
    /// Creates a worker that stores records from the queue.
    pub fn new(
        queue: Arc<Queue>,
        writer: SpoolWriter,
        pending: Option<Arc<Pending>>,
        delivery: Arc<WorkerHandle>,
    ) -> Self {
        Self { queue, writer, pending, delivery, failing: false }
    }

    /// Stores records until it is stopped.
    pub fn run(mut self) {
        let work = Arc::clone(self.queue.work());
        loop {
            let order = work.order();
            let mut lines = VecDeque::new();
            self.queue.take(&mut lines);
            if order == WorkerCommand::GiveUp {
                return self.refuse_all(lines);
            }
            if lines.is_empty() {
                if order == WorkerCommand::Finish {
                    return;
                }
                work.wait();
            } else {
                self.keep(lines.into());
            }
        }
    }

    fn refuse_all(&self, lines: VecDeque<OutgoingLine>) {
        self.queue.refused(lines, Busy::Stopping);
        if let Some(pending) = &self.pending {
            pending.refuse_all(&self.queue, Busy::Stopping);
        }
    }

    /// Stores these lines with one sync; if that fails, each separately, so that one too many or
    /// too large does not affect the others.
    fn keep(&mut self, lines: Vec<OutgoingLine>) {
        let was_broken = self.writer.is_broken();
        match self.append(&lines) {
            Ok(()) => self.kept(lines),
            Err(error) if self.writer.is_broken() && !was_broken => {
                // The next process may find and deliver them, so 503 would be wrong.
                log::error!("records may remain in the spool count={}: {error}", lines.len());
                self.queue.unknown(lines);
            }
            Err(_) if lines.len() > 1 => {
                for line in lines {
                    self.keep(vec![line]);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    log::error!("a record could not be kept: {error}");
                }
                self.queue.refused(lines, Busy::Storage);
                // Delivered records may have been removed to free space: the delivery must close
                // their files.
                self.delivery.poke();
            }
        }
    }

    fn append(&mut self, lines: &[OutgoingLine]) -> Result<(), SpoolError> {
        let Some(first) = lines.first() else { return Ok(()) };
        let mut append = self.writer.begin(first.position)?;
        let mut piece = Vec::new();
        for line in lines {
            append.write(&line.head)?;
            let mut sent = line.head.len() as u64;
            while sent < line.len() {
                line.piece(sent, &mut piece).map_err(|source| SpoolError::Io {
                    doing: "cannot read a large body".into(),
                    source,
                })?;
                append.write(&piece)?;
                sent += piece.len() as u64;
            }
        }
        append.finish()
    }

    fn kept(&mut self, lines: Vec<OutgoingLine>) {
        if std::mem::take(&mut self.failing) {
            log::info!("records are kept again");
        }
        match &self.pending {
            None => self.queue.created(lines),
            Some(pending) => {
                pending.add(&lines, &self.queue);
                self.queue.kept(&lines);
            }
        }
        self.delivery.poke();
    }
}
