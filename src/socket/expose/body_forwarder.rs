//! Forwards a response body onto an idle tunnel with new framing, inside the kernel where that
//! pays. An interrupted body is never mistaken for a complete one: its last chunk or missing bytes
//! are not sent.

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

/// Splicing fewer bytes costs more than copying them.
const SPLICE_MIN_BYTES: u64 = 16 << 10;

/// Size of the pipe between the two sockets: the maximum for an unprivileged user.
const PIPE_BYTES: usize = 1 << 20;

/// Size of the copy buffer.
const COPY_BYTES: usize = 64 << 10;

/// The framing of a body on the idle tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// By the length declared in its head.
    Plain,
    /// In chunks.
    Chunks,
}

/// Forwards one response body.
pub(super) struct BodyForwarder<'p> {
    pub(super) out: &'p TcpStream,
    pub(super) frame: Frame,
    /// Opened for the first long run, and reused for later bodies.
    pub(super) pipe: &'p mut Option<Pipe>,
    pub(super) call: &'p mut Call,
}

impl BodyForwarder<'_> {
    /// Forwards the entire body, each piece as it is received.
    ///
    /// # Errors
    /// The body is interrupted, or the relay disconnected.
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

    /// Forwards one piece through user memory, and returns whether there was one.
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

    /// Forwards the available bytes of a run without copying them.
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
        // On an error above, the pipe is dropped: the bytes in it belong to this body only.
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

/// Waits until the socket is ready.
fn ready(socket: &TcpStream, what: PollFlags) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(socket.as_fd(), what)], PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
    }
}
