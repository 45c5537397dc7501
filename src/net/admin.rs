//! The admin listener: operators' requests, on a Unix socket or an address of their own. Its
//! connections are served like others, with routes of their own, beyond the limits on others, and
//! until the relay's very end.

use super::inherited::{self, AdminSocket};
use super::relay::{Mode, Relay};
use super::token::ConnId;
use crate::api::{Control, Failure};
use crate::ops::admin::default_socket;
use crate::ops::{AdminAddress, AdminListen};
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use serde_json::json;
use socket2::Socket;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

mod socket;

use self::socket::SocketFile;

/// Connections of operators at once; one more waits to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 32;

/// Whom a connection was accepted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Realm {
    Public,
    /// A listener for agents.
    Agents,
    Admin,
    /// Nobody: it is our own connection to the API that agents may call.
    Api,
}

/// What the operators' requests need besides the connections.
#[derive(Debug, Default)]
pub(super) struct Admin {
    /// Connections of operators.
    pub connections: usize,
    /// An operator asked the relay to stop.
    pub stop: bool,
}

/// A listening socket of either family.
#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The admin listener, if there is one.
#[derive(Debug, Default)]
pub(super) struct AdminListener {
    door: Option<Door>,
    ready: bool,
}

impl Door {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Self::Unix(listener, _) => registry.register(listener, token, Interest::READABLE),
        }
    }
}

impl AdminListener {
    /// Listens where the settings say; if they do not, on a socket of its own that is named after
    /// the port of the relay.
    ///
    /// # Errors
    /// The address that cannot be listened on, and why.
    pub fn open(
        inherited: Option<AdminSocket>,
        (listen, port): (Option<&AdminListen>, u16),
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut door = match inherited {
            Some(socket) => Some(adopt(socket)?),
            None => open(listen, port)?,
        };
        if let Some(door) = &mut door {
            door.register(registry, token)?;
        }
        Ok(Self { door, ready: false })
    }

    /// The socket, with its name, for the process that takes over.
    pub fn socket(&self) -> Option<(BorrowedFd<'_>, &'static str)> {
        let socket = match self.door.as_ref()? {
            Door::Tcp(listener) => listener.as_fd(),
            Door::Unix(listener, _) => listener.as_fd(),
        };
        Some((socket, inherited::ADMIN))
    }

    /// From now on a socket's file goes with this process.
    pub fn take_charge(&mut self) {
        if let Some(Door::Unix(listener, file)) = &mut self.door {
            file.take_charge(listener);
        }
    }

    /// Another process listens in place of this one: the file stays.
    pub fn leave(&mut self, registry: &Registry) {
        match self.door.take() {
            Some(Door::Unix(mut listener, mut file)) => {
                file.leave();
                let _ = registry.deregister(&mut listener);
            }
            Some(Door::Tcp(mut listener)) => _ = registry.deregister(&mut listener),
            None => {}
        }
        self.ready = false;
    }

    /// Where it listens, if it does.
    pub fn address(&self) -> Option<AdminAddress> {
        match self.door.as_ref()? {
            Door::Tcp(listener) => listener.local_addr().ok().map(AdminAddress::Tcp),
            Door::Unix(_, file) => Some(AdminAddress::Unix(file.path().to_owned())),
        }
    }

    /// Connections may wait to be accepted.
    pub fn wake(&mut self) {
        self.ready = true;
    }

    /// Whether there is something to accept at once.
    pub fn is_ready(&self, relay: &Relay) -> bool {
        self.ready && relay.admin.connections < CONNECTIONS_MAX
    }

    /// Accepts what waits and may be served.
    pub fn accept(&mut self, relay: &mut Relay) {
        while self.is_ready(relay) {
            let accepted = match &self.door {
                Some(Door::Tcp(listener)) => {
                    listener.accept().map(|(socket, peer)| (OwnedFd::from(socket), peer))
                }
                Some(Door::Unix(listener, _)) => listener
                    .accept()
                    .map(|(socket, _)| (OwnedFd::from(socket), SocketAddr::new(NOBODY, 0))),
                None => return,
            };
            match accepted {
                Ok((socket, peer)) => {
                    let patience = relay.settings.keep_alive_timeout;
                    let id = relay.admit(Socket::from(socket), peer, Realm::Admin);
                    if let Some(id) = id {
                        relay.set_deadline(id, patience);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whatever it is, the next operator that comes brings the next event.
                Err(_) => self.ready = false,
            }
        }
    }
}

/// The address of a peer that has none.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Where the settings say; else in the directory that this user or service has, if it can be made.
fn open(listen: Option<&AdminListen>, port: u16) -> io::Result<Option<Door>> {
    match listen {
        Some(AdminListen::Off) => Ok(None),
        Some(AdminListen::At(address)) => open_at(address).map(Some).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        }),
        None => Ok(open_default(port)
            .map_err(|why| log::warn!("no admin socket: {why} (admin-listen)"))
            .ok()),
    }
}

