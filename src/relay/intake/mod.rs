//! The intake of records: requests whose bodies are stored. Each is read to its end and given to a
//! consumer outside the loop, which decides its outcome later. Until then its sender waits: no
//! answer precedes the decision.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the service: what the event loop calls |
//! | `consumer` | what takes records in: the traits it implements, its verdicts, its waker |
//! | `push` | one request |
//! | `clock` | how long its body may take |

mod clock;
mod consumer;
mod push;

pub use consumer::{Demand, Incoming, Intake, PushDecision, Pushed, RequestToken, Waker};

use crate::api::{Busy, Failure};
use crate::http::body::BodyDecoder;
use crate::http::framing::Framing;
use crate::http::head::Expect;
use crate::relay::http1::{self, Request, answer};
use crate::relay::io::{CloseMode, ConnId, Io, Note, PeerEnd, Role, Slot};
use crate::splice::copy::Read;
use push::{Body, Push, PushState};
use slab::Slab;
use uuid::Uuid;

/// Bytes per read of a body.
const READ_BYTES: usize = 64 << 10;

/// The requests whose bodies are taken in, and their consumer.
#[derive(Debug, Default)]
pub struct Records {
    /// The consumer; `None` in a relay of streams.
    intake: Option<Box<dyn Intake>>,
    pushes: Slab<Push>,
    /// The number of the next request.
    next_number: u64,
}

impl Records {
    /// Serves this intake instead of streams.
    pub fn take_in(&mut self, intake: Box<dyn Intake>) {
        self.intake = Some(intake);
    }

    /// Whether records are taken in here.
    pub fn is_there(&self) -> bool {
        self.intake.is_some()
    }

    /// Whether the loop is to end, because no consumer is left.
    pub fn is_over(&self) -> bool {
        self.intake.as_ref().is_some_and(|intake| intake.is_over())
    }

    /// Opens the files of the consumer again.
    pub fn reopen(&mut self) {
        if let Some(intake) = &mut self.intake {
            intake.reopen();
        }
    }

    /// Returns the result of [`Intake::path`] for this path; `None` in a relay of streams.
    pub fn path(&self, path: &str) -> Option<(bool, bool)> {
        self.intake.as_ref().map(|intake| intake.path(path))
    }

    /// Whether a request's body was handed over, and its sender waits for the outcome.
    pub fn awaits_verdict(&self, slot: Slot) -> bool {
        matches!(self.pushes[slot.key()].state, PushState::Deciding)
    }

    /// Begins a request; returns how many of the bytes after its head are consumed.
    pub fn request(&mut self, io: &mut Io, id: ConnId, request: Request<'_, '_>) -> usize {
        let body = match self.open(io, id, request) {
            Ok(body) => body,
            Err(failure) => return request.refuse(io, id, &failure),
        };
        if request.body_is_here() {
            return self.take_at_once(io, id, body, request);
        }
        let invited = request.head.expect == Expect::Continue && !body.decoder.is_over();
        let slot = self.insert(io, id, PushState::Reading(body));
        if invited {
            http1::send_continue(io, id, request.rest);
        }
        let used = self.take(io, id, slot, request.rest);
        if io.conns[id].role == Role::Intake(slot) {
            // The rest may have been received already.
            io.conns.enqueue(id);
        }
        used
    }

    fn insert(&mut self, io: &mut Io, id: ConnId, state: PushState) -> Slot {
        let ticket = RequestToken { conn: id, number: self.next_number };
        self.next_number += 1;
        let slot = Slot::new(self.pushes.insert(Push { ticket, state }));
        io.conns[id].role = Role::Intake(slot);
        slot
    }

    fn open(&mut self, io: &mut Io, id: ConnId, request: Request<'_, '_>) -> Result<Body, Failure> {
        let (head, body_is_here) = (request.head, request.body_is_here());
        if let Some(failure) = http1::takes_no_streams(io) {
            return Err(failure);
        }
        let intake = self.intake.as_mut().ok_or(Failure::BadRoute)?;
        let body_max = intake.body_max();
        if matches!(head.framing, Framing::Length(bytes) if bytes > body_max as u64) {
            return Err(Failure::BodyTooLarge(body_max));
        }
        let conn = &io.conns[id];
        let request_id = conn.note.as_deref().and_then(Note::id);
        let pushed = Pushed { head, peer: conn.client(), request_id, now: io.now, body_is_here };
        let incoming = intake.begin(&pushed)?;
        let decoder = BodyDecoder::new(head.framing);
        Ok(Body::new(decoder, body_max, incoming, io.now.monotonic))
    }

