//! The API as an HTTP/1.1 server: one request at a time on each connection, and connections are
//! kept for later requests.

use super::address::unix_path;
use super::answer::AnswerBody;
use super::api_request::{ApiRequest, Requester};
use super::pool::Pool;
use super::public_paths::{PublicPaths, add_base};
use super::refusal::Refusal;
use crate::api::forward::Upgrade;
use crate::client::connection::Connection;
use crate::client::{Error, Options, Url};
use crate::http::fields::is_field_value;
use crate::http::host::is_host_value;
use crate::http::response::HeadWriter;
use crate::socket::spelling::Spelling;
use crate::socket::{Body, Cancellation, hop};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response};
use std::fmt::Write as _;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Default connect timeout for the API; it is nearby.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The `Host` field sent to the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostChoice {
    /// Host and port of the API's own URL.
    #[default]
    Api,
    /// `Host` sent by the client.
    Client,
    /// Fixed value.
    Value(String),
}

impl FromStr for HostChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "api" => Ok(Self::Api),
            "client" => Ok(Self::Client),
            value if !value.is_empty() && is_host_value(value.as_bytes()) => {
                Ok(Self::Value(value.to_owned()))
            }
            _ => Err("write api, client, or a host with its port, such as api.example:8080".into()),
        }
    }
}

/// An HTTP server of this machine or its network. Clones share its idle connections.
#[derive(Clone, Debug)]
pub struct Api {
    url: Url,
    /// Where it is, for messages.
    place: String,
    /// Prefix of every path.
    prefix: String,
    host: HostChoice,
    options: Options,
    /// Whether `Location` and cookie paths are rewritten.
    rewrites: bool,
    /// Path of the relay's URL.
    base: String,
    pool: Arc<Pool>,
}

