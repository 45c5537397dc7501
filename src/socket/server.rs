//! The accepting end.

use super::HEARTBEAT;
use super::body::Body;
use super::body_pump::{Shared, accept_all};
use super::connection::SocketConnection;
use super::error::Error;
use super::events::{ConnectionEvent, Listeners};
use super::link::poisoned;
use super::pings::PingHandlers;
use http::{Request, Response};
use nix::sys::eventfd::{EfdFlags, EventFd};
use serde_json::Value;
use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use uuid::Uuid;

pub(super) type Handler = dyn Fn(&SocketConnection, Request<Body>) -> Response<Body> + Send + Sync;

/// Configuration of a server.
#[derive(Clone)]
pub struct ServerBuilder {
    pub(super) heartbeat: Duration,
    pub(super) heartbeat_data: Vec<u8>,
    pub(super) ping_handlers: PingHandlers,
    pub(super) connections_max: usize,
    pub(super) handler: Option<Arc<Handler>>,
}

/// Accepts connections on its own thread and keeps track of the open ones. Each connection has a
/// thread that transfers its bytes. Dropping the server stops it.
///
/// ```
/// use rdv::socket::{EventKind, SocketClient, SocketServer};
///
/// let server = SocketServer::bind("127.0.0.1:0")?;
/// let events = server.events();
/// let url = format!("ws://{}", server.local_addr());
/// let name = serde_json::json!("dummy");
/// let client = SocketClient::new(&url)?.with_metadata(name.clone()).connect()?;
/// let event = events.recv()?;
/// assert_eq!((event.kind, event.connection), (EventKind::ConnectionReceived, client.id()));
/// let connection = server.connection_by_metadata(&name).expect("connected");
/// assert_eq!(server.active_connections(), [connection.id()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SocketServer {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl ServerBuilder {
    /// Sets the heartbeat timeout: a peer silent for this long is considered dead; it is pinged
    /// after half of this. The default is 20 s.
    #[must_use]
    pub fn with_heartbeat(mut self, silence_max: Duration) -> Self {
        self.heartbeat = silence_max;
        self
    }

    /// Sets the ping payload, up to 125 bytes.
    #[must_use]
    pub fn with_heartbeat_data(mut self, data: &[u8]) -> Self {
        data.clone_into(&mut self.heartbeat_data);
        self
    }

    /// Sets a function that is called with the payload of each ping of the other end, on the thread
    /// that transfers the bytes. The ping is answered in any case.
    #[must_use]
    pub fn with_ping_handler(mut self, handler: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        self.ping_handlers.on_ping = Some(Arc::new(handler));
        self
    }

    /// Sets a function that is called with the payload of each pong, like
    /// [`with_ping_handler`](Self::with_ping_handler).
    #[must_use]
    pub fn with_pong_handler(mut self, handler: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        self.ping_handlers.on_pong = Some(Arc::new(handler));
        self
    }

    /// Sets the maximum number of connections; others are refused with 503. The default is 1024.
    #[must_use]
    pub fn with_connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Serves the requests of every connection, like [`SocketConnection::serve`].
    #[must_use]
    pub fn serving(
        mut self,
        handler: impl Fn(&SocketConnection, Request<Body>) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        self.handler = Some(Arc::new(handler));
        self
    }

    /// Listens on this address; port 0 selects a free port.
    ///
    /// # Errors
    /// Error of the system.
    pub fn bind(self, address: impl ToSocketAddrs) -> Result<SocketServer, Error> {
        let failed = |error| Error::network("cannot listen", error);
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let shared = Arc::new(Shared {
            builder: self,
            address: listener.local_addr().map_err(failed)?,
            connections: Mutex::default(),
            count: AtomicUsize::new(0),
            listeners: Listeners::default(),
            waker: EventFd::from_value_and_flags(0, flags).map_err(|errno| failed(errno.into()))?,
            stopping: AtomicBool::new(false),
        });
        let accepted = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("rdv-socket-accept".into());
        let accepting = thread.spawn(move || accept_all(&accepted, &listener)).map_err(failed)?;
        Ok(SocketServer { shared, accepting: Some(accepting) })
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("heartbeat", &self.heartbeat)
            .field("connections_max", &self.connections_max)
            .finish_non_exhaustive()
    }
}

impl SocketServer {
    /// Returns a builder with the default configuration.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            heartbeat: HEARTBEAT,
            heartbeat_data: Vec::new(),
            ping_handlers: PingHandlers::default(),
            connections_max: 1024,
            handler: None,
        }
    }

    /// Listens on this address; port 0 selects a free port.
    ///
    /// # Errors
    /// Error of the system.
    pub fn bind(address: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::builder().bind(address)
    }

    /// Returns the listening address.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// Returns the ids of the open connections, in no particular order.
    pub fn active_connections(&self) -> Vec<Uuid> {
        poisoned(self.shared.connections.lock()).keys().copied().collect()
    }

    /// Returns the connection with this id.
    pub fn connection(&self, id: Uuid) -> Option<SocketConnection> {
        poisoned(self.shared.connections.lock()).get(&id).cloned()
    }

    /// Returns a connection with exactly this metadata.
    pub fn connection_by_metadata(&self, metadata: &Value) -> Option<SocketConnection> {
        let connections = poisoned(self.shared.connections.lock());
        connections.values().find(|connection| connection.metadata() == *metadata).cloned()
    }

    /// Returns the metadata that this connection's peer sent.
    pub fn metadata(&self, id: Uuid) -> Option<Value> {
        self.connection(id).map(|connection| connection.metadata())
    }

    /// Returns the address of this connection's peer.
    pub fn remote_addr(&self, id: Uuid) -> Option<SocketAddr> {
        self.connection(id).map(|connection| connection.remote_addr())
    }

    /// Subscribes to connection events from now on; events are queued until received.
    pub fn events(&self) -> Receiver<ConnectionEvent> {
        self.shared.listeners.subscribe()
    }

    /// Stops accepting, and closes every connection as going away (1001); those of the text dialect
    /// without a close frame, so that the peer connects again.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.stopping.store(true, Ordering::Release);
        let _ = self.shared.waker.write(1);
        let _ = accepting.join();
        self.shared.close_all();
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for SocketServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketServer")
            .field("address", &self.shared.address)
            .finish_non_exhaustive()
    }
}
