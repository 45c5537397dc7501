//! An agent's answer, through its WebSocket, to the client. What the client does not take is
//! buffered; the agent may send more only once the buffer has drained.

use super::calls::{Call, Calls};
use super::sessions::Sessions;
use crate::api::forward::{self, AnswerBody, Origin, ResponseContext};
use crate::api::{Busy, Failure};
use crate::http::answer::{AnswerError, AnswerHead};
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::mux::frame::CancelReason;
use crate::mux::session::{Cancelled, TEXT_MAX_BYTES};
use crate::relay::http1::{flush, settled};
use crate::relay::io::{CloseMode, Conn, Flushed, Http, Io, Note, OnFlushed, Role, Slot};
use crate::rendezvous::transfer::Delimiter;

/// An answer that is shorter than the length its head declares.
const TOO_SHORT: &str = "it ends before its declared length";

/// An answer on its way to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// How the body is delimited; `None` without a body.
    pub delimiter: Option<Delimiter>,
    /// Remaining bytes of the body, if the head declared a length.
    left: Option<u64>,
    /// Bytes of the body that wait to be sent.
    unsent: usize,
}

impl Calls {
    /// Begins an agent's answer.
    pub fn answered(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        head: &[u8],
        over: bool,
    ) {
        match self.begin_answer(io, slot, head, over) {
            Ok(()) if over => self.end_answer(io, sessions, slot),
            Ok(()) => {
                self.flush(io, sessions, slot);
            }
            Err(failure) => {
                let why = CancelReason::Broke(failure.message().into_owned());
                self.fail(io, sessions, slot, why, &failure);
            }
        }
    }

    fn begin_answer(
        &mut self,
        io: &mut Io,
        slot: Slot,
        head: &[u8],
        over: bool,
    ) -> Result<(), Failure> {
        const NOT_WHOLE: Failure = Failure::AgentBroke("its head is incomplete");
        let broke = |error: AnswerError| Failure::AgentBroke(error.message());
        let answer = AnswerHead::parse(head).map_err(broke)?.ok_or(NOT_WHOLE)?;
        let call = &mut self.all[slot.key()];
        let ending = io.mode.is_ending();
        let Io { conns, journal, date, .. } = io;
        let conn = &mut conns[call.id];
        let Conn { reply, note, output, .. } = conn;
        let body = forward::answer_framing(&answer, call.method, None)?;
        let delimiter = body.delimiter(reply.version);
        let left = match body {
            AnswerBody::Length(bytes) => Some(bytes),
            AnswerBody::Absent { .. } => Some(0),
            AnswerBody::Chunked | AnswerBody::UntilClose | AnswerBody::Upgraded => None,
        };
        if over && left.is_some_and(|left| left > 0) {
            return Err(Failure::AgentBroke(TOO_SHORT));
        }
        let request_id = journal.request_ids.as_ref().zip(note.as_deref().and_then(Note::id));
        let keep_alive = reply.after.keeps_alive() && call.upload.is_over() && !ending;
        let returning = ResponseContext {
            body,
            version: reply.version,
            keep_alive,
            date,
            origin: Origin::of(call.prefix.as_deref()),
            correlation_id: &call.correlation_id,
            request_id: request_id.map(|(ids, id)| (ids.header(), id)),
        };
        forward::response(&answer, &returning, output.buffer());
        if !keep_alive && reply.after.keeps_alive() {
            reply.after = OnFlushed::Close;
        }
        if let Some(note) = note {
            note.answered(answer.status, output.rest().len());
        }
        call.answer = Some(Answer { delimiter, left, unsent: 0 });
        if delimiter == Some(Delimiter::Close) {
            conn.reset_on_close(true);
        }
        journal.answered(conn, answer.status);
        io.set_timeout(call.id, io.settings.idle_timeout);
        Ok(())
    }

