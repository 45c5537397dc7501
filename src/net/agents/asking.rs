//! An agent's request to the API that is attached to the relay: a connection of its own for each,
//! made without waiting for it.

mod answer;

use crate::api::forward::{self, Carrying, Forwarding};
use crate::api::{Busy, Failure};
use crate::http::body::BodyDecoder;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::http::framing::Framing;
use crate::http::head::{self, FieldSlots, HeadLimits, Method};
use crate::http::response::HeadWriter;
use crate::mux::frame::{HEAD_MAX_BYTES, Why};
use crate::mux::text::{add_field, has_field};
use crate::net::admin::Realm;
use crate::net::conn::{Conn, Output, Phase};
use crate::net::relay::Relay;
use crate::net::token::ConnId;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use uuid::Uuid;

const LIMITS: HeadLimits = HeadLimits { bytes: HEAD_MAX_BYTES, target_bytes: HEAD_MAX_BYTES / 2 };

/// The API's connection ended too early.
const BROKE_OFF: &str = "the API of this relay cannot be reached, or broke off";

/// A request of an agent on its way to the relay's API, and the answer on its way back.
#[derive(Debug)]
pub(in crate::net) struct Asking {
    agent: ConnId,
    number: u32,
    method: Method,
    correlation_id: Box<str>,
    /// The body of the request goes in chunks.
    chunked: bool,
    /// Bytes of the request's body that are to come, where its head told.
    left: Option<u64>,
    /// Bytes of the request's body that wait to be sent.
    unsent: usize,
    /// The API took no more of the request, so its connection is not ended by the answer alone.
    broke: bool,
    /// The answer, once its head was read.
    answer: Option<Rest>,
}

/// What is to come of an answer.
#[derive(Debug)]
enum Rest {
    Framed(BodyDecoder),
    UntilClose,
}

impl Relay {
    /// An agent asks.
    pub(super) fn ask(&mut self, agent: ConnId, number: u32, head: &[u8], over: bool) {
        let result = match self.settings.sockets.socket_api {
            Some(address) => self.try_ask((agent, number), head, over, address),
            None => Err(Failure::NoSuchApi),
        };
        if let Err(failure) = result {
            self.answer_agent(agent, number, &failure);
            if let Some(agent) = self.agent(agent) {
                // The rest of the request is not wanted: nobody would take it.
                agent.session.cancel(number, Why::Done);
            }
        }
    }

