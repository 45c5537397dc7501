//! A client of the relay: creates, queries, follows and ends streams.

use super::connection::Sent;
use super::outgoing::{Outgoing, Request, UNLIMITED};
use super::redirect::Redirects;
use super::url::{Url, segment};
use super::{Error, Options, Response};
#[cfg(feature = "connector")]
use super::{
    Part,
    single::{self, SingleRequest},
};
use crate::http::framing::Framing;
use crate::http::sse::Events;
use serde_json::{Map, Value, json};
use std::fmt;
use std::io::Read as _;
use std::time::Duration;
use uuid::Uuid;

/// Maximum size of an error body or a status object, in bytes.
const ANSWER_MAX_BYTES: u64 = 1 << 20;

/// Maximum time for a response that depends on the relay alone.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client accepts that shows people links: so the relay returns the location of a page.
const ACCEPT_PAGE: &str = "application/json, text/html;q=0.5";

/// A stream at a relay.
#[derive(Clone, Debug)]
pub struct Stream {
    relay: Url,
    id: Uuid,
    options: Options,
    /// Whether the relay has a page of it.
    has_page: bool,
    tokens: StreamTokens,
}

/// The tokens of a stream, as far as they are known here.
#[derive(Clone, Default)]
struct StreamTokens {
    /// For the requests of this client.
    own: Option<String>,
    /// For the receiver.
    get: Option<String>,
    owner: Option<String>,
}

impl fmt::Debug for StreamTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamTokens")
    }
}

/// Options for a new stream.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// The waiting time for both sides [default: that of the relay].
    pub ttl: Option<Duration>,
    /// Fields of the download's head.
    pub download_headers: Map<String, Value>,
    /// The stream gets tokens: its identifier alone allows nothing.
    pub private: bool,
}

/// A refusal by the relay, or by another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the response.
    pub status: u16,
    /// The error name, if the response has one.
    pub name: String,
    /// The error message.
    pub message: String,
}

impl Refusal {
    /// Reads the refusal from an unsuccessful response.
    pub fn of(response: Response) -> Self {
        let status = response.status();
        let mut reason = crate::http::response::reason(status).to_owned();
        if let (300..=399, Some(location)) = (status, response.text("Location")) {
            reason = format!("{reason} to {location}");
        }
        let (name, message) = match json_of(response) {
            Ok(said) if said["message"].is_string() => {
                let text = |member: &str| said[member].as_str().unwrap_or_default().to_owned();
                let reason =
                    said["reason"].as_str().map_or(String::new(), |why| format!(": {why}"));
                (text("name"), text("message") + &reason)
            }
            Ok(_) | Err(_) => (String::new(), reason),
        };
        Self { status, name, message }
    }

    /// Whether the error is the relay's own, not one reported by the other side. A response without
    /// a name is from a proxy before the relay.
    pub(crate) fn is_of_the_relay(&self) -> bool {
        const NAMES: [&str; 22] = [
            "",
            "AlreadyConnectedError",
            "BadRequestError",
            "BadRouteError",
            "ContentTooLargeError",
            "ExpectationFailedError",
            "ForbiddenError",
            "HeaderFieldsTooLargeError",
            "HttpVersionNotSupportedError",
            "IdempotencyError",
            "InvalidBodyError",
            "MisdirectedError",
            "NotImplementedError",
            "RequestTimeoutError",
            "SessionNotFoundError",
            "StoppingError",
            "StreamExistsError",
            "StreamStartedError",
            "TooBusyError",
            "TooManyTokensError",
            "UnauthorizedError",
            "UriTooLongError",
        ];
        NAMES.contains(&self.name.as_str())
    }

    /// Whether a retry can succeed. Errors reported by the other side are permanent.
    pub(crate) fn is_passing(&self) -> bool {
        self.status == 503 && self.is_of_the_relay()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, name, message } = self;
        match name.as_str() {
            "" => write!(f, "the server answered {status} ({message})"),
            _ => write!(f, "{message} ({status} {name})"),
        }
    }
}

/// The result of a request to a relay.
pub type Answered<T> = Result<Result<T, Refusal>, Error>;

