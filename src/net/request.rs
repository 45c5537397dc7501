//! Bytes -> head -> route -> act. A request is read through one shared buffer; only what is left
//! over, or a head that is not whole yet, stays with its connection.

use super::admin::Realm;
use super::conn::{After, JsonBody, Phase, Purpose, Reply};
use super::relay::{Mode, Relay};
use super::sockopt;
use super::token::ConnId;
use crate::api::{Audience, Busy, Failure, Route, Upload, route};
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use crate::http::head::{self, Expect, FieldSlots, RequestHead};
use crate::http::response::CONTINUE;
use crate::rendezvous::{Connected, Side};
use crate::splice::copy;
use serde_json::json;
use uuid::Uuid;

/// The first read of a head, in bytes: enough for what command-line clients send, and little
/// enough that the beginning of a body that comes with it does not weigh on a waiting stream.
const FIRST_READ: usize = 512;

/// The same where bodies are wanted: enough for most of them, too.
const FIRST_READ_OF_PUSHES: usize = 4096;

/// Pipelined requests served in one turn before others have theirs.
const REQUESTS_PER_TURN: usize = 16;

/// A request as far as it has come.
#[derive(Clone, Copy)]
pub(super) struct Request<'r, 'b> {
    pub head: &'r RequestHead<'r, 'b>,
    /// The bytes that came behind its head.
    pub behind: &'r [u8],
}

/// What reading a head led to.
enum Reading {
    /// A whole request was acted upon.
    Acted,
    /// More bytes have to come first.
    Blocked,
}

impl Relay {
    /// Reads and acts upon requests while there are any.
    pub(super) fn read_requests(&mut self, id: ConnId) {
        for _ in 0..REQUESTS_PER_TURN {
            match self.read_request(id) {
                Reading::Acted => {}
                Reading::Blocked => return,
            }
            if !self.conn(id).is_some_and(|conn| matches!(conn.phase, Phase::Head)) {
                return;
            }
        }
        self.enqueue(id);
    }

    fn read_request(&mut self, id: ConnId) -> Reading {
        let Some(conn) = self.conn(id) else { return Reading::Blocked };
        let mut seen = conn.seen;
        let carried = std::mem::take(&mut conn.carry);
        let mut buffer = if carried.is_empty() { std::mem::take(&mut self.spare) } else { carried };
        loop {
            if head::worth_parsing(&buffer, seen, &self.head_limits) && !buffer.is_empty() {
                let mut slots = FieldSlots::new();
                match head::parse(&buffer, &mut slots, &self.head_limits) {
                    Ok(Some(head)) => {
                        let behind = &buffer[head.len..];
                        let used = self.act(id, Request { head: &head, behind }) + head.len;
                        self.put_back(id, buffer, used, 0);
                        return Reading::Acted;
                    }
                    Ok(None) => {}
                    Err(reject) => {
                        self.put_back(id, Vec::new(), 0, 0);
                        self.refuse_unread(id, &Failure::Rejected(reject));
                        return Reading::Blocked;
                    }
                }
            }
            seen = buffer.len();
            if !self.read_more(id, &mut buffer) {
                self.await_rest_of_head(id, !buffer.is_empty());
                self.put_back(id, buffer, 0, seen);
                return Reading::Blocked;
            }
        }
    }

    /// Reads more of a head; whether there was any.
    fn read_more(&mut self, id: ConnId, buffer: &mut Vec<u8>) -> bool {
        let first = if self.intake.is_some() { FIRST_READ_OF_PUSHES } else { FIRST_READ };
        let Some(conn) = self.conn(id) else { return false };
        if !conn.readable {
            return false;
        }
        let filled = buffer.len();
        buffer.resize(filled + first.max(filled), 0);
        let asked = buffer.len() - filled;
        let result = copy::read(&conn.socket, &mut buffer[filled..]);
        let count = if let Ok(copy::Read::Moved(count)) = result { count } else { 0 };
        buffer.truncate(filled + count);
        if count < asked {
            conn.drained_of_input();
        }
        match result {
            Ok(copy::Read::Moved(_)) => true,
            Ok(copy::Read::Blocked) => {
                conn.readable = false;
                false
            }
            Ok(copy::Read::Eof) | Err(_) => {
                self.close(id);
                false
            }
        }
    }

