//! The answer of an agent, through its WebSocket, to the client. What the client does not take
//! waits; the agent may send more only when it is gone.

use super::call::Answer;
use crate::api::forward::{self, Returning};
use crate::api::{Busy, Failure};
use crate::http::answer::AnswerHead;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::mux::frame::Why;
use crate::mux::session::Cancelled;
use crate::net::conn::{After, Conn, Phase};
use crate::net::note::Note;
use crate::net::relay::Relay;
use crate::net::token::ConnId;
use crate::rendezvous::transfer::Delimiter;

impl Relay {
    /// An agent begins its answer.
    pub(super) fn call_answered(&mut self, agent: ConnId, number: u32, head: &[u8], over: bool) {
        let waiting = self.agent(agent).and_then(|agent| agent.waiting.get(&number).copied());
        let Some(id) = waiting else { return };
        match self.begin_answer(id, head, over) {
            Ok(()) if over => self.end_answer(id),
            Ok(()) => self.flush_answer(id),
            Err(failure) => {
                let why = Why::Broke(failure.message().into_owned());
                self.fail_call(id, why, &failure);
            }
        }
    }

    fn begin_answer(&mut self, id: ConnId, head: &[u8], over: bool) -> Result<(), Failure> {
        const NOT_WHOLE: Failure = Failure::AgentBroke("its head is not whole");
        let broke = |error: crate::http::answer::AnswerError| Failure::AgentBroke(error.message());
        let answer = AnswerHead::parse(head).map_err(broke)?.ok_or(NOT_WHOLE)?;
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.id == id) else {
            return Ok(());
        };
        let Conn { phase: Phase::Calling(call), reply, note, output, .. } = conn else {
            return Ok(());
        };
        let body = forward::answer_framing(&answer, call.method)?;
        let delimiter = body.delimiter(reply.version);
        let left = match body {
            forward::AnswerBody::Length(bytes) => Some(bytes),
            forward::AnswerBody::Absent { .. } => Some(0),
            forward::AnswerBody::Chunked | forward::AnswerBody::UntilClose => None,
        };
        if over && left.is_some_and(|left| left > 0) {
            return Err(Failure::AgentBroke("it ends before the length it told"));
        }
        let request_id = self.request_ids.as_ref().zip(note.as_deref().and_then(Note::id));
        let keep_alive =
            reply.after.keeps_alive() && call.upload.is_over() && !self.mode.is_ending();
        let returning = Returning {
            body,
            version: reply.version,
            keep_alive,
            date: &self.date,
            correlation_id: &call.correlation_id,
            request_id: request_id.map(|(ids, id)| (ids.header(), id)),
        };
        forward::response(&answer, &returning, output.buffer());
        if !keep_alive && reply.after.keeps_alive() {
            reply.after = After::Close;
        }
        if let Some(note) = note {
            note.answered(answer.status, output.rest().len());
        }
        call.answer = Some(Answer { delimiter, left, unsent: 0 });
        if delimiter == Some(Delimiter::Close) {
            conn.look_broken_until_whole();
        }
        self.answered(id, answer.status);
        self.set_deadline(id, self.settings.idle_timeout);
        Ok(())
    }

    /// More of an answer came.
    pub(super) fn call_body(&mut self, id: ConnId, bytes: &[u8], over: bool) {
        let Some(conn) = self.conn(id) else { return };
        let Conn { phase: Phase::Calling(call), output, note, .. } = conn else { return };
        let Some(answer) = &mut call.answer else { return };
        if let Some(left) = &mut answer.left {
            let Some(rest) = left.checked_sub(bytes.len() as u64) else {
                let broke = "it is longer than the length it told";
                return self.fail_call(id, Why::Broke(broke.into()), &Failure::AgentBroke(broke));
            };
            *left = rest;
        }
        if !bytes.is_empty() {
            let chunked = answer.delimiter == Some(Delimiter::Chunks);
            let framing = write_framed(output.buffer(), bytes, chunked);
            answer.unsent += bytes.len();
            if let Some(note) = note {
                note.framed(framing);
            }
        }
        if over { self.end_answer(id) } else { self.flush_answer(id) }
    }

    /// The answer is whole: what is left of it is sent, and then what follows.
    fn end_answer(&mut self, id: ConnId) {
        // There may be more of it than a slow client takes before an idle one has to go.
        let patience = self.settings.idle_timeout;
        let Some(conn) = self.conn(id) else { return };
        let Conn { phase: Phase::Calling(call), output, reply, note, .. } = conn else { return };
        let Some(answer) = call.answer else { return };
        if answer.left.is_some_and(|left| left > 0) {
            let broke = "it ends before the length it told";
            return self.fail_call(id, Why::Broke(broke.into()), &Failure::AgentBroke(broke));
        }
        if answer.delimiter == Some(Delimiter::Chunks) {
            output.buffer().extend_from_slice(LAST_CHUNK);
            if let Some(note) = note {
                note.framed(LAST_CHUNK.len());
            }
        }
        let wanted =
            if answer.delimiter == Some(Delimiter::Close) { After::Whole } else { reply.after };
        let (agent_id, number, read) = (call.agent, call.number, call.upload.is_over());
        let after = self.after(wanted, read);
        if let Some(agent) = self.agent(agent_id) {
            agent.waiting.remove(&number);
            if !read {
                agent.session.cancel(number, Why::Done);
            }
            self.enqueue(agent_id);
        }
        if let Some(conn) = self.conn(id) {
            conn.phase = Phase::Answering(after);
        }
        self.set_deadline(id, patience);
        self.flush(id);
    }

    /// Sends what there is of an answer, and lets the agent send as much again.
    pub(super) fn flush_answer(&mut self, id: ConnId) {
        self.flush(id);
        let idle = self.settings.idle_timeout;
        let Some(conn) = self.conn(id) else { return };
        let waits = conn.output.rest().len();
        let Phase::Calling(call) = &mut conn.phase else { return };
        let Some(answer) = &mut call.answer else { return };
        let unsent = answer.unsent.min(waits);
        let taken = answer.unsent - unsent;
        if taken == 0 {
            return;
        }
        answer.unsent = unsent;
        let (agent_id, number) = (call.agent, call.number);
        self.set_deadline(id, idle);
        if let Some(agent) = self.agent(agent_id) {
            agent.session.used(number, taken);
            self.enqueue(agent_id);
        }
    }

    /// An agent's answer ends before its end.
    pub(super) fn call_cancelled(&mut self, id: ConnId, why: &Cancelled) {
        let failure = match why {
            Cancelled::There(Why::Late) => Failure::AgentTimeout,
            Cancelled::There(Why::Busy) => Failure::TooBusy(Busy::AgentRequests),
            Cancelled::There(Why::Gone) => Failure::AgentGone,
            Cancelled::There(Why::Done | Why::Broke(_)) => Failure::AgentCancelled,
            Cancelled::NotText => Failure::NotText,
            Cancelled::TooLarge => Failure::CallTooLarge(crate::mux::session::TEXT_MAX_BYTES),
        };
        self.fail_call(id, Why::Gone, &failure);
    }

    /// The agent that somebody waits for is gone.
    pub(super) fn agent_gone_for(&mut self, id: ConnId) {
        if self.call_mut(id).is_some() {
            self.fail_call(id, Why::Gone, &Failure::AgentGone);
        } else {
            self.close(id);
        }
    }

    /// A call whose answer has begun cannot be gone on with: its client must not take what it got
    /// for the whole.
    pub(super) fn cut_call(&mut self, id: ConnId) {
        let Some(call) = self.call_mut(id) else { return };
        let delimiter = call.answer.and_then(|answer| answer.delimiter);
        // What was sent, and what is still unsent, is no whole body either way; the kernel sends
        // what it has, and the end comes before the last chunk or the last byte.
        if delimiter == Some(Delimiter::Close) { self.reset(id) } else { self.close(id) }
    }
}