    /// Takes a body that was received completely with its head, as small ones are.
    fn take_at_once(
        &mut self,
        io: &mut Io,
        id: ConnId,
        body: Body,
        request: Request<'_, '_>,
    ) -> usize {
        let bytes = body.decoder.still_to_come().unwrap_or(0);
        let used = usize::try_from(bytes).unwrap_or(0);
        let slot = self.insert(io, id, PushState::Deciding);
        io.conns.set_deadline(id, None);
        let ticket = self.pushes[slot.key()].ticket;
        if let Err(failure) = body.incoming.whole(ticket, io.now, &request.rest[..used]) {
            self.release(slot);
            answer::failure(io, id, &failure, true);
        }
        used
    }

    /// Takes bytes of a body; returns how many of them belong to it.
    fn take(&mut self, io: &mut Io, id: ConnId, slot: Slot, bytes: &[u8]) -> usize {
        let now = io.now.monotonic;
        let push = &mut self.pushes[slot.key()];
        let ticket = push.ticket;
        let Some(body) = push.body() else { unreachable!("a complete body takes no bytes") };
        match body.take(ticket, bytes, now) {
            Ok(used) if body.is_complete() => {
                self.end(io, id, slot);
                used
            }
            Ok(used) => {
                let deadline = body.clock.deadline(now, io.settings.header_timeout);
                io.conns.set_deadline(id, deadline);
                used
            }
            Err(failure) => {
                self.refuse(io, id, slot, &failure, false);
                bytes.len()
            }
        }
    }

    /// Ends a complete body: its sender waits from now on.
    fn end(&mut self, io: &mut Io, id: ConnId, slot: Slot) {
        io.conns.set_deadline(id, None);
        let push = &mut self.pushes[slot.key()];
        let Some(body) = push.end_body() else { unreachable!("a body ends once") };
        if let Err(failure) = body.incoming.end(push.ticket, io.now) {
            self.release(slot);
            answer::failure(io, id, &failure, true);
        }
    }

    /// Refuses a body that will not be complete. `read`: no byte of it is outstanding.
    fn refuse(&mut self, io: &mut Io, id: ConnId, slot: Slot, failure: &Failure, read: bool) {
        if let Some(body) = self.release(slot).end_body() {
            body.incoming.aborted(failure);
        }
        answer::failure(io, id, failure, read);
    }

    /// Releases an answered request: the connection serves the next one.
    fn release(&mut self, slot: Slot) -> Push {
        self.pushes.remove(slot.key())
    }

    /// Runs a turn of its connection.
    pub fn ready(&mut self, io: &mut Io, id: ConnId, slot: Slot) {
        io.conns.flush_or_close(id);
        if !self.awaits_verdict(slot) {
            let mut scratch = io.scratch.lend();
            self.read(io, id, slot, &mut scratch);
            io.scratch.put_back(scratch);
        } else if io.conns[id].peer_end == PeerEnd::HungUp {
            io.conns.close(id, CloseMode::Orderly);
        }
    }

    /// Reads more of a body.
    fn read(&mut self, io: &mut Io, id: ConnId, slot: Slot, scratch: &mut [u8]) {
        let mut budget = io.conns.queue.share();
        while budget > 0 && self.wants_more(io, id, slot) {
            let conn = &mut io.conns[id];
            match conn.read(&mut scratch[..READ_BYTES]) {
                Ok(Read::Moved(count)) => {
                    if count < READ_BYTES {
                        conn.drained_of_input();
                    }
                    budget = budget.saturating_sub(count);
                    let used = self.take(io, id, slot, &scratch[..count]);
                    // The next request may have been received with it.
                    io.conns[id].carry.extend_from_slice(&scratch[used..count]);
                }
                Ok(Read::Blocked) => conn.readable = false,
                Ok(Read::Eof) => self.refuse(io, id, slot, &Failure::BodyBroken, true),
                Err(_) => {
                    self.refuse(io, id, slot, &Failure::BodyBroken, true);
                    io.conns.close(id, CloseMode::Orderly);
                }
            }
        }
        if budget == 0 {
            io.conns.requeue(id);
        }
    }