    /// The time a head may take runs from its first byte.
    fn await_rest_of_head(&mut self, id: ConnId, begun: bool) {
        let patience = self.settings.header_timeout;
        if begun && self.conn(id).is_some_and(|conn| conn.seen == 0) {
            self.set_deadline(id, patience);
        }
    }

    /// Keeps what was not used of a buffer with the connection, and the buffer for the next head.
    fn put_back(&mut self, id: ConnId, mut buffer: Vec<u8>, used: usize, seen: usize) {
        if let Some(conn) = self.conn(id) {
            conn.seen = seen;
            if used < buffer.len() {
                conn.carry = buffer[used..].to_vec();
            }
        }
        buffer.clear();
        if buffer.capacity() >= self.spare.capacity() && buffer.capacity() <= 8 * FIRST_READ {
            self.spare = buffer;
        }
    }

    /// Acts upon a request; returns how many of the bytes behind its head are used up.
    fn act(&mut self, id: ConnId, request: Request<'_, '_>) -> usize {
        let head = request.head;
        let route = route(head, self.audience(id, head.path));
        let Some(conn) = self.conn(id) else { return 0 };
        conn.reply = Reply::to(head);
        conn.counts_as = Some(route.name());
        if let Err(failure) = self.note_request(id, head) {
            return self.refuse(id, request, &failure);
        }
        if let Some(failure) = self.begin_request(id) {
            return self.refuse(id, request, &failure);
        }
        if head.expect == Expect::Unknown {
            return self.refuse(id, request, &Failure::ExpectationFailed);
        }
        self.note_route(id, &route);
        match route {
            Route::Push => self.begin_push(id, request),
            Route::Attach => self.attach(id, request),
            Route::Spare => self.bring_spare(id, request),
            Route::Call { callee, rest } => self.call(id, callee, rest, request),
            Route::Create => self.read_json(id, request, Purpose::Create),
            Route::Report(Some(stream)) => self.read_json(id, request, Purpose::Report(stream)),
            Route::Source(Some(stream), name) => self.be_source(id, stream, name, request),
            Route::Destination(Some(stream)) => self.be_destination(id, stream, request),
            Route::Ping
            | Route::Health
            | Route::Readiness
            | Route::State
            | Route::Metrics
            | Route::Control(_)
            | Route::Version
            | Route::Options(_)
            | Route::List { .. }
            | Route::Status(_)
            | Route::Events(_)
            | Route::Exists(_)
            | Route::Delete(_)
            | Route::Agents
            | Route::AgentEvents
            | Route::NotAllowed(_)
            | Route::Nothing
            | Route::Tunnel
            | Route::Report(None)
            | Route::Source(None, _)
            | Route::Destination(None) => {
                let (used, read) = request.without_body();
                self.answer_at_once(id, route, head, read);
                used
            }
        }
    }

    /// Whose request it is.
    fn audience(&mut self, id: ConnId, path: &str) -> Audience {
        let lists = !self.admin.configured;
        let senders = self.intake.as_ref().map(|intake| intake.path(path));
        match self.conn(id).map(|conn| conn.realm) {
            Some(Realm::Admin) => Audience::Operators,
            Some(Realm::Agents) => Audience::Agents,
            Some(Realm::Public | Realm::Api) | None => match senders {
                Some((here, compat)) => Audience::Senders { here, compat },
                None => Audience::Public { lists },
            },
        }
    }

