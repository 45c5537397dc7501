//! Accepting connections, bounded per turn, and surviving the day descriptors run out.

use super::admin::Realm;
use super::inherited;
use super::relay::Relay;
use crate::api::{Busy, Failure};
use crate::http::head::Version;
use crate::http::response::HeadWriter;
use crate::splice::{UNPACED, copy};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Connections one listener accepts in one turn before others have theirs.
const ACCEPTS_PER_TURN: usize = 64;

/// Connections refused with the spare descriptor in one turn.
const REFUSALS_PER_TURN: usize = 16;

/// How long accepting pauses when descriptors or memory are out. No event will come to end it.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections the kernel may complete before they are accepted; `net.core.somaxconn` caps it.
pub(super) const BACKLOG: i32 = 4096;

/// After so long without a byte the kernel asks a peer whether it is still there.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(1))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// All listening sockets.
#[derive(Debug)]
pub(super) struct Listeners {
    /// With whom they are for.
    sockets: Vec<(TcpListener, Realm)>,
    ready: bool,
    paused_until: Option<Instant>,
    /// Given up for a moment to accept and refuse with when no other descriptor is left.
    spare: Option<File>,
}

/// What accepting led to.
enum Accepted {
    One(TcpStream, SocketAddr),
    /// That one failed; others may wait behind it.
    Lost,
    None,
    /// Descriptors or memory are out, or something else is wrong that asking again will not mend.
    OutOf(io::Error),
}

impl Listeners {
    /// Listens for each realm on the sockets that were inherited for it; if there are none, on all
    /// of its addresses.
    ///
    /// # Errors
    /// The address that cannot be listened on, and why.
    pub fn open(
        doors: [(Realm, Vec<std::net::TcpListener>, &[SocketAddr]); 2],
        registry: &Registry,
        first_token: usize,
    ) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for (realm, inherited, addresses) in doors {
            let addresses = if inherited.is_empty() { addresses } else { &[] };
            for socket in inherited {
                sockets.push((adopt(socket)?, realm));
            }
            for &address in addresses {
                let socket = listen(address).map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
                })?;
                sockets.push((socket, realm));
            }
        }
        for (index, (socket, _)) in sockets.iter_mut().enumerate() {
            registry.register(socket, Token(first_token + index), Interest::READABLE)?;
        }
        Ok(Self { sockets, ready: false, paused_until: None, spare: spare() })
    }

    /// Where they listen for this realm.
    pub fn addresses(&self, realm: Realm) -> Vec<SocketAddr> {
        let sockets = self.sockets.iter().filter(|(_, its)| *its == realm);
        sockets.filter_map(|(socket, _)| socket.local_addr().ok()).collect()
    }

    /// Loopback addresses among them all.
    pub fn loopback(&self) -> Vec<SocketAddr> {
        let addresses = self.sockets.iter().filter_map(|(socket, _)| socket.local_addr().ok());
        addresses.filter(|address| address.ip().to_canonical().is_loopback()).collect()
    }

    /// Connections may wait to be accepted.
    pub fn wake(&mut self) {
        self.ready = true;
    }

    /// Whether there is something to accept at once.
    pub fn is_ready(&self) -> bool {
        self.ready && self.paused_until.is_none()
    }

    /// When a pause ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.paused_until
    }

    /// The sockets, with their names, for the process that takes over.
    pub fn sockets(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &'static str)> {
        self.sockets.iter().map(|(socket, realm)| {
            let agents = *realm == Realm::Agents;
            (socket.as_fd(), if agents { inherited::AGENTS } else { inherited::LISTEN })
        })
    }

    /// Stops listening; another process may have these sockets, too, and go on.
    pub fn close(&mut self, registry: &Registry) {
        for (mut socket, _) in self.sockets.drain(..) {
            // A socket that stays open elsewhere would stay registered, and wake us for nothing.
            let _ = registry.deregister(&mut socket);
        }
        self.ready = false;
        self.paused_until = None;
    }

    /// Accepts what waits, up to the bound of a turn.
    pub fn accept(&mut self, relay: &mut Relay) {
        if self.paused_until.is_some_and(|until| until <= relay.now.monotonic) {
            self.paused_until = None;
            relay.accept_paused = false;
        }
        if !self.is_ready() {
            return;
        }
        self.ready = false;
        for index in 0..self.sockets.len() {
            let mut left = ACCEPTS_PER_TURN;
            while left > 0 && (left == ACCEPTS_PER_TURN || waits(&self.sockets[index].0)) {
                left -= 1;
                let (listener, realm) = &self.sockets[index];
                match accept_one(listener) {
                    Accepted::One(socket, peer) => welcome(relay, socket, peer, *realm),
                    Accepted::Lost => {}
                    Accepted::None => break,
                    Accepted::OutOf(error) => return self.pause(index, &error, relay),
                }
            }
            self.ready |= left == 0;
        }
    }

    /// Nothing more can be accepted: refuse some with the spare descriptor, then wait a while.
    fn pause(&mut self, index: usize, error: &io::Error, relay: &mut Relay) {
        log::error!("accepting pauses for {} ms: {error}", PAUSE.as_millis());
        self.paused_until = Some(relay.now.monotonic + PAUSE);
        relay.accept_paused = true;
        relay.metrics.accept_paused();
        self.ready = true;
        relay.pool.close_idle();
        for _ in 0..REFUSALS_PER_TURN {
            self.spare = None;
            match accept_one(&self.sockets[index].0) {
                Accepted::One(socket, peer) => refuse(&socket, peer, relay),
                Accepted::Lost => {}
                Accepted::None | Accepted::OutOf(_) => break,
            }
            self.spare = spare();
        }
        self.spare = self.spare.take().or_else(spare);
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    tune(&SockRef::from(&socket), address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Takes over a socket that listens already, and makes it like one of ours.
fn adopt(socket: std::net::TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    tune(&SockRef::from(&socket), socket.local_addr()?)?;
    Ok(TcpListener::from_std(socket))
}

/// Accepted sockets inherit these (tcp(7)), so that accepting costs no further system calls.
fn tune(socket: &SockRef<'_>, address: SocketAddr) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    if address.ip().is_loopback() {
        // A refusal costs speed, nothing else.
        let _ = socket.set_tcp_congestion(UNPACED);
    }
    Ok(())
}

/// Whether a connection waits to be accepted: asking costs a tenth of an accept(2) in vain, which
/// makes a socket and a file before it looks.
fn waits(socket: &TcpListener) -> bool {
    let mut question = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    // When in doubt, accepting will tell.
    poll(&mut question, PollTimeout::ZERO).map_or(true, |answers| answers > 0)
}

/// Linux passes pending network errors of a new socket on as errors of accept(2), and a firewall's
/// refusal: they concern that connection only. No event would come for those behind it.
fn accept_one(socket: &TcpListener) -> Accepted {
    match socket.accept() {
        Ok((socket, peer)) => Accepted::One(socket, peer),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => Accepted::None,
            Some(
                Errno::EINTR
                | Errno::ECONNABORTED
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENOPROTOOPT
                | Errno::EOPNOTSUPP
                | Errno::ENONET
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ETIMEDOUT,
            ) => Accepted::Lost,
            Some(_) | None => Accepted::OutOf(error),
        },
    }
}

