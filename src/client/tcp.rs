//! TCP connections of blocking clients: connecting, and socket options. They are set through nix:
//! socket2 is used in the event loop only.

use super::{clock, wire};
use crate::splice::UNPACED;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, setsockopt, socket, sockopt,
};
use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

/// Idle time before the first keep-alive probe, in seconds; three more follow 10 s apart.
const KEEP_ALIVE_AFTER_SECONDS: u32 = 30;
const KEEP_ALIVE_EVERY_SECONDS: u32 = 10;
const KEEP_ALIVE_PROBES: u32 = 3;

/// Delay before the next address is tried as well (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of these addresses that answers, each within `timeout` (RFC 8305): the
/// families alternate, and the next address is tried after 250 ms, or when one fails. The
/// connection sends without delay, and detects a dead path.
///
/// # Errors
/// The error of the last attempt that failed; `NotFound` if there are no addresses.
pub(crate) fn connect(
    addresses: impl Iterator<Item = SocketAddr>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let mut left = alternating(addresses).into_iter();
    let mut attempts = Attempts { pending: Vec::new(), timeout };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        let next = left.next();
        let is_last = next.is_none();
        if let Some(address) = next
            && let Err(error) = attempts.begin(address)
        {
            last = error;
            continue;
        }
        let delay = if is_last { None } else { Some(ATTEMPT_DELAY) };
        match attempts.wait(delay) {
            Ok(Some(socket)) => {
                socket.set_nonblocking(false)?;
                socket.set_nodelay(true)?;
                keep_alive(&socket)?;
                return Ok(socket);
            }
            Ok(None) if is_last && attempts.pending.is_empty() => return Err(last),
            Ok(None) => {}
            Err(error) => last = error,
        }
    }
}

/// Returns the addresses with the families alternating, beginning with that of the first.
fn alternating(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses.peekable();
    let v6_first = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.partition(|address| address.is_ipv6() == v6_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return all;
        }
        all.extend(pair.into_iter().flatten());
    }
}

/// Connections that are being established, with the end of each attempt.
struct Attempts {
    pending: Vec<(TcpStream, Instant)>,
    timeout: Duration,
}

impl Attempts {
    fn begin(&mut self, address: SocketAddr) -> io::Result<()> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = TcpStream::from(socket(family, SockType::Stream, flags, SockProtocol::Tcp)?);
        match nix::sys::socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
            Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.pending.push((socket, clock::now() + self.timeout));
        Ok(())
    }

    /// Waits until one is established, one fails, or the delay is over: `None`.
    ///
    /// # Errors
    /// The error of one that failed; `TimedOut` if one did not answer in time.
    fn wait(&mut self, delay: Option<Duration>) -> io::Result<Option<TcpStream>> {
        let Some(end) = self.pending.iter().map(|(_, end)| *end).min() else { return Ok(None) };
        let left = end.saturating_duration_since(clock::now());
        let mut descriptors: Vec<_> = self
            .pending
            .iter()
            .map(|(socket, _)| PollFd::new(socket.as_fd(), PollFlags::POLLOUT))
            .collect();
        let waited = wire::wait(&mut descriptors, Some(left.min(delay.unwrap_or(left))));
        let ready = descriptors.iter().position(|descriptor| descriptor.any() == Some(true));
        drop(descriptors);
        match (ready, waited) {
            (Some(index), _) => {
                let (socket, _) = self.pending.swap_remove(index);
                socket.take_error()?.map_or(Ok(Some(socket)), Err)
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                let before = self.pending.len();
                let now = clock::now();
                self.pending.retain(|(_, end)| *end > now);
                if self.pending.len() < before { Err(error) } else { Ok(None) }
            }
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Ok(None),
        }
    }
}

fn keep_alive(socket: &TcpStream) -> io::Result<()> {
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &KEEP_ALIVE_AFTER_SECONDS)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &KEEP_ALIVE_EVERY_SECONDS)?;
    setsockopt(socket, sockopt::TcpKeepCount, &KEEP_ALIVE_PROBES)?;
    Ok(())
}

/// Sets [`UNPACED`] on a connection to this machine.
///
/// # Errors
/// The peer is no longer connected.
pub(crate) fn unpace_towards_this_machine(socket: &TcpStream) -> io::Result<()> {
    if socket.peer_addr()?.ip().is_loopback() {
        let unpaced = OsStr::from_bytes(UNPACED).to_owned();
        // A refusal only costs speed.
        let _ = setsockopt(socket, sockopt::TcpCongestion, &unpaced);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, SockaddrIn, bind, getsockname, getsockopt, listen};
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_connection_detects_a_silent_path() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = connect([address].into_iter(), TIMEOUT).unwrap();
        assert!(socket.nodelay().unwrap());
        assert!(getsockopt(&socket, sockopt::KeepAlive).unwrap());
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepIdle), Ok(30));
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepInterval), Ok(10));
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepCount), Ok(3));
    }

    #[test]
    fn a_connection_to_this_machine_is_not_paced() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        unpace_towards_this_machine(&socket).unwrap();
        let congestion = getsockopt(&socket, sockopt::TcpCongestion).unwrap();
        assert!(congestion.as_bytes().starts_with(UNPACED), "{congestion:?}");
    }

    #[test]
    fn the_next_address_is_tried_when_one_refuses() {
        // A port that is bound, but not listening.
        let taken = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(taken.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let refusing: SockaddrIn = getsockname(taken.as_raw_fd()).unwrap();
        let refusing = SocketAddr::V4(refusing.into());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = connect([refusing, address].into_iter(), TIMEOUT).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), address);
        let refused = connect([refusing].into_iter(), TIMEOUT).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let none = connect([].into_iter(), TIMEOUT).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }

    /// An address that answers no connection: its listener's queue is full.
    fn silent() -> (Vec<TcpStream>, OwnedFd, SocketAddr) {
        let taken = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(taken.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        listen(&taken, Backlog::new(1).unwrap()).unwrap();
        let address: SockaddrIn = getsockname(taken.as_raw_fd()).unwrap();
        let address = SocketAddr::V4(address.into());
        let mut queued = Vec::new();
        while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            queued.push(socket);
        }
        (queued, taken, address)
    }

    #[test]
    fn a_silent_first_address_does_not_use_up_the_timeout() {
        let (_queued, _listener, silent) = silent();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let day = Duration::from_hours(24);
        let socket = connect([silent, silent, address].into_iter(), day).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), address);
        let error = connect([silent, silent].into_iter(), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_families_of_addresses_alternate() {
        let parsed = |list: &str| -> Vec<SocketAddr> {
            list.split(' ').map(|text| text.parse().unwrap()).collect()
        };
        for (given, tried) in [
            ("[::1]:1 [::2]:1 1.1.1.1:1 2.2.2.2:1", "[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1"),
            ("1.1.1.1:1 [::1]:1 [::2]:1", "1.1.1.1:1 [::1]:1 [::2]:1"),
            ("1.1.1.1:1 2.2.2.2:1", "1.1.1.1:1 2.2.2.2:1"),
        ] {
            assert_eq!(alternating(parsed(given).into_iter()), parsed(tried), "{given}");
        }
    }
}
