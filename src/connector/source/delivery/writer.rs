//! Writes lines, and handles those that were written.

use super::{AckInput, Delivery, RETRY, RecordFeed};
use crate::api::Busy;
use crate::connector::source::clock::now;
use crate::connector::source::line::OutgoingLine;
use crate::ops::cause;
use std::io::{self, IoSlice};

/// Maximum lines per system call.
const LINES_PER_WRITE: usize = 64;

impl<F: RecordFeed> Delivery<F> {
    /// Writes lines until the output accepts no more.
    pub(super) fn send(&mut self) {
        if self.again.is_some_and(|at| now() < at) {
            return;
        }
        let (mut done, stuck) = (Vec::new(), self.stuck);
        // Within a line its parts would be in two files.
        let follows = self.sent == 0 && !self.lines.is_empty();
        let followed = if follows { self.output.follow() } else { Ok(()) };
        let written = followed.and_then(|()| self.write(&mut done));
        let kept = if done.is_empty() { Ok(()) } else { self.output.sync() };
        if self.output.is_file()
            && let Err(error) = written.as_ref().and(kept.as_ref())
        {
            if self.feed.is_durable() && self.again.is_none() {
                log::error!(
                    "records could not be written, and wait in the spool: {}",
                    cause(error)
                );
            } else if !self.feed.is_durable() {
                log::error!("a record could not be written: {}", cause(error));
            }
            self.stuck = stuck;
            return self.not_kept(done);
        }
        self.again = None;
        if !done.is_empty() {
            self.reopen_to_new(None);
            self.write_lines(done);
        }
        if let Err(error) = written {
            self.drop_consumer(&error);
        }
        if self.lines.is_empty() {
            self.stuck = None;
        } else if self.stuck.is_none() {
            self.stuck = Some(now());
        }
    }

    pub(super) fn write(&mut self, done: &mut Vec<OutgoingLine>) -> io::Result<()> {
        while !self.lines.is_empty() {
            let Some(count) = self.write_once()? else { return Ok(()) };
            self.advance(count, done);
        }
        Ok(())
    }

    /// Writes the next part of the first line, and with its end the lines after it.
    pub(super) fn write_once(&mut self) -> io::Result<Option<usize>> {
        let Some(first) = self.lines.front() else { return Ok(None) };
        let head_left = first.head.get(usize::try_from(self.sent).unwrap_or(usize::MAX)..);
        if let Some(head) = head_left.filter(|left| !left.is_empty()) {
            let mut slices = vec![IoSlice::new(head)];
            if first.rest.is_none() {
                let following = self.lines.iter().skip(1).take_while(|line| line.rest.is_none());
                let following = following.take(LINES_PER_WRITE - 1);
                slices.extend(following.map(|line| IoSlice::new(&line.head)));
            }
            return self.output.write(&slices);
        }
        let (piece, sent) = &mut self.piece;
        if *sent == piece.len() {
            first.piece(self.sent, piece)?;
            *sent = 0;
        }
        self.output.write(&[IoSlice::new(&piece[*sent..])])
    }

    /// Counts `count` bytes as sent, and moves lines that are complete to `done`.
    pub(super) fn advance(&mut self, count: usize, done: &mut Vec<OutgoingLine>) {
        self.stuck = None;
        if self.piece.1 < self.piece.0.len() {
            self.piece.1 += count;
        }
        self.sent += count as u64;
        while let Some(first) = self.lines.front()
            && self.sent >= first.len()
        {
            self.sent -= first.len();
            done.extend(self.lines.pop_front());
            self.piece = (Vec::new(), 0);
        }
    }

    pub(super) fn write_lines(&mut self, lines: Vec<OutgoingLine>) {
        if matches!(self.acknowledging, AckInput::No) {
            return self.feed.created(lines);
        }
        let until = now() + self.timeouts.acknowledge;
        self.unacknowledged.extend(lines.into_iter().map(|line| (line.position, (line, until))));
    }

    /// Handles a failed write to a file: removes the incomplete line, and retries or refuses.
    pub(super) fn not_kept(&mut self, done: Vec<OutgoingLine>) {
        let whole: u64 = done.iter().map(OutgoingLine::len).sum();
        let cut = self.output.cut(self.sent + whole);
        self.rewind();
        if self.feed.is_durable() {
            // Durable, so they can be retried.
            done.into_iter().rev().for_each(|line| self.lines.push_front(line));
            self.stuck.get_or_insert_with(now);
            self.again = Some(now() + RETRY);
        } else {
            let begun: Vec<_> = self.lines.drain(..).collect();
            self.refuse_stored(done, cut.is_ok());
            self.feed.refused(begun, Busy::Storage);
        }
        // The next record would follow the beginning of this one; a new process removes that.
        if let Err(error) = cut {
            log::error!("the beginning of a record could not be taken back: {}", cause(&error));
            self.consumer_lost(&error, true);
        }
    }

    /// Answers the senders of complete lines in a file that they should not be in. Unless their
    /// removal is on the disk, a power failure can bring them back: then 503 would be wrong.
    fn refuse_stored(&mut self, lines: Vec<OutgoingLine>, is_cut: bool) {
        if lines.is_empty() || is_cut && self.output.sync_data().is_ok() {
            return self.feed.refused(lines, Busy::Storage);
        }
        log::error!("records could not be removed from the output again count={}", lines.len());
        self.feed.unknown(lines);
    }

    /// Restarts at the first byte of a line.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.piece = (Vec::new(), 0);
    }
}
