//! I/O through user memory, for heads, framing and small bodies, and where there is no pipe.

use super::uninterrupted;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use std::io::IoSlice;
use std::os::fd::AsRawFd;

/// `MSG_MORE` of send(2), which nix does not define.
const MSG_MORE: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

/// The result of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes (never 0) were read.
    Moved(usize),
    /// The socket has no data to read now.
    Blocked,
    /// The peer sent FIN, and every byte before it was read.
    Eof,
}

/// The result of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The socket accepted this many bytes (never 0, unless there were none).
    Moved(usize),
    /// The socket accepts no data now.
    Blocked,
}

/// Reads once into `buffer`, which must not be empty.
///
/// # Errors
/// Any error of recv(2) except `EAGAIN` and `EINTR`.
pub fn read(source: &impl AsRawFd, buffer: &mut [u8]) -> Result<Read, Errno> {
    receive(source, buffer, MsgFlags::empty())
}

/// Discards up to `scratch.len()` bytes without copying them (`MSG_TRUNC`, tcp(7)).
///
/// # Errors
/// Any error of recv(2) except `EAGAIN` and `EINTR`.
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

/// Writes `bytes` once; with `more` the kernel may delay them until more data follows.
///
/// # Errors
/// Any error of send(2) except `EAGAIN` and `EINTR`.
pub fn write(destination: &impl AsRawFd, bytes: &[u8], more: bool) -> Result<Write, Errno> {
    let mut flags = MsgFlags::MSG_NOSIGNAL;
    flags.set(MSG_MORE, more);
    written(uninterrupted(|| send(destination.as_raw_fd(), bytes, flags)))
}

/// Writes several slices, at most 1024 (`IOV_MAX`), with one call.
///
/// # Errors
/// Any error of sendmsg(2) except `EAGAIN` and `EINTR`.
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
