//! A call through a tunnel: two transfers between two sockets, the request and the response, moved
//! by the kernel like those of streams. The relay reads only the heads.

use super::forwarding::Outgoing;
use super::role::AgentRole;
use super::sessions::Sessions;
use super::tunnels::Tunnels;
use super::upgraded;
use crate::api::Failure;
use crate::api::forward::{self, AnswerBody, Origin, ResponseContext, Upgrade};
use crate::http::answer::AnswerHead;
use crate::http::answer_reader::AnswerReader;
use crate::http::fields::members;
use crate::http::framing::Framing;
use crate::http::head::{Expect, Method, Version};
use crate::relay::http1::Request;
use crate::relay::io::{CloseMode, Conn, ConnId, Flushed, Io, Note, OnFlushed, PeerEnd, Slot};
use crate::relay::transfers::{Begin, Owner, Transfers, feed_prefix};
use crate::rendezvous::Transfer;
use crate::rendezvous::transfer::Delimiter;
use crate::splice::copy::Read;

/// Bytes per read of an answer's head. Body bytes received with it are copied.
pub const HEAD_READ_BYTES: usize = 4096;

/// A call that a tunnel carries.
#[derive(Debug)]
pub(super) struct TunnelledCall {
    /// Its client.
    pub client: ConnId,
    pub method: Method,
    pub correlation_id: Box<str>,
    /// The path that names the agent, if the answer shares the relay's origin.
    pub prefix: Option<Box<str>>,
    /// Its complete request was sent.
    pub sent: bool,
    /// The upgrade that it offers.
    pub upgrade: Option<Upgrade>,
    /// The upgrade was accepted: no HTTP follows.
    pub upgraded: bool,
    /// Reads the head of the answer.
    pub reader: AnswerReader,
}

impl Tunnels {
    /// Sends a call through a tunnel; returns how many bytes after the head are consumed.
    pub fn begin(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        (client, slot): (ConnId, Slot),
        outgoing: Outgoing,
        request: Request<'_, '_>,
    ) -> usize {
        let Outgoing { method, correlation_id, prefix, head, upgrade } = outgoing;
        let framing = request.head.framing;
        let reader = AnswerReader::default();
        let (sent, upgraded) = (false, false);
        let call = TunnelledCall {
            client,
            method,
            correlation_id,
            prefix,
            sent,
            upgrade,
            upgraded,
            reader,
        };
        let tunnel = &mut self.all[slot.key()];
        tunnel.keeps = true;
        tunnel.call = Some(Box::new(call));
        let id = tunnel.id;
        AgentRole::Caller(slot).give(io, client);
        let delimiter = match framing {
            Framing::Length(_) => Delimiter::Length,
            Framing::Chunked => Delimiter::Chunks,
        };
        let mut transfer =
            Transfer::new(framing, delimiter, head, io.splices(client, id)).head_at_once();
        io.conns[client].carry = request.rest.to_vec();
        let invites = request.head.expect == Expect::Continue;
        feed_prefix(&mut io.conns[client], invites, &mut transfer);
        io.set_timeout(id, io.settings.sockets.agent_timeout);
        let owner = Owner::Request(slot);
        let begin = Begin {
            owner,
            source: client,
            destination: id,
            delimiter,
            transfer,
            pace: None,
            acked: false,
        };
        transfers.begin(io, begin);
        io.conns.flush_or_close(client);
        if io.conns[client].peer_ended() {
            io.conns.enqueue(client);
        }
        request.rest.len()
    }

    /// Handles an event on a tunnel.
    pub fn ready(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
    ) {
        let tunnel = &self.all[slot.key()];
        let id = tunnel.id;
        match &tunnel.call {
            None => return self.idle_ready(io, slot),
            Some(call) if call.upgraded => {
                return self.upgraded_ready(io, transfers, sessions, (slot, id));
            }
            Some(_) => {}
        }
        if flush_before_transfer(io, transfers, id) && io.conns[id].outgoing.is_none() {
            self.read_answer(io, transfers, sessions, slot);
        }
    }

    /// Reads the head of an answer.
    fn read_answer(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
    ) {
        let id = self.all[slot.key()].id;
        let mut budget = io.conns.queue.share();
        while budget > 0 && io.conns[id].readable {
            let result = match read_more(&mut io.conns[id]) {
                Ok(0) => return,
                Ok(count) => {
                    budget = budget.saturating_sub(count);
                    self.answer_head(io, slot)
                }
                Err(failure) => Err(failure),
            };
            let begun = match result {
                Ok(None) => continue,
                Ok(Some(answer)) => self.begin_response(io, transfers, slot, &answer),
                Err(failure) => Err(failure),
            };
            match begun {
                Ok(AnswerBody::Upgraded) => {
                    let tunnel = &mut self.all[slot.key()];
                    upgraded::begin(io, transfers, sessions, (slot, tunnel));
                }
                Ok(
                    AnswerBody::Absent { .. }
                    | AnswerBody::Length(_)
                    | AnswerBody::Chunked
                    | AnswerBody::UntilClose,
                ) => {}
                Err(failure) => self.fail(io, transfers, sessions, slot, &failure),
            }
            return;
        }
        if budget == 0 {
            io.conns.requeue(id);
        }
    }

    /// Takes the head of the final answer off what was read, once it is complete.
    fn answer_head(&mut self, io: &mut Io, slot: Slot) -> Result<Option<AnswerHead>, Failure> {
        let tunnel = &mut self.all[slot.key()];
        let id = tunnel.id;
        let head = tunnel.call().reader.take(&mut io.conns[id].carry);
        head.map_err(|error| Failure::AgentBroke(error.message()))
    }

