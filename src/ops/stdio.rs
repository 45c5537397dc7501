//! Standard input, output and error, which may be non-blocking: the flag belongs to the open file
//! description, which other processes share, and any of them can set it.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt::Display;
use std::io::{self, ErrorKind, Read, StderrLock, StdoutLock, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// A stream that waits where a non-blocking one would fail.
#[derive(Debug)]
pub struct Waiting<S>(pub S);

/// Returns standard output, locked.
pub fn output() -> Waiting<StdoutLock<'static>> {
    Waiting(io::stdout().lock())
}

/// Returns standard error, locked.
pub fn error() -> Waiting<StderrLock<'static>> {
    Waiting(io::stderr().lock())
}

/// Writes one line to standard error in a single write(2), so that other processes do not write into
/// it and no reader sees a part of it. Failures are ignored: there is nowhere to report them.
pub fn error_line(text: impl Display) {
    let _ = error().write_all(format!("{text}\n").as_bytes());
}

impl<S: Write + AsFd> Write for Waiting<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(self.0.as_fd(), PollFlags::POLLOUT)?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            match self.0.flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(self.0.as_fd(), PollFlags::POLLOUT)?;
                }
                flushed => return flushed,
            }
        }
    }
}

impl<S: Read + AsFd> Read for Waiting<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(self.0.as_fd(), PollFlags::POLLIN)?;
                }
                read => return read,
            }
        }
    }
}

/// Waits until a descriptor is ready, or a signal arrives.
fn wait(descriptor: BorrowedFd<'_>, events: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(descriptor, events)], PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::fs::File;
    use std::os::fd::OwnedFd;

    #[test]
    fn a_stream_that_does_not_block_is_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        for end in [reader.as_fd(), writer.as_fd()] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        }
        // Several times what a pipe holds, so that both ends have to wait.
        let sent: Vec<u8> = (0..1 << 20).map(|number: u32| number.to_le_bytes()[0]).collect();
        let expected = sent.clone();
        let writing = std::thread::spawn(move || {
            let mut out = Waiting(File::from(OwnedFd::from(writer)));
            out.write_all(&sent).and_then(|()| out.flush())
        });
        let mut received = Vec::new();
        Waiting(File::from(OwnedFd::from(reader))).read_to_end(&mut received).unwrap();
        writing.join().unwrap().unwrap();
        assert!(received == expected);
    }
}
