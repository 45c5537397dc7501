//! Requests whose bodies are wanted: each is read to its end and given to somebody outside the loop,
//! who says later what became of it. Until then its sender waits, and gets no answer that is not true.

use super::conn::Phase;
use super::event_loop::EventLoop;
use super::note::Note;
use super::relay::Relay;
use super::request::Request;
use super::token::ConnId;
use crate::api::{Busy, Failure};
use crate::http::body::{BodyDecoder, BodyError};
use crate::http::framing::Framing;
use crate::http::head::{Expect, RequestHead};
use crate::rendezvous::Now;
use crate::splice::copy;
use mio::Waker;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// One read of a body, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Bytes of one body that are read in one turn before others have theirs.
const TURN_BYTES: usize = 256 << 10;

/// Names a request that waits for its outcome; never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(ConnId);

/// What becomes of a request, said from outside the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is a record now, at this position: 201.
    Created(Uuid),
    /// It did not become one.
    Refused(Failure),
    /// More of its body can be taken.
    GoOn,
}

/// Whether more of a body can be taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appetite {
    /// It can.
    More,
    /// Not before [`Verdict::GoOn`].
    Later,
}

/// What is known of a request before its body.
#[derive(Debug)]
pub struct Pushed<'r, 'h, 'b> {
    /// Its head.
    pub head: &'r RequestHead<'h, 'b>,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Its id, if requests have ids.
    pub request_id: Option<&'r str>,
    /// When its head was read.
    pub now: Now,
    /// Whether all of its body came with its head.
    pub body_is_here: bool,
}

/// Takes in what is pushed. It is called by the loop, so nothing here may block.
pub trait Intake: fmt::Debug {
    /// Whether requests may be pushed to this path; and whether other methods are answered as if
    /// there were no such path.
    fn path(&self, path: &str) -> (bool, bool);

    /// Bytes that a body may have.
    fn body_max(&self) -> usize;

    /// A request begins.
    ///
    /// # Errors
    /// Why it is refused before its body is read.
    fn begin(&mut self, pushed: &Pushed<'_, '_, '_>) -> Result<Box<dyn Incoming>, Failure>;

    /// A turn of the loop ends: what began in it can be gone on with.
    fn turned(&mut self);

    /// What was decided since the last call.
    fn verdicts(&mut self) -> Vec<(Ticket, Verdict)>;

    /// No time is left: what was not handed over must not be any more, and its senders are to be told.
    fn give_up(&mut self);

    /// Whether the loop shall end by itself, as after a signal that has it drain.
    fn is_over(&self) -> bool;
}

/// A body on its way in.
pub trait Incoming: fmt::Debug {
    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// Why it is refused.
    fn take(&mut self, ticket: Ticket, bytes: &[u8]) -> Result<Appetite, Failure>;

    /// The body is whole; its outcome comes with the verdicts.
    ///
    /// # Errors
    /// Why it is refused.
    fn end(self: Box<Self>, ticket: Ticket, now: Now) -> Result<(), Failure>;

    /// The body is whole, and this is all of it; nothing was taken before.
    ///
    /// # Errors
    /// Why it is refused.
    fn whole(self: Box<Self>, ticket: Ticket, now: Now, body: &[u8]) -> Result<(), Failure>;

    /// The body will never be whole, for this reason.
    fn broke(self: Box<Self>, failure: &Failure);
}

/// Has the loop ask its [`Intake`] for verdicts, from any thread.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Waker>);

impl Bell {
    /// Wakes the loop.
    pub fn ring(&self) {
        // A loop that has ended asks for nothing.
        let _ = self.0.wake();
    }
}

#[cfg(test)]
impl Bell {
    /// One that no loop hears.
    pub(crate) fn unheard() -> std::io::Result<Self> {
        let poll = mio::Poll::new()?;
        Ok(Self(Arc::new(Waker::new(poll.registry(), mio::Token(0))?)))
    }
}

/// A request whose body is being read.
#[derive(Debug)]
pub(super) struct Push {
    decoder: BodyDecoder,
    /// Bytes the body may have.
    body_max: usize,
    incoming: Box<dyn Incoming>,
    appetite: Appetite,
}

impl EventLoop {
    /// A bell to wake this loop with.
    pub fn bell(&self) -> Bell {
        Bell(self.reloader.waker())
    }