    /// Begins the response: the answer's body goes to the client. Returns where it ends.
    fn begin_response(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        slot: Slot,
        answer: &AnswerHead,
    ) -> Result<AnswerBody, Failure> {
        // HTTP/1.0 does not keep the connection open unless requested (RFC 9112, section 9.3), and
        // the relay does not request it.
        let closes = answer.version == Version::Http10
            || answer
                .all("Connection")
                .flat_map(members)
                .any(|member| member.eq_ignore_ascii_case(b"close"));
        let tunnel = &mut self.all[slot.key()];
        tunnel.keeps = !closes && tunnel.keeps;
        let id = tunnel.id;
        let TunnelledCall {
            client, method, ref correlation_id, ref prefix, sent, ref upgrade, ..
        } = *tunnel.call();
        // An agent cannot accept an upgrade that it has not received.
        let offered = upgrade.as_ref().filter(|_| sent);
        let ending = io.mode.is_ending();
        let Io { conns, journal, date, .. } = io;
        let conn = &mut conns[client];
        let Conn { reply, note, .. } = conn;
        let body = forward::answer_framing(answer, method, offered)?;
        let framing = match body {
            AnswerBody::Absent { .. } => Some(Framing::Length(0)),
            AnswerBody::Length(bytes) => Some(Framing::Length(bytes)),
            AnswerBody::Chunked => Some(Framing::Chunked),
            AnswerBody::Upgraded => None,
            AnswerBody::UntilClose => {
                return Err(Failure::AgentBroke("nothing but its end delimits it"));
            }
        };
        let delimiter = body.delimiter(reply.version);
        let keep_alive = reply.after.keeps_alive() && sent && !ending;
        if !keep_alive && reply.after.keeps_alive() {
            reply.after = OnFlushed::Close;
        }
        let request_id = journal.request_ids.as_ref().zip(note.as_deref().and_then(Note::id));
        let returning = ResponseContext {
            body,
            version: reply.version,
            keep_alive,
            date,
            origin: Origin::of(prefix.as_deref()),
            correlation_id,
            request_id: request_id.map(|(ids, id)| (ids.header(), id)),
        };
        let mut head = Vec::with_capacity(512);
        forward::response(answer, &returning, &mut head);
        if let Some(note) = note {
            note.answered(answer.status, 0);
        }
        if delimiter == Some(Delimiter::Close) {
            conn.reset_on_close(true);
        }
        journal.answered(conn, answer.status);
        let delimiter = delimiter.unwrap_or(Delimiter::Length);
        let splice = io.splices(client, id);
        let mut transfer = match framing {
            Some(framing) => Transfer::new(framing, delimiter, head, splice).head_at_once(),
            None => Transfer::upgraded(head, splice),
        };
        feed_prefix(&mut io.conns[id], false, &mut transfer);
        let owner = Owner::Response(slot);
        let begin = Begin {
            owner,
            source: id,
            destination: client,
            delimiter,
            transfer,
            pace: None,
            acked: false,
        };
        transfers.begin(io, begin);
        Ok(body)
    }

    /// Handles an event on a calling client that concerns no transfer.
    pub fn caller_ready(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        (slot, client): (Slot, ConnId),
    ) {
        if self.all[slot.key()].call().upgraded {
            return self.upgraded_ready(io, transfers, sessions, (slot, client));
        }
        if !flush_before_transfer(io, transfers, client) {
            return;
        }
        let conn = &io.conns[client];
        // As with a download, its FIN means that it does not wait for the answer any more.
        if conn.peer_end == PeerEnd::HungUp || (conn.peer_ended() && conn.outgoing.is_none()) {
            io.conns.close(client, CloseMode::Orderly);
        }
    }

    /// Handles an answer that did not begin in time. Stalls in a transfer are the transfer's own.
    pub fn timeout(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
    ) {
        let tunnel = &self.all[slot.key()];
        let conn = &io.conns[tunnel.id];
        if tunnel.call.is_none() || conn.outgoing.is_some() {
            return;
        }
        if conn.incoming.is_some() {
            // The request is still being sent.
            let id = tunnel.id;
            return io.set_timeout(id, io.settings.sockets.agent_timeout);
        }
        self.fail(io, transfers, sessions, slot, &Failure::AgentTimeout);
    }
}

/// Reads more of the head of an answer; returns 0 if nothing is readable now.
fn read_more(conn: &mut Conn) -> Result<usize, Failure> {
    let filled = conn.carry.len();
    let mut carry = std::mem::take(&mut conn.carry);
    carry.resize(filled + HEAD_READ_BYTES, 0);
    let result = conn.read(&mut carry[filled..]);
    let count = if let Ok(Read::Moved(count)) = result { count } else { 0 };
    carry.truncate(filled + count);
    conn.carry = carry;
    match result {
        Ok(Read::Moved(count)) => {
            if count < HEAD_READ_BYTES {
                conn.drained_of_input();
            }
            Ok(count)
        }
        Ok(Read::Blocked) => {
            conn.readable = false;
            Ok(0)
        }
        Ok(Read::Eof) | Err(_) => Err(Failure::AgentGone),
    }
}

/// Writes a connection's output that precedes a transfer, then resumes the transfer; whether the
/// connection is still open.
fn flush_before_transfer(io: &mut Io, transfers: &mut Transfers, id: ConnId) -> bool {
    let held = !io.conns[id].output.is_empty();
    let flushed = io.conns.flush(id);
    if flushed == Flushed::Failed {
        io.conns.close(id, CloseMode::Orderly);
        return false;
    }
    if let Some(incoming) = io.conns[id].incoming.filter(|_| held && flushed == Flushed::Out) {
        // It may have had its turn before, blocked by this output.
        transfers.enqueue(io, incoming);
    }
    true
}
