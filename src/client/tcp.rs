//! TCP connections of blocking clients: connecting, and socket options. They are set through nix:
//! socket2 is used in the event loop only.

use crate::splice::UNPACED;
use nix::sys::socket::{setsockopt, sockopt};
use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

/// Idle time before the first keep-alive probe, in seconds; three more follow 10 s apart.
const KEEP_ALIVE_AFTER_SECONDS: u32 = 30;
const KEEP_ALIVE_EVERY_SECONDS: u32 = 10;
const KEEP_ALIVE_PROBES: u32 = 3;

/// Connects to the first of these addresses that answers, each within `timeout`. The connection
/// sends without delay, and detects a dead path.
///
/// # Errors
/// The error of the last attempt; `NotFound` if there are no addresses.
pub(crate) fn connect(
    addresses: impl Iterator<Item = SocketAddr>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                keep_alive(&socket)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
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
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, getsockopt, socket,
    };
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_connection_notices_a_silent_path() {
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
}