impl Api {
    /// Creates an API at this URL, whose path is prepended to the path of each request, or at a Unix
    /// socket, `unix:/PATH`.
    ///
    /// # Errors
    /// [`Error::Input`] if the URL is invalid.
    pub fn new(url: &str, host: HostChoice) -> Result<Self, Error> {
        let mut options = Options::default();
        // The API is nearby, and may be silent for as long as the client waits.
        options.no_proxy();
        options.set_connect_timeout(CONNECT_TIME);
        options.set_stall_timeout(Duration::MAX);
        let (url, place): (Url, _) = if let Some(path) = unix_path(url) {
            options.connect_to_unix(path);
            ("http://localhost".parse()?, path.to_owned())
        } else {
            let url: Url = url.parse()?;
            let place = url.host_and_port();
            (url, place)
        };
        if url.target.contains('?') || url.credentials.is_some() {
            let why = "leave its query, user and password out";
            return Err(Error::Input(format!("'{url}' is not a valid API URL: {why}")));
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        let (base, pool) = (String::new(), Arc::default());
        Ok(Self { url, place, prefix, host, options, rewrites: true, base, pool })
    }

    /// Sets how to connect: the timeout for each address of the host, and the trusted certificate
    /// authorities for `https`.
    #[must_use]
    pub fn with_options(mut self, options: &Options) -> Self {
        self.options.set_connect_timeout(options.connect_timeout);
        self.options.trust = options.trust.clone();
        self
    }

    /// Keeps `Location` and cookie paths as the API sends them. By default those of the API itself
    /// get the `X-Forwarded-Prefix` of the request, so that they stay below it, and lose the path of
    /// the API's URL.
    #[must_use]
    pub fn without_rewriting(mut self) -> Self {
        self.rewrites = false;
        self
    }

    /// Sets the path of the relay's URL: it precedes the `X-Forwarded-Prefix` of each request.
    #[must_use]
    pub(super) fn at_relay(mut self, path: &str) -> Self {
        path.trim_end_matches('/').clone_into(&mut self.base);
        self
    }

    /// Checks that the API accepts connections.
    ///
    /// # Errors
    /// Connecting failed.
    pub(super) fn check(&self) -> io::Result<()> {
        self.connect().map(drop)
    }

    fn connect(&self) -> io::Result<Connection> {
        Connection::open(&self.url, &self.options).map_err(|error| {
            // What failed is known to the caller.
            if let Error::Network { source, .. } = error { source } else { io::Error::other(error) }
        })
    }

    /// Returns its host and port, or the path of its Unix socket.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Sends the request, and returns the response as soon as its head is received. The body of the
    /// request is sent until it or the response ends, whichever is first. Reading an interrupted
    /// response body returns an error. If the API cannot be reached, the response is a 502 or 504
    /// with the reason.
    ///
    /// With a [`Cancellation`] among the extensions of the request, the connection to the API is
    /// closed as soon as the request is cancelled.
    pub fn forward(&self, request: Request<Body>) -> Response<Body> {
        self.forwarded(request).unwrap_or_else(|refusal| self.refused(&refusal).map(Body::from))
    }

    /// Like [`forward`](Self::forward), but returns the refusal when the API has not answered.
    pub(super) fn forwarded(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let cancellation = request.extensions().get::<Cancellation>().cloned();
        let answer = self.ask(request, cancellation.as_ref().map(Requester::Exchange))?;
        Ok(answer.map(AnswerBody::into_body))
    }

    /// Returns the response sent in place of the API's.
    pub(super) fn refused(&self, refusal: &Refusal) -> Response<Vec<u8>> {
        refusal.answer(&self.place)
    }

    /// Like [`forward`](Self::forward), on behalf of a requester: the exchange ends when it
    /// disconnects.
    pub(super) fn ask(
        &self,
        request: Request<Body>,
        asker: Option<Requester<'_>>,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let (mut parts, body) = request.into_parts();
        if self.rewrites {
            add_base(&mut parts.headers, &self.base);
        }
        let head = self.head(&parts, &body);
        let paths = self.public_paths(&parts);
        let Parts { method, mut extensions, .. } = parts;
        let upgrade = extensions.remove();
        let ask = ApiRequest { pool: &self.pool, head, method, upgrade, body: Some(body), asker };
        let mut answer = self.exchange(ask)?;
        if let Some(paths) = paths {
            paths.rewrite(answer.headers_mut());
        }
        Ok(answer)
    }

    /// Sends the request on a connection of the pool or on a new one.
    fn exchange(&self, mut ask: ApiRequest<'_>) -> Result<Response<AnswerBody>, Refusal> {
        let empty = ask.body.as_ref().is_some_and(|body| body.length_bytes() == Some(0));
        if let Some(connection) = self.pool.take() {
            // A server may close an idle connection just as a request is sent on it. The request is
            // retried only if it is idempotent (RFC 9110, section 9.2.2).
            match ask.on(connection) {
                Err(Refusal::Silent) if empty && ask.method.is_idempotent() => {
                    ask.body = Some(Body::empty());
                }
                decided => return decided,
            }
        }
        ask.on(self.connect().map_err(Refusal::Unreachable)?)
    }

    /// Returns the request head. `Expect` is dropped: it was answered at the client's side, and the
    /// body is already being sent.
    fn head(&self, parts: &Parts, body: &Body) -> Vec<u8> {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target == "*" { target.to_owned() } else { self.prefix.clone() + target };
        let mut head = Vec::with_capacity(512);
        let mut writer = HeadWriter::request(&mut head, parts.method.as_str(), &encoded(&target));
        writer = writer.field("Host", &self.host_of(parts));
        let written = [HOST, CONTENT_LENGTH, EXPECT];
        for (name, value) in hop::passing(&parts.headers) {
            if !written.contains(name) {
                writer = writer.field(Spelling::of(&parts.extensions, name), value.as_bytes());
            }
        }
        let had_length = parts.headers.contains_key(CONTENT_LENGTH);
        writer = match body.length_bytes() {
            // Methods that usually have a body declare an empty one (RFC 9110, section 8.6).
            Some(0) if !had_length && !expects_body(&parts.method) => writer,
            Some(bytes) => writer.field(CONTENT_LENGTH.as_str(), bytes.to_string().as_bytes()),
            None => writer.chunked(),
        };
        if let Some(upgrade) = parts.extensions.get::<Upgrade>() {
            writer = writer.field(Spelling::of(&parts.extensions, &CONNECTION), b"Upgrade");
            let name = Spelling::of(&parts.extensions, &UPGRADE);
            writer = writer.field(name, upgrade.protocols());
        }
        writer.end();
        head
    }

    fn public_paths(&self, parts: &Parts) -> Option<PublicPaths> {
        if !self.rewrites {
            return None;
        }
        let sent = String::from_utf8_lossy(&self.host_of(parts)).into_owned();
        PublicPaths::of(&parts.headers, &self.prefix, [self.url.authority(), sent])
    }

    fn host_of(&self, parts: &Parts) -> Vec<u8> {
        let own = || self.url.authority().into_bytes();
        match &self.host {
            HostChoice::Api => own(),
            HostChoice::Client => {
                parts.headers.get(HOST).map_or_else(own, |host| host.as_bytes().to_vec())
            }
            HostChoice::Value(host) => host.clone().into_bytes(),
        }
    }
}

fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Returns a valid request target, with invalid bytes percent-encoded.
fn encoded(target: &str) -> String {
    if is_field_value(target.as_bytes()) && !target.contains([' ', '\t']) {
        return target.to_owned();
    }
    let mut text = String::with_capacity(target.len() + 16);
    for byte in target.bytes() {
        if byte.is_ascii_graphic() {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
