//! One attempt: sends a record to a server as one request, and keeps the connection for the next.

use super::delivery::AttemptError;
use super::options::DestinationOptions;
use super::outgoing_request::OutgoingRequest;
use super::retry;
use crate::client::commands::{Exit, Failure};
use crate::client::file_name::printable;
use crate::client::single::{self, SingleRequest};
use crate::client::{Url, tls};
use crate::http::fields::members;
use crate::http::response::reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use std::io::{self, Read as _};
use std::sync::Arc;
use ureq::http::{HeaderValue, Request, Response, Version, header};
use ureq::{Agent, Body, SendBody, Timeout};

/// The status of a server that does not implement HEAD (RFC 9110, section 15.6.2).
const NOT_IMPLEMENTED: u16 = 501;

/// Maximum bytes of a response to read so that its connection can be reused.
const ANSWER_MAX_BYTES: u64 = 64 << 10;

/// Maximum bytes of an error response to show.
const SAID_MAX_BYTES: usize = 200;

/// Sends records to one URL, one after the other.
#[derive(Debug)]
pub(super) struct HttpSender {
    agent: Agent,
    url: Url,
    options: Arc<DestinationOptions>,
    /// Whether the last response left a connection for the next request.
    warm: bool,
}

impl HttpSender {
    /// Creates a sender on this agent, which keeps its connection.
    pub(super) fn new(agent: Agent, url: Url, options: Arc<DestinationOptions>) -> Self {
        Self { agent, url, options, warm: false }
    }

    /// Checks with HEAD that the server is reachable. Any status below 500 counts as success, and
    /// 501, because not every server implements HEAD.
    pub(super) fn ping(&mut self) -> Result<(), AttemptError> {
        let request = self.request("HEAD").body(()).map_err(|error| unusable(&error))?;
        let response = self.agent.run(request).map_err(|error| self.attempt_failed(error))?;
        let status = response.status().as_u16();
        if status >= 500 && status != NOT_IMPLEMENTED {
            return Err(self.refused(status, response));
        }
        self.finish_attempt(response);
        Ok(())
    }

    /// Sends a record, and returns success once the server has it. The server may close a kept
    /// connection at any time, so if one fails the same attempt continues on a new one.
    pub(super) fn deliver(&mut self, parcel: &OutgoingRequest<'_>) -> Result<(), AttemptError> {
        if !parcel.content.is_small() {
            return self.deliver_large(parcel);
        }
        let was_warm = std::mem::take(&mut self.warm);
        let response = match self.post(parcel) {
            Err(error) if was_warm && is_lost(&error) => self.post(parcel),
            response => response,
        };
        let response = response.map_err(|error| self.attempt_failed(error))?;
        let status = response.status().as_u16();
        if self.options.success.contains(&status) {
            // The status confirms that the server has the record, even if the rest of the response
            // fails.
            self.finish_attempt(response);
            return Ok(());
        }
        Err(self.refused(status, response))
    }

    fn post(&self, parcel: &OutgoingRequest<'_>) -> Result<Response<Body>, ureq::Error> {
        let has = |name| self.options.client.has_field(name);
        let mut request =
            self.request("POST").header(header::CONTENT_LENGTH, parcel.content.bytes());
        if !has("Content-Type") {
            request = request.header(header::CONTENT_TYPE, parcel.content_type);
        }
        if !has("Idempotency-Key") && !parcel.idempotency_key.is_empty() {
            request = request.header("Idempotency-Key", &parcel.idempotency_key);
        }
        let mut content = parcel.content.reader();
        self.agent.run(request.body(SendBody::from_reader(&mut content))?)
    }

    /// Sends content that is not in memory with our own client, on a separate connection: it
    /// watches both directions, so it sees an early refusal of a large body before all is sent.
    fn deliver_large(&self, parcel: &OutgoingRequest<'_>) -> Result<(), AttemptError> {
        let mut options = self.options.client.clone();
        options.set_stall_timeout(self.options.timeout);
        let mut fields = vec![("Content-Type", parcel.content_type.to_owned())];
        if !parcel.idempotency_key.is_empty() {
            fields.push(("Idempotency-Key", parcel.idempotency_key.clone()));
        }
        let single = SingleRequest {
            method: "POST",
            url: &self.url,
            fields,
            content: parcel.content.part().map_err(AttemptError::local)?,
            bytes: parcel.content.bytes(),
            is_held_back: false,
        };
        let response = single::send(single, &options).map_err(Failure::from)?;
        let status = response.status();
        if self.options.success.contains(&status) && !response.is_early() {
            return Ok(());
        }
        let field = |name| response.text(name).map(str::to_owned);
        let (asked, place) = (field("Retry-After"), field("Location"));
        let mut said = Vec::new();
        let _ = response.into_body().take(SAID_MAX_BYTES as u64).read_to_end(&mut said);
        Err(refusal(status, asked.as_deref(), place, &said))
    }

