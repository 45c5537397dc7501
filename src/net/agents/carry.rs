//! A call on a spare connection: two transfers between two sockets, the request and the response,
//! moved by the kernel like those of streams. The relay reads the heads and nothing else.

use super::spare::Spare;
use crate::api::Failure;
use crate::api::forward::{self, AnswerBody, Returning};
use crate::http::answer::AnswerHead;
use crate::http::fields::members;
use crate::http::framing::Framing;
use crate::http::head::{Expect, Method, Version};
use crate::mux::frame::HEAD_MAX_BYTES;
use crate::net::conn::{After, Conn, PeerEnd, Phase};
use crate::net::drive::Exchange;
use crate::net::note::Note;
use crate::net::relay::Relay;
use crate::net::request::Request;
use crate::net::sockopt;
use crate::net::token::ConnId;
use crate::rendezvous::transfer::{Delimiter, Loss};
use crate::rendezvous::{Outcome, StreamKey, Transfer};
use crate::splice::copy::{self, Read};
use std::time::Duration;

/// One read of the head of an answer, in bytes. What comes with it of the body is copied.
const HEAD_READ_BYTES: usize = 4096;

/// What a transfer is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Errand {
    /// A stream: it is all of it.
    Stream(StreamKey),
    /// A call: the request, from the client to a spare connection.
    Request,
    /// A call: the response, from a spare connection to the client.
    Response,
}

/// One of the two connections of a call: the client's, or the agent's spare one.
#[derive(Debug)]
pub(in crate::net) struct Carried {
    /// The other one.
    pub other: ConnId,
    pub end: CarriedEnd,
    /// The transfer of the request, while it runs.
    pub request: Option<usize>,
    /// The transfer of the response, while it runs.
    pub response: Option<usize>,
}

/// What is known of a call at either end.
#[derive(Debug)]
pub(in crate::net) enum CarriedEnd {
    Client {
        method: Method,
        correlation_id: Box<str>,
        /// Its whole request went out.
        asked: bool,
    },
    Spare {
        /// The connection of the agent's WebSocket.
        agent: ConnId,
        /// The agent goes on with it after this call.
        keeps: bool,
    },
}

impl Carried {
    /// Whether it is the client's end.
    pub fn is_client(&self) -> bool {
        matches!(self.end, CarriedEnd::Client { .. })
    }

    /// The transfer that takes bytes from this connection.
    pub fn outgoing(&self) -> Option<usize> {
        if self.is_client() { self.request } else { self.response }
    }

    /// The transfer that brings bytes to this connection.
    fn incoming(&self) -> Option<usize> {
        if self.is_client() { self.response } else { self.request }
    }
}

impl Relay {
    /// Sends a call on a spare connection; returns how many bytes behind the head are used up.
    pub(super) fn carry(
        &mut self,
        id: ConnId,
        spare: ConnId,
        call: (Box<str>, Vec<u8>),
        request: Request<'_, '_>,
    ) -> usize {
        let (correlation_id, forwarded) = call;
        let (head, framing) = (request.head, request.head.framing);
        let Some(conn) = self.conn(spare) else { return 0 };
        let Phase::Spare(Spare { agent }) = conn.phase else { return 0 };
        let end = CarriedEnd::Spare { agent, keeps: true };
        let carried = |other, end| {
            Phase::Carried(Box::new(Carried { other, end, request: None, response: None }))
        };
        conn.phase = carried(id, end);
        let end = CarriedEnd::Client { method: head.method, correlation_id, asked: false };
        let Some(conn) = self.conn(id) else { return 0 };
        conn.phase = carried(spare, end);
        conn.carry = request.behind.to_vec();
        let delimiter = match framing {
            Framing::Length(_) => Delimiter::Length,
            Framing::Chunked => Delimiter::Chunks,
        };
        let mut transfer =
            Transfer::new(framing, delimiter, forwarded, !self.settings.no_splice).head_at_once();
        self.feed_prefix(id, head.expect == Expect::Continue, &mut transfer);
        self.set_deadline(spare, self.settings.sockets.agent_timeout);
        let sides = (id, spare);
        let (place, number) = self.insert_exchange(Errand::Request, sides, delimiter, transfer);
        for end in [id, spare] {
            if let Some(carried) = self.carried(end) {
                carried.request = Some(place);
            }
        }
        self.set_deadline(id, self.settings.idle_timeout);
        self.flush(id);
        self.drive(place, number);
        if self.conn(id).is_some_and(|conn| conn.peer_end > PeerEnd::Open) {
            self.enqueue(id);
        }
        request.behind.len()
    }

