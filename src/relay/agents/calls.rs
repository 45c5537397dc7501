//! A client's request to an agent, through its WebSocket. The body is forwarded as far as the agent
//! has room for it; the rest stays in the client's socket.

use super::agent::Waiter;
use super::answers::Answer;
use super::forwarding::Outgoing;
use super::role::{AgentRole, release};
use super::sessions::Sessions;
use crate::api::Failure;
use crate::http::body::{BodyDecoder, BodyError};
use crate::http::head::{Expect, Method};
use crate::mux::frame::{CancelReason, DATA_MAX_BYTES};
use crate::mux::handshake::Dialect;
use crate::relay::http1::{Request, fail, send_continue};
use crate::relay::io::{CloseMode, ConnId, Io, Slot};
use crate::rendezvous::transfer::Delimiter;
use crate::splice::copy::Read;
use slab::Slab;
use std::time::Duration;

/// Time for agents of the text dialect to begin an answer once they were sent the request: their own
/// limit.
const TEXT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client's request that waits for an agent's answer, or is being answered.
#[derive(Debug)]
pub(super) struct Call {
    /// The client.
    pub id: ConnId,
    /// The agent, which outlives the call.
    pub agent: Slot,
    pub number: u32,
    pub method: Method,
    pub correlation_id: Box<str>,
    /// The path that names the agent, if the answer shares the relay's origin.
    pub prefix: Option<Box<str>>,
    pub upload: BodyDecoder,
    pub answer: Option<Answer>,
}

/// All calls through the WebSocket connections of agents.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) all: Slab<Call>,
}

impl Calls {
    /// Sends a call; returns how many bytes after the head are consumed.
    pub fn begin(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        (id, agent): (ConnId, Slot),
        outgoing: Outgoing,
        request: Request<'_, '_>,
    ) -> usize {
        let upload = BodyDecoder::new(request.head.framing);
        let over = upload.is_over();
        let Some(number) = sessions[agent].session.request(&outgoing.head, over) else {
            // Its exchange numbers may be exhausted, which ends the connection.
            sessions.push(io, agent);
            return request.refuse(io, id, &Failure::AgentGone);
        };
        let Outgoing { method, correlation_id, prefix, .. } = outgoing;
        let call = Call { id, agent, number, method, correlation_id, prefix, upload, answer: None };
        let slot = Slot::new(self.all.insert(call));
        sessions.await_exchange(agent, number, id, Waiter::Call(slot));
        AgentRole::Call(slot).give(io, id);
        if request.head.expect == Expect::Continue && !over {
            send_continue(io, id, request.rest);
        }
        self.await_answer(io, sessions, slot);
        let used = self.take_upload(io, sessions, slot, request.rest);
        sessions.push(io, agent);
        if !over || io.conns[id].peer_ended() {
            io.conns.enqueue(id);
        }
        used
    }

    /// Sets how long the answer may take from now on, or how long the request may wait for its turn.
    pub fn await_answer(&self, io: &mut Io, sessions: &Sessions, slot: Slot) {
        let call = &self.all[slot.key()];
        let session = &sessions[call.agent].session;
        let begun = session.dialect() == Dialect::Text && !session.is_queued(call.number);
        let timeout = io.settings.sockets.agent_timeout;
        io.set_timeout(call.id, if begun { timeout.min(TEXT_TIMEOUT) } else { timeout });
    }

    /// Handles an event on a calling client's socket.
    pub fn ready(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let Call { id, agent, .. } = self.all[slot.key()];
        if !self.flush(io, sessions, slot) {
            return;
        }
        if self.all[slot.key()].upload.is_over() {
            if io.conns[id].peer_ended() {
                io.conns.close(id, CloseMode::Orderly);
            }
            return;
        }
        let mut scratch = io.scratch.lend();
        self.read_upload(io, sessions, slot, &mut scratch);
        io.scratch.put_back(scratch);
        sessions.push(io, agent);
    }

