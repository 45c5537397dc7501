//! The answer of the relay's API, on its way to the agent that asked.

use super::{BROKE_OFF, Rest};
use crate::api::Failure;
use crate::api::forward::{self, AnswerBody, Returning};
use crate::http::answer::AnswerHead;
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use crate::http::head::Version;
use crate::mux::frame::DATA_MAX_BYTES;
use crate::net::conn::{Conn, Phase};
use crate::net::relay::Relay;
use crate::net::token::ConnId;
use crate::splice::copy::{self, Read};

/// One read of a head, in bytes.
const READ_BYTES: usize = 16 << 10;

/// Bytes of one answer that are read in one turn before others have theirs.
const TURN_BYTES: usize = 256 << 10;

impl Relay {
    pub(super) fn read_api(&mut self, id: ConnId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut budget = TURN_BYTES;
        while budget > 0
            && let Some(asking) = self.asking(id)
        {
            let (agent, number, begun) = (asking.agent, asking.number, asking.answer.is_some());
            let most =
                if begun { self.room(agent, number).min(DATA_MAX_BYTES) } else { READ_BYTES };
            let Some(conn) = self.conn(id).filter(|_| most > 0) else { break };
            if begun && !conn.carry.is_empty() {
                let first: Vec<u8> = conn.carry.drain(..most.min(conn.carry.len())).collect();
                budget = budget.saturating_sub(first.len());
                self.pass_answer(id, &first);
                continue;
            }
            if !conn.readable {
                break;
            }
            match copy::read(&conn.socket, &mut scratch[..most]) {
                Ok(Read::Moved(count)) => {
                    if count < most {
                        conn.drained_of_input();
                    }
                    budget = budget.saturating_sub(count);
                    self.api_said(id, &scratch[..count]);
                }
                Ok(Read::Blocked) => conn.readable = false,
                Ok(Read::Eof) => self.api_ended(id),
                // Not even an answer that only its end delimits ends so.
                Err(_) => self.api_failed(id, &Failure::AgentBroke(BROKE_OFF)),
            }
        }
        self.scratch = scratch;
        if budget == 0 {
            self.enqueue(id);
        }
    }

    fn api_said(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(asking) = self.asking(id) else { return };
        if asking.answer.is_some() {
            return self.pass_answer(id, bytes);
        }
        let Some(conn) = self.conn(id) else { return };
        conn.carry.extend_from_slice(bytes);
        match self.api_answered(id) {
            Ok(()) => {}
            Err(failure) => self.api_failed(id, &failure),
        }
    }

    /// Takes the head of the API's answer once it is whole. What came with it of the body stays until
    /// there is room for it.
    fn api_answered(&mut self, id: ConnId) -> Result<(), Failure> {
        let date = self.date;
        loop {
            let Some(Conn { phase: Phase::Asking(asking), carry, .. }) = self.conn(id) else {
                return Ok(());
            };
            let broke =
                |error: crate::http::answer::AnswerError| Failure::AgentBroke(error.message());
            let Some(answer) = AnswerHead::parse(carry).map_err(broke)? else { return Ok(()) };
            carry.drain(..answer.len);
            if answer.is_interim() {
                continue;
            }
            let body = forward::answer_framing(&answer, asking.method)?;
            let rest = match body {
                AnswerBody::Absent { .. } => Rest::Framed(BodyDecoder::new(Framing::Length(0))),
                AnswerBody::Length(bytes) => Rest::Framed(BodyDecoder::new(Framing::Length(bytes))),
                AnswerBody::Chunked => Rest::Framed(BodyDecoder::new(Framing::Chunked)),
                AnswerBody::UntilClose => Rest::UntilClose,
            };
            let over = matches!(&rest, Rest::Framed(decoder) if decoder.is_over());
            // Of HTTP/1.0 nothing is framed but by a length: what carries it says where it ends.
            let returning = Returning {
                body,
                version: Version::Http10,
                keep_alive: false,
                date: &date,
                correlation_id: &asking.correlation_id,
                request_id: None,
            };
            let mut head = Vec::with_capacity(512);
            forward::response(&answer, &returning, &mut head);
            let (agent_id, number) = (asking.agent, asking.number);
            let Some(agent) = self.agent(agent_id) else { return Ok(()) };
            if !agent.session.takes_response(number, &head, over) {
                return Err(Failure::AgentBroke("the head of its answer is too large"));
            }
            agent.session.respond(number, &head, over);
            if let Some(asking) = self.asking(id) {
                asking.answer = Some(rest);
            }
            self.set_deadline(id, self.settings.idle_timeout);
            if over {
                self.close_asking(id);
            }
            return Ok(());
        }
    }

    /// Sends bytes of the API's answer to the agent, which has room for them.
    fn pass_answer(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(asking) = self.asking(id) else { return };
        let (agent_id, number) = (asking.agent, asking.number);
        let mut pieces = Vec::new();
        let over = match &mut asking.answer {
            Some(Rest::Framed(decoder)) => match decoder.received(bytes, &mut pieces) {
                Ok(_) => decoder.is_over(),
                Err(_) => {
                    return self.api_failed(id, &Failure::AgentBroke("its chunks are broken"));
                }
            },
            Some(Rest::UntilClose) => {
                pieces.push(0..bytes.len());
                false
            }
            None => return,
        };
        if let Some(agent) = self.agent(agent_id) {
            for piece in pieces {
                agent.session.send(number, &bytes[piece], false);
            }
            if over {
                agent.session.send(number, b"", true);
            }
        }
        self.set_deadline(id, self.settings.idle_timeout);
        if over {
            self.close_asking(id);
        }
    }

    /// The API's connection ended.
    fn api_ended(&mut self, id: ConnId) {
        let Some(asking) = self.asking(id) else { return };
        if asking.broke || !matches!(asking.answer, Some(Rest::UntilClose)) {
            return self.api_failed(id, &Failure::AgentBroke(BROKE_OFF));
        }
        let (agent_id, number) = (asking.agent, asking.number);
        if let Some(agent) = self.agent(agent_id) {
            agent.session.send(number, b"", true);
        }
        self.close_asking(id);
    }
}
