//! The body of an answer onto a spare connection, framed anew: inside the kernel where that pays. What
//! breaks off never looks whole, because neither the last chunk nor the missing bytes are sent.

use super::answer::AnswerBody;
use super::calls::Call;
use super::chunk::ChunkBuffer;
use super::incoming::{Incoming, interrupted};
use crate::http::chunked::LAST_CHUNK;
use crate::splice::pipe::{Drain, Fill, Pipe};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;

/// A splice of fewer bytes costs more than copying them.
const SPLICE_MIN_BYTES: u64 = 16 << 10;

/// The pipe between the two sockets, what an unprivileged user may ask for.
const PIPE_BYTES: usize = 1 << 20;

/// What is copied at once.
const COPY_BYTES: usize = 64 << 10;

/// How the body is framed on the spare connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// By the length that its head tells.
    Plain,
    /// In chunks.
    Chunks,
}

/// One body on its way out.
pub(super) struct BodyForwarder<'p> {
    pub(super) out: &'p TcpStream,
    pub(super) frame: Frame,
    /// Opened when the first long run comes, and kept from one body to the next.
    pub(super) pipe: &'p mut Option<Pipe>,
    pub(super) call: &'p mut Call,
}

impl BodyForwarder<'_> {
    /// Hands on all of it, each piece as it comes.
    ///
    /// # Errors
    /// When the body breaks off, or nobody takes it.
    pub(super) fn forward(&mut self, body: &mut AnswerBody) -> io::Result<()> {
        let mut buffer = None;
        loop {
            let run = body.incoming().map_or(0, Incoming::run_bytes);
            if run >= SPLICE_MIN_BYTES && self.has_pipe() {
                self.splice(body, run)?;
            } else if !self
                .copy(body, buffer.get_or_insert_with(|| ChunkBuffer::new(COPY_BYTES)))?
            {
                break;
            }
        }
        if self.frame == Frame::Chunks {
            self.write(LAST_CHUNK)?;
        }
        Ok(())
    }

    fn has_pipe(&mut self) -> bool {
        if self.pipe.is_none() {
            *self.pipe = Pipe::open(PIPE_BYTES).ok();
        }
        self.pipe.is_some()
    }

    /// Hands on one piece through user memory; whether there was one.
    fn copy(&mut self, body: &mut impl Read, buffer: &mut ChunkBuffer) -> io::Result<bool> {
        let count = match body.read(buffer.room()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            read => read?,
        };
        if count == 0 {
            return Ok(false);
        }
        let piece = match self.frame {
            Frame::Plain => buffer.plain(count),
            Frame::Chunks => buffer.chunk(count),
        };
        self.write(piece)?;
        self.call.moved(count);
        Ok(true)
    }

    /// Hands on what there is now of a run, without copying it.
    fn splice(&mut self, body: &mut AnswerBody, run: u64) -> io::Result<()> {
        let (Some(pipe), Some(incoming)) = (self.pipe.take(), body.incoming()) else {
            return Ok(());
        };
        let most = usize::try_from(run).unwrap_or(usize::MAX).min(PIPE_BYTES);
        incoming.wire().wait()?;
        let socket = incoming.wire().socket();
        let count = loop {
            match pipe.fill(socket, most)? {
                Fill::Moved(count) => break count,
                Fill::Eof => return Err(interrupted()),
                Fill::Blocked => ready(socket, PollFlags::POLLIN)?,
            }
        };
        self.begin_chunk(count)?;
        let mut left = count;
        while left > 0 {
            match pipe.drain(self.out, left)? {
                Drain::Moved(moved) => left -= moved,
                Drain::Blocked => ready(self.out, PollFlags::POLLOUT)?,
            }
        }
        self.end_chunk()?;
        self.call.moved(count);
        body.took(count);
        // With bytes in it, it is dropped on the way: they are of this body alone.
        *self.pipe = Some(pipe);
        Ok(())
    }

    fn begin_chunk(&mut self, count: usize) -> io::Result<()> {
        match self.frame {
            Frame::Plain => Ok(()),
            Frame::Chunks => self.write(format!("{count:x}\r\n").as_bytes()),
        }
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        match self.frame {
            Frame::Plain => Ok(()),
            Frame::Chunks => self.write(b"\r\n"),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out;
        out.write_all(bytes)
    }
}

/// Waits for this.
fn ready(socket: &TcpStream, what: PollFlags) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(socket.as_fd(), what)], PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
    }
}