    /// Forwards more of an answer's body.
    pub fn body(
        &mut self,
        io: &mut Io,
        sessions: &mut Sessions,
        slot: Slot,
        bytes: &[u8],
        over: bool,
    ) {
        let call = &mut self.all[slot.key()];
        let Some(answer) = &mut call.answer else {
            unreachable!("a session reports the body of a response after its head")
        };
        if let Some(left) = &mut answer.left {
            let Some(rest) = left.checked_sub(bytes.len() as u64) else {
                let broke = "it is longer than its declared length";
                let failure = Failure::AgentBroke(broke);
                return self.fail(io, sessions, slot, CancelReason::Broke(broke.into()), &failure);
            };
            *left = rest;
        }
        if !bytes.is_empty() {
            let chunked = answer.delimiter == Some(Delimiter::Chunks);
            let Conn { output, note, .. } = &mut io.conns[call.id];
            let framing = write_framed(output.buffer(), bytes, chunked);
            answer.unsent += bytes.len();
            if let Some(note) = note {
                note.framed(framing);
            }
        }
        if over {
            self.end_answer(io, sessions, slot);
        } else {
            self.flush(io, sessions, slot);
        }
    }

    /// Completes an answer: sends the rest, then continues with what follows it.
    fn end_answer(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) {
        let Some(answer) = self.all[slot.key()].answer else {
            unreachable!("an answer ends after it has begun")
        };
        if answer.left.is_some_and(|left| left > 0) {
            let failure = Failure::AgentBroke(TOO_SHORT);
            return self.fail(io, sessions, slot, CancelReason::Broke(TOO_SHORT.into()), &failure);
        }
        let Call { id, agent, number, upload, .. } = self.remove(io, slot);
        if upload.is_over() {
            sessions.finish(io, agent, number);
        } else {
            sessions.cancel(io, agent, number, CancelReason::Done);
        }
        let Conn { output, note, reply, .. } = &mut io.conns[id];
        if answer.delimiter == Some(Delimiter::Chunks) {
            output.buffer().extend_from_slice(LAST_CHUNK);
            if let Some(note) = note {
                note.framed(LAST_CHUNK.len());
            }
        }
        let wanted =
            if answer.delimiter == Some(Delimiter::Close) { OnFlushed::Whole } else { reply.after };
        let after = settled(io, wanted, upload.is_over());
        if io.conns[id].is_closing() {
            return;
        }
        io.conns[id].role = Role::Http(Http::Answering(after));
        // A slow client may need longer for the rest than an idle one may stay.
        io.set_timeout(id, io.settings.idle_timeout);
        flush(io, id);
    }

    /// Sends what is buffered of an answer and grants the agent that much more; whether the client
    /// is still connected.
    pub fn flush(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot) -> bool {
        let call = &mut self.all[slot.key()];
        if io.conns.flush(call.id) == Flushed::Failed {
            io.conns.close(call.id, CloseMode::Orderly);
            return false;
        }
        let waits = io.conns[call.id].output.rest().len();
        if let Some(answer) = &mut call.answer {
            let unsent = answer.unsent.min(waits);
            let taken = answer.unsent - unsent;
            if taken > 0 {
                answer.unsent = unsent;
                io.set_timeout(call.id, io.settings.idle_timeout);
                sessions.used(io, call.agent, call.number, taken);
            }
        }
        true
    }

    /// Ends an answer that the agent cancelled before its end.
    pub fn cancelled(&mut self, io: &mut Io, sessions: &mut Sessions, slot: Slot, why: &Cancelled) {
        let failure = match why {
            Cancelled::There(CancelReason::Late) => Failure::AgentTimeout,
            Cancelled::There(CancelReason::Busy) => Failure::TooBusy(Busy::AgentRequests),
            Cancelled::There(CancelReason::Gone) => Failure::AgentGone,
            Cancelled::There(CancelReason::Done | CancelReason::Broke(_)) => {
                Failure::AgentCancelled
            }
            Cancelled::Interim => Failure::AgentBroke("there are more than 16 interim responses"),
            Cancelled::Invalid(what) => Failure::AgentBroke(what),
            Cancelled::NotText => Failure::NotText,
            Cancelled::TooLarge => Failure::CallTooLarge(TEXT_MAX_BYTES),
        };
        self.fail(io, sessions, slot, CancelReason::Gone, &failure);
    }
}
