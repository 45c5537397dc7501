//! How a call on a spare connection ends: whole, told, or cut off; and what becomes of the connection.

use super::{Carried, CarriedEnd, Errand};
use crate::api::Failure;
use crate::net::conn::{After, Conn, Phase};
use crate::net::drive::Exchange;
use crate::net::relay::Relay;
use crate::net::sockopt;
use crate::net::token::ConnId;
use crate::rendezvous::Outcome;
use crate::rendezvous::transfer::{Delimiter, Loss};

impl Relay {
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
    pub(in crate::net::agents) fn fail_carried(&mut self, spare: ConnId, failure: &Failure) {
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
}
