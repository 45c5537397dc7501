//! One request to the API on one connection.

use super::answer::{self, AnswerBody, Exchange};
use super::pool::Pool;
use super::refusal::Refusal;
use super::sending::Sending;
use crate::api::forward::Upgrade;
use crate::client::connection::{Connection, Sent};
use crate::client::wire::Wire;
use crate::client::{self, Error};
use crate::http::answer::AnswerError;
use crate::socket::{Body, Cancellation, OnCancel};
use http::{Method, Response};
use std::sync::Arc;
use std::{fmt, io};

/// The requester that a request is served for: once it disconnects, the response is unwanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Requester<'a> {
    /// The peer of this connection.
    Connection(&'a Arc<Wire>),
    /// The peer of this WebSocket exchange.
    Exchange(&'a Cancellation),
}

/// One request, which may be retried.
pub(super) struct ApiRequest<'a> {
    pub(super) pool: &'a Arc<Pool>,
    pub(super) head: Vec<u8>,
    pub(super) method: Method,
    /// The upgrade that it offers.
    pub(super) upgrade: Option<Upgrade>,
    /// `None` once it is being sent.
    pub(super) body: Option<Body>,
    pub(super) asker: Option<Requester<'a>>,
}

impl ApiRequest<'_> {
    /// Sends the request on this connection and reads the head of the response.
    pub(super) fn on(
        &mut self,
        mut connection: Connection,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let is_head = self.method == Method::HEAD;
        connection.begin(is_head);
        let wire = connection.shared_wire();
        let on_cancel = self.watch(&mut connection);
        let begun = self.send(&mut connection).and_then(|sending| {
            let exchange = Exchange { sending, pool: Arc::clone(self.pool), on_cancel };
            let head = connection.head().map_err(|error| refusal(error, &connection, &exchange))?;
            let offered = self.upgrade.as_ref();
            let upgrades = offered.is_some_and(|upgrade| upgrade.is_accepted_by(&head));
            let response = client::Response::new(head, connection).map_err(invalid)?;
            answer::begin(response, is_head, upgrades, exchange)
        });
        // Stops the thread that sends the body.
        begun.inspect_err(|_| wire.end())
    }

    /// Ends the exchange once the requester disconnects, for as long as the returned hook exists.
    fn watch(&self, connection: &mut Connection) -> Option<OnCancel> {
        match self.asker? {
            Requester::Connection(requester) => {
                connection.read_on_behalf_of(Some(Arc::clone(requester)));
                None
            }
            Requester::Exchange(cancellation) => {
                let wire = connection.shared_wire();
                Some(cancellation.on_cancel(move || wire.end()))
            }
        }
    }

    fn send(&mut self, connection: &mut Connection) -> Result<Sending, Refusal> {
        let body = self.body.take().filter(|body| body.length_bytes() != Some(0));
        match (connection.send(&self.head, false), body) {
            (Ok(Sent::All), None) => Ok(Sending::nothing()),
            (Ok(Sent::All), Some(body)) => Sending::start(body, connection.shared_wire())
                .map_err(|error| Refusal::Broken(format!("cannot be sent a body now: {error}"))),
            // A server that closed the connection may have sent the reason first: it is read next.
            (Ok(Sent::Stopped) | Err(_), _) => Ok(Sending::default()),
        }
    }
}

/// Returns why there is no response.
fn refusal(error: Error, connection: &Connection, exchange: &Exchange) -> Refusal {
    if exchange.is_cancelled() {
        return Refusal::NobodyWaits;
    }
    if let Error::Network { source, .. } = &error
        && source.kind() == io::ErrorKind::ConnectionAborted
    {
        return Refusal::NobodyWaits;
    }
    if error.is_lost() && connection.is_unanswered() {
        return Refusal::Silent;
    }
    invalid(error)
}

/// Returns the refusal for a response that cannot be used.
fn invalid(error: Error) -> Refusal {
    let unanswered = |why: &dyn fmt::Display| format!("failed before its answer: {why}");
    Refusal::Broken(match error {
        Error::Network { source, .. } => unanswered(&source),
        Error::Answer(AnswerError::Incomplete) => "aborted its response".into(),
        Error::Answer(why) => format!("was not understood: {why}"),
        Error::Input(_)
        | Error::Truncated { .. }
        | Error::Local { .. }
        | Error::Size { .. }
        | Error::Answered(_) => unanswered(&error),
    })
}
