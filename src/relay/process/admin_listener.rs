//! The operators' listener: a Unix socket, or an address of its own. Its connections are served
//! like others, with routes of their own, not subject to the limits on others, and until the relay
//! ends. One descriptor is reserved so that an operator can connect when no other is left.

use super::inherited::{self, AdminSocket};
use super::listeners::ACCEPTS_PER_TURN;
use super::shortage::{Accepted, DescriptorSupply, Shortage, accepted, waits};
use super::socket_file::{self, SocketFile};
use crate::ops::admin::default_socket;
use crate::ops::cause;
use crate::ops::{AdminAddress, AdminListen};
use crate::relay::io::{Io, ListenerKind};
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::Socket;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

/// Maximum concurrent operators' connections; one more waits to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 32;

/// A listening socket of either family.
#[derive(Debug)]
enum BoundSocket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The admin listener, if there is one.
#[derive(Debug)]
pub struct AdminListener {
    bound: Option<BoundSocket>,
    ready: bool,
    shortage: Shortage,
}

impl BoundSocket {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Self::Unix(listener, _) => registry.register(listener, token, Interest::READABLE),
        }
    }
}

impl AdminListener {
    /// Listens on the configured address; without one, on a default socket that is named after the
    /// relay's port.
    ///
    /// # Errors
    /// The address that cannot be listened on, and why.
    pub fn open(
        inherited: Option<AdminSocket>,
        (listen, port): (Option<&AdminListen>, u16),
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut bound = match inherited {
            Some(socket) => Some(adopt(socket)?),
            None => open(listen, port)?,
        };
        if let Some(bound) = &mut bound {
            bound.register(registry, token).map_err(|error| {
                let why = cause(&error);
                io::Error::new(error.kind(), format!("cannot listen for operators: {why}"))
            })?;
        }
        Ok(Self::of(bound))
    }

    /// Listens nowhere.
    pub fn none() -> Self {
        Self::of(None)
    }

    fn of(bound: Option<BoundSocket>) -> Self {
        Self { bound, ready: false, shortage: Shortage::none_yet(" (admin listener)") }
    }

    /// Returns the socket, with its name, for the process that takes over.
    pub fn socket(&self) -> Option<(BorrowedFd<'_>, &'static str)> {
        let socket = match self.bound.as_ref()? {
            BoundSocket::Tcp(listener) => listener.as_fd(),
            BoundSocket::Unix(listener, _) => listener.as_fd(),
        };
        Some((socket, inherited::ADMIN))
    }

    /// Makes this process the owner of the socket's file.
    pub fn take_charge(&mut self) {
        if let Some(BoundSocket::Unix(listener, file)) = &mut self.bound {
            file.take_charge(listener);
        }
    }

    /// Leaves the file to another process that listens in place of this one.
    pub fn leave(&mut self, registry: &Registry) {
        match self.bound.take() {
            Some(BoundSocket::Unix(mut listener, mut file)) => {
                file.leave();
                let _ = registry.deregister(&mut listener);
            }
            Some(BoundSocket::Tcp(mut listener)) => _ = registry.deregister(&mut listener),
            None => {}
        }
        self.ready = false;
        self.shortage = Shortage::none_yet("");
    }

    /// Returns the address it listens on, if it does.
    pub fn address(&self) -> Option<AdminAddress> {
        match self.bound.as_ref()? {
            BoundSocket::Tcp(listener) => listener.local_addr().ok().map(AdminAddress::Tcp),
            BoundSocket::Unix(_, file) => Some(AdminAddress::Unix(file.path().to_owned())),
        }
    }

    /// Records that connections may wait to be accepted.
    pub fn wake(&mut self) {
        self.ready = true;
    }

    /// Whether to try to accept at once.
    pub fn is_ready(&self, io: &Io) -> bool {
        self.ready && !self.shortage.is_paused() && io.conns.operators() < CONNECTIONS_MAX
    }

