//! The dialling end.

use super::connecting::{self, UpgradeOptions};
use super::connection::SocketConnection;
use super::error::Error;
use super::link::{Link, poisoned};
use super::pings::PingHandlers;
use super::pump::Pump;
use super::state::ConnectionState;
use super::{HEARTBEAT, Stop};
use crate::client::{Backoff, Options, Url, clock};
use crate::http::fields::is_field_value;
use crate::mux::handshake::Metadata;
use crate::mux::session::Session;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Dials a relay, or a [`SocketServer`](super::SocketServer).
///
/// ```
/// use rdv::socket::{Body, SocketClient, Stop};
/// # let relay = rdv::socket::SocketServer::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}", relay.local_addr());
/// # let events = relay.events();
///
/// let client = SocketClient::new(&url)?
///     .with_metadata(serde_json::json!({ "name": "billing" }))
///     .with_token("abc")?;
/// let stop = Stop::new();
/// # let stopping = stop.clone();
/// # let caller = std::thread::spawn(move || {
/// #     let name = events.recv().unwrap().connection;
/// #     let request = http::Request::get("/").body(()).unwrap();
/// #     let response = relay.connection(name).unwrap().round_trip(request).unwrap();
/// #     stopping.set();
/// #     response.into_body().into_bytes(100).unwrap()
/// # });
/// // An error means that it was stopped.
/// while let Ok(connection) = client.connect_with_backoff(&stop) {
///     // It ends with the connection, and the next one is made.
///     let _ = connection.serve(|_| http::Response::new(Body::from("hello\n")));
/// }
/// # assert_eq!(caller.join().unwrap(), b"hello\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SocketClient {
    url: Url,
    metadata: Value,
    token: Option<String>,
    options: Options,
    heartbeat: Duration,
    heartbeat_data: Vec<u8>,
    ping_handlers: PingHandlers,
    text_only: bool,
    last: Mutex<Option<SocketConnection>>,
}

impl SocketClient {
    /// Creates a client for this URL: `ws`, `wss`, `http` or `https`. Without a path it means
    /// `/socket`, where a relay accepts connections; a [`SocketServer`](super::SocketServer)
    /// accepts any path.
    ///
    /// # Errors
    /// [`Error::Input`] if the URL is invalid.
    pub fn new(url: &str) -> Result<Self, Error> {
        parsed(url).map(Self::of_url)
    }

    /// Creates a client for exactly this URL.
    pub(super) fn of_url(url: Url) -> Self {
        Self {
            url,
            metadata: Value::Null,
            token: None,
            options: Options::default(),
            heartbeat: HEARTBEAT,
            heartbeat_data: Vec::new(),
            ping_handlers: PingHandlers::default(),
            text_only: false,
            last: Mutex::default(),
        }
    }

    /// Sets the metadata sent in the handshake: any JSON. A relay uses `name`, `secret` and
    /// `token`.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Value) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the token (`Authorization: Bearer`, RFC 6750).
    ///
    /// # Errors
    /// [`Error::Input`] if it is not a valid field value.
    pub fn with_token(mut self, token: &str) -> Result<Self, Error> {
        if token.is_empty() || !is_field_value(token.as_bytes()) {
            let why = "a token is visible ASCII in one line, and not empty";
            return Err(Error::Input(why.into()));
        }
        self.token = Some(token.trim().to_owned());
        Ok(self)
    }

    /// Sets the connection options: timeouts, certificate authorities, proxies, further fields.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

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

    /// Uses the text dialect, even if the server supports the other one.
    #[must_use]
    pub fn text_only(mut self) -> Self {
        self.text_only = true;
        self
    }

