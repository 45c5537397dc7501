//! One connection, for programs.

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

/// How long a peer of the text dialect, which may be one that never answers, is waited for.
pub(super) const TEXT_TIMEOUT: Duration = Duration::from_secs(10);

/// One connection: requests go both ways on it. A clone is another handle on the same connection;
/// when the last one is gone, and with it the last body, the connection is closed.
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

/// What handles and bodies share: without any of them the connection is closed.
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
        let dialect = link.lock().session.dialect();
        let timeout = match dialect {
            Dialect::Text => Some(TEXT_TIMEOUT),
            Dialect::V1 => None,
        };
        Self { owner: Arc::new(Owner(link)), timeout }
    }

    /// Waits for the end of the handshake.
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

    /// This handle, with a limit of its own for [`round_trip`](Self::round_trip): an answer must
    /// begin so long after the other end is waited for, which it is not while the body of the
    /// request is read here. Without it there is none; in the text dialect it is 10 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The name of the connection, the same at both ends.
    pub fn id(&self) -> Uuid {
        self.welcome().connection
    }

    /// How the end that accepted the connection welcomed the other one.
    pub fn welcome(&self) -> Welcome {
        let none = || Welcome { connection: Uuid::nil(), path: None, spare: None };
        self.link().lock().welcome.clone().unwrap_or_else(none)
    }

    /// What the end that dialled said of itself, all of it: secrets, too.
    pub fn metadata(&self) -> Value {
        self.link().lock().metadata.clone()
    }

    /// The address at the other end of the TCP connection; of a proxy, if there is one.
    pub fn remote_addr(&self) -> SocketAddr {
        self.link().remote
    }

    /// Which messages are spoken.
    pub fn dialect(&self) -> Dialect {
        self.link().lock().session.dialect()
    }

    /// Whether the connection has not ended.
    pub fn is_open(&self) -> bool {
        self.link().lock().ended.is_none()
    }

    /// Whether the other end wants no new requests.
    pub fn is_draining(&self) -> bool {
        self.link().lock().draining
    }

    /// Serves the other end's requests, up to 256 at once, each on a thread, until the connection
    /// ends. Until somebody serves they wait. A handler that panics makes a 500.
    ///
    /// The body of a request is read as it comes, and the body of a response goes out as it is read:
    /// each read's bytes at once. When the other end cancels the request, reading its body fails, and
    /// the response is dropped; its [`Cancellation`](super::Cancellation), which is among the
    /// extensions of the request, tells it at once.
    ///
    /// # Errors
    /// When the connection ended otherwise than by [`close`](Self::close) at either end, or by the
    /// other end going away.
    pub fn serve(
        &self,
        handler: impl Fn(Request<Body>) -> Response<Body> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        serving::serve(self, Arc::new(handler))
    }

    /// Asks the other end, and waits for the head of its answer; any number of threads can. The
    /// answer may come while the body is still being sent, and what is left is not sent once it is
    /// complete. Dropping the body of the answer before its end cancels the exchange.
    ///
    /// The path of the URI is what counts; its authority becomes `Host`. `X-Correlation-Id` is made
    /// where it is missing.
    ///
    /// # Errors
    /// [`Error`]; the other end's own errors are answers.
    pub fn round_trip(&self, request: Request<impl Into<Body>>) -> Result<Response<Body>, Error> {
        requests::round_trip(self, request.map(Into::into), self.timeout)
    }

    /// Asks the other end for no new requests; those that are under way go on. The text dialect
    /// cannot say it.
    pub fn drain(&self) {
        self.link().change(|state| state.session.drain());
    }

    /// Ends the connection, and every exchange on it.
    pub fn close(&self) {
        self.close_with(close::NORMAL, "");
    }

    /// The same with a code (RFC 6455, section 7.4) and a reason.
    pub fn close_with(&self, code: u16, reason: &str) {
        self.link().change(|state| state.session.close(code, reason));
    }

    /// Waits until the end of the connection was told to the other end, 2 s at most: a process that
    /// ends before takes what was not sent yet with it.
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