fn welcome(relay: &mut Relay, socket: TcpStream, peer: SocketAddr, realm: Realm) {
    let full = relay.served() >= relay.max_connections;
    let patience = relay.settings.keep_alive_timeout;
    let Some(id) = relay.admit(OwnedFd::from(socket).into(), peer, realm) else {
        return;
    };
    relay.set_deadline(id, patience);
    let refusal =
        if full { Some(Failure::TooBusy(Busy::Connections)) } else { relay.count_address(id) };
    if let Some(failure) = refusal {
        relay.refuse_unread(id, &failure);
    }
}

/// Refuses a connection that cannot even be watched.
fn refuse(socket: &TcpStream, peer: SocketAddr, relay: &mut Relay) {
    let failure = Failure::TooBusy(Busy::Descriptors);
    let body = failure.body(false);
    let seconds = relay.settings.load.retry_after_seconds().to_string();
    let mut response = Vec::new();
    let status = relay.status_of(&failure);
    relay.refused_unseen(Busy::Descriptors, status);
    HeadWriter::new(&mut response, status, &relay.date)
        .field("Content-Type", b"application/json")
        .content_length(body.len() as u64)
        .field("Retry-After", seconds.as_bytes())
        .connection(false, Version::Http11)
        .end();
    let head_bytes = response.len();
    response.extend_from_slice(body.as_bytes());
    let sent = match copy::write(socket, &response, false) {
        Ok(copy::Write::Moved(count)) => count.saturating_sub(head_bytes),
        Ok(copy::Write::Blocked) | Err(_) => 0,
    };
    relay.log_refused(peer, relay.status_of(&failure), sent as u64);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let _ = copy::discard(socket, &mut [0; 4096]);
}
