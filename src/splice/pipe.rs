//! A pipe, with splice(2) into it and out of it.
//!
//! A zero-length splice returns 0, which looks like end of file, so callers request at least one
//! byte. `SPLICE_F_MORE` is never used: it delays the tail of a transfer.

use super::uninterrupted;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The result of one fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// This many bytes (never 0) were moved from the socket into the pipe.
    Moved(usize),
    /// If the pipe is empty, the socket has no data to read now. Otherwise it is unknown which end
    /// blocked.
    Blocked,
    /// The peer sent FIN, and every byte before it is in the pipe.
    Eof,
}

/// The result of one drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// This many bytes (never 0) were moved from the pipe into the socket.
    Moved(usize),
    /// The socket accepts no data now.
    Blocked,
}

/// A pipe of known size.
#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    capacity_bytes: usize,
}

impl Pipe {
    /// Opens a pipe and requests `wanted_bytes`; the actual size is [`Pipe::capacity_bytes`],
    /// because the total size of an unprivileged user's pipes is limited
    /// (`fs.pipe-user-pages-soft`, pipe(7)).
    ///
    /// # Errors
    /// Any error of pipe2(2) or fcntl(2).
    pub fn open(wanted_bytes: usize) -> Result<Self, Errno> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        let wanted = i32::try_from(wanted_bytes).unwrap_or(i32::MAX);
        let granted = match fcntl(&write, FcntlArg::F_SETPIPE_SZ(wanted)) {
            Ok(granted) => granted,
            Err(Errno::EPERM | Errno::EBUSY | Errno::ENOMEM) => {
                fcntl(&write, FcntlArg::F_GETPIPE_SZ)?
            }
            Err(error) => return Err(error),
        };
        Ok(Self { read, write, capacity_bytes: usize::try_from(granted).unwrap_or(0) })
    }

    /// Returns the capacity reported by the kernel, in bytes; in fact it holds slots, one per
    /// piece.
    pub fn capacity_bytes(&self) -> usize {
        self.capacity_bytes
    }

    /// Moves up to `max_bytes` (at least 1) from a socket, a pipe or a file into the pipe.
    ///
    /// # Errors
    /// Any error of splice(2) on the socket except `EAGAIN` and `EINTR`.
    pub fn fill(&self, source: impl AsFd, max_bytes: usize) -> Result<Fill, Errno> {
        debug_assert!(max_bytes > 0, "a zero-length splice reads as end of file");
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
        match uninterrupted(|| splice(&source, None, &self.write, None, max_bytes, flags)) {
            Ok(0) => Ok(Fill::Eof),
            Ok(count) => Ok(Fill::Moved(count)),
            Err(Errno::EAGAIN) => Ok(Fill::Blocked),
            Err(error) => Err(error),
        }
    }

    /// Moves up to `bytes` (at least 1, at most what the pipe holds) from the pipe into a socket, a
    /// pipe or a file.
    ///
    /// # Errors
    /// Any error of splice(2) on the socket except `EAGAIN` and `EINTR`.
    pub fn drain(&self, destination: impl AsFd, bytes: usize) -> Result<Drain, Errno> {
        debug_assert!(bytes > 0, "a zero-length splice is ambiguous");
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
        match uninterrupted(|| splice(&self.read, None, &destination, None, bytes, flags)) {
            Ok(0) => Err(Errno::EPIPE),
            Ok(count) => Ok(Drain::Moved(count)),
            Err(Errno::EAGAIN) => Ok(Drain::Blocked),
            Err(error) => Err(error),
        }
    }

    /// Reads up to `buffer.len()` (at least 1) bytes from the pipe, which must not be empty, into
    /// user memory.
    ///
    /// # Errors
    /// Any error of read(2) except `EINTR`.
    pub fn take(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        uninterrupted(|| nix::unistd::read(&self.read, buffer))
    }

    /// Reads all bytes of the pipe, which holds `buffer.len()`, into user memory.
    ///
    /// # Errors
    /// Any error of read(2) except `EINTR`; `EPIPE` if the pipe holds fewer.
    pub fn take_all(&self, mut buffer: &mut [u8]) -> Result<(), Errno> {
        while !buffer.is_empty() {
            let count = self.take(buffer)?;
            if count == 0 {
                return Err(Errno::EPIPE);
            }
            buffer = &mut buffer[count..];
        }
        Ok(())
    }
}

impl AsFd for Pipe {
    /// Returns the end that is read from.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// Requests a capacity of `bytes` for a pipe opened by another process; returns whether it
/// succeeded.
pub fn enlarge(pipe: impl AsFd, bytes: usize) -> bool {
    let wanted = i32::try_from(bytes).unwrap_or(i32::MAX);
    fcntl(pipe, FcntlArg::F_SETPIPE_SZ(wanted)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    fn socket_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        (near, far)
    }

    #[test]
    fn bytes_pass_and_the_end_is_distinguished_from_blocking() {
        let (mut source, source_end) = socket_pair();
        let (destination_end, mut destination) = socket_pair();
        source_end.set_nonblocking(true).unwrap();
        let pipe = Pipe::open(1 << 16).unwrap();

        assert_eq!(pipe.fill(&source_end, 100), Ok(Fill::Blocked));
        source.write_all(b"hello").unwrap();
        while pipe.fill(&source_end, 100) == Ok(Fill::Blocked) {}
        assert_eq!(pipe.drain(&destination_end, 5), Ok(Drain::Moved(5)));
        let mut got = [0; 5];
        destination.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");

        drop(source);
        let mut last = Fill::Blocked;
        while last == Fill::Blocked {
            last = pipe.fill(&source_end, 100).unwrap();
        }
        assert_eq!(last, Fill::Eof);
    }

    #[test]
    fn the_size_is_that_granted_by_the_kernel() {
        assert!(Pipe::open(1 << 16).unwrap().capacity_bytes() >= 1 << 12);
    }
}
