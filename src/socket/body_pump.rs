//! The threads of a server: one that accepts, and one for each connection that transfers its bytes.

use super::connection::SocketConnection;
use super::error::Error;
use super::events::{EventKind, Listeners};
use super::link::{Link, poisoned};
use super::pump::Pump;
use super::server::ServerBuilder;
use super::state::{ConnectionState, SERVED_MAX};
use super::{Dialect, accepting};
use crate::client::clock;
use crate::client::wire::Wire;
use crate::mux::session::{Closed, Session, close};
use crate::ops::{cause, random};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// State shared by the threads of a server.
pub(super) struct Shared {
    pub builder: ServerBuilder,
    pub address: SocketAddr,
    pub connections: Mutex<HashMap<Uuid, SocketConnection>>,
    /// Open connections, including those still in their handshake.
    pub count: AtomicUsize,
    pub listeners: Listeners,
    pub waker: EventFd,
    /// Whether the server is stopping; the eventfd is signalled after this is set.
    pub stopping: AtomicBool,
}

/// Accepts connections until the server stops.
pub(super) fn accept_all(shared: &Arc<Shared>, listener: &TcpListener) {
    loop {
        let mut both = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(shared.waker.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut both, PollTimeout::NONE);
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        match listener.accept() {
            Ok((socket, remote)) => {
                if let Err(error) = begin(shared, socket, remote) {
                    log::warn!("{remote} is not served: {}", cause(&error));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Out of descriptors, accept(2) fails immediately every time.
                log::warn!("accepting a connection: {}", cause(&error));
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Starts a thread for a connection.
fn begin(shared: &Arc<Shared>, socket: TcpStream, remote: SocketAddr) -> io::Result<()> {
    let (shared, id) = (Arc::clone(shared), random::uuid()?);
    named("rdv-socket", move || {
        let before = shared.count.fetch_add(1, Ordering::AcqRel);
        let has_room = before < shared.builder.connections_max;
        let ended = prepared(socket, has_room).and_then(|ready| forward(&shared, id, ready));
        shared.count.fetch_sub(1, Ordering::AcqRel);
        let kind = match ended {
            Ok(Closed::Here | Closed::There(..)) => EventKind::ConnectionClosed,
            Ok(Closed::Broken(_) | Closed::Silent | Closed::Lost) => EventKind::ConnectionFailure,
            Err(error) => {
                log::info!("{remote} got no socket: {}", cause(&error));
                EventKind::ConnectionFailure
            }
        };
        shared.listeners.report(kind, id);
    })
}

/// A connection whose upgrade was accepted.
struct Ready {
    wire: Arc<Wire>,
    dialect: Dialect,
    rest: Vec<u8>,
    remote: SocketAddr,
}

fn prepared(socket: TcpStream, has_room: bool) -> io::Result<Ready> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let remote = socket.peer_addr()?;
    let wire = Arc::new(Wire::Plain(socket));
    let (dialect, rest) = accepting::upgrade(&wire, has_room)?;
    Ok(Ready { wire, dialect, rest, remote })
}

/// Transfers the bytes of a connection until it ends, and returns how it ended.
fn forward(shared: &Arc<Shared>, id: Uuid, ready: Ready) -> io::Result<Closed> {
    let now = clock::now();
    let builder = &shared.builder;
    let mut session = Session::accepted(ready.dialect, builder.heartbeat, now)
        .with_ping_data(&builder.heartbeat_data);
    if ready.dialect == Dialect::V1 {
        session = session.at_most(SERVED_MAX);
    }
    if !builder.ping_handlers.is_empty() {
        session = session.reporting_pings();
    }
    session.received(&ready.rest, now);
    let link =
        Arc::new(Link::new(ConnectionState::new(session, Some(id), Value::Null), ready.remote)?);
    let (known, opened) = (Arc::clone(shared), Arc::clone(&link));
    let pump = Pump::new(link, ready.wire).with_handlers(&builder.ping_handlers);
    let ended = pump.on_open(move || open(&known, id, opened)).run();
    match poisoned(shared.connections.lock()).remove(&id) {
        Some(_) => Ok(ended),
        None if shared.stopping.load(Ordering::Acquire) => Ok(ended),
        None => Err(io::Error::other(format!("the handshake failed: {}", Error::from(&ended)))),
    }
}

/// Registers a connection after its handshake, and serves it if there is a handler.
fn open(shared: &Arc<Shared>, id: Uuid, link: Arc<Link>) {
    let connection = SocketConnection::new(link);
    poisoned(shared.connections.lock()).insert(id, connection.clone());
    shared.listeners.report(EventKind::ConnectionReceived, id);
    if shared.stopping.load(Ordering::Acquire) {
        shared.close_all();
    }
    let Some(handler) = shared.builder.handler.clone() else { return };
    let spawned = named("rdv-socket-serve", move || {
        let served = connection.clone();
        if let Err(error) = connection.serve(move |request| handler(&served, request)) {
            log::info!("a socket ended: {error}");
        }
    });
    if let Err(error) = spawned {
        log::warn!("no thread to serve a socket: {}", cause(&error));
    }
}

impl Shared {
    /// Closes every connection as going away.
    pub(super) fn close_all(&self) {
        let connections = std::mem::take(&mut *poisoned(self.connections.lock()));
        for connection in connections.values() {
            connection.close_with(close::GOING_AWAY, "the server stops");
        }
    }
}

fn named(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
