//! The answer of the relay's API, on its way to the agent that sent the request.

use super::api_requests::{ApiRequest, ApiRequests, BROKE_OFF, RemainingAnswer};
use super::sessions::Sessions;
use crate::api::Failure;
use crate::api::forward::{self, AnswerBody, Origin, ResponseContext};
use crate::http::answer::AnswerHead;
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use crate::http::head::Version;
use crate::mux::frame::DATA_MAX_BYTES;
use crate::relay::io::{Io, Slot};
use crate::splice::copy::Read;

/// Bytes per read of a head.
const READ_BYTES: usize = 16 << 10;

impl ApiRequests {
    /// Reads the API's answer as far as the agent has room for it.
    pub(super) fn read_answer(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let id = self.all[slot.key()].id;
        let mut scratch = io.scratch.lend();
        let mut budget = io.conns.queue.share();
        while budget > 0 && self.read_some(io, sessions, slot, (&mut scratch, &mut budget)) {}
        io.scratch.put_back(scratch);
        if budget == 0 && !io.conns[id].is_closing() {
            io.conns.requeue(id);
        }
    }

    /// Reads once; whether more may be readable now.
    fn read_some(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        (scratch, budget): (&mut [u8], &mut usize),
    ) -> bool {
        let ApiRequest { id, agent, number, ref answer, .. } = self.all[slot.key()];
        let begun = answer.is_some();
        let most =
            if begun { sessions.room(io, agent, number).min(DATA_MAX_BYTES) } else { READ_BYTES };
        let conn = &mut io.conns[id];
        if most == 0 {
            return false;
        }
        if begun && !conn.carry.is_empty() {
            let first: Vec<u8> = conn.carry.drain(..most.min(conn.carry.len())).collect();
            *budget = budget.saturating_sub(first.len());
            return self.forward(io, sessions, slot, &first);
        }
        if !conn.readable {
            return false;
        }
        match conn.read(&mut scratch[..most]) {
            Ok(Read::Moved(count)) => {
                if count < most {
                    conn.drained_of_input();
                }
                *budget = budget.saturating_sub(count);
                let bytes = &scratch[..count];
                if begun {
                    self.forward(io, sessions, slot, bytes)
                } else {
                    self.take_head(io, sessions, slot, bytes)
                }
            }
            Ok(Read::Blocked) => {
                conn.readable = false;
                false
            }
            Ok(Read::Eof) => {
                self.ended(io, sessions, slot);
                false
            }
            // Even an answer delimited by the end of the connection does not end with an error.
            Err(_) => {
                self.fail(io, sessions, slot, &BROKE_OFF);
                false
            }
        }
    }

    /// Takes bytes of the head of the API's answer; whether the answer continues. Body bytes
    /// received with it stay buffered until there is room for them.
    fn take_head(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        bytes: &[u8],
    ) -> bool {
        let request = &mut self.all[slot.key()];
        let carry = &mut io.conns[request.id].carry;
        carry.extend_from_slice(bytes);
        let begun = match request.reader.take(carry) {
            Ok(None) => return true,
            Ok(Some(answer)) => self.begin_answer(io, sessions, slot, &answer),
            Err(error) => Err(Failure::AgentBroke(error.message())),
        };
        match begun {
            Ok(false) => true,
            Ok(true) => {
                self.end(io, sessions, slot);
                false
            }
            Err(failure) => {
                self.fail(io, sessions, slot, &failure);
                false
            }
        }
    }

    /// Sends the head of the API's answer to the agent; whether the answer is complete with it.
    fn begin_answer(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        answer: &AnswerHead,
    ) -> Result<bool, Failure> {
        let request = &mut self.all[slot.key()];
        let body = forward::answer_framing(answer, request.method, None)?;
        let rest = match body {
            AnswerBody::Absent { .. } => {
                RemainingAnswer::Framed(BodyDecoder::new(Framing::Length(0)))
            }
            AnswerBody::Length(bytes) => {
                RemainingAnswer::Framed(BodyDecoder::new(Framing::Length(bytes)))
            }
            AnswerBody::Chunked => RemainingAnswer::Framed(BodyDecoder::new(Framing::Chunked)),
            AnswerBody::UntilClose | AnswerBody::Upgraded => RemainingAnswer::UntilClose,
        };
        let over = matches!(&rest, RemainingAnswer::Framed(decoder) if decoder.is_over());
        // HTTP/1.0 has no framing but a length: otherwise the frames mark the end.
        let returning = ResponseContext {
            body,
            version: Version::Http10,
            keep_alive: false,
            origin: Origin::Absent,
            date: &io.date,
            correlation_id: &request.correlation_id,
            request_id: None,
        };
        let mut head = Vec::with_capacity(512);
        forward::response(answer, &returning, &mut head);
        let session = &mut sessions[request.agent].session;
        if !session.takes_response(request.number, &head, over) {
            return Err(Failure::AgentBroke("the head of its answer is too large"));
        }
        session.respond(request.number, &head, over);
        request.answer = Some(rest);
        io.set_timeout(request.id, io.settings.idle_timeout);
        Ok(over)
    }

    /// Sends bytes of the API's answer to the agent, which has room for them; whether it continues.
    fn forward(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot, bytes: &[u8]) -> bool {
        let request = &mut self.all[slot.key()];
        let mut pieces = Vec::new();
        let over = match &mut request.answer {
            Some(RemainingAnswer::Framed(decoder)) => {
                if decoder.received(bytes, &mut pieces).is_err() {
                    let failure = Failure::AgentBroke("its chunks are broken");
                    self.fail(io, sessions, slot, &failure);
                    return false;
                }
                decoder.is_over()
            }
            Some(RemainingAnswer::UntilClose) => {
                pieces.push(0..bytes.len());
                false
            }
            None => unreachable!("the body of an answer is passed on after its head"),
        };
        let session = &mut sessions[request.agent].session;
        for piece in pieces {
            session.send(request.number, &bytes[piece], false);
        }
        if over {
            session.send(request.number, b"", true);
            self.end(io, sessions, slot);
            return false;
        }
        io.set_timeout(request.id, io.settings.idle_timeout);
        true
    }

    /// Handles the end of the API's connection.
    fn ended(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let request = &self.all[slot.key()];
        if request.broke || !matches!(request.answer, Some(RemainingAnswer::UntilClose)) {
            return self.fail(io, sessions, slot, &BROKE_OFF);
        }
        sessions[request.agent].session.send(request.number, b"", true);
        self.end(io, sessions, slot);
    }
}
