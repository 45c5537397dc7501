//! Moves a body from its connection to another place, within the kernel where that pays.

use super::Error;
use super::outgoing::COPY_BYTES;
use super::response::Body;
use super::wire::{WaitFor, Wire};
use crate::splice::pipe::{Drain, Fill, Pipe};
use nix::errno::Errno;
use std::io;
use std::os::fd::BorrowedFd;

/// A splice of fewer bytes costs more than copying them.
const SPLICE_MIN_BYTES: u64 = 16 << 10;

/// Size of the pipe: the maximum for an unprivileged user.
const PIPE_BYTES: usize = 1 << 20;

/// Called with the byte count of each step; an error stops the mover.
pub(crate) type Progress<'p> = &'p mut dyn FnMut(u64) -> Result<(), Error>;

/// Whether chunks of this size are worth reading separately from their framing.
pub(super) fn pays(chunk_bytes: Option<u64>) -> bool {
    chunk_bytes.is_some_and(|bytes| bytes >= SPLICE_MIN_BYTES)
}

/// Where a body goes.
pub(crate) trait Sink {
    /// Writes all of these bytes, with their framing.
    ///
    /// # Errors
    /// They cannot be written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns the descriptor that the kernel can move bytes to, if there is one. A sink that adds
    /// framing has one only if it supports splice(2).
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Writes the framing before `count` bytes that are moved next.
    ///
    /// # Errors
    /// It cannot be written.
    fn begin(&mut self, _count: usize) -> io::Result<()> {
        Ok(())
    }

    /// Writes the framing after them.
    ///
    /// # Errors
    /// It cannot be written.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Moves bodies, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Mover {
    /// Opened for the first long run, and kept for later ones. It is empty between bodies: after an
    /// error it is closed, because the bytes in it belong to one body only.
    pipe: Option<Pipe>,
}

impl Mover {
    /// Moves the complete body, each piece as it is received.
    ///
    /// # Errors
    /// [`Error::Local`] if the sink fails, otherwise why the body is incomplete.
    pub(crate) fn run(
        &mut self,
        body: &mut Body,
        sink: &mut dyn Sink,
        moved: Progress<'_>,
    ) -> Result<(), Error> {
        let plain = matches!(body.connection.wire(), Wire::Plain(_));
        let mut splices = plain && sink.descriptor().is_some();
        loop {
            while let Some(bytes) = body.buffered() {
                let count = bytes.len() as u64;
                sink.write(bytes).map_err(unwritten)?;
                moved(count)?;
            }
            let Some(run) = body.run_bytes() else { return Ok(()) };
            let pipe = if splices && run >= SPLICE_MIN_BYTES { self.pipe() } else { None };
            let Some(pipe) = pipe else {
                body.fetch()?;
                continue;
            };
            let Some(count) = fill(body, &pipe, run)? else {
                self.pipe = Some(pipe);
                continue;
            };
            sink.begin(count).map_err(unwritten)?;
            if drain(body, &pipe, sink, count)? {
                self.pipe = Some(pipe);
            } else {
                splices = false;
            }
            sink.end().map_err(unwritten)?;
            body.took(count);
            moved(count as u64)?;
        }
    }

    /// Takes the pipe; `None` if none can be opened.
    fn pipe(&mut self) -> Option<Pipe> {
        self.pipe.take().or_else(|| Pipe::open(PIPE_BYTES).ok())
    }
}

/// Fills the pipe and returns its byte count; `None` at the end of a body that ends with the
/// connection.
fn fill(body: &mut Body, pipe: &Pipe, run: u64) -> Result<Option<usize>, Error> {
    let most = usize::try_from(run).unwrap_or(usize::MAX).min(PIPE_BYTES);
    loop {
        match pipe.fill(body.connection.wire(), most) {
            Ok(Fill::Moved(count)) => return Ok(Some(count)),
            Ok(Fill::Blocked) => drop(body.connection.wait(WaitFor::Readable)?),
            Ok(Fill::Eof) => return body.ended().map(|()| None),
            Err(error) => return Err(Error::network("cannot read the response", error)),
        }
    }
}

/// Drains the pipe into the sink. Returns false if the bytes were copied, because its descriptor
/// does not support splice(2).
fn drain(body: &Body, pipe: &Pipe, sink: &mut dyn Sink, count: usize) -> Result<bool, Error> {
    let mut left = count;
    while left > 0 {
        let Some(out) = sink.descriptor() else { return copy(pipe, sink, left).map(|()| false) };
        match pipe.drain(out, left) {
            Ok(Drain::Moved(moved)) => left -= moved,
            Ok(Drain::Blocked) => drop(body.connection.wait(WaitFor::Output(out))?),
            Err(Errno::EINVAL) if left == count => return copy(pipe, sink, left).map(|()| false),
            Err(error) => return Err(unwritten(error)),
        }
    }
    Ok(true)
}

fn copy(pipe: &Pipe, sink: &mut dyn Sink, mut left: usize) -> Result<(), Error> {
    let mut buffer = vec![0; COPY_BYTES];
    while left > 0 {
        let most = left.min(buffer.len());
        let count = pipe.take(&mut buffer[..most]).map_err(unwritten)?;
        sink.write(&buffer[..count]).map_err(unwritten)?;
        left -= count;
    }
    Ok(())
}

/// Returns the error of a failed sink.
pub(super) fn unwritten(error: impl Into<io::Error>) -> Error {
    Error::local("cannot write the received data", error)
}
