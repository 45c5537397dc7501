//! Reading a JSON body. What it requests is handled above.

use super::json_body::JsonBody;
use super::{Http1, Request, Step, answer, json_role, send_continue};
use crate::api::Failure;
use crate::http::framing::Framing;
use crate::http::head::Expect;
use crate::relay::io::{CloseMode, ConnId, Io, Slot};
use crate::splice::copy::Read;
use uuid::Uuid;

/// The purpose of a JSON body.
#[derive(Clone, Copy, Debug)]
pub enum JsonPurpose {
    /// A stream is to be created.
    Create(CreateRequest),
    /// An error is reported to the sides of this stream.
    Report(Uuid),
    /// The receipt of the receiver of this stream.
    Receipt(Uuid),
}

/// What the head of a creation requests.
#[derive(Clone, Copy, Debug)]
pub struct CreateRequest {
    /// Its location is its page.
    pub page: bool,
    /// It may choose the identifier.
    pub may_choose_id: bool,
    /// It may have notifications sent.
    pub may_notify: bool,
    /// The digest of the client and its key, if the request can be repeated.
    pub key: Option<[u8; 32]>,
}

/// A JSON body being received, and its purpose.
#[derive(Debug)]
pub(super) struct JsonRequest {
    purpose: JsonPurpose,
    body: JsonBody,
}

impl Http1 {
    /// Expects a JSON body for a request; returns how many bytes after its head are consumed.
    pub fn expect_json(
        &mut self,
        io: &mut Io,
        id: ConnId,
        request: Request<'_, '_>,
        purpose: JsonPurpose,
    ) -> (usize, Step) {
        let Request { head, rest } = request;
        let max = io.settings.max_json_body;
        if matches!(head.framing, Framing::Length(bytes) if bytes > max as u64) {
            return (request.refuse(io, id, &Failure::BodyTooLarge(max)), Step::Wait);
        }
        let body = JsonBody::new(head.framing);
        let invited = head.expect == Expect::Continue && !body.is_over();
        let slot = Slot::new(self.bodies.insert(JsonRequest { purpose, body }));
        io.conns[id].role = json_role(slot.key());
        if invited {
            send_continue(io, id, rest);
        }
        io.set_timeout(id, io.settings.header_timeout);
        let (used, step) = self.take_json(io, id, slot, rest);
        if self.bodies.contains(slot.key()) {
            // The rest may have been received already.
            io.conns.enqueue(id);
        }
        (used, step)
    }

    /// Takes bytes of a JSON body; returns how many belong to it.
    fn take_json(&mut self, io: &mut Io, id: ConnId, slot: Slot, bytes: &[u8]) -> (usize, Step) {
        let body = &mut self.bodies[slot.key()].body;
        match body.take(bytes, io.settings.max_json_body) {
            Ok(used) if body.is_over() => {
                let JsonRequest { purpose, body } = self.bodies.remove(slot.key());
                (used, Step::Body(purpose, body.into_bytes()))
            }
            Ok(used) => (used, Step::Wait),
            Err(failure) => {
                self.bodies.remove(slot.key());
                answer::failure(io, id, &failure, false);
                (bytes.len(), Step::Wait)
            }
        }
    }

    /// Reads more of a JSON body.
    pub(super) fn read_json(&mut self, io: &mut Io, id: ConnId, slot: Slot) -> Step {
        let mut scratch = io.scratch.lend();
        let step = self.read_json_into(io, id, slot, &mut scratch);
        io.scratch.put_back(scratch);
        step
    }

    fn read_json_into(&mut self, io: &mut Io, id: ConnId, slot: Slot, scratch: &mut [u8]) -> Step {
        let mut budget = io.conns.queue.share();
        let read_bytes = JsonBody::read_bytes(budget);
        while budget > 0 && self.bodies.contains(slot.key()) && io.conns[id].readable {
            match io.conns[id].read(&mut scratch[..read_bytes]) {
                Ok(Read::Moved(count)) => {
                    budget = budget.saturating_sub(count);
                    if count < read_bytes {
                        io.conns[id].drained_of_input();
                    }
                    let (used, step) = self.take_json(io, id, slot, &scratch[..count]);
                    if used < count {
                        // The next request was received with it.
                        io.conns[id].carry = scratch[used..count].to_vec();
                    }
                    if let Step::Body(..) = step {
                        return step;
                    }
                }
                Ok(Read::Blocked) => io.conns[id].readable = false,
                Ok(Read::Eof) => {
                    self.bodies.remove(slot.key());
                    answer::failure(io, id, &Failure::BodyBroken, true);
                }
                Err(_) => {
                    io.conns.close(id, CloseMode::Orderly);
                    return Step::Wait;
                }
            }
        }
        if budget == 0 {
            io.conns.requeue(id);
        }
        Step::Wait
    }
}
