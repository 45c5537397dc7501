//! A client's request for an agent, through its WebSocket. The body goes on as it comes, as far as
//! the agent has room for it; what it has no room for stays in the client's socket.

use crate::api::forward::{self, Carrying, Forwarding};
use crate::api::{Busy, Callee, Failure};
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use crate::http::head::{Expect, FIELDS_MAX, Method};
use crate::http::reject::Reject;
use crate::mux::frame::{DATA_MAX_BYTES, Why};
use crate::mux::handshake::Dialect;
use crate::mux::session::TEXT_MAX_BYTES;
use crate::net::conn::{PeerEnd, Phase};
use crate::net::note::Note;
use crate::net::relay::Relay;
use crate::net::request::Request;
use crate::net::token::ConnId;
use crate::rendezvous::transfer::Delimiter;
use crate::splice::copy::{self, Read};
use std::time::Duration;
use uuid::Uuid;

/// How long agents of the text dialect may take to begin an answer: their own limit.
const TEXT_TIMEOUT: Duration = Duration::from_secs(10);

/// Fields that a request may get on its way: where it comes from, and what joins its answer to it.
const FIELDS_ADDED: usize = 8;

/// Bytes of one body that are read in one turn before others have theirs.
const TURN_BYTES: usize = 256 << 10;

/// A client's request that waits for an agent's answer, or is being answered.
#[derive(Debug)]
pub(in crate::net) struct Call {
    pub agent: ConnId,
    pub number: u32,
    pub method: Method,
    pub correlation_id: Box<str>,
    pub upload: BodyDecoder,
    pub answer: Option<Answer>,
}

/// An answer on its way to a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Answer {
    /// None: there is no body.
    pub delimiter: Option<Delimiter>,
    /// How many bytes of the body are to come, where the head told.
    pub left: Option<u64>,
    /// Bytes of the body that wait to be sent.
    pub unsent: usize,
}

impl Relay {
    /// `/api/:name/...` and `/socket/:id/...`; returns how many bytes behind the head are used up.
    pub(in crate::net) fn call(
        &mut self,
        id: ConnId,
        callee: Callee<'_>,
        rest: &str,
        request: Request<'_, '_>,
    ) -> usize {
        let correlation_id = self.correlate(callee, request);
        if let Some(conn) = self.conn(id) {
            conn.correlation_id = Some(correlation_id.as_str().into());
        }
        let agent = match self.may_call(callee, request) {
            Ok(agent) => agent,
            Err(failure) => return self.refuse(id, request, &failure),
        };
        let prefix = prefix_of(callee);
        let way = (prefix.as_str(), rest, correlation_id.as_str());
        let spare = self.take_spare(agent);
        let carrying = if spare.is_some() { Carrying::Http1 } else { Carrying::Frames };
        let head = self.forwarded(id, request, way, carrying);
        if !self.takes(agent, &head, request) {
            if let Some(spare) = spare {
                self.give_spare_back(spare, agent);
            }
            return self.refuse(id, request, &Failure::Rejected(Reject::HeadTooLong));
        }
        if let Some(agent) = self.agent(agent) {
            agent.requests += 1;
        }
        if let Some(spare) = spare {
            return self.carry(id, spare, (correlation_id.into(), head), request);
        }
        let call = Call {
            agent,
            number: 0,
            method: request.head.method,
            correlation_id: correlation_id.into(),
            upload: BodyDecoder::new(request.head.framing),
            answer: None,
        };
        self.begin_call(id, call, &head, request)
    }

    /// What joins the answer to a request: what the client says, unless another request that waits
    /// for the same agent says the same.
    fn correlate(&mut self, callee: Callee<'_>, request: Request<'_, '_>) -> String {
        let given = forward::correlation_id(request.head);
        let agent = self.callee(callee).and_then(|id| self.agent(id));
        let free = |id: &&str| agent.is_none_or(|agent| !agent.session.asks_as(id));
        given.filter(free).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
    }

