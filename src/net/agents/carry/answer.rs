//! The head of an answer that comes on a spare connection, and the transfer of what follows it.

use super::{CarriedEnd, Errand};
use crate::api::Failure;
use crate::api::forward::{self, AnswerBody, Returning};
use crate::http::answer::AnswerHead;
use crate::http::fields::members;
use crate::http::framing::Framing;
use crate::http::head::Version;
use crate::mux::frame::HEAD_MAX_BYTES;
use crate::net::conn::{After, Conn, Phase};
use crate::net::note::Note;
use crate::net::relay::Relay;
use crate::net::token::ConnId;
use crate::rendezvous::Transfer;
use crate::rendezvous::transfer::Delimiter;
use crate::splice::copy::{self, Read};

/// One read of the head of an answer, in bytes. What comes with it of the body is copied.
const HEAD_READ_BYTES: usize = 4096;

impl Relay {
    /// Reads the head of an answer.
    pub(super) fn read_answer(&mut self, id: ConnId) {
        while let Some(conn) = self.conn(id).filter(|conn| conn.readable) {
            let filled = conn.carry.len();
            conn.carry.resize(filled + HEAD_READ_BYTES, 0);
            let result = copy::read(&conn.socket, &mut conn.carry[filled..]);
            let count = if let Ok(Read::Moved(count)) = result { count } else { 0 };
            conn.carry.truncate(filled + count);
            match result {
                Ok(Read::Moved(count)) => {
                    if count < HEAD_READ_BYTES {
                        conn.drained_of_input();
                    }
                    match self.answer_head(id) {
                        Ok(Some(answer)) => return self.begin_response(id, &answer),
                        Ok(None) => {}
                        Err(failure) => return self.fail_carried(id, &failure),
                    }
                }
                Ok(Read::Blocked) => conn.readable = false,
                Ok(Read::Eof) | Err(_) => return self.fail_carried(id, &Failure::AgentGone),
            }
        }
    }

    /// Takes the head of the final answer off what was read, once it is whole.
    fn answer_head(&mut self, id: ConnId) -> Result<Option<AnswerHead>, Failure> {
        let Some(conn) = self.conn(id) else { return Ok(None) };
        loop {
            let broke =
                |error: crate::http::answer::AnswerError| Failure::AgentBroke(error.message());
            let Some(answer) = AnswerHead::parse(&conn.carry).map_err(broke)? else {
                let long = conn.carry.len() > HEAD_MAX_BYTES;
                return if long {
                    Err(Failure::AgentBroke("its head is too long"))
                } else {
                    Ok(None)
                };
            };
            conn.carry.drain(..answer.len);
            if !answer.is_interim() {
                return Ok(Some(answer));
            }
        }
    }

    /// The head of the answer is there: its body goes to the client.
    fn begin_response(&mut self, spare: ConnId, answer: &AnswerHead) {
        if let Err(failure) = self.try_begin_response(spare, answer) {
            self.fail_carried(spare, &failure);
        }
    }

    fn try_begin_response(&mut self, spare: ConnId, answer: &AnswerHead) -> Result<(), Failure> {
        // HTTP/1.0 was never asked to go on (RFC 9112, section 9.3).
        let closes = answer.version == Version::Http10
            || answer
                .all("Connection")
                .flat_map(members)
                .any(|member| member.eq_ignore_ascii_case(b"close"));
        let Some(carried) = self.carried(spare) else { return Ok(()) };
        let client = carried.other;
        if let CarriedEnd::Spare { keeps, .. } = &mut carried.end {
            *keeps = !closes;
        }
        let ending = self.mode.is_ending();
        let conn = self.conns.get_mut(client.index as usize).filter(|conn| conn.id == client);
        let Some(Conn { phase: Phase::Carried(carried), reply, note, .. }) = conn else {
            return Ok(());
        };
        let CarriedEnd::Client { method, correlation_id, asked } = &carried.end else {
            return Ok(());
        };
        let body = forward::answer_framing(answer, *method)?;
        let framing = match body {
            AnswerBody::Absent { .. } => Framing::Length(0),
            AnswerBody::Length(bytes) => Framing::Length(bytes),
            AnswerBody::Chunked => Framing::Chunked,
            AnswerBody::UntilClose => {
                return Err(Failure::AgentBroke("nothing but its end delimits it"));
            }
        };
        let delimiter = body.delimiter(reply.version);
        let keep_alive = reply.after.keeps_alive() && *asked && !ending;
        if !keep_alive && reply.after.keeps_alive() {
            reply.after = After::Close;
        }
        let request_id = self.request_ids.as_ref().zip(note.as_deref().and_then(Note::id));
        let returning = Returning {
            body,
            version: reply.version,
            keep_alive,
            date: &self.date,
            correlation_id,
            request_id: request_id.map(|(ids, id)| (ids.header(), id)),
        };
        let mut head = Vec::with_capacity(512);
        forward::response(answer, &returning, &mut head);
        if let Some(note) = note {
            note.answered(answer.status, 0);
        }
        if delimiter == Some(Delimiter::Close)
            && let Some(conn) = self.conn(client)
        {
            conn.look_broken_until_whole();
        }
        self.answered(client, answer.status);
        let delimiter = delimiter.unwrap_or(Delimiter::Length);
        let transfer =
            Transfer::new(framing, delimiter, head, !self.settings.no_splice).head_at_once();
        self.run_response(spare, client, delimiter, transfer);
        Ok(())
    }

    fn run_response(
        &mut self,
        spare: ConnId,
        client: ConnId,
        delimiter: Delimiter,
        mut transfer: Transfer,
    ) {
        self.feed_prefix(spare, false, &mut transfer);
        let sides = (spare, client);
        let (place, number) = self.insert_exchange(Errand::Response, sides, delimiter, transfer);
        for end in [spare, client] {
            if let Some(carried) = self.carried(end) {
                carried.response = Some(place);
            }
        }
        self.set_deadline(spare, self.settings.idle_timeout);
        self.drive(place, number);
    }
}