impl Stream {
    /// Creates a stream at this relay. Also returns its waiting time, if the relay reports one.
    ///
    /// # Errors
    /// [`Error::Network`] and the like; inside, the relay's refusal.
    pub fn create(
        relay: &Url,
        options: &Options,
        request: &CreateOptions,
    ) -> Answered<(Self, Option<Duration>)> {
        let mut body = Map::new();
        if let Some(ttl) = request.ttl {
            body.insert("ttl_seconds".into(), ttl.as_secs().max(1).into());
        }
        if !request.download_headers.is_empty() {
            body.insert("download_headers".into(), request.download_headers.clone().into());
        }
        if request.private {
            body.insert("tokens".into(), true.into());
        }
        let url = relay.below("stream");
        let accept = ("Accept", ACCEPT_PAGE.to_owned());
        let body = Value::Object(body).to_string();
        let response = ask_with("POST", &url, options, (vec![accept], &body))?;
        if response.status() != 201 {
            return Ok(Err(Refusal::of(response)));
        }
        let location = response.text("Location").unwrap_or_default();
        let has_page = location.contains("/s/");
        let said = json_of(response)?;
        let Some(id) = said["stream"].as_str().and_then(|id| id.parse().ok()) else {
            return Err(Error::Answer(crate::http::answer::AnswerError::NotHttp));
        };
        let ttl = said["ttl_seconds"].as_u64().map(|ttl| Duration::from_secs(ttl).min(UNLIMITED));
        let token = |name: &str| said[name].as_str().map(str::to_owned);
        let (own, get, owner) = (token("put_token"), token("get_token"), token("owner_token"));
        if request.private && (own.is_none() || get.is_none()) {
            let why = std::io::Error::other("the relay does not support tokens of streams");
            return Err(Error::network("cannot create a private stream", why));
        }
        let tokens = StreamTokens { own, get, owner };
        let (relay, options) = (relay.clone(), options.clone());
        Ok(Ok((Self { relay, id, options, has_page, tokens }, ttl)))
    }

    /// Returns a handle to an existing stream, by its ID at this relay.
    pub fn new(relay: Url, id: Uuid, options: Options) -> Self {
        Self { relay, id, options, has_page: false, tokens: StreamTokens::default() }
    }

    /// Returns the stream of a URL that ends in `/stream/ID`, optionally followed by a file name, or
    /// in `/s/ID`, its page.
    pub fn of_url(url: &Url, options: Options) -> Option<Self> {
        let parts = url.path().rsplit_once("/stream/").or_else(|| url.path().rsplit_once("/s/"));
        let (base, rest) = parts?;
        let id = rest.split('/').next()?.parse().ok()?;
        let mut stream = Self::new(Url { target: format!("{base}/"), ..url.clone() }, id, options);
        let query = url.target.split_once('?').map_or("", |(_, query)| query);
        let token = query.split('&').find_map(|pair| pair.strip_prefix("t="));
        stream.tokens.own = token.map(str::to_owned);
        Some(stream)
    }

    /// Returns the ID of the stream.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the options for requests about the stream.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the URL for this client, with its token if it has one.
    pub fn url(&self) -> Url {
        self.below("stream", "", self.tokens.own.as_ref())
    }

    /// Returns the URL for the receiver: that of both sides, unless the stream has tokens.
    pub fn receiver_url(&self) -> Url {
        self.below("stream", "", self.receiver_token())
    }

    fn receiver_token(&self) -> Option<&String> {
        self.tokens.get.as_ref().or(self.tokens.own.as_ref())
    }

    /// Returns the URL of the stream below this path, with this token.
    fn below(&self, path: &str, part: &str, token: Option<&String>) -> Url {
        let query = token.map_or(String::new(), |token| format!("?t={token}"));
        self.relay.below(&format!("{path}/{}{part}{query}", self.id))
    }

    /// Returns the URL of its page for browsers; `None` if the relay has none, or the stream was not
    /// created with this handle.
    pub fn page_url(&self) -> Option<Url> {
        self.has_page.then(|| self.below("s", "", self.receiver_token()))
    }

    /// Returns the URL with a file name.
    pub fn url_named(&self, name: &str) -> Url {
        self.below("stream", &format!("/{}", segment(name)), self.tokens.own.as_ref())
    }

