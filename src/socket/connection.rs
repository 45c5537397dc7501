//! The public handle on one connection.

use super::body::Body;
use super::error::Error;
use super::link::{Link, wait};
use super::requests;
use super::serving;
use crate::mux::handshake::{Dialect, Welcome};
use crate::mux::session::close;
use http::{Request, Response};
use serde_json::Value;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// One connection, with requests in both directions. Clones are handles on the same connection; it
/// is closed when the last handle and the last body are dropped.
///
/// ```
/// use rdv::socket::{Body, SocketClient, SocketServer};
///
/// let server = SocketServer::bind("127.0.0.1:0")?;
/// let events = server.events();
/// let client = SocketClient::new(&format!("ws://{}", server.local_addr()))?.connect()?;
/// let serving = client.clone();
/// std::thread::spawn(move || {
///     serving.serve(|request| http::Response::new(Body::from(request.uri().path())))
/// });
/// // The API is at the end that dialled, and it is called from the other one.
/// let event = events.recv()?;
/// let connection = server.connection(event.connection).expect("it has come");
/// let response = connection.round_trip(http::Request::get("/hello").body(())?)?;
/// assert_eq!(response.into_body().into_bytes(100)?, b"/hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SocketConnection {
    owner: Arc<Owner>,
    timeout: Option<Duration>,
}

/// Shared by handles and bodies: the connection is closed when the last of them is dropped.
pub(super) struct Owner(Arc<Link>);

impl Owner {
    pub(super) fn link(&self) -> &Link {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.change(|state| state.session.close(close::NORMAL, ""));
    }
}

impl SocketConnection {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { owner: Arc::new(Owner(link)), timeout: None }
    }

    /// Waits until the handshake is complete.
    pub(super) fn opened(self) -> Result<Self, Error> {
        let mut state = self.link().lock();
        while state.welcome.is_none() {
            if let Some(error) = state.end() {
                return Err(error);
            }
            let opened = Arc::clone(&state.opened);
            state = wait(&opened, state);
        }
        drop(state);
        Ok(self)
    }

    pub(super) fn link(&self) -> &Link {
        self.owner.link()
    }

    pub(super) fn owner(&self) -> Arc<Owner> {
        Arc::clone(&self.owner)
    }

    /// Returns this handle with its own timeout for [`round_trip`](Self::round_trip): the response
    /// must begin within it. The time spent reading the request body at this end does not count. By
    /// default there is no timeout, except in the text dialect, where a request may wait 60 s for
    /// the responses to earlier ones, then 10 s for its own; a timeout set here counts for each.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Returns the id of the connection, the same at both ends.
    pub fn id(&self) -> Uuid {
        self.welcome().connection
    }

    /// Returns the welcome message that the accepting end sent.
    pub fn welcome(&self) -> Welcome {
        let none = || Welcome { connection: Uuid::nil(), path: None, tunnel_secret: None };
        self.link().lock().welcome.clone().unwrap_or_else(none)
    }

    /// Returns all metadata that the dialling end sent, including secrets.
    pub fn metadata(&self) -> Value {
        self.link().lock().metadata.clone()
    }

    /// Returns the address of the TCP peer, which may be a proxy.
    pub fn remote_addr(&self) -> SocketAddr {
        self.link().remote
    }

    /// Returns the dialect in use.
    pub fn dialect(&self) -> Dialect {
        self.link().lock().session.dialect()
    }

    /// Whether the connection is open.
    pub fn is_open(&self) -> bool {
        self.link().lock().ended.is_none()
    }

    /// Whether the other end accepts no new requests.
    pub fn is_draining(&self) -> bool {
        self.link().lock().draining
    }

    /// Serves the other end's requests, up to 256 at once, each on a thread, until the connection
    /// ends. Requests received before this call wait. If the handler panics, the response is a 500.
    ///
    /// Request bodies are read as they are received, and response bodies sent as they are read,
    /// each read at once. When the other end cancels a request, reading its body fails and the
    /// response is dropped; the [`Cancellation`](super::Cancellation) among the request's
    /// extensions is set at once.
    ///
    /// # Errors
    /// The connection ended other than by [`close`](Self::close) at either end or by the other end
    /// going away.
    pub fn serve(
        &self,
        handler: impl Fn(Request<Body>) -> Response<Body> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        serving::serve(self, Arc::new(handler))
    }

    /// Sends a request and waits for the head of the response; any number of threads can call this.
    /// The response may arrive while the body is still being sent; once it is complete, the rest of
    /// the body is not sent. Dropping the response body before its end cancels the exchange.
    ///
    /// The request target is the path and query of the URI; its authority becomes `Host`. A missing
    /// `X-Correlation-Id` is generated.
    ///
    /// # Errors
    /// [`Error`]; error responses from the other end are returned as responses.
    pub fn round_trip(&self, request: Request<impl Into<Body>>) -> Result<Response<Body>, Error> {
        requests::round_trip(self, request.map(Into::into), self.timeout)
    }

    /// Requests that the other end send no new requests; those in progress continue. Has no effect
    /// in the text dialect.
    pub fn drain(&self) {
        self.link().change(|state| state.session.drain());
    }

    /// Closes the connection and every exchange on it.
    pub fn close(&self) {
        self.close_with(close::NORMAL, "");
    }

    /// Closes the connection with a code (RFC 6455, section 7.4) and a reason. In the text dialect 1001
    /// and 1011 reset it instead: the peer may take any close frame as final, and not connect again.
    pub fn close_with(&self, code: u16, reason: &str) {
        self.link().change(|state| state.session.close(code, reason));
    }

    /// Waits up to 2 s until the close has been sent: a process that exits earlier loses unsent
    /// data.
    pub fn wait_parted(&self) {
        self.link().wait_parted();
    }
}

impl fmt::Debug for SocketConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketConnection")
            .field("id", &self.id())
            .field("remote_addr", &self.remote_addr())
            .finish_non_exhaustive()
    }
}
