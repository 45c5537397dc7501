//! A tunnel and a connection to the API after both switched to another protocol (RFC 9110, section
//! 7.8): what follows is moved both ways, by the kernel unless one of them uses TLS, until each end has
//! sent its FIN. A connection that ends otherwise ends with a reset, even if this process is killed.

use super::calls::Call;
use crate::client::connection::Connection;
use crate::client::wire::{Wire, wait};
use crate::ops::threads;
use crate::splice::copy::{Read, Write};
use crate::splice::pipe::{Drain, Fill, Pipe};
use nix::poll::{PollFd, PollFlags};
use std::io;
use std::os::fd::AsFd as _;

/// Size of each pipe: a user may have a thousand of them (`fs.pipe-user-pages-soft`, pipe(7)), two for
/// each upgraded connection.
const PIPE_BYTES: usize = 64 << 10;

/// Maximum bytes per read where there is no pipe: a TLS record.
const COPY_BYTES: usize = 16 << 10;

/// An upgrade that the API accepted, and its request in progress.
pub(super) struct Upgraded {
    pub(super) api: Connection,
    pub(super) call: Call,
}

impl Upgraded {
    /// Moves the bytes of both on a thread of its own. Both were set to end with a reset.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(self, tunnel: Connection) -> io::Result<()> {
        // An error ends both connections, and is reported with the call.
        threads::spawn("upgraded", move || drop(self.run(tunnel))).map(drop)
    }

    fn run(mut self, mut tunnel: Connection) -> io::Result<()> {
        let [answered, requested] =
            [&mut self.api, &mut tunnel].map(|connection| std::mem::take(connection.inbox()));
        let (api, tunnel) = (self.api.shared_wire(), tunnel.shared_wire());
        let mut answers = Direction::new(&api, &tunnel, answered);
        let mut requests = Direction::new(&tunnel, &api, requested);
        while !(answers.ended && requests.ended) {
            let (moved, answers_blocked) = answers.advance()?;
            self.call.moved(moved as u64);
            let (_, requests_blocked) = requests.advance()?;
            if answers_blocked && requests_blocked {
                wait_for(&answers, &requests)?;
            }
        }
        for wire in [&api, &tunnel] {
            wire.reset_on_close(false);
        }
        self.call.ended();
        Ok(())
    }
}

/// One direction of an upgraded connection.
struct Direction<'w> {
    from: &'w Wire,
    to: &'w Wire,
    /// `None` if bytes are copied.
    pipe: Option<Pipe>,
    /// Bytes in the pipe.
    held: usize,
    /// Bytes in user memory, which precede those.
    copied: Vec<u8>,
    /// TLS holds bytes that the socket did not accept.
    unflushed: bool,
    /// The FIN was passed on.
    ended: bool,
}

impl<'w> Direction<'w> {
    /// Creates a direction of which these bytes were received already.
    fn new(from: &'w Wire, to: &'w Wire, copied: Vec<u8>) -> Self {
        let encrypted = [from, to].iter().any(|wire| matches!(wire, Wire::Tls(_)));
        let pipe = if encrypted { None } else { Pipe::open(PIPE_BYTES).ok() };
        Self { from, to, pipe, held: 0, copied, unflushed: false, ended: false }
    }

    fn is_empty(&self) -> bool {
        self.held == 0 && self.copied.is_empty()
    }

    /// Takes one step; returns how many bytes were passed on, and whether it has to wait.
    fn advance(&mut self) -> io::Result<(usize, bool)> {
        if self.ended {
            return Ok((0, true));
        }
        // Only an empty pipe is filled: from another, "blocked" would not tell which end blocks.
        if self.is_empty() {
            self.unflushed = !self.to.flush()?;
            if self.unflushed {
                return Ok((0, true));
            }
            match self.take()? {
                Read::Moved(_) => {}
                Read::Blocked => return Ok((0, true)),
                Read::Eof => {
                    self.to.shutdown_write()?;
                    self.ended = true;
                    // It may be the end of both: nothing would wake a wait for more.
                    return Ok((0, false));
                }
            }
        }
        match self.give()? {
            Write::Moved(count) => Ok((count, false)),
            Write::Blocked => Ok((0, true)),
        }
    }

    fn take(&mut self) -> io::Result<Read> {
        let Some(pipe) = &self.pipe else {
            self.copied.resize(COPY_BYTES, 0);
            let read = self.from.read(&mut self.copied);
            self.copied.truncate(if let Ok(Read::Moved(count)) = read { count } else { 0 });
            return read;
        };
        Ok(match pipe.fill(self.from, PIPE_BYTES)? {
            Fill::Moved(count) => {
                self.held = count;
                Read::Moved(count)
            }
            Fill::Blocked => Read::Blocked,
            Fill::Eof => Read::Eof,
        })
    }

    fn give(&mut self) -> io::Result<Write> {
        if let (Some(pipe), true) = (&self.pipe, self.copied.is_empty()) {
            return Ok(match pipe.drain(self.to, self.held)? {
                Drain::Moved(count) => {
                    self.held -= count;
                    Write::Moved(count)
                }
                Drain::Blocked => Write::Blocked,
            });
        }
        let written = self.to.write(&self.copied, false)?;
        if let Write::Moved(count) = written {
            self.copied.drain(..count);
        }
        Ok(written)
    }
}

/// Waits until one of both directions can move bytes.
///
/// # Errors
/// `ConnectionReset` if an end was reset, or the error of poll(2).
fn wait_for(one: &Direction<'_>, other: &Direction<'_>) -> io::Result<()> {
    let mut watched = Vec::with_capacity(2);
    for (read, written) in [(one, other), (other, one)] {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, read.is_empty() && !read.unflushed && !read.ended);
        flags.set(PollFlags::POLLOUT, !written.is_empty() || written.unflushed);
        // Without anything to wait for, only a reset matters. An end that has sent and received a FIN
        // is hung up, and a Unix socket whose peer has left is, too: poll(2) would return at once.
        let hangs_up = written.ended || matches!(read.from, Wire::Unix(_));
        if !flags.is_empty() || !hangs_up {
            watched.push(PollFd::new(read.from.as_fd(), flags));
        }
    }
    wait(&mut watched, None)?;
    let failed = |end: &PollFd<'_>| end.revents().is_none_or(|it| it.contains(PollFlags::POLLERR));
    if watched.iter().any(failed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
}