    /// Returns when a pause ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.shortage.next_deadline()
    }

    /// Accepts waiting connections that may be served. To be called before others accept, so that a
    /// descriptor freed by an operator is kept for the next one.
    pub fn accept(&mut self, io: &mut Io) -> DescriptorSupply {
        if self.bound.is_none() {
            return DescriptorSupply::Enough;
        }
        self.shortage.begin_turn(io.now.monotonic);
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.is_ready(io) {
                break;
            }
            if !self.waits() {
                self.ready = false;
                break;
            }
            match self.accept_one() {
                Accepted::One((socket, peer)) => {
                    self.shortage.end();
                    accept_connection(io, socket, peer);
                }
                // poll(2) decides whether another one waits.
                Accepted::Lost | Accepted::None => {}
                Accepted::OutOf(error) => {
                    self.accept_with_spare(io, &error);
                    return DescriptorSupply::Short;
                }
            }
        }
        DescriptorSupply::Enough
    }

    /// Accepts with the reserved descriptor, as no other is left. When that is in use, too, pauses.
    fn accept_with_spare(&mut self, io: &mut Io, error: &io::Error) {
        if self.shortage.give_up_spare()
            && let Accepted::One((socket, peer)) = self.accept_one()
        {
            return accept_connection(io, socket, peer);
        }
        self.shortage.keep_spare();
        self.shortage.pause(io, error);
    }

    fn waits(&self) -> bool {
        self.socket().is_some_and(|(socket, _)| waits(&socket))
    }

    fn accept_one(&self) -> Accepted<(OwnedFd, SocketAddr)> {
        match &self.bound {
            Some(BoundSocket::Tcp(listener)) => {
                accepted(listener.accept().map(|(socket, peer)| (socket.into(), peer)))
            }
            Some(BoundSocket::Unix(listener, _)) => accepted(
                listener.accept().map(|(socket, _)| (socket.into(), SocketAddr::new(NOBODY, 0))),
            ),
            None => Accepted::None,
        }
    }
}

fn accept_connection(io: &mut Io, socket: OwnedFd, peer: SocketAddr) {
    match io.conns.insert(Socket::from(socket), peer, ListenerKind::Admin) {
        Ok(id) => io.set_timeout(id, io.settings.keep_alive_timeout),
        // It is closed: the next one may succeed.
        Err(error) => log::warn!("cannot watch a new connection: {}", cause(&error)),
    }
}

/// The address used for a peer without one.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Opens the configured address; without one, a socket in the user's or service's runtime
/// directory, if that can be created.
fn open(listen: Option<&AdminListen>, port: u16) -> io::Result<Option<BoundSocket>> {
    match listen {
        Some(AdminListen::Off) => Ok(None),
        Some(AdminListen::At(address)) => open_at(address).map(Some).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {}", cause(&error)))
        }),
        None => Ok(open_default(port)
            .map_err(|why| log::warn!("no admin socket: {why} (admin-listen)"))
            .ok()),
    }
}

fn open_at(address: &AdminAddress) -> io::Result<BoundSocket> {
    match address {
        AdminAddress::Tcp(address) => TcpListener::bind(*address).map(BoundSocket::Tcp),
        AdminAddress::Unix(path) => {
            socket_file::bind(path).map(|(listener, file)| BoundSocket::Unix(listener, file))
        }
    }
}

/// Opens the default socket. A relay works without it, so failing to open it is not an error.
fn open_default(port: u16) -> Result<BoundSocket, String> {
    let path = default_socket(port)?;
    let made = socket_file::private_directory(path.parent().unwrap_or(Path::new("/")));
    let bound = made.and_then(|()| socket_file::bind(&path));
    let (listener, file) =
        bound.map_err(|error| format!("cannot listen on {}: {}", path.display(), cause(&error)))?;
    Ok(BoundSocket::Unix(listener, file))
}

/// Adopts an inherited socket; its file belongs to another process, for now.
fn adopt(socket: AdminSocket) -> io::Result<BoundSocket> {
    match socket {
        AdminSocket::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            Ok(BoundSocket::Tcp(TcpListener::from_std(listener)))
        }
        AdminSocket::Unix(listener) => {
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener);
            let file = socket_file::adopted(&listener);
            Ok(BoundSocket::Unix(listener, file))
        }
    }
}
