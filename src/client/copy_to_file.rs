//! Copies the body of a response to a file or a pipe, within the kernel where that pays.

mod preallocation;

use self::preallocation::Preallocation;
use super::Error;
use super::outgoing::COPY_BYTES;
use super::response::Body;
use super::wire::{WaitFor, Wire};
use crate::splice::pipe::{Drain, Fill, Pipe};
use nix::errno::Errno;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

/// A splice of fewer bytes costs more than copying them.
const SPLICE_MIN_BYTES: u64 = 16 << 10;

/// Size of the pipe between the socket and the file.
const PIPE_BYTES: usize = 1 << 20;

/// Called with the byte count of each step; an error stops the copy.
pub(super) type Progress<'p> = &'p mut dyn FnMut(u64) -> Result<(), Error>;

/// Whether chunks of this size are worth reading separately from their framing.
pub(super) fn pays(chunk_bytes: Option<u64>) -> bool {
    chunk_bytes.is_some_and(|bytes| bytes >= SPLICE_MIN_BYTES)
}

/// Copies the complete body to a writer, and passes the byte count of each step to `progress`.
///
/// # Errors
/// [`Error::Local`] if the writer fails, otherwise why the body is incomplete.
pub(super) fn into_writer(
    body: &mut Body,
    out: &mut dyn Write,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = io::Read::read(body, &mut buffer).map_err(real)?;
        if count == 0 {
            return out.flush().map_err(unwritten);
        }
        out.write_all(&buffer[..count]).map_err(unwritten)?;
        progress(count as u64)?;
    }
}

/// Copies the complete body to a descriptor, without copying through user memory where possible.
///
/// # Errors
/// [`Error::Local`] if the descriptor cannot be written, otherwise why the body is incomplete.
pub(super) fn into_descriptor(
    body: &mut Body,
    out: BorrowedFd<'_>,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let mut room = Preallocation::of(body, out);
    let poured = copy(body, out, &mut |bytes| {
        progress(bytes)?;
        room.used(bytes)
    });
    room.give_back();
    poured
}

fn copy(
    body: &mut Body,
    out: BorrowedFd<'_>,
    moved: &mut dyn FnMut(u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let plain = matches!(body.connection.wire(), Wire::Plain(_));
    let mut pipe = Pipe::open(PIPE_BYTES).ok().filter(|_| plain);
    loop {
        while let Some(bytes) = body.buffered() {
            write_all(out, bytes).map_err(unwritten)?;
            moved(bytes.len() as u64)?;
        }
        match (body.run_bytes(), &pipe) {
            (None, _) => return Ok(()),
            (Some(run), Some(through)) if run >= SPLICE_MIN_BYTES => {
                let Some(count) = fill(body, through, run)? else { continue };
                if !drain(body, through, out, count)? {
                    copy_rest(through, out, count)?;
                    pipe = None;
                }
                body.took(count);
                moved(count as u64)?;
            }
            (Some(_), _) => body.fetch()?,
        }
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

/// Drains the pipe into the output. False if nothing was drained, because the output does not
/// support splice(2).
fn drain(body: &Body, pipe: &Pipe, out: BorrowedFd<'_>, count: usize) -> Result<bool, Error> {
    let mut left = count;
    while left > 0 {
        match pipe.drain(out, left) {
            Ok(Drain::Moved(moved)) => left -= moved,
            Ok(Drain::Blocked) => drop(body.connection.wait(WaitFor::Output(out))?),
            Err(Errno::EINVAL) if left == count => return Ok(false),
            Err(error) => return Err(unwritten(error)),
        }
    }
    Ok(true)
}

fn copy_rest(pipe: &Pipe, out: BorrowedFd<'_>, mut left: usize) -> Result<(), Error> {
    let mut buffer = vec![0; COPY_BYTES];
    while left > 0 {
        let most = left.min(buffer.len());
        let count = pipe.take(&mut buffer[..most]).map_err(unwritten)?;
        write_all(out, &buffer[..count]).map_err(unwritten)?;
        left -= count;
    }
    Ok(())
}

/// Writes all bytes, waiting if the descriptor is non-blocking.
pub(super) fn write_all(out: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(out, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let out = nix::poll::PollFd::new(out, nix::poll::PollFlags::POLLOUT);
                super::wire::wait(&mut [out], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn unwritten(error: impl Into<io::Error>) -> Error {
    Error::local("cannot write the received data", error)
}

/// Unwraps the original error from that of a reader.
pub(super) fn real(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::network("cannot read the response", error),
    }
}
