//! An agent's request to the API attached to the relay: one connection for each, opened without
//! blocking.

use super::agent::Waiter;
use super::role::{AgentRole, release};
use super::sessions::Sessions;
use crate::api::forward::{self, BodyCarrier, Forwarding};
use crate::api::{Busy, ERROR_FIELD, Failure};
use crate::http::answer_reader::AnswerReader;
use crate::http::body::BodyDecoder;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::http::framing::Framing;
use crate::http::head::{self, FieldSlots, HeadLimits, Method};
use crate::http::response::HeadWriter;
use crate::mux::frame::{CancelReason, HEAD_MAX_BYTES};
use crate::mux::text::{add_field, has_field};
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, ListenerKind, Output, Slot};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;

const LIMITS: HeadLimits = HeadLimits { bytes: HEAD_MAX_BYTES, target_bytes: HEAD_MAX_BYTES / 2 };

/// The API's connection ended too early.
pub(super) const BROKE_OFF: Failure =
    Failure::AgentBroke("the API of this relay is unreachable or closed the connection");

/// An agent's request on its way to the relay's API, and the answer on its way back.
#[derive(Debug)]
pub(super) struct ApiRequest {
    /// The connection to the API.
    pub id: ConnId,
    /// The agent, which outlives its request.
    pub agent: Slot,
    pub number: u32,
    pub method: Method,
    pub correlation_id: Box<str>,
    /// The body of the request is sent in chunks.
    chunked: bool,
    /// Remaining bytes of the request's body, if its head declared a length.
    left: Option<u64>,
    /// Bytes of the request's body that wait to be sent.
    unsent: usize,
    /// The API stopped reading the request, so the answer alone does not end its connection.
    pub broke: bool,
    /// Reads the head of the answer.
    pub reader: AnswerReader,
    /// What remains of the answer, once its head was read.
    pub answer: Option<RemainingAnswer>,
}

/// How the rest of an answer ends.
#[derive(Debug)]
pub(super) enum RemainingAnswer {
    /// As its framing declares.
    Framed(BodyDecoder),
    /// With its connection.
    UntilClose,
}

/// All requests of agents to the relay's API.
#[derive(Debug, Default)]
pub(super) struct ApiRequests {
    pub(super) all: Slab<ApiRequest>,
}

impl ApiRequests {
    /// Begins an agent's request.
    pub fn begin(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        (agent, number): (Slot, u32),
        head: &[u8],
        over: bool,
    ) {
        if let Err(failure) = self.try_begin(io, sessions, (agent, number), head, over) {
            refuse(io, sessions, agent, number, &failure);
            // The rest of the request is not wanted: no connection would take it.
            sessions.cancel(io, agent, number, CancelReason::Done);
        }
    }

    fn try_begin(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        (agent, number): (Slot, u32),
        head: &[u8],
        over: bool,
    ) -> Result<(), Failure> {
        let address = io.settings.sockets.socket_api.ok_or(Failure::NoSuchApi)?;
        // A draining relay waits for requests in progress.
        if io.mode.is_ending() {
            return Err(Failure::TooBusy(Busy::Stopping));
        }
        if io.conns.served() + io.served_elsewhere() >= io.max_connections {
            return Err(Failure::TooBusy(Busy::Connections));
        }
        let mut head = head.to_vec();
        if !over && !has_field(&head, "Content-Length") && !has_field(&head, "Transfer-Encoding") {
            add_field(&mut head, "Transfer-Encoding", "chunked");
        }
        let mut slots = FieldSlots::new();
        let parsed = head::parse(&head, &mut slots, &LIMITS).map_err(Failure::Rejected)?;
        let parsed = parsed.ok_or(Failure::BodyBroken)?;
        if over && parsed.framing != Framing::Length(0) {
            return Err(Failure::BodyBroken);
        }
        let minted = sessions.ids.make()?.to_string();
        let correlation_id = forward::correlation_id(&parsed).unwrap_or(&minted);
        let to = Forwarding {
            rest: parsed.target,
            prefix: "",
            peer: sessions[agent].peer.ip(),
            scheme: io.conns[sessions[agent].conn].scheme(),
            trusted: false,
            underscores: io.settings.sockets.pass_underscores,
            authorized: true,
            correlation_id,
            request_id: None,
            body: BodyCarrier::Http1,
            upgrade: None,
        };
        let mut request = Vec::with_capacity(512);
        forward::request(&parsed, &to, &mut request);
        let socket = dial(address);
        let id = socket.and_then(|socket| io.conns.insert(socket, address, ListenerKind::Api));
        let id = id.map_err(|_| UNREACHABLE)?;
        let conn = &mut io.conns[id];
        // Not writable until connected.
        conn.writable = false;
        conn.counts_as = None;
        conn.output.buffer().append(&mut request);
        let request = ApiRequest {
            id,
            agent,
            number,
            method: parsed.method,
            correlation_id: correlation_id.into(),
            chunked: parsed.framing == Framing::Chunked,
            left: match parsed.framing {
                Framing::Length(bytes) => Some(bytes),
                Framing::Chunked => None,
            },
            unsent: 0,
            broke: false,
            reader: AnswerReader::default(),
            answer: None,
        };
        let slot = Slot::new(self.all.insert(request));
        AgentRole::ApiRequest(slot).give(io, id);
        sessions.await_exchange(agent, number, id, Waiter::ApiRequest(slot));
        io.set_timeout(id, io.settings.sockets.agent_timeout);
        Ok(())
    }