    /// Connects and waits for the handshake, in a single attempt.
    ///
    /// # Errors
    /// [`Error::Refused`] with the server's message, [`Error::Closed`] if it refused in the
    /// handshake, and any other error that prevents a connection.
    pub fn connect(&self) -> Result<SocketConnection, Error> {
        let (url, options) = (&self.url, &self.options);
        let metadata = Metadata(self.metadata.clone());
        let upgrade = UpgradeOptions {
            url,
            options,
            name: metadata.name(),
            token: self.token.as_deref(),
            text_only: self.text_only,
        };
        let upgraded = connecting::upgrade(&upgrade)?;
        let now = clock::now();
        let mut session = Session::dialled(upgraded.dialect, &metadata, self.heartbeat, now)
            .with_ping_data(&self.heartbeat_data);
        if upgraded.dialect == super::Dialect::V1 {
            session = session.at_most(super::state::SERVED_MAX);
        }
        if !self.ping_handlers.is_empty() {
            session = session.reporting_pings();
        }
        session.received(&upgraded.rest, now);
        let mut state = ConnectionState::new(session, None, metadata.0);
        state.update();
        let failed = |error| Error::network("cannot start the connection", error);
        let remote = upgraded.wire.peer_addr().map_err(failed)?;
        let link = Arc::new(Link::new(state, remote).map_err(failed)?);
        let pump = Pump::new(Arc::clone(&link), upgraded.wire).with_handlers(&self.ping_handlers);
        let thread = std::thread::Builder::new().name("rdv-socket".into());
        thread.spawn(move || pump.run()).map_err(failed)?;
        let connection = SocketConnection::new(link).opened()?;
        *poisoned(self.last.lock()) = Some(connection.clone());
        Ok(connection)
    }

    /// Retries [`connect`](Self::connect) until it succeeds: each pause is of random length, up to
    /// 0.5 s before the second attempt, and up to twice as long before each further one, 30 s at
    /// most.
    ///
    /// # Errors
    /// [`Error::Stopped`], or an error that retrying does not fix.
    pub fn connect_with_backoff(&self, stop: &Stop) -> Result<SocketConnection, Error> {
        let mut failed = 0_u32;
        while !stop.is_set() {
            match self.connect() {
                Err(error) if error.is_passing() => log::info!("{error}; retrying"),
                decided => return decided,
            }
            failed = failed.saturating_add(1);
            stop.wait(Backoff::default().pause(failed));
        }
        Err(Error::Stopped)
    }

    /// Returns the last connection made, if it is open.
    pub fn connection(&self) -> Option<SocketConnection> {
        poisoned(self.last.lock()).clone().filter(SocketConnection::is_open)
    }
}

fn parsed(text: &str) -> Result<Url, Error> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("ws", text));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => "http",
        "wss" | "https" => "https",
        _ => {
            let shown = crate::client::url::shown(text).escape_debug();
            let why = format!("'{shown}' is not a valid URL: expected wss:// or ws://");
            return Err(Error::Input(why));
        }
    };
    let mut url: Url = format!("{scheme}://{rest}").parse()?;
    if !rest.contains('/') {
        url.target = url.target.replacen('/', "/socket", 1);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_without_a_path_refer_to_a_relay() {
        for (text, url) in [
            ("ws://h:1", "http://h:1/socket"),
            ("wss://h", "https://h/socket"),
            ("ws://h:1/", "http://h:1/"),
            ("https://h/below/socket?a", "https://h/below/socket?a"),
            ("h:1", "http://h:1/socket"),
            ("WS://h?a=1", "http://h/socket?a=1"),
        ] {
            assert_eq!(parsed(text).unwrap().to_string(), url, "{text}");
        }
        for text in ["ftp://h", "ws://", "ws://u:p@h:99999"] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains("not a valid URL") && !error.contains("p@"), "{text}: {error}");
        }
    }

    #[test]
    fn tokens_cannot_inject_a_line() {
        for token in ["", "a\r\nb", "é"] {
            let client = SocketClient::new("ws://h").unwrap();
            assert!(client.with_token(token).is_err(), "{token:?}");
        }
    }
}