    /// The routes that need neither a body nor a meeting.
    fn answer_at_once(
        &mut self,
        id: ConnId,
        route: Route<'_>,
        head: &RequestHead<'_, '_>,
        read: bool,
    ) {
        match route {
            Route::Ping => self.answer_text(id, "pong", read),
            Route::Health => self.answer_health(id, read),
            Route::Readiness => self.answer_readiness(id, read),
            Route::State => self.answer_state(id, read),
            Route::Control(control) => self.control(id, control, read),
            Route::Metrics => self.answer_metrics(id, head, read),
            Route::Version => self.answer_json(id, 200, &version(), read),
            Route::Options(allow) => self.answer_allow(id, allow, read),
            Route::List { active_only } => self.list(id, active_only, head, read),
            Route::Status(stream) => match stream.and_then(|stream| self.fresh_status(stream)) {
                Some(object) => self.answer_json(id, 200, &object, read),
                None => self.answer_failure(id, &Failure::SessionNotFound, read),
            },
            Route::Events(Some(stream)) => self.follow_events(id, stream, read),
            Route::Exists(stream) => match stream.and_then(|s| self.registry.get(s)) {
                Some(stream) if stream.is_active() => self.answer_empty(id, 200, read),
                Some(_) | None => self.answer_failure(id, &Failure::SessionNotFound, read),
            },
            Route::Delete(Some(stream)) => self.delete(id, stream, read),
            Route::NotAllowed(allow) => {
                self.answer_failure(id, &Failure::MethodNotAllowed(allow), read);
            }
            Route::Nothing => self.answer_failure(id, &Failure::BadRoute, read),
            Route::Agents => self.list_agents(id, head, read),
            Route::AgentEvents => self.watch_agents(id, head, read),
            Route::Tunnel => self.answer_failure(id, &Failure::NoTunnel, read),
            Route::Create
            | Route::Push
            | Route::Attach
            | Route::Spare
            | Route::Call { .. }
            | Route::Report(_)
            | Route::Source(..)
            | Route::Destination(_)
            | Route::Events(None)
            | Route::Delete(None) => self.answer_failure(id, &Failure::SessionNotFound, read),
        }
    }

    pub(super) fn refuse(
        &mut self,
        id: ConnId,
        request: Request<'_, '_>,
        failure: &Failure,
    ) -> usize {
        let (used, read) = request.without_body();
        self.answer_failure(id, failure, read);
        used
    }

    /// Refuses a request that could not be understood: the connection ends.
    pub(super) fn refuse_unread(&mut self, id: ConnId, failure: &Failure) {
        let Some(conn) = self.conn(id) else { return };
        conn.reply = Reply::UNKNOWN;
        conn.carry = Vec::new();
        self.note_unread(id);
        self.answer_failure(id, failure, false);
    }

    fn read_json(&mut self, id: ConnId, request: Request<'_, '_>, purpose: Purpose) -> usize {
        let Request { head, behind } = request;
        let limit = self.settings.max_json_body;
        if matches!(head.framing, Framing::Length(bytes) if bytes > limit as u64) {
            return self.refuse(id, request, &Failure::BodyTooLarge(limit));
        }
        let decoder = BodyDecoder::new(head.framing);
        let body = JsonBody { purpose, decoder, collected: Vec::new() };
        let patience = self.settings.header_timeout;
        let Some(conn) = self.conn(id) else { return 0 };
        let invited = head.expect == Expect::Continue && !body.decoder.is_over();
        conn.phase = Phase::Json(Box::new(body));
        if invited {
            self.invite(id, behind);
        }
        self.set_deadline(id, patience);
        let used = self.take_json(id, behind);
        if self.conn(id).is_some_and(|conn| matches!(conn.phase, Phase::Json(_))) {
            self.enqueue(id);
        }
        used
    }

    /// Has a patient client send its body, unless it has begun to.
    pub(super) fn invite(&mut self, id: ConnId, behind: &[u8]) {
        if let Some(conn) = self.conn(id)
            && behind.is_empty()
            && sockopt::unread_bytes(&conn.socket) == 0
        {
            conn.output.buffer().extend_from_slice(CONTINUE);
            self.flush(id);
        }
    }

