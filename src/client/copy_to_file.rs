//! Copies the body of a response to a file or a pipe, within the kernel where that pays.

mod preallocation;

use self::preallocation::Preallocation;
use super::Error;
use super::mover::{Mover, Progress, Sink, unwritten};
use super::outgoing::COPY_BYTES;
use super::response::Body;
use nix::errno::Errno;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

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
    let moved = Mover::default().run(body, &mut Descriptor(out), &mut |bytes| {
        progress(bytes)?;
        room.used(bytes)
    });
    room.give_back();
    moved
}

/// A file or a pipe.
struct Descriptor<'f>(BorrowedFd<'f>);

impl Sink for Descriptor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all(self.0, bytes)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0)
    }
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

/// Unwraps the original error from that of a reader.
pub(super) fn real(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::network("cannot read the response", error),
    }
}