    fn may_call(
        &mut self,
        callee: Callee<'_>,
        request: Request<'_, '_>,
    ) -> Result<ConnId, Failure> {
        let most = self.settings.sockets.max_agent_requests;
        let busy = self.too_busy();
        let Some(id) = self.callee(callee) else {
            return Err(busy.unwrap_or(Failure::AgentNotFound));
        };
        let Some(agent) = self.agent(id) else { return Err(Failure::AgentNotFound) };
        if request.head.fields.iter().count() > FIELDS_MAX - FIELDS_ADDED {
            return Err(Failure::Rejected(Reject::TooManyFields));
        }
        let large =
            matches!(request.head.framing, Framing::Length(bytes) if bytes > TEXT_MAX_BYTES as u64);
        if agent.session.dialect() == Dialect::Text && large {
            return Err(Failure::CallTooLarge(TEXT_MAX_BYTES));
        }
        if agent.in_flight() >= most {
            return Err(Failure::TooBusy(Busy::AgentRequests));
        }
        busy.map_or(Ok(id), Err)
    }

    /// The head of a request as the agent gets it. `way`: the path that names the agent, the target
    /// behind it, and the correlation id.
    fn forwarded(
        &self,
        id: ConnId,
        request: Request<'_, '_>,
        (prefix, rest, correlation_id): (&str, &str, &str),
        body: Carrying,
    ) -> Vec<u8> {
        let conn = &self.conns[id.index as usize];
        let peer = conn.peer.ip();
        let request_id = self.request_ids.as_ref().zip(conn.note.as_deref().and_then(Note::id));
        let request_id = request_id.map(|(ids, id)| (ids.header(), id));
        let trusted = self.settings.trusts(peer);
        let underscores = self.settings.sockets.pass_underscores;
        let to = Forwarding {
            rest,
            prefix,
            peer,
            trusted,
            underscores,
            correlation_id,
            request_id,
            body,
        };
        let mut head = Vec::with_capacity(512);
        forward::request(request.head, &to, &mut head);
        head
    }

    /// Whether an agent reads this head: --max-head may be more than frames carry.
    fn takes(&mut self, agent: ConnId, head: &[u8], request: Request<'_, '_>) -> bool {
        let over = request.head.framing == Framing::Length(0);
        self.agent(agent).is_some_and(|agent| agent.session.takes_request(head, over))
    }

    fn begin_call(
        &mut self,
        id: ConnId,
        mut call: Call,
        head: &[u8],
        request: Request<'_, '_>,
    ) -> usize {
        let agent_id = call.agent;
        let over = call.upload.is_over();
        let Some(agent) = self.agent(agent_id) else { return 0 };
        let Some(number) = agent.session.request(head, over) else {
            // Its numbers may be used up, which ends the connection.
            self.heed_agent(agent_id);
            return self.refuse(id, request, &Failure::AgentGone);
        };
        agent.waiting.insert(number, id);
        call.number = number;
        let Some(conn) = self.conn(id) else { return 0 };
        conn.phase = Phase::Calling(Box::new(call));
        if request.head.expect == Expect::Continue && !over {
            self.invite(id, request.behind);
        }
        self.await_answer(id);
        let used = self.take_upload(id, request.behind);
        self.heed_agent(agent_id);
        if !over || self.conn(id).is_some_and(|conn| conn.peer_end > PeerEnd::Open) {
            self.enqueue(id);
        }
        used
    }

    /// How long the answer may take from now on.
    fn await_answer(&mut self, id: ConnId) {
        let Some(agent) = self.call_mut(id).map(|call| call.agent) else { return };
        let text = self.agent(agent).is_some_and(|agent| agent.session.dialect() == Dialect::Text);
        let patience = self.settings.sockets.agent_timeout;
        self.set_deadline(id, if text { patience.min(TEXT_TIMEOUT) } else { patience });
    }

    pub(super) fn call_mut(&mut self, id: ConnId) -> Option<&mut Call> {
        if let Phase::Calling(call) = &mut self.conn(id)?.phase { Some(call) } else { None }
    }

    /// A calling client's socket has news.
    pub(in crate::net) fn turn_call(&mut self, id: ConnId) {
        self.flush_answer(id);
        let Some(conn) = self.conn(id) else { return };
        let Phase::Calling(call) = &conn.phase else { return };
        if call.upload.is_over() {
            if conn.peer_end > PeerEnd::Open {
                self.close(id);
            }
            return;
        }
        let agent = call.agent;
        self.read_upload(id);
        self.heed_agent(agent);
    }