    /// Forwards more of an agent's request.
    pub fn more(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        bytes: &[u8],
        over: bool,
    ) {
        let request = &mut self.all[slot.key()];
        if let Some(left) = &mut request.left {
            // Bytes beyond the declared length would be parsed as another request, one that the
            // agent controls to the last byte.
            match left.checked_sub(bytes.len() as u64) {
                Some(rest) if rest == 0 || !over => *left = rest,
                Some(_) | None => return self.fail(io, sessions, slot, &Failure::BodyBroken),
            }
        }
        let buffer = io.conns[request.id].output.buffer();
        write_framed(buffer, bytes, request.chunked);
        if request.chunked && over {
            buffer.extend_from_slice(LAST_CHUNK);
        }
        request.unsent += bytes.len();
        if request.answer.is_none() {
            io.set_timeout(request.id, io.settings.sockets.agent_timeout);
        }
        io.conns.enqueue(request.id);
    }

    /// Handles an event on the connection to the relay's API.
    pub fn ready(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let request = &mut self.all[slot.key()];
        let ApiRequest { id, agent, number, .. } = *request;
        if io.conns.flush(id) == Flushed::Failed {
            // The API takes no more of the request, but may have answered before, so its answer is
            // read to the end.
            request.broke = true;
            let conn = &mut io.conns[id];
            conn.output = Output::default();
            conn.writable = false;
            conn.readable = true;
        }
        let unsent = request.unsent.min(io.conns[id].output.rest().len());
        let taken = request.unsent - unsent;
        request.unsent = unsent;
        if taken > 0 {
            sessions.used(io, agent, number, taken);
        }
        self.read_answer(io, sessions, slot);
        sessions.push(io, agent);
    }

    /// Ends a request whose answer did not begin, or did not continue, in time.
    pub fn timeout(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        self.fail(io, sessions, slot, &Failure::AgentTimeout);
    }

    /// Fails a request whose answer cannot continue.
    pub fn fail(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot, failure: &Failure) {
        let ApiRequest { agent, number, ref answer, .. } = self.all[slot.key()];
        if answer.is_none() {
            refuse(io, sessions, agent, number, failure);
        } else {
            let why = CancelReason::Broke(failure.message().into_owned());
            sessions.cancel(io, agent, number, why);
        }
        self.end(io, sessions, slot);
    }

    /// Ends a request whose answer is over; the rest of the request is not wanted.
    pub(super) fn end(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let ApiRequest { agent, number, .. } = self.all[slot.key()];
        // An exchange still open has request bytes to be received or to be sent on.
        sessions.cancel(io, agent, number, CancelReason::Done);
        self.drop(io, slot);
    }

    /// Drops a request that has no waiter any more.
    pub fn drop(&mut self, io: &mut Io, slot: Slot) {
        let ApiRequest { id, .. } = self.all.remove(slot.key());
        release(io, id);
        io.conns.close(id, CloseMode::Orderly);
    }

    /// Handles a connection to the API that closed before its answer was complete.
    pub fn closed(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        self.fail(io, sessions, slot, &BROKE_OFF);
    }
}

const UNREACHABLE: Failure = Failure::AgentBroke("the API of this relay cannot be reached");

/// Answers an agent's request with a failure.
fn refuse(io: &mut Io, sessions: &mut Sessions, agent: Slot, number: u32, failure: &Failure) {
    let body = failure.body(false);
    let mut head = Vec::with_capacity(256);
    HeadWriter::new(&mut head, failure.status(), &io.date)
        .field(ERROR_FIELD, failure.field_value().as_bytes())
        .field("Content-Type", b"application/json")
        .content_length(body.len() as u64)
        .end();
    sessions[agent].session.respond_whole(number, &head, body.as_bytes());
    sessions.finish(io, agent, number);
}

/// Begins to connect; the socket becomes writable once connected.
fn dial(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}
