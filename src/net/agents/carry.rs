//! A call on a spare connection: two transfers between two sockets, the request and the response,
//! moved by the kernel like those of streams. The relay reads the heads and nothing else.

mod answer;
mod ending;

use super::spare::Spare;
use crate::api::Failure;
use crate::http::framing::Framing;
use crate::http::head::{Expect, Method};
use crate::net::conn::{PeerEnd, Phase};
use crate::net::relay::Relay;
use crate::net::request::Request;
use crate::net::token::ConnId;
use crate::rendezvous::transfer::Delimiter;
use crate::rendezvous::{StreamKey, Transfer};
use std::time::Duration;

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