    fn try_ask(
        &mut self,
        asker: (ConnId, u32),
        head: &[u8],
        over: bool,
        address: SocketAddr,
    ) -> Result<(), Failure> {
        let (agent, number) = asker;
        // A relay that ends waits for what agents have asked for.
        if self.mode.is_ending() {
            return Err(Failure::TooBusy(Busy::Stopping));
        }
        if self.served() >= self.max_connections {
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
        let peer = self.conn(agent).map_or(address, |conn| conn.peer).ip();
        let minted = Uuid::new_v4().to_string();
        let correlation_id = forward::correlation_id(&parsed).unwrap_or(&minted);
        let to = Forwarding {
            rest: parsed.target,
            prefix: "",
            peer,
            trusted: false,
            underscores: self.settings.sockets.pass_underscores,
            correlation_id,
            request_id: None,
            body: Carrying::Http1,
        };
        let mut request = Vec::with_capacity(512);
        forward::request(&parsed, &to, &mut request);
        let id = dial(address)
            .ok()
            .and_then(|socket| self.admit(socket, address, Realm::Api))
            .ok_or(Failure::AgentBroke("the API of this relay cannot be reached"))?;
        let asking = Asking {
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
            answer: None,
        };
        if let Some(conn) = self.conn(id) {
            conn.writable = false;
            conn.counts_as = None;
            conn.output.buffer().append(&mut request);
            conn.phase = Phase::Asking(Box::new(asking));
        }
        if let Some(agent) = self.agent(agent) {
            agent.waiting.insert(number, id);
        }
        self.set_deadline(id, self.settings.sockets.agent_timeout);
        Ok(())
    }

    fn asking(&mut self, id: ConnId) -> Option<&mut Asking> {
        if let Phase::Asking(asking) = &mut self.conn(id)?.phase { Some(asking) } else { None }
    }

    /// More of an agent's request came.
    pub(super) fn ask_more(&mut self, id: ConnId, bytes: &[u8], over: bool) {
        let patience = self.settings.sockets.agent_timeout;
        let Some(Conn { phase: Phase::Asking(asking), output, .. }) = self.conn(id) else { return };
        if let Some(left) = &mut asking.left {
            // What is more than the head told would be read as another request, one that the agent
            // wrote to the last byte.
            match left.checked_sub(bytes.len() as u64) {
                Some(rest) if rest == 0 || !over => *left = rest,
                Some(_) | None => return self.api_failed(id, &Failure::BodyBroken),
            }
        }
        let begun = asking.answer.is_some();
        let buffer = output.buffer();
        write_framed(buffer, bytes, asking.chunked);
        if asking.chunked && over {
            buffer.extend_from_slice(LAST_CHUNK);
        }
        asking.unsent += bytes.len();
        if !begun {
            self.set_deadline(id, patience);
        }
        // Its turn comes soon. Not now: this may be the turn of the agent, which reads into the
        // memory that the API's answer is read into as well.
        self.enqueue(id);
    }

    /// The connection to the relay's API has news.
    pub(in crate::net) fn turn_asking(&mut self, id: ConnId) {
        self.flush(id);
        let Some(Conn { phase: Phase::Asking(asking), output, .. }) = self.conn(id) else { return };
        let unsent = asking.unsent.min(output.rest().len());
        let taken = asking.unsent - unsent;
        asking.unsent = unsent;
        let (agent_id, number) = (asking.agent, asking.number);
        if taken > 0
            && let Some(agent) = self.agent(agent_id)
        {
            agent.session.used(number, taken);
        }
        self.read_api(id);
        self.enqueue(agent_id);
    }

    /// The API's answer cannot be gone on with.
    pub(super) fn api_failed(&mut self, id: ConnId, failure: &Failure) {
        let Some(asking) = self.asking(id) else { return };
        let (agent_id, number, begun) = (asking.agent, asking.number, asking.answer.is_some());
        if begun {
            if let Some(agent) = self.agent(agent_id) {
                agent.cancel(number, Why::Broke(failure.message().into_owned()));
            }
        } else {
            self.answer_agent(agent_id, number, failure);
        }
        self.close_asking(id);
    }

    /// The API takes no more of the request. It may have answered before, so that is read to its
    /// end, whichever it is.
    pub(in crate::net) fn api_takes_no_more(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        if let Phase::Asking(asking) = &mut conn.phase {
            asking.broke = true;
        }
        conn.output = Output::default();
        conn.writable = false;
        conn.readable = true;
        self.enqueue(id);
    }

    pub(in crate::net) fn asking_out_of_patience(&mut self, id: ConnId) {
        self.api_failed(id, &Failure::AgentTimeout);
    }

    /// Nothing more of the answer will come; the rest of the request is not wanted.
    fn close_asking(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let phase = std::mem::replace(&mut conn.phase, Phase::Head);
        if let Phase::Asking(asking) = phase {
            if let Some(agent) = self.agent(asking.agent) {
                agent.waiting.remove(&asking.number);
                // If it is not over, the rest of the request is to come, or to be taken.
                agent.session.cancel(asking.number, Why::Done);
            }
            self.enqueue(asking.agent);
        }
        self.close(id);
    }

    /// The connection to the API is closed before its answer was whole.
    pub(in crate::net) fn asking_is_gone(&mut self, asking: &Asking) {
        if asking.answer.is_none() {
            self.answer_agent(asking.agent, asking.number, &Failure::AgentBroke(BROKE_OFF));
        } else if let Some(agent) = self.agent(asking.agent) {
            agent.cancel(asking.number, Why::Broke(BROKE_OFF.into()));
        }
        self.enqueue(asking.agent);
    }

    /// Answers an agent's request with a failure.
    fn answer_agent(&mut self, agent: ConnId, number: u32, failure: &Failure) {
        let body = failure.body(false);
        let mut head = Vec::with_capacity(256);
        HeadWriter::new(&mut head, failure.status(), &self.date)
            .field("Content-Type", b"application/json")
            .content_length(body.len() as u64)
            .end();
        if let Some(agent) = self.agent(agent) {
            agent.waiting.remove(&number);
            agent.session.respond_whole(number, &head, body.as_bytes());
        }
    }
}

/// Begins to connect; the socket becomes writable when that is done.
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