    /// Serves this intake instead of streams.
    pub fn take_in(&mut self, intake: Box<dyn Intake>) {
        // Of port 0 the kernel has made another one by now, which nobody could guess.
        if let Some(operators) = self.admin_address() {
            log::info!("operators are served on {operators}");
        }
        self.relay.intake = Some(intake);
    }
}

impl Relay {
    /// A request's head was read whose body is wanted; returns how many bytes behind it are used up.
    pub(super) fn begin_push(&mut self, id: ConnId, request: Request<'_, '_>) -> usize {
        match self.open_push(id, request) {
            Ok(push) if request.body_is_here() => self.take_whole(id, push, request),
            Ok(push) => {
                let over = push.decoder.is_over();
                if let Some(conn) = self.conn(id) {
                    conn.phase = Phase::Pushing(Box::new(push));
                }
                if request.head.expect == Expect::Continue && !over {
                    self.invite(id, request.behind);
                }
                self.set_deadline(id, self.settings.header_timeout);
                let used = self.take_push(id, request.behind);
                if self.conn(id).is_some_and(|conn| matches!(conn.phase, Phase::Pushing(_))) {
                    self.enqueue(id);
                }
                used
            }
            Err(failure) => self.refuse(id, request, &failure),
        }
    }

    /// The whole body came with its head, as small ones do.
    fn take_whole(&mut self, id: ConnId, push: Push, request: Request<'_, '_>) -> usize {
        let bytes = push.decoder.still_to_come().unwrap_or(0);
        let used = usize::try_from(bytes).unwrap_or(0);
        self.clear_deadline(id);
        if let Some(conn) = self.conn(id) {
            conn.phase = Phase::Handing;
        }
        if let Err(failure) = push.incoming.whole(Ticket(id), self.now, &request.behind[..used]) {
            self.answer_failure(id, &failure, true);
        }
        used
    }

    fn open_push(&mut self, id: ConnId, request: Request<'_, '_>) -> Result<Push, Failure> {
        let (head, body_is_here) = (request.head, request.body_is_here());
        if let Some(failure) = self.takes_no_streams() {
            return Err(failure);
        }
        let now = self.now;
        let conn = self.conns.get(id.index as usize).filter(|conn| conn.id == id);
        let (Some(intake), Some(conn)) = (&mut self.intake, conn) else {
            return Err(Failure::BadRoute);
        };
        let body_max = intake.body_max();
        if matches!(head.framing, Framing::Length(bytes) if bytes > body_max as u64) {
            return Err(Failure::BodyTooLarge(body_max));
        }
        let request_id = conn.note.as_deref().and_then(Note::id);
        let incoming =
            intake.begin(&Pushed { head, peer: conn.peer, request_id, now, body_is_here })?;
        let decoder = BodyDecoder::new(head.framing).at_most(body_max as u64);
        Ok(Push { decoder, body_max, incoming, appetite: Appetite::More })
    }

    /// Takes bytes of a body; returns how many of them are its own.
    fn take_push(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let Some(conn) = self.conn(id) else { return 0 };
        let Phase::Pushing(push) = &mut conn.phase else { return 0 };
        match push.take(Ticket(id), bytes) {
            Ok(used) => {
                match push.appetite {
                    // Its sender does not answer for the time that this takes.
                    Appetite::Later => self.clear_deadline(id),
                    Appetite::More if push.decoder.is_over() => self.end_push(id),
                    Appetite::More => {}
                }
                used
            }
            Err(failure) => {
                self.break_push(id, &failure, false);
                bytes.len()
            }
        }
    }

    /// The body is whole: its sender waits from now on.
    fn end_push(&mut self, id: ConnId) {
        let now = self.now;
        self.clear_deadline(id);
        let Some(conn) = self.conn(id) else { return };
        let phase = std::mem::replace(&mut conn.phase, Phase::Handing);
        let Phase::Pushing(push) = phase else { return };
        if let Err(failure) = push.incoming.end(Ticket(id), now) {
            self.answer_failure(id, &failure, true);
        }
    }

