//! One running transfer: its bytes, its connections and its owner.

use super::meter::Meter;
use super::read_ahead::ReadAhead;
use crate::http::response::CONTINUE;
use crate::relay::io::{Conn, ConnId, Slot, TransferId};
use crate::rendezvous::ack_wait::AckWait;
use crate::rendezvous::batching::Batching;
use crate::rendezvous::transfer::Delimiter;
use crate::rendezvous::{Pace, StreamKey, Transfer, TransferOutcome};
use crate::splice::pipe::Pipe;
use crate::splice::pool::Pool;
use std::time::Instant;

/// The owner of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A stream, of which it is the complete body.
    Stream(StreamKey),
    /// A call through a tunnel: the request, from the client to the tunnel, or what follows it after
    /// an upgrade.
    Request(Slot),
    /// A call through a tunnel: the response, from the tunnel to the client.
    Response(Slot),
}

/// A transfer that is to begin.
#[derive(Debug)]
pub struct Begin {
    /// Its owner.
    pub owner: Owner,
    /// The connection that bytes are read from.
    pub source: ConnId,
    /// The connection that bytes are written to.
    pub destination: ConnId,
    /// How the end of the body is delimited at the destination.
    pub delimiter: Delimiter,
    /// The planned transfer.
    pub transfer: Transfer,
    /// Its maximum pace.
    pub pace: Option<Pace>,
    /// It is complete only once the destination's TCP has acknowledged every byte.
    pub acked: bool,
}

/// A transfer that is over.
#[derive(Debug)]
pub struct Finished {
    /// Its owner.
    pub owner: Owner,
    /// How it ended.
    pub outcome: TransferOutcome,
    /// The connection that bytes were read from.
    pub source: ConnId,
    /// The connection that bytes were written to.
    pub destination: ConnId,
    /// How the end of the body was delimited at the destination.
    pub delimiter: Delimiter,
    /// What was moved.
    pub transfer: Transfer,
}

/// How far a transfer is, for clients that wait for their response.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The connection that bytes are read from.
    pub source: ConnId,
    /// The complete body was received; part of it may still be in the socket.
    pub received: bool,
    /// A byte of the download's head was sent.
    pub head_started: bool,
}

/// A running transfer.
#[derive(Debug)]
pub(super) struct Exchange {
    pub owner: Owner,
    pub source: ConnId,
    pub destination: ConnId,
    pub delimiter: Delimiter,
    pub transfer: Transfer,
    /// Set if there are bytes in it, or if bytes were read ahead.
    pub pipe: Option<Pipe>,
    pub read_ahead: ReadAhead,
    pub batching: Batching,
    /// The last read returned many small chunks.
    pub small_chunks: bool,
    pub pace: Option<Pace>,
    /// Until when bytes stay in the source's socket, because it is too fast.
    pub paused_until: Option<Instant>,
    pub queued: bool,
    /// Set while it is in the queue of those that blocked with bytes in a pipe: when a byte had last
    /// moved as it was added.
    pub listed: Option<Instant>,
    /// When a byte last moved.
    pub moved_at: Instant,
    /// When both sides were connected.
    pub began_at: Instant,
    /// The other direction of an upgraded connection, which is not idle while either moves.
    pub twin: Option<TransferId>,
    /// Encrypted bytes that the destination's socket has not taken.
    pub unsent: usize,
    /// Bytes in user memory, as included in the total of all transfers.
    pub held: usize,
    /// Whether the kernel gathers its bytes, as included in the total of all transfers.
    pub bulk: bool,
    pub meter: Meter,
    pub ack: Ack,
}

/// Whether the destination's TCP must acknowledge every byte before a transfer is over.
#[derive(Debug)]
pub(super) enum Ack {
    Needless,
    Needed,
    /// The complete body was handed over, and that is all that is missing.
    Awaited(AckWait),
}

impl Exchange {
    pub fn new(begin: Begin, now: Instant) -> Self {
        let Begin { owner, source, destination, delimiter, transfer, pace, acked } = begin;
        Self {
            owner,
            source,
            destination,
            delimiter,
            transfer,
            pipe: None,
            read_ahead: ReadAhead::default(),
            batching: Batching::default(),
            small_chunks: false,
            pace,
            paused_until: None,
            queued: true,
            listed: None,
            moved_at: now,
            began_at: now,
            twin: None,
            unsent: 0,
            held: 0,
            bulk: false,
            meter: Meter::new(now),
            ack: if acked { Ack::Needed } else { Ack::Needless },
        }
    }

    /// Returns how far it is.
    pub fn progress(&self, source: &Conn) -> Progress {
        let left = self.transfer.still_to_come();
        let received = left.is_some_and(|left| left == 0 || left <= source.unread_bytes());
        Progress { source: self.source, received, head_started: self.transfer.head_started() }
    }

    /// Whether the destination's TCP must acknowledge every byte.
    pub fn needs_ack(&self) -> bool {
        matches!(self.ack, Ack::Needed | Ack::Awaited(_))
    }

    /// Whether that is all that is missing.
    pub fn awaits_ack(&self) -> bool {
        matches!(self.ack, Ack::Awaited(_))
    }

    /// Returns empty pipes to the pool: they are lent only while bytes are in flight.
    pub fn give_pipes_back(&mut self, pool: &mut Pool) {
        if self.read_ahead.is_empty() {
            self.read_ahead.give_pipe_back(pool);
            if self.transfer.piped() == 0 {
                self.drop_pipes(pool);
            }
        }
    }

    /// Drops the pipes, and any bytes in them.
    pub fn drop_pipes(&mut self, pool: &mut Pool) {
        self.read_ahead.give_pipe_back(pool);
        if let Some(pipe) = self.pipe.take() {
            pool.take_back(pipe, self.transfer.piped());
        }
    }

    /// Finishes it with this outcome.
    pub fn finish(self, outcome: TransferOutcome) -> Finished {
        let Self { owner, source, destination, delimiter, transfer, .. } = self;
        Finished { owner, outcome, source, destination, delimiter, transfer }
    }
}

/// Feeds the body bytes received with its head; if there were none, and the source waits for it,
/// sends `100 Continue`.
pub fn feed_prefix(source: &mut Conn, expects_continue: bool, transfer: &mut Transfer) {
    let carry = std::mem::take(&mut source.carry);
    if carry.is_empty() {
        let awaits_continue = expects_continue && source.unread_bytes() == 0;
        if awaits_continue && !transfer.upload_complete() {
            source.output.buffer().extend_from_slice(CONTINUE);
        }
        return;
    }
    let mut pieces = Vec::new();
    let used = transfer.received(&carry, &mut pieces);
    transfer.keep(&carry, &pieces);
    if used < carry.len() {
        source.carry = carry[used..].to_vec();
    }
}
