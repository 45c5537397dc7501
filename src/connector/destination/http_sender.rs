//! One attempt: sends a record to a server as one request, and keeps the connection for the next.

use super::delivery::AttemptError;
use super::options::DestinationOptions;
use super::outgoing_request::OutgoingRequest;
use super::retry;
use crate::client::commands::{Exit, Failure};
use crate::client::file_name::printable;
use crate::client::session::{SendError, Session};
use crate::client::single::{self, SingleRequest};
use crate::client::{Error, Part, Response, Url};
use crate::http::response::reason;
use crate::ops::cause;
use jiff::Timestamp;
use std::io;
use std::sync::Arc;

/// The status of a server that does not implement HEAD (RFC 9110, section 15.6.2).
const NOT_IMPLEMENTED: u16 = 501;

/// Maximum bytes of an error response to show.
const SAID_MAX_BYTES: usize = 200;

/// Why a 2xx is not a delivery: the server did not read all of the record.
const EARLY: &str = "; it was sent before the request was received completely";

/// Why a 2xx is not a delivery: the user expects another one.
const UNLISTED: &str = "; it is not one of the --success statuses";

/// Sends records to one URL, one after the other.
#[derive(Debug)]
pub(super) struct HttpSender {
    url: Url,
    options: Arc<DestinationOptions>,
    session: Session,
}

impl HttpSender {
    /// Creates a sender with a connection of its own, which is opened for the first record.
    ///
    /// # Errors
    /// [`Error::Input`] if the proxy or the authorities are unusable.
    pub(super) fn new(url: Url, options: Arc<DestinationOptions>) -> Result<Self, Error> {
        options.client.check(&url)?;
        let session = Session::new(options.client.clone(), options.timeout);
        Ok(Self { url, options, session })
    }

    /// Checks with HEAD that the server is reachable. Any status below 500 counts as success, and
    /// 501, because not every server implements HEAD.
    pub(super) fn ping(&mut self) -> Result<(), AttemptError> {
        let content = Part::from(io::empty());
        let (url, fields) = (&self.url, Vec::new());
        let head =
            SingleRequest { method: "HEAD", url, fields, content, bytes: 0, is_held_back: false };
        let response =
            self.session.send(head).map_err(|failed| self.attempt_failed(failed.error))?;
        let status = response.status();
        if status >= 500 && status != NOT_IMPLEMENTED {
            return Err(self.refused(response));
        }
        self.session.finish(response, 0);
        Ok(())
    }

    /// Sends a record, and returns success once the server has it. The server may close a kept
    /// connection at any time, so if one fails the same attempt continues on a new one.
    pub(super) fn deliver(&mut self, request: &OutgoingRequest<'_>) -> Result<(), AttemptError> {
        let response = if request.content.is_small() {
            match self.post(request)? {
                Err(SendError { may_repeat: true, .. }) => self.post(request)?,
                sent => sent,
            }
        } else {
            self.post_large(request)?
        };
        let response = response.map_err(|failed| self.attempt_failed(failed.error))?;
        if response.is_early() || !self.options.is_success(response.status()) {
            return Err(self.refused(response));
        }
        // The status confirms that the server has the record, even if the rest of the response
        // fails.
        self.session.finish(response, 0);
        Ok(())
    }

    fn post(
        &mut self,
        request: &OutgoingRequest<'_>,
    ) -> Result<Result<Response, SendError>, AttemptError> {
        let single = single(&self.url, request).map_err(AttemptError::local)?;
        Ok(self.session.send(single))
    }

    /// Sends content that is not in memory on a separate connection, without a limit of its time
    /// while it moves.
    fn post_large(
        &self,
        request: &OutgoingRequest<'_>,
    ) -> Result<Result<Response, SendError>, AttemptError> {
        let mut options = self.options.client.clone();
        options.set_stall_timeout(self.options.timeout);
        let single = single(&self.url, request).map_err(AttemptError::local)?;
        let sent = single::send(single, &options);
        Ok(sent.map_err(|error| SendError { error, may_repeat: false }))
    }

    fn refused(&mut self, response: Response) -> AttemptError {
        let (status, is_early) = (response.status(), response.is_early());
        let field = |name| response.text(name).map(str::to_owned);
        let (asked, place) = (field("Retry-After"), field("Location"));
        let said = self.session.finish(response, SAID_MAX_BYTES);
        let mut refusal = refusal(status, asked.as_deref(), place, &said);
        if matches!(status, 200..=299) {
            // Otherwise the message would read like a success.
            refusal.why += if is_early { EARLY } else { UNLISTED };
        }
        refusal
    }

    fn attempt_failed(&self, error: Error) -> AttemptError {
        let Error::Network { doing, source } = error else { return Failure::from(error).into() };
        // A query may contain a secret, and this text ends up in logs and dead letters.
        let url = self.url.to_string();
        let place = url.split('?').next().unwrap_or_default();
        AttemptError::network(format!("{place}: {doing}: {}", cause(&source)))
    }
}

/// Returns the request that sends this content.
fn single<'r>(url: &'r Url, request: &'r OutgoingRequest<'_>) -> io::Result<SingleRequest<'r>> {
    let mut fields = vec![("Content-Type", request.content_type.to_owned())];
    fields.extend(request.content_encoding.map(|coding| ("Content-Encoding", coding.to_owned())));
    if !request.idempotency_key.is_empty() {
        fields.push(("Idempotency-Key", request.idempotency_key.clone()));
    }
    Ok(SingleRequest {
        method: "POST",
        url,
        fields,
        content: request.content.part()?,
        bytes: request.content.bytes(),
        is_held_back: false,
    })
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
