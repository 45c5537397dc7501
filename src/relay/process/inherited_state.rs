//! What a new process inherits: sockets as `sd_listen_fds`(3) expects them; and its start with
//! exactly these.

use super::inherited::READY;
use super::program::Program;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

/// The first descriptor that may be passed on, after the standard streams.
const FIRST_PASSED: RawFd = 3;

/// A descriptor, and its name in the new process.
pub type NamedDescriptor<'fd> = (BorrowedFd<'fd>, &'static str);

/// Descriptors with consecutive numbers, and their names.
#[derive(Debug)]
pub struct InheritedState {
    descriptors: Vec<OwnedFd>,
    names: String,
}

impl InheritedState {
    /// Copies the descriptors. The copies close with the next program that this process executes,
    /// until [`Self::send_with`] opens them for it.
    pub fn pack(sockets: &[NamedDescriptor<'_>], ready: &UnixStream) -> io::Result<Self> {
        let all = sockets.iter().copied().chain([(ready.as_fd(), READY)]);
        let (contents, names): (Vec<_>, Vec<_>) = all.unzip();
        Ok(Self { descriptors: in_a_row(&contents)?, names: names.join(":") })
    }

    /// Starts the program with only these descriptors and the standard streams: all others are
    /// closed at its start (`FD_CLOEXEC`).
    pub fn send_with(self, program: &Program) -> io::Result<Child> {
        for descriptor in &self.descriptors {
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        let first = self.descriptors.first().map_or(FIRST_PASSED, AsRawFd::as_raw_fd);
        Command::new(&program.path)
            .args(&program.arguments)
            .env("LISTEN_FDS", self.descriptors.len().to_string())
            .env("LISTEN_FDS_FIRST_FD", first.to_string())
            .env("LISTEN_FDNAMES", &self.names)
            // Its process id is not known before it runs, and inherited values are meant for this
            // process.
            .env_remove("LISTEN_PID")
            .env_remove("WATCHDOG_PID")
            .spawn()
    }
}

/// Copies these descriptors to consecutive numbers.
fn in_a_row(descriptors: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    let mut first = FIRST_PASSED;
    'places: loop {
        let mut row: Vec<OwnedFd> = Vec::new();
        let mut next = first;
        for descriptor in descriptors {
            // The lowest free number from `next` on.
            let copy = fcntl_dupfd_cloexec(descriptor, next)?;
            if copy.as_raw_fd() > next && !row.is_empty() {
                first = copy.as_raw_fd();
                continue 'places;
            }
            next = copy.as_raw_fd() + 1;
            row.push(copy);
        }
        return Ok(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(row: &[OwnedFd]) -> Vec<RawFd> {
        row.iter().map(AsRawFd::as_raw_fd).collect()
    }

    #[test]
    fn duplicated_descriptors_are_consecutive() {
        let (one, _other) = UnixStream::pair().unwrap();
        let wanted = [one.as_fd(); 5];
        // Every third number is taken, beyond those that other tests use.
        let taken: Vec<OwnedFd> =
            (0..20).map(|index| fcntl_dupfd_cloexec(&one, 300 + 3 * index).unwrap()).collect();
        for _ in 0..3 {
            let row = numbers(&in_a_row(&wanted).unwrap());
            assert!(row.windows(2).all(|pair| pair[1] == pair[0] + 1), "{row:?}");
            assert!(!numbers(&taken).iter().any(|number| row.contains(number)), "{row:?}");
        }
    }
}
