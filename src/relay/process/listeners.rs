//! The public and the agents' listeners: accepting connections, bounded per turn, and refusing them
//! visibly when descriptors run out.

use super::inherited;
use super::shortage::{Accepted, DescriptorSupply, Shortage, accepted, waits};
use crate::api::{Busy, ERROR_FIELD, Failure};
use crate::http::head::Version;
use crate::http::response::HeadWriter;
use crate::ops::doctor::network::{self, Port};
use crate::ops::metrics::{HandshakeEnd, ProxyRefusal};
use crate::ops::{ProxyProtocol, cause};
use crate::relay::http1::{self, answer};
use crate::relay::io::{CloseMode, ConnId, Io, ListenerKind, TlsSession};
use crate::splice::{UNPACED, copy};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Maximum connections one listener accepts in one turn, before others have theirs.
pub const ACCEPTS_PER_TURN: usize = 64;

/// Maximum connections refused with the spare descriptor in one turn.
const REFUSALS_PER_TURN: usize = 16;

/// Maximum connections the kernel may complete before they are accepted; `net.core.somaxconn` caps
/// it.
pub(super) const BACKLOG: i32 = 4096;

/// Keep-alive probes of the kernel, sent to a peer that has been silent for this time.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(1))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Any client, with plain HTTP.
    Public,
    /// Any client, with HTTPS.
    Tls,
    /// Agents.
    Agents,
}

impl Endpoint {
    /// All, in the order of the arguments of [`Listeners::open`].
    pub const ALL: [Self; 3] = [Self::Public, Self::Agents, Self::Tls];

    fn kind(self) -> ListenerKind {
        match self {
            Self::Public | Self::Tls => ListenerKind::Public,
            Self::Agents => ListenerKind::Agents,
        }
    }

    /// Returns the name of its sockets in a hand-over.
    fn name(self) -> &'static str {
        match self {
            Self::Public => inherited::LISTEN,
            Self::Tls => inherited::TLS,
            Self::Agents => inherited::AGENTS,
        }
    }
}

/// A listening socket.
#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    endpoint: Endpoint,
    /// Its own address.
    address: SocketAddr,
}

/// Which workers listen on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One.
    None,
    /// The first of several: it fails if another process listens there.
    First,
    /// Another one of them: the kernel distributes connections (`SO_REUSEPORT`, socket(7)).
    Next,
}

/// All listening sockets but the operators'.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<Listener>,
    /// Connections may wait to be accepted.
    ready: bool,
    shortage: Shortage,
}

impl Listeners {
    /// Listens for each endpoint on the inherited sockets; if there are none, on all its addresses.
    ///
    /// # Errors
    /// The address that cannot be listened on, and why.
    pub fn open(
        inherited: [Vec<std::net::TcpListener>; 3],
        addresses: [&[SocketAddr]; 3],
        (congestion_control, sharing): (Option<&str>, Sharing),
        (registry, first_token): (&Registry, usize),
    ) -> io::Result<Self> {
        let mut sockets = Vec::new();
        let wanted = inherited.into_iter().zip(addresses);
        for (endpoint, (inherited, addresses)) in Endpoint::ALL.into_iter().zip(wanted) {
            let addresses = if inherited.is_empty() { addresses } else { &[] };
            for socket in inherited {
                sockets.push(Listener::of(adopt(socket, congestion_control)?, endpoint)?);
            }
            for &address in addresses {
                let listener = listen(address, congestion_control, sharing)
                    .and_then(|socket| Listener::of(socket, endpoint))
                    .map_err(|error| refused(&address, &error))?;
                sockets.push(listener);
            }
        }
        for (index, Listener { socket, address, .. }) in sockets.iter_mut().enumerate() {
            let token = Token(first_token + index);
            registry
                .register(socket, token, Interest::READABLE)
                .map_err(|error| refused(address, &error))?;
        }
        Ok(Self { sockets, ready: false, shortage: Shortage::none_yet("") })
    }

    /// Returns the addresses of this endpoint.
    pub fn addresses(&self, endpoint: Endpoint) -> Vec<SocketAddr> {
        let sockets = self.sockets.iter().filter(|listener| listener.endpoint == endpoint);
        sockets.map(|listener| listener.address).collect()
    }

    /// Returns the loopback addresses among them: only programs on this machine can reach these.
    pub fn loopback(&self) -> Vec<SocketAddr> {
        let addresses = self.sockets.iter().map(|listener| listener.address);
        addresses.filter(|address| address.ip().to_canonical().is_loopback()).collect()
    }

