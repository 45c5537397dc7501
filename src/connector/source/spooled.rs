//! Records from a spool to the output: stored records are delivered at the consumer's pace, and the
//! spool records the progress.

use super::clock::now;
use super::delivery::RecordFeed;
use super::line::{Body, LineTail, OutgoingLine};
use super::pending::Pending;
use super::queue::Queue;
use crate::api::Busy;
use crate::connector::spool::{AckOutcome, Acknowledged, Next, Spool, SpoolError, SpoolReader};
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum records read ahead of delivery, or not acknowledged yet.
const AHEAD: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Maximum bytes read ahead.
const AHEAD_BYTES: usize = 1 << 20;

/// Interval for saving the progress of delivery. What was delivered since then is delivered again
/// if the machine fails.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// A spool as a feed.
#[derive(Debug)]
pub struct Spooled {
    spool: Spool,
    reader: SpoolReader,
    queue: Arc<Queue>,
    pending: Option<Arc<Pending>>,
    /// Records read, but not delivered or not acknowledged.
    open: Acknowledged,
    /// When to save; `None`: nothing new.
    save_at: Option<Instant>,
    broken: bool,
}

impl Spooled {
    /// Creates a feed of this reader's records.
    pub fn new(
        spool: Spool,
        reader: SpoolReader,
        queue: Arc<Queue>,
        pending: Option<Arc<Pending>>,
    ) -> Self {
        let open = Acknowledged::new(AHEAD);
        Self { spool, reader, queue, pending, open, save_at: None, broken: false }
    }

    /// Returns the next record, if any.
    fn next(&mut self) -> Result<Option<OutgoingLine>, SpoolError> {
        let unreadable = |source| SpoolError::Io { doing: "cannot read the spool".into(), source };
        let (position, head, start) = loop {
            match self.reader.read()? {
                Next::Piece(piece) if piece.ends => {
                    let (position, head) = (piece.position, piece.bytes.to_vec());
                    return Ok(Some(OutgoingLine { ticket: None, position, head, rest: None }));
                }
                Next::Piece(piece) => break (piece.position, piece.bytes.to_vec(), piece.offset),
                Next::End => return Ok(None),
                Next::Gone => log::warn!("records were removed from the spool before their turn"),
            }
        };
        // A long record stays in its file: its end is searched for, and it is read again piece by
        // piece.
        let file = self.reader.file().map_err(unreadable)?;
        let mut bytes = 0;
        loop {
            match self.reader.read()? {
                Next::Piece(piece) => {
                    bytes += piece.bytes.len() as u64;
                    if piece.ends {
                        break;
                    }
                }
                Next::End | Next::Gone => {
                    return Err(unreadable(io::ErrorKind::InvalidData.into()));
                }
            }
        }
        let body = Body::Plain { file, start: start + head.len() as u64, bytes };
        let rest = LineTail { body, tail: b"" };
        Ok(Some(OutgoingLine { ticket: None, position, head, rest: Some(rest) }))
    }

    fn save(&mut self) {
        self.save_at = None;
        if let Err(error) = self.spool.save() {
            log::error!("it was not saved how far records were handed over: {error}");
        }
    }
}

impl RecordFeed for Spooled {
    fn take(&mut self, lines: &mut VecDeque<OutgoingLine>) {
        if let Some(pending) = &self.pending {
            pending.expire(&self.queue);
        }
        if self.save_at.is_some_and(|at| at <= now()) {
            self.save();
        }
        let mut ahead_bytes: usize = lines.iter().map(OutgoingLine::memory).sum();
        while !self.broken && ahead_bytes < AHEAD_BYTES && self.open.room() > 0 {
            match self.next() {
                Ok(Some(line)) => {
                    ahead_bytes += line.memory();
                    // There is room, and records are in the order of their positions.
                    let _ = self.open.sent(line.position);
                    lines.push_back(line);
                }
                Ok(None) => return,
                Err(error) => {
                    log::error!("nothing more is handed over: {error}");
                    self.broken = true;
                    self.end();
                    self.queue.fail();
                }
            }
        }
    }

    fn created(&mut self, lines: Vec<OutgoingLine>) {
        for line in lines {
            if let AckOutcome::UpTo(position) = self.open.acknowledge(line.position) {
                self.spool.commit(position);
                self.save_at.get_or_insert_with(|| now() + SAVE_EVERY);
            }
            if let Some(pending) = &self.pending {
                pending.acknowledged(line.position, &self.queue);
            }
        }
    }

    fn refused(&mut self, _lines: Vec<OutgoingLine>, _busy: Busy) {
        // They stay in the spool, and the next process delivers them.
    }

    fn unknown(&mut self, _lines: Vec<OutgoingLine>) {
        // They stay in the spool as well, and their senders have been answered.
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.pending.as_ref().and_then(|pending| pending.next_deadline());
        waiting.into_iter().chain(self.save_at).min()
    }

    fn close(&mut self, _why: Option<Busy>) {
        // New records are stored even without a consumer.
    }

    fn end(&mut self) {
        // No other answer to the waiting senders is possible.
        if let Some(pending) = &self.pending {
            pending.refuse_all(&self.queue, Busy::ConsumerGone);
        }
        self.queue.end();
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        self.save();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::source::envelope::{Envelope, Payload};
    use crate::connector::source::queue::QueueLimits;
    use crate::connector::spool::{Opened, SpoolLimits, Start};
    use crate::relay::Waker;
    use crate::rendezvous::Now;
    use std::fs::File;
    use std::path::Path;
    use uuid::Uuid;

    /// Creates two records of 100,000 bytes each in this folder.
    fn spooled(folder: &Path) -> Spooled {
        let Opened { spool, mut writer, .. } = Spool::open(folder, SpoolLimits::default()).unwrap();
        let (read, bytes) = (Now { monotonic: now(), wall_ms: 0 }, vec![0; 100_000]);
        for number in 1..=2 {
            let position = Uuid::from_u128(number);
            let payload = Payload::Raw(&bytes);
            let line = Envelope::at(0, None).whole(position, b"null", read, payload);
            writer.append(&line, position).unwrap();
        }
        let limits = QueueLimits { records: 1, bytes: 1 };
        let queue = Queue::new(limits, Waker::of_no_loop().unwrap(), Uuid::nil()).unwrap();
        let (reader, _) = spool.reader(Start::Beginning).unwrap();
        Spooled::new(spool, reader, Arc::new(queue), None)
    }

    #[test]
    fn an_unreadable_spool_is_not_reported_as_a_consumer_failure() {
        let folder = tempfile::tempdir().unwrap();
        let mut spooled = spooled(folder.path());
        let name = format!("{}.jsonl", Uuid::from_u128(1));
        let segment = File::options().write(true).open(folder.path().join(name)).unwrap();
        segment.set_len(50).unwrap();
        spooled.take(&mut VecDeque::new());
        assert!(spooled.queue.is_over() && spooled.queue.has_failed());
    }

    #[test]
    fn large_records_of_one_segment_share_a_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let mut lines = VecDeque::new();
        spooled(folder.path()).take(&mut lines);
        let files: Vec<_> = lines
            .iter()
            .map(|line| match line.rest.as_ref().map(|rest| &rest.body) {
                Some(Body::Plain { file, .. }) => file,
                Some(Body::Encoded(_)) | None => panic!("it is in no file"),
            })
            .collect();
        assert_eq!(files.len(), 2);
        assert!(Arc::ptr_eq(files[0], files[1]));
    }
}