    fn read_upload(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        scratch: &mut [u8],
    ) {
        let Call { id, agent, number, .. } = self.all[slot.key()];
        let mut budget = io.conns.queue.share();
        while budget > 0 && self.all.get(slot.key()).is_some_and(|call| !call.upload.is_over()) {
            let room = sessions.room(io, agent, number).min(scratch.len());
            let conn = &mut io.conns[id];
            if !conn.readable || room == 0 {
                return;
            }
            match conn.read(&mut scratch[..room]) {
                Ok(Read::Moved(count)) => {
                    if count < room {
                        conn.drained_of_input();
                    }
                    budget = budget.saturating_sub(count);
                    let used = self.take_upload(io, sessions, slot, &scratch[..count]);
                    io.conns[id].carry.extend_from_slice(&scratch[used..count]);
                    sessions.push(io, agent);
                }
                Ok(Read::Blocked) => conn.readable = false,
                Ok(Read::Eof) => {
                    self.fail(io, sessions, slot, CancelReason::Gone, &Failure::BodyBroken);
                }
                Err(_) => return io.conns.close(id, CloseMode::Orderly),
            }
        }
        if budget == 0 {
            io.conns.requeue(id);
        }
    }

    /// Takes bytes of an upload; returns how many belong to it.
    fn take_upload(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        bytes: &[u8],
    ) -> usize {
        let call = &mut self.all[slot.key()];
        if call.upload.is_over() {
            return 0;
        }
        let number = call.number;
        let mut pieces = Vec::new();
        let result = call.upload.received(bytes, &mut pieces);
        let session = &mut sessions[call.agent].session;
        for piece in pieces {
            for part in bytes[piece].chunks(DATA_MAX_BYTES) {
                session.send(number, part, false);
            }
        }
        if call.upload.is_over() {
            session.send(number, b"", true);
        }
        match result {
            Ok(used) => {
                if call.answer.is_none() && !bytes.is_empty() {
                    self.await_answer(io, sessions, slot);
                }
                used
            }
            Err(error) => {
                let failure = match error {
                    BodyError::Framing(error) => Failure::BadFraming(error.into()),
                    BodyError::TooLarge => Failure::BodyBroken,
                };
                self.fail(io, sessions, slot, CancelReason::Gone, &failure);
                bytes.len()
            }
        }
    }

    /// Ends a call whose answer, or the rest of it, was not received in time.
    pub fn timeout(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let call = &self.all[slot.key()];
        let queued = sessions[call.agent].session.is_queued(call.number);
        let (why, failure) = if call.answer.is_some() {
            (CancelReason::Gone, Failure::AgentTimeout)
        } else if call.upload.is_over() && queued {
            (CancelReason::Late, Failure::AgentQueueTimeout)
        } else if call.upload.is_over() || sessions.room(io, call.agent, call.number) == 0 {
            (CancelReason::Late, Failure::AgentTimeout)
        } else {
            (CancelReason::Gone, Failure::RequestTimeout("The request body did not come in time"))
        };
        self.fail(io, sessions, slot, why, &failure);
    }

    /// Ends a call for its client: answers it with the reason, or cuts it off if the answer has
    /// begun.
    pub fn fail(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        why: CancelReason,
        failure: &Failure,
    ) {
        let call = self.remove(io, slot);
        sessions.cancel(io, call.agent, call.number, why);
        refuse(io, &call, failure);
    }

    /// Ends a call whose agent disconnected.
    pub fn agent_gone(&mut self, io: &mut Io, slot: Slot) {
        let call = self.remove(io, slot);
        refuse(io, &call, &Failure::AgentGone);
    }

    /// Handles a client's connection that closed during its call.
    pub fn closed(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let call = self.remove(io, slot);
        sessions.cancel(io, call.agent, call.number, CancelReason::Gone);
    }

    /// Returns the calls in progress.
    pub fn slots(&self) -> Vec<Slot> {
        self.all.iter().map(|(key, _)| Slot::new(key)).collect()
    }

    /// Removes a call from the service.
    pub(super) fn remove(&mut self, io: &mut Io, slot: Slot) -> Call {
        let call = self.all.remove(slot.key());
        release(io, call.id);
        call
    }
}

/// Answers the client of a failed call. If its answer has begun, neither what was sent nor what is
/// still unsent is a complete body.
fn refuse(io: &mut Io, call: &Call, failure: &Failure) {
    let begun = call.answer.as_ref().map(|answer| answer.delimiter.unwrap_or(Delimiter::Length));
    fail(io, call.id, begun, failure, call.upload.is_over());
}