    /// The body will not be whole.
    pub(super) fn break_push(&mut self, id: ConnId, failure: &Failure, read: bool) {
        let Some(conn) = self.conn(id) else { return };
        if let Phase::Pushing(push) = std::mem::replace(&mut conn.phase, Phase::Handing) {
            push.incoming.broke(failure);
        }
        self.answer_failure(id, failure, read);
    }

    /// Reads more of a body.
    pub(super) fn read_push(&mut self, id: ConnId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut budget = TURN_BYTES;
        while budget > 0 && self.wants_more(id) {
            let Some(conn) = self.conn(id) else { break };
            match copy::read(&conn.socket, &mut scratch[..READ_BYTES]) {
                Ok(copy::Read::Moved(count)) => {
                    if count < READ_BYTES {
                        conn.drained_of_input();
                    }
                    budget = budget.saturating_sub(count);
                    self.set_deadline(id, self.settings.header_timeout);
                    let used = self.take_push(id, &scratch[..count]);
                    if let Some(conn) = self.conn(id) {
                        conn.carry.extend_from_slice(&scratch[used..count]);
                    }
                }
                Ok(copy::Read::Blocked) => conn.readable = false,
                Ok(copy::Read::Eof) => self.break_push(id, &Failure::BodyBroken, true),
                Err(_) => {
                    self.break_push(id, &Failure::BodyBroken, true);
                    self.close(id);
                }
            }
        }
        self.scratch = scratch;
        if budget == 0 {
            self.enqueue(id);
        }
    }

    fn wants_more(&mut self, id: ConnId) -> bool {
        self.conn(id).is_some_and(|conn| {
            conn.readable
                && matches!(&conn.phase, Phase::Pushing(push) if push.appetite == Appetite::More)
        })
    }

    /// What was decided outside is carried out.
    pub(super) fn settle(&mut self) {
        let Some(verdicts) = self.intake.as_mut().map(|intake| intake.verdicts()) else { return };
        for (Ticket(id), verdict) in verdicts {
            let Some(conn) = self.conn(id) else { continue };
            match (verdict, &mut conn.phase) {
                (Verdict::Created(position), Phase::Handing) => self.answer_pushed(id, position),
                (Verdict::Refused(failure), Phase::Handing) => {
                    self.answer_failure(id, &failure, true);
                }
                (Verdict::Refused(failure), Phase::Pushing(_)) => {
                    self.break_push(id, &failure, false);
                }
                (Verdict::GoOn, Phase::Pushing(push)) => {
                    push.appetite = Appetite::More;
                    let over = push.decoder.is_over();
                    self.set_deadline(id, self.settings.header_timeout);
                    if over { self.end_push(id) } else { self.enqueue(id) }
                }
                // Its sender has left, and the connection serves nobody or another request.
                (Verdict::Created(_) | Verdict::Refused(_) | Verdict::GoOn, _) => {}
            }
        }
    }

    /// Nothing is taken in any more: bodies that are not whole are refused.
    pub(super) fn break_off_pushes(&mut self) {
        let Some(intake) = &mut self.intake else { return };
        intake.give_up();
        let ids: Vec<ConnId> = self.conns.iter().map(|(_, conn)| conn.id).collect();
        for id in ids {
            if self.conn(id).is_some_and(|conn| matches!(conn.phase, Phase::Pushing(_))) {
                self.break_push(id, &Failure::TooBusy(Busy::Stopping), false);
            }
        }
    }
}

impl Push {
    /// Takes bytes; returns how many of them belong to this body.
    fn take(&mut self, ticket: Ticket, bytes: &[u8]) -> Result<usize, Failure> {
        let mut pieces = Vec::new();
        let used = self.decoder.received(bytes, &mut pieces).map_err(|error| match error {
            BodyError::Framing(error) => Failure::BadFraming(error),
            BodyError::TooLarge => Failure::BodyTooLarge(self.body_max),
        })?;
        match pieces.as_slice() {
            [] => {}
            [piece] => self.appetite = self.incoming.take(ticket, &bytes[piece.clone()])?,
            // At once, because after `Later` nothing may be given.
            pieces => {
                let parts: Vec<_> = pieces.iter().map(|piece| &bytes[piece.clone()]).collect();
                self.appetite = self.incoming.take(ticket, &parts.concat())?;
            }
        }
        Ok(used)
    }
}
