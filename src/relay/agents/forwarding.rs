//! A client's request before it is sent to an agent: whether the agent can be called, and the
//! request head that the agent receives.

use super::sessions::Sessions;
use crate::api::forward::{self, BodyCarrier, Forwarding, Upgrade};
use crate::api::permission::Scope;
use crate::api::{Busy, Callee, Failure};
use crate::http::credentials::PROXY_AUTHORIZATION;
use crate::http::framing::Framing;
use crate::http::head::{FIELDS_MAX, Method};
use crate::http::reject::Reject;
use crate::mux::handshake::Dialect;
use crate::mux::session::TEXT_MAX_BYTES;
use crate::relay::http1::{Request, too_busy};
use crate::relay::io::{ConnId, Io, Note, Slot};

/// Fields added to a request: its origin, and the correlation id.
const FIELDS_ADDED: usize = 8;

/// A request to be sent to an agent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub method: Method,
    /// The correlation id.
    pub correlation_id: Box<str>,
    /// The path that names the agent, if the answer shares the relay's origin.
    pub prefix: Option<Box<str>>,
    /// The head that the agent receives.
    pub head: Vec<u8>,
    /// The upgrade that it offers.
    pub upgrade: Option<Upgrade>,
}

/// Returns the correlation id of a request: the client's own, unless another pending request to the
/// same agent uses it.
pub(super) fn correlate(
    io: &Io,
    sessions: &mut Sessions,
    callee: Callee<'_>,
    request: Request<'_, '_>,
) -> Result<Box<str>, Failure> {
    let given = forward::correlation_id(request.head);
    let agent = sessions.callee(io, callee);
    let free = |id: &&str| agent.is_none_or(|agent| !sessions[agent].session.asks_as(id));
    match given.filter(free) {
        Some(given) => Ok(given.into()),
        None => Ok(sessions.ids.make()?.to_string().into()),
    }
}

/// Returns the agent that is called, if it accepts this request now.
pub(super) fn may_call(
    io: &Io,
    sessions: &Sessions,
    callee: Callee<'_>,
    request: Request<'_, '_>,
) -> Result<Slot, Failure> {
    let busy = too_busy(io);
    let Some(slot) = sessions.callee(io, callee) else {
        return Err(busy.unwrap_or(Failure::AgentNotFound));
    };
    if request.head.fields.iter().count() > FIELDS_MAX - FIELDS_ADDED {
        return Err(Failure::Rejected(Reject::TooManyFields));
    }
    let agent = &sessions[slot];
    let large =
        matches!(request.head.framing, Framing::Length(bytes) if bytes > TEXT_MAX_BYTES as u64);
    if agent.session.dialect() == Dialect::Text && large {
        return Err(Failure::CallTooLarge(TEXT_MAX_BYTES));
    }
    let most = io.settings.sockets.max_agent_requests;
    if agent.in_flight() >= most || sessions.is_backlogged(io, slot) {
        return Err(Failure::TooBusy(Busy::AgentRequests));
    }
    busy.map_or(Ok(slot), Err)
}

/// Returns the request head that the agent receives. `way`: the path that names the agent, the
/// target after it, and the correlation id.
pub(super) fn head(
    io: &Io,
    id: ConnId,
    request: Request<'_, '_>,
    (prefix, rest, correlation_id): (&str, &str, &str),
    (body, upgrade): (BodyCarrier, Option<&Upgrade>),
) -> Vec<u8> {
    let conn = &io.conns[id];
    let peer = conn.peer.ip();
    let ids = io.journal.request_ids.as_ref();
    let request_id = ids.zip(conn.note.as_deref().and_then(Note::id));
    let request_id = request_id.map(|(ids, id)| (ids.header(), id));
    let trusted = io.settings.trusts(peer) || io.settings.proxies.includes(peer);
    let underscores = io.settings.sockets.pass_underscores;
    let withheld = request.head.fields.get(PROXY_AUTHORIZATION).is_none()
        && io.settings.tokens.requires(Scope::Call);
    let to = Forwarding {
        rest,
        prefix,
        peer,
        scheme: conn.scheme(),
        trusted,
        underscores,
        authorized: !withheld,
        correlation_id,
        request_id,
        body,
        upgrade,
    };
    let mut head = Vec::with_capacity(512);
    forward::request(request.head, &to, &mut head);
    head
}

/// Returns the path that names an agent; empty if the host names it.
pub(super) fn prefix_of(callee: Callee<'_>) -> String {
    match callee {
        Callee::Name(name) => format!("/api/{name}"),
        Callee::Host(_) => String::new(),
        Callee::Connection(connection) => {
            format!("/socket/{}", connection.unwrap_or_default())
        }
    }
}
