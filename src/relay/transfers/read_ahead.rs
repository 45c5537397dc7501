//! Chunked uploads are read ahead: a batch is moved from the socket into a pipe, and both the
//! framing and the payload of its chunks are taken from there. After each read of a socket TCP may
//! acknowledge, so two for each chunk cost several times the system calls.
//!
//! A transfer treats these bytes as if they were still in the socket. They are few, at most
//! [`READ_AHEAD_MAX`], because those after the end of the upload continue in user memory.

use super::exchange::Exchange;
use super::step::TransferContext;
use crate::relay::io::Conn;
use crate::rendezvous::Step;
use crate::rendezvous::transfer::COPY_MAX;
use crate::splice::copy::Read;
use crate::splice::pipe::{Fill, Pipe};
use crate::splice::pool::Pool;
use nix::errno::Errno;

/// Maximum bytes to read ahead, no more than a copied read may return.
pub(super) const READ_AHEAD_MAX: usize = COPY_MAX;

/// Bytes read ahead, and their pipe while there are any in this turn.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    pipe: Option<Pipe>,
    bytes: usize,
}

impl ReadAhead {
    /// Whether all its bytes were taken.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Moves up to `max_bytes` into the other pipe: what was read ahead, else from the socket.
    pub fn fill(&mut self, to: &Pipe, source: &mut Conn, max_bytes: usize) -> Result<Fill, Errno> {
        let Some(pipe) = self.pipe.as_ref().filter(|_| self.bytes > 0) else {
            return source.fill(to, max_bytes);
        };
        let moved = to.fill(pipe, max_bytes.min(self.bytes))?;
        if let Fill::Moved(count) = moved {
            self.bytes -= count;
        }
        Ok(moved)
    }

    /// Reads into user memory: what was read ahead, else from the socket.
    pub fn read(&mut self, source: &mut Conn, buffer: &mut [u8]) -> Result<Read, Errno> {
        let Some(pipe) = self.pipe.as_ref().filter(|_| self.bytes > 0) else {
            return source.read(buffer);
        };
        let max_bytes = buffer.len().min(self.bytes);
        let count = pipe.take(&mut buffer[..max_bytes])?;
        self.bytes -= count;
        Ok(Read::Moved(count))
    }

    /// Reads all its bytes into user memory.
    ///
    /// # Errors
    /// Any error of read(2) on the pipe; then what it still holds is lost.
    pub fn take_all(&mut self) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; self.bytes];
        if let Some(pipe) = &self.pipe {
            pipe.take_all(&mut bytes)?;
        }
        self.bytes = 0;
        Ok(bytes)
    }

    /// Returns its pipe to the pool; one that holds bytes is closed.
    pub fn give_pipe_back(&mut self, pool: &mut Pool) {
        if let Some(pipe) = self.pipe.take() {
            pool.take_back(pipe, self.bytes);
        }
        self.bytes = 0;
    }
}

impl Exchange {
    /// Reads ahead before this step, if that is worth it. `false`: the source has nothing, or has
    /// ended.
    pub(super) fn ensure_read_ahead(
        &mut self,
        tools: &mut TransferContext<'_>,
        step: Step,
    ) -> bool {
        if !self.reads_ahead(step) || self.awaits_batch(tools.source) {
            return true;
        }
        if self.read_ahead.pipe.is_none() {
            self.read_ahead.pipe = tools.pool.lend_spare();
        }
        let Some(pipe) = &self.read_ahead.pipe else { return true };
        // What is read ahead passes through the other pipe.
        if self.pipe.is_none() {
            self.pipe = tools.pool.lend();
        }
        if self.pipe.is_none() {
            return true;
        }
        let result = tools.source.fill(pipe, READ_AHEAD_MAX);
        let Some(count) = self.moved(tools.source, result) else { return false };
        self.read_ahead.bytes = count;
        tools.budget.spliced(count);
        self.batching.filled(count);
        true
    }

    /// Whether to read ahead: several chunks, all large, of a bulk flow, to a destination that cannot
    /// be replaced any more.
    fn reads_ahead(&self, step: Step) -> bool {
        let several = match step {
            Step::Fill { max_bytes } => max_bytes < READ_AHEAD_MAX,
            Step::ReadFraming { .. } => true,
            Step::Copy { .. }
            | Step::Send { .. }
            | Step::Drain { .. }
            | Step::Wait(_)
            | Step::Done(_) => false,
        };
        several
            && self.read_ahead.is_empty()
            && self.pace.is_none()
            && self.batching.is_bulk()
            && self.transfer.in_chunks()
            && self.transfer.head_started()
    }

    /// Moves what the pipes hold to user memory, for a destination that is blocked.
    ///
    /// # Errors
    /// Any error of read(2) on a pipe; then some bytes are lost.
    pub(super) fn empty_pipes(&mut self, source: &mut Conn) -> Result<(), Errno> {
        if let Some(pipe) = &self.pipe
            && self.transfer.piped() > 0
        {
            let mut bytes = vec![0; self.transfer.piped()];
            pipe.take_all(&mut bytes)?;
            self.transfer.pipe_emptied(bytes);
        }
        let ahead = self.read_ahead.take_all()?;
        let mut pieces = Vec::new();
        let used = self.transfer.received(&ahead, &mut pieces);
        self.transfer.keep(&ahead, &pieces);
        source.carry.extend_from_slice(&ahead[used..]);
        Ok(())
    }

    /// Returns what was read ahead of the end of the upload to its connection: it belongs to the
    /// next request.
    pub(super) fn return_read_ahead(&mut self, source: &mut Conn) {
        if !self.read_ahead.is_empty() && self.transfer.upload_complete() {
            match self.read_ahead.take_all() {
                Ok(rest) => source.carry.extend_from_slice(&rest),
                Err(_) => self.transfer.source_out_of_step(),
            }
        }
    }
}