    fn be_source(
        &mut self,
        id: ConnId,
        stream: Uuid,
        name: Option<&str>,
        request: Request<'_, '_>,
    ) -> usize {
        let Request { head, behind } = request;
        if let Some(failure) = self.too_busy() {
            return self.refuse(id, request, &failure);
        }
        let met = self.registry.connect(stream, Side::Source, id.client(), self.now);
        if let Some(failure) = self.end_if_too_large(&met, head.framing) {
            return self.refuse(id, request, &failure);
        }
        match met {
            Connected::Waits(stream) => {
                let upload = Some(Box::new(Upload::new(head, name)));
                self.wait(id, stream, upload);
                0
            }
            Connected::Paired { stream, other } => {
                let upload = Box::new(Upload::new(head, name));
                if let Some(conn) = self.conn(id) {
                    conn.carry = behind.to_vec();
                }
                self.begin(stream, id, ConnId::from_client(other), upload);
                behind.len()
            }
            refused @ (Connected::Occupied | Connected::Unknown | Connected::Reported(_)) => {
                self.refuse(id, request, &refusal(refused, Side::Source))
            }
        }
    }

    fn be_destination(&mut self, id: ConnId, stream: Uuid, request: Request<'_, '_>) -> usize {
        if let Some(failure) = self.too_busy() {
            return self.refuse(id, request, &failure);
        }
        let (used, read) = request.without_body();
        if !read {
            // It has to be dropped before the next request, which cannot be waited for.
            if let Some(conn) = self.conn(id) {
                conn.reply.after = After::Linger;
            }
        }
        match self.registry.connect(stream, Side::Destination, id.client(), self.now) {
            Connected::Waits(stream) => self.wait(id, stream, None),
            Connected::Paired { stream, other } => {
                let source = ConnId::from_client(other);
                let phase =
                    self.conn(source).map(|conn| std::mem::replace(&mut conn.phase, Phase::Head));
                if let Some(Phase::Waiting { upload: Some(upload), .. }) = phase {
                    self.begin(stream, source, id, upload);
                }
            }
            refused @ (Connected::Occupied | Connected::Unknown | Connected::Reported(_)) => {
                self.answer_failure(id, &refusal(refused, Side::Destination), read);
            }
        }
        used
    }

    /// Why no stream may be made now.
    pub(super) fn takes_no_streams(&self) -> Option<Failure> {
        match self.mode {
            Mode::Serving => None,
            Mode::Suspended => Some(Failure::TooBusy(Busy::Suspended)),
            Mode::Draining | Mode::HandedOver => self.too_busy(),
        }
    }

    /// Why no stream may be joined now.
    pub(super) fn too_busy(&self) -> Option<Failure> {
        match self.mode {
            Mode::Serving | Mode::Suspended => None,
            Mode::Draining => Some(Failure::TooBusy(Busy::Stopping)),
            Mode::HandedOver => Some(Failure::TooBusy(Busy::Replaced)),
        }
    }
}

impl Request<'_, '_> {
    /// Whether the whole body came with the head, and says so before it begins.
    pub fn body_is_here(self) -> bool {
        matches!(self.head.framing, Framing::Length(bytes) if bytes <= self.behind.len() as u64)
    }

    /// How many of the bytes behind the head belong to a body that nobody wants, and whether that
    /// is all of it.
    fn without_body(self) -> (usize, bool) {
        let mut decoder = BodyDecoder::new(self.head.framing);
        let used = decoder.received(self.behind, &mut Vec::new()).unwrap_or(self.behind.len());
        (used, decoder.is_over())
    }
}

fn refusal(refused: Connected, side: Side) -> Failure {
    match refused {
        Connected::Occupied => Failure::AlreadyConnected(side),
        Connected::Reported(report) => Failure::Reported(report),
        Connected::Unknown | Connected::Waits(_) | Connected::Paired { .. } => {
            Failure::SessionNotFound
        }
    }
}

fn version() -> serde_json::Value {
    let mut version =
        json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    if let Some(revision) = option_env!("RDV_REVISION") {
        version["revision"] = revision.into();
    }
    version
}

impl Relay {
    /// A head that does not come to an end is refused when its time is over.
    pub(super) fn head_timed_out(&mut self, id: ConnId) {
        let idle = self.conn(id).is_none_or(|conn| conn.carry.is_empty());
        if idle {
            self.close(id);
        } else {
            self.refuse_unread(
                id,
                &Failure::RequestTimeout("The request head did not come in time"),
            );
        }
    }
}