    fn request(&self, method: &str) -> ureq::http::request::Builder {
        let options = &self.options.client;
        let mut request = Request::builder().method(method).uri(self.url.to_string());
        for (name, value) in &options.fields {
            request = request.header(name, value);
        }
        if let Some(credentials) = &self.url.credentials
            && !options.has_field("Authorization")
        {
            let basic = format!("Basic {}", STANDARD.encode(credentials));
            request = request.header(header::AUTHORIZATION, basic);
        }
        request
    }

    /// Reads the rest of a response, so that the connection can be reused. Returns its beginning.
    fn finish_attempt(&mut self, mut response: Response<Body>) -> Vec<u8> {
        let keeps = keeps_alive(&response);
        let mut said = Vec::new();
        let mut body = response.body_mut().as_reader().take(ANSWER_MAX_BYTES);
        self.warm = body.read_to_end(&mut said).is_ok() && keeps;
        said.truncate(SAID_MAX_BYTES);
        said
    }

    fn refused(&mut self, status: u16, response: Response<Body>) -> AttemptError {
        let field = |name| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (asked, place) = (field(header::RETRY_AFTER), field(header::LOCATION));
        let said = self.finish_attempt(response);
        refusal(status, asked.as_deref(), place, &said)
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "ureq adds to its errors; the others speak for themselves"
    )]
    fn attempt_failed(&self, error: ureq::Error) -> AttemptError {
        let why = match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                format!("no connection within {:?}", self.options.client.connect_timeout)
            }
            ureq::Error::Timeout(_) => format!("nothing within {:?}", self.options.timeout),
            ureq::Error::Io(error) => explain(&error),
            ureq::Error::HostNotFound => "no such host".into(),
            other => other.to_string(),
        };
        // A query may contain a secret, and this text ends up in logs and dead letters.
        let url = self.url.to_string();
        let place = url.split('?').next().unwrap_or_default();
        AttemptError::network(format!("{place}: {why}"))
    }
}

/// Whether the connection can be reused (RFC 9112, section 9.3).
fn keeps_alive<B>(response: &Response<B>) -> bool {
    let lines = response.headers().get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes);
    let close = lines.flat_map(members).any(|option| option.eq_ignore_ascii_case(b"close"));
    !close && response.version() >= Version::HTTP_11
}

/// Converts an unsuccessful response: its status, `Retry-After`, `Location` and the start of its
/// body.
fn refusal(status: u16, asked: Option<&str>, place: Option<String>, said: &[u8]) -> AttemptError {
    let answered = match reason(status) {
        "" => format!("the server answered {status}"),
        reason => format!("the server answered {status} ({reason})"),
    };
    let said = String::from_utf8_lossy(said);
    let why = match place.filter(|_| matches!(status, 300..=399)) {
        Some(place) => format!("{answered}; it names another URL, {place}, to be used instead"),
        None if said.trim().is_empty() => answered,
        None => format!("{answered}: {}", printable(said.trim())),
    };
    let now = Timestamp::now().as_second();
    let retry_after = asked.and_then(|asked| retry::retry_after(asked, now));
    let is_final = retry::is_final(status);
    AttemptError { status: Some(status), exit: Exit::Refused, why, retry_after, is_final }
}

fn unusable(error: &ureq::http::Error) -> AttemptError {
    AttemptError { is_final: true, ..AttemptError::network(error.to_string()) }
}

/// Returns the text of an error of the system or TLS, worded as in the other clients.
fn explain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.map_or_else(|| error.to_string(), tls::explain)
}

/// Whether an established connection ended before the response.
fn is_lost(error: &ureq::Error) -> bool {
    let ureq::Error::Io(error) = error else { return false };
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_kept_unless_a_member_of_connection_is_close() {
        for (name, version, lines, keeps) in [
            ("nothing is said", Version::HTTP_11, &[][..], true),
            ("close", Version::HTTP_11, &["close"], false),
            ("in capitals", Version::HTTP_11, &["Close"], false),
            ("among others", Version::HTTP_11, &["X-A, close ,"], false),
            ("on a second line", Version::HTTP_11, &["X-A", "close"], false),
            ("something like it", Version::HTTP_11, &["closed"], true),
            ("an older version", Version::HTTP_10, &[], false),
        ] {
            let mut response = Response::builder().version(version);
            for line in lines {
                response = response.header("Connection", *line);
            }
            assert_eq!(keeps_alive(&response.body(()).unwrap()), keeps, "{name}");
        }
    }
}