    /// Records that connections may wait to be accepted.
    pub fn wake(&mut self) {
        self.ready = true;
    }

    /// Whether to try to accept at once.
    pub fn is_ready(&self) -> bool {
        self.ready && !self.shortage.is_paused()
    }

    /// Whether descriptors or memory are exhausted: new connections are refused or wait.
    pub fn is_paused(&self) -> bool {
        self.shortage.is_lasting()
    }

    /// Returns when a pause ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.shortage.next_deadline()
    }

    /// Returns the sockets, with their names, for the process that takes over.
    pub fn sockets(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &'static str)> {
        self.sockets
            .iter()
            .map(|Listener { socket, endpoint, .. }| (socket.as_fd(), endpoint.name()))
    }

    /// Stops listening; another process may share these sockets and continue.
    pub fn close(&mut self, registry: &Registry) {
        for Listener { mut socket, .. } in self.sockets.drain(..) {
            // A socket that stays open in another process would stay registered and cause idle
            // wake-ups.
            let _ = registry.deregister(&mut socket);
        }
        self.ready = false;
        self.shortage = Shortage::none_yet("");
    }

    /// Accepts waiting connections, up to the bound of a turn.
    pub fn accept(&mut self, io: &mut Io) -> DescriptorSupply {
        self.shortage.begin_turn(io.now.monotonic);
        if !self.is_ready() {
            return DescriptorSupply::Enough;
        }
        self.ready = false;
        for index in 0..self.sockets.len() {
            let mut left = ACCEPTS_PER_TURN;
            while left > 0 && (left == ACCEPTS_PER_TURN || waits(&self.sockets[index].socket)) {
                left -= 1;
                let Listener { socket: listener, endpoint, .. } = &self.sockets[index];
                match accepted(listener.accept()) {
                    Accepted::One((socket, peer)) => accept_connection(io, socket, peer, *endpoint),
                    // After none, poll(2) decides: no event follows for one that waits.
                    Accepted::Lost | Accepted::None => {}
                    Accepted::OutOf(error) => {
                        self.pause(io, index, &error);
                        return DescriptorSupply::Short;
                    }
                }
            }
            self.ready |= left == 0;
        }
        // Each listener was tried with accept(2), which needs a descriptor even if none waits.
        self.shortage.end();
        DescriptorSupply::Enough
    }

    /// Handles a failure to accept: refuses some with the spare descriptor, then pauses.
    fn pause(&mut self, io: &mut Io, index: usize, error: &io::Error) {
        self.shortage.pause(io, error);
        self.ready = true;
        for _ in 0..REFUSALS_PER_TURN {
            self.shortage.give_up_spare();
            match accepted(self.sockets[index].socket.accept()) {
                Accepted::One((socket, peer)) => refuse(io, &socket, peer),
                Accepted::Lost => {}
                Accepted::None | Accepted::OutOf(_) => break,
            }
            self.shortage.keep_spare();
        }
        self.shortage.keep_spare();
    }
}

/// Names the address that cannot be listened on, and what `rdv doctor` would advise.
fn refused(address: &SocketAddr, error: &io::Error) -> io::Error {
    let known = [
        (io::ErrorKind::AddrInUse, Port::Taken),
        (io::ErrorKind::PermissionDenied, Port::Forbidden),
        (io::ErrorKind::AddrNotAvailable, Port::Foreign),
    ];
    let port = known.iter().find(|(kind, _)| *kind == error.kind());
    let advice = port.and_then(|(_, port)| network::port(*address, port).advice);
    let advice = advice.map_or(String::new(), |advice| format!("; {advice}"));
    io::Error::new(error.kind(), format!("cannot listen on {address}: {}{advice}", cause(error)))
}

/// Deals inherited sockets to this many workers; one that gets none has a copy of another's.
///
/// # Errors
/// Returns the error of dup(2).
pub fn deal(
    endpoints: [Vec<std::net::TcpListener>; 3],
    workers: usize,
) -> io::Result<Vec<[Vec<std::net::TcpListener>; 3]>> {
    let mut hands: Vec<[Vec<_>; 3]> = (0..workers).map(|_| Default::default()).collect();
    for (endpoint, sockets) in endpoints.into_iter().enumerate() {
        let count = sockets.len();
        for (index, socket) in sockets.into_iter().enumerate() {
            hands[index % workers][endpoint].push(socket);
        }
        for worker in count..workers {
            if count > 0 {
                let copy = hands[worker % count][endpoint][0].try_clone()?;
                hands[worker][endpoint].push(copy);
            }
        }
    }
    Ok(hands)
}