    fn carried(&mut self, id: ConnId) -> Option<&mut Carried> {
        if let Phase::Carried(carried) = &mut self.conn(id)?.phase { Some(carried) } else { None }
    }

    /// One of a call's connections has news that concern no transfer.
    pub(in crate::net) fn turn_carried(&mut self, id: ConnId) {
        let held = self.conn(id).is_some_and(|conn| !conn.output.is_empty());
        self.flush(id);
        let Some(conn) = self.conn(id) else { return };
        let (peer_end, out) = (conn.peer_end, conn.output.is_empty());
        let Phase::Carried(carried) = &conn.phase else { return };
        if let Some(place) = carried.incoming().filter(|_| held && out) {
            // It may have had its turn before, and waits for what was in its way.
            self.enqueue_exchange(place);
        }
        let Some(carried) = self.carried(id) else { return };
        if carried.is_client() {
            // As a download's, its FIN means that nobody waits for the answer any more.
            if peer_end == PeerEnd::HungUp
                || (peer_end == PeerEnd::Fin && carried.request.is_none())
            {
                self.close(id);
            }
        } else if carried.response.is_none() {
            self.read_answer(id);
        }
    }

    /// Reads the head of an answer.
    fn read_answer(&mut self, id: ConnId) {
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

    /// One of a call's transfers is over.
    pub(in crate::net) fn carried_concluded(&mut self, place: usize, outcome: Outcome) {
        let Some(exchange) = self.take_exchange(place) else { return };
        if exchange.errand == Errand::Response {
            return self.response_concluded(&exchange, outcome);
        }
        self.unmark(&exchange);
        let (client, spare) = (exchange.source, exchange.destination);
        let whole = outcome == Outcome::Complete;
        for end in [client, spare] {
            if let Some(carried) = self.carried(end) {
                carried.request = None;
                if let CarriedEnd::Client { asked, .. } = &mut carried.end {
                    *asked = whole;
                }
            }
        }
        match outcome {
            Outcome::Complete => {
                if self.carried(spare).is_some_and(|carried| carried.response.is_none()) {
                    self.set_deadline(spare, self.settings.sockets.agent_timeout);
                }
                self.clear_deadline(client);
                self.enqueue(client);
                self.enqueue(spare);
            }
            // It may have answered before it stopped reading.
            Outcome::DestinationGone(_) => {
                if let Some(Conn { phase: Phase::Carried(carried), readable, .. }) =
                    self.conn(spare)
                {
                    *readable = true;
                    if let CarriedEnd::Spare { keeps, .. } = &mut carried.end {
                        *keeps = false;
                    }
                }
                self.enqueue(spare);
            }
            Outcome::SourceGone(Loss::Stalled) => {
                let failure = Failure::RequestTimeout("The request body did not move for too long");
                self.fail_carried(spare, &failure);
            }
            Outcome::SourceGone(Loss::Closed | Loss::Failed) | Outcome::SourceTooLarge(_) => {
                self.fail_carried(spare, &Failure::BodyBroken);
            }
            Outcome::SourceBroken(error) => self.fail_carried(spare, &Failure::BadFraming(error)),
        }
    }

    fn response_concluded(&mut self, exchange: &Exchange, outcome: Outcome) {
        let (spare, client) = (exchange.source, exchange.destination);
        for end in [client, spare] {
            if let Some(carried) = self.carried(end) {
                carried.response = None;
            }
        }
        self.note_download(client, &exchange.transfer);
        match outcome {
            Outcome::Complete => self.response_complete(exchange),
            Outcome::DestinationGone(_) => self.close(client),
            Outcome::SourceGone(_) | Outcome::SourceBroken(_) | Outcome::SourceTooLarge(_) => {
                // Its head may have left, and the rest must not look complete.
                self.release(client);
                self.close(spare);
                if exchange.delimiter == Delimiter::Close {
                    self.reset(client);
                } else {
                    self.close(client);
                }
            }
        }
    }

    fn response_complete(&mut self, exchange: &Exchange) {
        let (spare, client) = (exchange.source, exchange.destination);
        let asked = matches!(
            self.carried(client),
            Some(Carried { end: CarriedEnd::Client { asked: true, .. }, .. })
        );
        let agent = match self.carried(spare) {
            Some(Carried { end: CarriedEnd::Spare { agent, keeps }, .. }) => Some((*agent, *keeps)),
            Some(_) | None => None,
        };
        self.release(client);
        self.release(spare);
        match agent {
            Some((agent, true)) if asked => {
                self.unmark(exchange);
                let bytes = exchange.transfer.transferred();
                if let Some(agent) = self.agent(agent) {
                    agent.bytes_in += bytes;
                }
                self.give_spare_back(spare, agent);
            }
            Some((agent, _)) => {
                self.close(spare);
                self.spare_is_gone(spare, agent);
            }
            None => self.close(spare),
        }
        let Some(conn) = self.conn(client) else { return };
        let mut after = conn.reply.after;
        if exchange.delimiter == Delimiter::Close {
            conn.look_whole();
            after = if after.keeps_alive() { After::Close } else { after };
        }
        let after = self.after(after, asked);
        self.follow(client, after);
    }

    /// A call cannot go on: the client is told, or cut off if its answer has begun.
    pub(super) fn fail_carried(&mut self, spare: ConnId, failure: &Failure) {
        let Some(carried) = self.carried(spare) else { return };
        let client = carried.other;
        let begun = carried.response.is_some();
        let asked = matches!(
            self.carried(client),
            Some(Carried { end: CarriedEnd::Client { asked: true, .. }, .. })
        );
        if begun {
            return self.close(client);
        }
        self.release(client);
        self.close(spare);
        self.answer_failure(client, failure, asked);
    }

    /// A transfer is over: what its source sends next is wanted at once, however little it is.
    fn unmark(&mut self, exchange: &Exchange) {
        if exchange.batches()
            && let Some(conn) = self.conn(exchange.source)
        {
            sockopt::set_receive_low_water(&conn.socket, 1);
        }
    }

    /// Nothing is carried for this connection any more.
    fn release(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        if !matches!(conn.phase, Phase::Carried(_)) {
            return;
        }
        let phase = std::mem::replace(&mut conn.phase, Phase::Head);
        let Phase::Carried(carried) = phase else { return };
        for place in [carried.request, carried.response].into_iter().flatten() {
            if let Some(exchange) = self.take_exchange(place) {
                self.unmark(&exchange);
            }
        }
        if let Some(other) = self.carried(carried.other) {
            (other.request, other.response) = (None, None);
        }
        if let CarriedEnd::Spare { agent, .. } = carried.end
            && let Some(agent) = self.agent(agent)
        {
            agent.carrying.retain(|other| *other != id);
        }
    }

    /// A connection that carried a call is closed, and so is the other one.
    pub(in crate::net) fn carried_is_gone(&mut self, id: ConnId, carried: &Carried) {
        for place in [carried.request, carried.response].into_iter().flatten() {
            if let Some(exchange) = self.take_exchange(place) {
                self.note_download(exchange.destination, &exchange.transfer);
            }
        }
        if let Some(other) = self.carried(carried.other) {
            (other.request, other.response) = (None, None);
        }
        match carried.end {
            CarriedEnd::Client { .. } => self.close(carried.other),
            CarriedEnd::Spare { agent, .. } => {
                self.spare_is_gone(id, agent);
                if carried.response.is_some() {
                    self.close(carried.other);
                } else if self.carried(carried.other).is_some() {
                    self.release(carried.other);
                    self.answer_failure(carried.other, &Failure::AgentGone, false);
                }
            }
        }
    }

    /// Nothing moved for too long, or the answer did not begin in time.
    pub(in crate::net) fn carried_out_of_patience(&mut self, id: ConnId) {
        let Some(carried) = self.carried(id) else { return };
        if let Some(place) = carried.outgoing() {
            return self.transfer_out_of_patience(place);
        }
        if carried.is_client() {
            return;
        }
        if carried.request.is_some() {
            // The request is still on its way.
            let patience: Duration = self.settings.sockets.agent_timeout;
            self.set_deadline(id, patience);
        } else if carried.response.is_none() {
            self.fail_carried(id, &Failure::AgentTimeout);
        }
    }
}
