//! The ways in which a comparison relay transfers bytes between sockets.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt::SetUsize};
use nix::unistd::pipe2;

/// Size of the pipe, and maximum bytes per fill.
const PIPE_BYTES: usize = 1 << 20;
/// Bytes that the kernel gathers before it wakes the best splice loop.
const MARK_BYTES: usize = 512 << 10;
/// Size of the copying relay's buffer.
const COPY_BYTES: usize = 256 << 10;

#[derive(Clone, Copy)]
struct LowWaterMark;
nix::setsockopt_impl!(LowWaterMark, libc::SOL_SOCKET, libc::SO_RCVLOWAT, usize, SetUsize);

/// Holds the bytes of one pair in transit; filled only when empty.
pub(crate) trait Buffer: Sized {
    /// An empty buffer.
    fn new() -> io::Result<Self>;
    /// Bytes read and not yet written.
    fn pending(&self) -> usize;
    /// Reads up to `limit` bytes from `source`; 0 at the end of its stream.
    fn fill(&mut self, source: &TcpStream, limit: u64) -> io::Result<usize>;
    /// Writes bytes to `sink`.
    fn drain(&mut self, sink: &TcpStream) -> io::Result<()>;
}

/// A pipe of 1 MiB.
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    pending: usize,
}

impl Buffer for Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        let size = i32::try_from(PIPE_BYTES).map_err(io::Error::other)?;
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(size))?;
        Ok(Self { read, write, pending: 0 })
    }

    fn pending(&self) -> usize {
        self.pending
    }

    fn fill(&mut self, source: &TcpStream, limit: u64) -> io::Result<usize> {
        let bytes = usize::try_from(limit).map_or(PIPE_BYTES, |limit| limit.min(PIPE_BYTES));
        let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
        self.pending = splice(source, None, &self.write, None, bytes, flags)?;
        Ok(self.pending)
    }

    fn drain(&mut self, sink: &TcpStream) -> io::Result<()> {
        let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
        self.pending -= splice(&self.read, None, sink, None, self.pending, flags)?;
        Ok(())
    }
}

/// A pipe of 1 MiB, filled once the source holds [`MARK_BYTES`] or the rest of the body.
pub(crate) struct GatheringPipe {
    pipe: Pipe,
    /// The low-water mark of the source.
    mark: usize,
}

impl Buffer for GatheringPipe {
    fn new() -> io::Result<Self> {
        Ok(Self { pipe: Pipe::new()?, mark: 1 })
    }

    fn pending(&self) -> usize {
        self.pipe.pending()
    }

    fn fill(&mut self, source: &TcpStream, limit: u64) -> io::Result<usize> {
        let mark = usize::try_from(limit).map_or(MARK_BYTES, |limit| limit.min(MARK_BYTES));
        if mark != self.mark {
            setsockopt(source, LowWaterMark, &mark)?;
            self.mark = mark;
        }
        self.pipe.fill(source, limit)
    }

    fn drain(&mut self, sink: &TcpStream) -> io::Result<()> {
        self.pipe.drain(sink)
    }
}

/// A buffer of 256 KiB.
pub(crate) struct Memory {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer for Memory {
    fn new() -> io::Result<Self> {
        Ok(Self { buffer: vec![0; COPY_BYTES], start: 0, end: 0 })
    }

    fn pending(&self) -> usize {
        self.end - self.start
    }

    fn fill(&mut self, mut source: &TcpStream, limit: u64) -> io::Result<usize> {
        let bytes = usize::try_from(limit).map_or(COPY_BYTES, |limit| limit.min(COPY_BYTES));
        self.start = 0;
        self.end = 0;
        self.end = source.read(&mut self.buffer[..bytes])?;
        Ok(self.end)
    }

    fn drain(&mut self, mut sink: &TcpStream) -> io::Result<()> {
        self.start += sink.write(&self.buffer[self.start..self.end])?;
        Ok(())
    }
}