    fn wants_more(&self, io: &Io, id: ConnId, slot: Slot) -> bool {
        let conn = &io.conns[id];
        let its = conn.role == Role::Intake(slot) && !conn.is_closing() && conn.readable;
        // An answered request has no slot any more.
        its && matches!(
            &self.pushes[slot.key()].state,
            PushState::Reading(body) if body.demand == Demand::More
        )
    }

    /// Handles a timeout: no byte for too long, or too low a rate overall.
    pub fn timeout(&mut self, io: &mut Io, id: ConnId, slot: Slot) {
        debug_assert!(!self.awaits_verdict(slot), "a sender waits for its outcome for any time");
        let failure = Failure::RequestTimeout("The request body did not come in time");
        self.refuse(io, id, slot, &failure, false);
    }

    /// Handles a closed connection. The outcome of a body that was handed over has no receiver
    /// then.
    pub fn closed(&mut self, _io: &mut Io, id: ConnId, slot: Slot) {
        let mut push = self.release(slot);
        debug_assert_eq!(push.ticket.conn, id, "a slot belongs to one connection");
        if let Some(body) = push.end_body() {
            body.incoming.aborted(&Failure::BodyBroken);
        }
    }

    /// Ends a turn of the loop.
    pub fn turned(&mut self, io: &mut Io) {
        if let Some(intake) = &mut self.intake {
            intake.turned();
            self.settle(io);
        }
    }

    /// Carries out the decisions made outside the loop.
    pub fn settle(&mut self, io: &mut Io) {
        let verdicts = self.intake.as_mut().map(|intake| intake.verdicts());
        for (ticket, verdict) in verdicts.into_iter().flatten() {
            // Its sender may have left, and the connection may serve another client or request.
            if let Some(slot) = self.slot_of(io, ticket) {
                self.settle_one(io, ticket.conn, slot, verdict);
            }
        }
    }

    /// Returns the slot of a ticket's request, if its sender still waits.
    fn slot_of(&self, io: &mut Io, ticket: RequestToken) -> Option<Slot> {
        let Role::Intake(slot) = io.conns.get(ticket.conn)?.role else { return None };
        (self.pushes[slot.key()].ticket == ticket).then_some(slot)
    }

    fn settle_one(&mut self, io: &mut Io, id: ConnId, slot: Slot, verdict: PushDecision) {
        match (verdict, &mut self.pushes[slot.key()].state) {
            (PushDecision::Created(position), PushState::Deciding) => {
                self.release(slot);
                answer_created(io, id, position);
            }
            (PushDecision::Refused(failure), PushState::Deciding) => {
                self.release(slot);
                answer::failure(io, id, &failure, true);
            }
            (PushDecision::Refused(failure), PushState::Reading(_)) => {
                self.refuse(io, id, slot, &failure, false);
            }
            (PushDecision::Unknown, PushState::Deciding | PushState::Reading(_)) => {
                io.conns.close(id, CloseMode::Orderly);
            }
            (PushDecision::GoOn, PushState::Reading(body)) => {
                let now = io.now.monotonic;
                body.demand = Demand::More;
                body.clock.go_on(now);
                if body.is_complete() {
                    return self.end(io, id, slot);
                }
                let deadline = body.clock.deadline(now, io.settings.header_timeout);
                io.conns.set_deadline(id, deadline);
                io.conns.enqueue(id);
            }
            // The consumer is ahead of its own decisions: no sender waits for these.
            (PushDecision::Created(_), PushState::Reading(_))
            | (PushDecision::GoOn, PushState::Deciding) => {}
        }
    }

    /// Stops the intake: incomplete bodies are refused.
    pub fn abort(&mut self, io: &mut Io) {
        if let Some(intake) = &mut self.intake {
            intake.give_up();
        }
        let reading =
            self.pushes.iter().filter(|(_, push)| matches!(push.state, PushState::Reading(_)));
        let reading: Vec<_> =
            reading.map(|(key, push)| (Slot::new(key), push.ticket.conn)).collect();
        for (slot, id) in reading {
            // A closed connection is handled at the end of the turn.
            if !io.conns[id].is_closing() {
                self.refuse(io, id, slot, &Failure::TooBusy(Busy::Stopping), false);
            }
        }
    }
}

/// Answers with the record's position, as JSON.
fn answer_created(io: &mut Io, id: ConnId, position: Uuid) {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let position = position.hyphenated().encode_lower(&mut text);
    answer::created(io, id, None, &[r#"{"position":""#, position, "\"}\n"].concat());
}