fn open_at(address: &AdminAddress) -> io::Result<Door> {
    match address {
        AdminAddress::Tcp(address) => TcpListener::bind(*address).map(Door::Tcp),
        AdminAddress::Unix(path) => {
            socket::bind(path).map(|(listener, file)| Door::Unix(listener, file))
        }
    }
}

/// A relay works without, so that it cannot be opened is no error.
fn open_default(port: u16) -> Result<Door, String> {
    let path = default_socket(port)?;
    let made = socket::private_directory(path.parent().unwrap_or(Path::new("/")));
    let bound = made.and_then(|()| socket::bind(&path));
    let (listener, file) =
        bound.map_err(|error| format!("cannot listen on {}: {error}", path.display()))?;
    Ok(Door::Unix(listener, file))
}

/// A socket that was open before this process was; its file is somebody else's, for now.
fn adopt(socket: AdminSocket) -> io::Result<Door> {
    match socket {
        AdminSocket::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            Ok(Door::Tcp(TcpListener::from_std(listener)))
        }
        AdminSocket::Unix(listener) => {
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener);
            let file = socket::adopted(&listener);
            Ok(Door::Unix(listener, file))
        }
    }
}

impl Relay {
    /// Whether the relay is alive, which whoever gets an answer knows.
    pub(super) fn answer_health(&mut self, id: ConnId, read: bool) {
        self.answer_text(id, "alive", read);
    }

    /// Whether new streams would be served.
    pub(super) fn answer_readiness(&mut self, id: ConnId, read: bool) {
        let obstacles = self.obstacles();
        let status = if obstacles.is_empty() { 200 } else { 503 };
        let object = json!({ "ready": obstacles.is_empty(), "reasons": obstacles });
        self.answer_json(id, status, &object, read);
    }

    /// What keeps the relay from serving new streams.
    fn obstacles(&self) -> Vec<&'static str> {
        [
            (self.mode == Mode::Suspended, "suspended"),
            (matches!(self.mode, Mode::Draining | Mode::HandedOver), "draining"),
            (self.accept_paused, "out of descriptors"),
            (!self.settings.no_splice && self.pool.is_exhausted(), "out of pipes"),
        ]
        .into_iter()
        .filter_map(|(there, what)| there.then_some(what))
        .collect()
    }

    /// What the relay is doing, in numbers.
    pub(super) fn answer_state(&mut self, id: ConnId, read: bool) {
        let object = json!({
            "state": if self.admin.stop { Mode::Draining.name() } else { self.mode.name() },
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "connections": self.served(),
            "streams": {
                "active": self.registry.active(),
                "streaming": self.exchanges.len(),
                "held": self.registry.len(),
            },
        });
        self.answer_json(id, 200, &object, read);
    }

    /// Does what an operator asks for.
    pub(super) fn control(&mut self, id: ConnId, control: Control, read: bool) {
        match self.obey_control(control) {
            Ok(()) => self.answer_state(id, read),
            Err(failure) => self.answer_failure(id, &failure, read),
        }
    }

    fn obey_control(&mut self, control: Control) -> Result<(), Failure> {
        match (control, self.mode) {
            (Control::Stop, _) => self.admin.stop = true,
            (Control::Suspend | Control::Resume, Mode::Draining | Mode::HandedOver) => {
                return Err(Failure::Stopping);
            }
            (Control::Suspend, Mode::Serving) => {
                log::info!("suspended: no new streams");
                self.mode = Mode::Suspended;
            }
            (Control::Resume, Mode::Suspended) => {
                log::info!("resumed");
                self.mode = Mode::Serving;
            }
            (Control::Suspend, Mode::Suspended) | (Control::Resume, Mode::Serving) => {}
        }
        Ok(())
    }
}