    /// Joins the stream as its destination: the response is the download, or an error. Waits as
    /// long as the relay does.
    ///
    /// # Errors
    /// [`Error::Network`] and the like.
    pub fn get(&self) -> Result<Response, Error> {
        download(self.url(), &self.options, &[])
    }

    /// Returns the head of the download without joining the stream, as far as it is known: once a
    /// source waits. Best effort: joining reports what is wrong.
    pub(crate) fn head(&self) -> Option<Response> {
        ask("HEAD", &self.url(), &self.options, "").ok().filter(Response::is_success)
    }

    /// Returns the status object of the stream.
    ///
    /// # Errors
    /// [`Error::Network`] and the like; inside, the relay's refusal.
    pub fn status(&self) -> Answered<Value> {
        let response = ask("GET", &self.part("status"), &self.options, "")?;
        match success(response) {
            Ok(response) => json_of(response).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Ends the stream, even during a transfer.
    ///
    /// # Errors
    /// [`Error::Network`] and the like; inside, the relay's refusal.
    pub fn cancel(&self) -> Answered<()> {
        let token = self.tokens.owner.as_ref().or(self.tokens.own.as_ref());
        let url = self.below("stream", "", token);
        let response = ask("DELETE", &url, &self.options, "")?;
        Ok(success(response).map(drop))
    }

    /// Uploads `content` as the source once the destination has connected; returns when that has
    /// received all of it. The relay enforces the waiting time.
    ///
    /// # Errors
    /// [`Error::Network`] and the like; inside, the relay's refusal.
    #[cfg(feature = "connector")]
    pub(crate) fn put(&self, content: Part<'_>, bytes: u64, content_type: &str) -> Answered<()> {
        let mut options = self.options.clone();
        options.set_stall_timeout(UNLIMITED);
        let single = SingleRequest {
            method: "PUT",
            url: &self.url(),
            fields: vec![("Content-Type", content_type.to_owned())],
            content,
            bytes,
            is_held_back: true,
        };
        let response = single::send_redirected(single, &options)?;
        if response.is_early() {
            return Ok(Err(Refusal::of(response)));
        }
        Ok(success(response).map(drop))
    }

    /// Reports to the other side why the transfer failed.
    ///
    /// # Errors
    /// [`Error::Network`] and the like; inside, the relay's refusal.
    pub fn report(&self, name: &str, message: &str) -> Answered<()> {
        let report = json!({ "http_status": 502, "name": name, "message": message });
        let response = ask("POST", &self.part("error"), &self.options, &report.to_string())?;
        Ok(success(response).map(drop))
    }

    /// Confirms to the sender that all data is stored.
    ///
    /// # Errors
    /// [`Error::Network`] and the like; inside, the relay's refusal, 409 if it is too early.
    pub fn receipt_confirmed(&self, received_bytes: u64) -> Answered<()> {
        self.receipt(&json!({ "bytes": received_bytes }))
    }

    /// Reports to the sender why the data is not stored.
    ///
    /// # Errors
    /// [`Error::Network`] and the like; inside, the relay's refusal.
    pub fn receipt_failed(&self, reason: &str) -> Answered<()> {
        self.receipt(&json!({ "error": reason }))
    }

    fn receipt(&self, receipt: &Value) -> Answered<()> {
        let response = ask("POST", &self.part("receipt"), &self.options, &receipt.to_string())?;
        Ok(success(response).map(drop))
    }

    /// Passes each new status object to `each`, until the stream ends or `each` returns false.
    ///
    /// # Errors
    /// [`Error::Network`] and the like; inside, the relay's refusal.
    pub fn follow(&self, each: &mut dyn FnMut(&Value) -> bool) -> Answered<()> {
        let response = ask("GET", &self.part("events"), &self.options, "")?;
        let mut response = match success(response) {
            Ok(response) => response,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut reader = Events::default();
        let mut events = Vec::new();
        let mut buffer = [0; 8 << 10];
        loop {
            let count = response.body().read(&mut buffer).map_err(super::copy_to_file::real)?;
            if count == 0 {
                return Ok(Ok(()));
            }
            reader.received(&buffer[..count], &mut events).map_err(|error| {
                Error::network("cannot read events", std::io::Error::other(error.to_string()))
            })?;
            for event in events.drain(..) {
                let status: Value = serde_json::from_str(&event).map_err(|error| {
                    Error::network("cannot read events", std::io::Error::from(error))
                })?;
                if !each(&status) {
                    return Ok(Ok(()));
                }
            }
        }
    }

    fn part(&self, name: &str) -> Url {
        self.below("stream", &format!("/{name}"), self.tokens.own.as_ref())
    }
}

/// Sends a small request about a stream, also to where it is redirected, and returns the response.
fn ask(method: &str, url: &Url, options: &Options, body: &str) -> Result<Response, Error> {
    let mut place = Redirects::new(url.clone(), options);
    loop {
        let response = ask_with(method, place.url(), place.options(), (Vec::new(), body))?;
        if !place.follow_response(&response)? {
            return Ok(response);
        }
    }
}

/// Sends a request with these fields and this body, which is JSON or empty.
fn ask_with(
    method: &str,
    url: &Url,
    options: &Options,
    (mut fields, body): (Vec<(&'static str, String)>, &str),
) -> Result<Response, Error> {
    let mut options = options.clone();
    options.set_stall_timeout(STALL_TIMEOUT.max(options.connect_timeout));
    if !body.is_empty() {
        fields.push(("Content-Type", "application/json".to_owned()));
    }
    let framing = Framing::Length(body.len() as u64);
    let request = Request { method, url, framing, fields, expect_continue: false };
    let mut outgoing = Outgoing::open(&request, &options)?;
    match outgoing.bytes(body.as_bytes())? {
        Sent::All => outgoing.finish(None),
        Sent::Stopped => outgoing.answer(),
    }
}

/// Joins the stream of this URL as its destination, with these fields. Waits as long as the relay
/// does.
pub(super) fn download(
    url: Url,
    options: &Options,
    fields: &[(&'static str, &str)],
) -> Result<Response, Error> {
    let mut place = Redirects::new(url, options);
    loop {
        let request = Request {
            method: "GET",
            url: place.url(),
            framing: Framing::Length(0),
            fields: fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            expect_continue: false,
        };
        let mut outgoing = Outgoing::open(&request, place.options())?;
        outgoing.set_stall_timeout(UNLIMITED);
        let response = outgoing.finish(None)?;
        if !place.follow_response(&response)? {
            return Ok(response);
        }
    }
}

fn success(response: Response) -> Result<Response, Refusal> {
    if response.is_success() { Ok(response) } else { Err(Refusal::of(response)) }
}

fn json_of(response: Response) -> Result<Value, Error> {
    let mut text = Vec::new();
    let mut body = response.into_body().take(ANSWER_MAX_BYTES);
    body.read_to_end(&mut text).map_err(super::copy_to_file::real)?;
    serde_json::from_slice(&text).map_err(|_| {
        let why = "the response is not JSON; is this the URL of a relay?";
        Error::network("cannot query the relay", std::io::Error::other(why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "721a34c7-5190-4dc7-b07b-330a8bc1662d";

    #[test]
    fn a_stream_is_found_in_its_url() {
        for (url, found) in [
            (format!("http://h/stream/{ID}"), Some(format!("http://h/stream/{ID}"))),
            (format!("http://h/stream/{ID}/a.txt"), Some(format!("http://h/stream/{ID}"))),
            (
                format!("https://h/relay/stream/{ID}?x"),
                Some(format!("https://h/relay/stream/{ID}")),
            ),
            (format!("https://h/relay/s/{ID}"), Some(format!("https://h/relay/stream/{ID}"))),
            (format!("http://h/s/{ID}?a&t=7f"), Some(format!("http://h/stream/{ID}?t=7f"))),
            ("http://h/stream/7".into(), None),
            (format!("http://h/{ID}"), None),
        ] {
            let stream = Stream::of_url(&url.parse().unwrap(), Options::default());
            assert_eq!(stream.map(|stream| stream.url().to_string()), found, "{url}");
        }
    }

    #[test]
    fn a_file_name_becomes_one_segment() {
        let relay = "http://h".parse().unwrap();
        let stream = Stream::new(relay, ID.parse().unwrap(), Options::default());
        let url = stream.url_named("a b/c.txt").to_string();
        assert_eq!(url, format!("http://h/stream/{ID}/a%20b%2Fc.txt"));
    }
}