impl Listener {
    fn of(socket: TcpListener, endpoint: Endpoint) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self { socket, endpoint, address })
    }
}

fn listen(
    address: SocketAddr,
    congestion_control: Option<&str>,
    sharing: Sharing,
) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    tune(&SockRef::from(&socket), address, congestion_control)?;
    if sharing == Sharing::Next {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    if sharing == Sharing::First {
        // Only now: so another process cannot have the address already.
        socket.set_reuse_port(true)?;
    }
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Adopts a listening socket, and sets the options of our own.
fn adopt(
    socket: std::net::TcpListener,
    congestion_control: Option<&str>,
) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    tune(&SockRef::from(&socket), socket.local_addr()?, congestion_control)?;
    Ok(TcpListener::from_std(socket))
}

/// Sets the options that accepted sockets inherit (tcp(7)), so that accepting needs no further
/// system calls.
fn tune(
    socket: &SockRef<'_>,
    address: SocketAddr,
    congestion_control: Option<&str>,
) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    if let Some(name) = congestion_control {
        return set_congestion_control(socket, name);
    }
    if address.ip().is_loopback() {
        // If refused, only speed is lost.
        let _ = socket.set_tcp_congestion(UNPACED);
    }
    Ok(())
}

/// Sets the congestion control of a socket.
///
/// # Errors
/// The kernel has none of this name, or does not allow it.
pub(super) fn set_congestion_control(socket: &SockRef<'_>, name: &str) -> io::Result<()> {
    socket.set_tcp_congestion(name.as_bytes()).map_err(|error| {
        let forbidden = error.kind() == io::ErrorKind::PermissionDenied;
        let (problem, list) =
            if forbidden { ("does not allow", "allowed") } else { ("does not know", "available") };
        let text = format!(
            "the kernel {problem} the congestion control {name:?}; see \
             net.ipv4.tcp_{list}_congestion_control"
        );
        io::Error::new(error.kind(), text)
    })
}

fn accept_connection(io: &mut Io, socket: TcpStream, peer: SocketAddr, endpoint: Endpoint) {
    let served = io.conns.served() + io.served_elsewhere();
    let full = served >= io.max_connections;
    let proxied = endpoint.kind() == ListenerKind::Public
        && io.settings.proxies.proxy_protocol == ProxyProtocol::Required;
    if proxied && !io.settings.proxies.may_declare(peer.ip()) {
        return io.journal.metrics.proxy_refused(ProxyRefusal::Untrusted);
    }
    let socket = Socket::from(OwnedFd::from(socket));
    let id = match io.conns.insert(socket, peer, endpoint.kind()) {
        Ok(id) => id,
        // It is closed: the next one may succeed.
        Err(error) => return log::warn!("cannot watch a new connection: {}", cause(&error)),
    };
    let tls = endpoint == Endpoint::Tls;
    let full = full || (tls && !begin_session(io, id));
    if full && tls {
        // It cannot be answered before its handshake, and a refusal is not worth one.
        io.journal.metrics.handshake(HandshakeEnd::Refused);
        io.conns.close(id, CloseMode::Orderly);
    } else if full {
        io.set_timeout(id, io.settings.keep_alive_timeout);
        http1::refuse_unread(io, id, &[], &Failure::TooBusy(Busy::Connections));
    } else if proxied {
        http1::expect_proxy_header(io, id);
    } else {
        http1::begin_connection(io, id);
    }
}

/// Begins the TLS session of a new connection; `false` without a certificate.
fn begin_session(io: &mut Io, id: ConnId) -> bool {
    let for_kernel = !io.settings.no_splice;
    let acceptor = io.settings.tls.acceptor();
    let session = acceptor.and_then(|acceptor| TlsSession::new(acceptor, for_kernel));
    session.is_some_and(|session| {
        io.conns[id].begin_tls(session);
        true
    })
}

/// Refuses a connection that cannot even be watched.
fn refuse(io: &mut Io, socket: &TcpStream, peer: SocketAddr) {
    let failure = Failure::TooBusy(Busy::Descriptors);
    let body = failure.body(false);
    let seconds = io.settings.load.retry_after_seconds().to_string();
    let mut response = Vec::new();
    let status = answer::status_of(io, &failure);
    HeadWriter::new(&mut response, status, &io.date)
        .field(ERROR_FIELD, failure.field_value().as_bytes())
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
    let early = io.settings.metrics.early_instrumentation;
    let answered = (peer, status, sent as u64);
    io.journal.refused_unseen(Busy::Descriptors, answered, early, io.now);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let _ = copy::discard(socket, &mut [0; 4096]);
}