    fn read_upload(&mut self, id: ConnId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut budget = TURN_BYTES;
        while budget > 0
            && let Some((agent, number)) = self.uploads_to(id)
        {
            let room = self.room(agent, number).min(scratch.len());
            let Some(conn) = self.conn(id).filter(|conn| conn.readable && room > 0) else { break };
            match copy::read(&conn.socket, &mut scratch[..room]) {
                Ok(Read::Moved(count)) => {
                    if count < room {
                        conn.drained_of_input();
                    }
                    budget = budget.saturating_sub(count);
                    let used = self.take_upload(id, &scratch[..count]);
                    if let Some(conn) = self.conn(id) {
                        conn.carry.extend_from_slice(&scratch[used..count]);
                    }
                    self.push(agent);
                }
                Ok(Read::Blocked) => conn.readable = false,
                Ok(Read::Eof) => self.fail_call(id, Why::Gone, &Failure::BodyBroken),
                Err(_) => self.close(id),
            }
        }
        self.scratch = scratch;
        if budget == 0 {
            self.enqueue(id);
        }
    }

    /// Where the rest of an upload goes, if there is one.
    fn uploads_to(&mut self, id: ConnId) -> Option<(ConnId, u32)> {
        let call = self.call_mut(id).filter(|call| !call.upload.is_over())?;
        Some((call.agent, call.number))
    }

    /// Takes bytes of an upload; returns how many are its own.
    fn take_upload(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let Some(call) = self.call_mut(id).filter(|call| !call.upload.is_over()) else { return 0 };
        let (agent, number) = (call.agent, call.number);
        let mut pieces = Vec::new();
        let result = call.upload.received(bytes, &mut pieces);
        let over = call.upload.is_over();
        let answering = call.answer.is_some();
        let Some(agent) = self.agent(agent) else { return bytes.len() };
        for piece in pieces {
            for part in bytes[piece].chunks(DATA_MAX_BYTES) {
                agent.session.send(number, part, false);
            }
        }
        if over {
            agent.session.send(number, b"", true);
        }
        match result {
            Ok(used) => {
                if !answering && !bytes.is_empty() {
                    self.await_answer(id);
                }
                used
            }
            Err(error) => {
                let failure = match error {
                    crate::http::body::BodyError::Framing(error) => Failure::BadFraming(error),
                    crate::http::body::BodyError::TooLarge => Failure::BodyBroken,
                };
                self.fail_call(id, Why::Gone, &failure);
                bytes.len()
            }
        }
    }

    /// No answer, or not the rest of it, came in time.
    pub(in crate::net) fn call_out_of_patience(&mut self, id: ConnId) {
        let Some(call) = self.call_mut(id) else { return };
        let (agent, number) = (call.agent, call.number);
        let (answering, asked) = (call.answer.is_some(), call.upload.is_over());
        if answering {
            self.cut_call(id);
        } else if asked || self.room(agent, number) == 0 {
            self.fail_call(id, Why::Late, &Failure::AgentTimeout);
        } else {
            let failure = Failure::RequestTimeout("The request body did not come in time");
            self.fail_call(id, Why::Gone, &failure);
        }
    }

    /// A call is over for its client, who is told why, or is cut off if the answer has begun.
    pub(super) fn fail_call(&mut self, id: ConnId, why: Why, failure: &Failure) {
        let Some(call) = self.call_mut(id) else { return };
        let (agent_id, number) = (call.agent, call.number);
        let (answering, read) = (call.answer.is_some(), call.upload.is_over());
        if let Some(agent) = self.agent(agent_id) {
            agent.cancel(number, why);
        }
        if answering {
            self.cut_call(id);
        } else {
            self.answer_failure(id, failure, read);
        }
        self.enqueue(agent_id);
    }

    /// A client's connection is closed while its call goes on.
    pub(in crate::net) fn call_is_gone(&mut self, call: &Call) {
        if let Some(agent) = self.agent(call.agent) {
            agent.cancel(call.number, Why::Gone);
            self.enqueue(call.agent);
        }
    }
}

fn prefix_of(callee: Callee<'_>) -> String {
    match callee {
        Callee::Name(name) => format!("/api/{name}"),
        Callee::Connection(connection) => {
            format!("/socket/{}", connection.unwrap_or_default())
        }
    }
}
