//! Bytes through user memory, for heads, framing and small bodies, and where there is no pipe.

use super::uninterrupted;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use std::io::IoSlice;
use std::os::fd::AsRawFd;

/// send(2); nix does not name it.
const MSG_MORE: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

/// What one read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes (never 0) were read.
    Moved(usize),
    /// The socket has nothing to read now.
    Blocked,
    /// The peer sent FIN, and every byte before it was read.
    Eof,
}

/// What one write found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The socket took this many bytes (never 0, unless there were none).
    Moved(usize),
    /// The socket takes nothing now.
    Blocked,
}

/// Reads once into `buffer`, which is not empty.
///
/// # Errors
/// What recv(2) says, `EAGAIN` and `EINTR` apart.
pub fn read(source: &impl AsRawFd, buffer: &mut [u8]) -> Result<Read, Errno> {
    receive(source, buffer, MsgFlags::empty())
}

/// Throws away up to `scratch.len()` bytes without copying them (`MSG_TRUNC`, tcp(7)).
///
/// # Errors
/// What recv(2) says, `EAGAIN` and `EINTR` apart.
pub fn discard(source: &impl AsRawFd, scratch: &mut [u8]) -> Result<Read, Errno> {
    receive(source, scratch, MsgFlags::MSG_TRUNC)
}

fn receive(source: &impl AsRawFd, buffer: &mut [u8], flags: MsgFlags) -> Result<Read, Errno> {
    match uninterrupted(|| recv(source.as_raw_fd(), buffer, flags)) {
        Ok(0) => Ok(Read::Eof),
        Ok(count) => Ok(Read::Moved(count)),
        Err(Errno::EAGAIN) => Ok(Read::Blocked),
        Err(error) => Err(error),
    }
}

/// Writes `bytes` once; with `more` the kernel may hold them for what follows at once.
///
/// # Errors
/// What send(2) says, `EAGAIN` and `EINTR` apart.
pub fn write(destination: &impl AsRawFd, bytes: &[u8], more: bool) -> Result<Write, Errno> {
    let mut flags = MsgFlags::MSG_NOSIGNAL;
    flags.set(MSG_MORE, more);
    written(uninterrupted(|| send(destination.as_raw_fd(), bytes, flags)))
}

/// Writes several slices, at most 1024 (`IOV_MAX`), with one call.
///
/// # Errors
/// What sendmsg(2) says, `EAGAIN` and `EINTR` apart.
pub fn gather(destination: &impl AsRawFd, slices: &[IoSlice<'_>]) -> Result<Write, Errno> {
    use nix::sys::socket::{ControlMessage, sendmsg};
    const NO_CONTROL: &[ControlMessage<'_>] = &[];
    written(uninterrupted(|| {
        sendmsg::<()>(destination.as_raw_fd(), slices, NO_CONTROL, MsgFlags::MSG_NOSIGNAL, None)
    }))
}

fn written(result: Result<usize, Errno>) -> Result<Write, Errno> {
    match result {
        Ok(count) => Ok(Write::Moved(count)),
        Err(Errno::EAGAIN) => Ok(Write::Blocked),
        Err(error) => Err(error),
    }
}
