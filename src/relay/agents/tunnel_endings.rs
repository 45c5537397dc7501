//! How a call through a tunnel ends: complete, answered with a failure, or cut off; and what
//! happens to the tunnel.

use super::role::release;
use super::sessions::Sessions;
use super::tunnelled::TunnelledCall;
use super::tunnels::{Tunnel, Tunnels};
use super::upgraded;
use crate::api::Failure;
use crate::relay::http1::{cut, fail, follow, settled};
use crate::relay::io::{CloseMode, ConnId, Io, OnFlushed, Slot};
use crate::relay::transfers::{Finished, Transfers};
use crate::rendezvous::TransferOutcome;
use crate::rendezvous::transfer::{Delimiter, Loss};
use uuid::Uuid;

/// The outcome of a transfer that has no receiver any more.
const NOT_WANTED: TransferOutcome = TransferOutcome::DestinationGone(Loss::Closed);

impl Tunnel {
    /// Returns the call that the tunnel carries.
    pub(super) fn call(&mut self) -> &mut TunnelledCall {
        match &mut self.call {
            Some(call) => call,
            None => unreachable!("a tunnel with a transfer carries a call"),
        }
    }
}

impl Tunnels {
    /// Handles the end of a call's request.
    pub fn request_finished(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
        finished: &Finished,
    ) {
        let tunnel = &mut self.all[slot.key()];
        if tunnel.call().upgraded {
            return self.direction_finished(io, transfers, sessions, slot, finished);
        }
        let failure = match finished.outcome {
            TransferOutcome::Complete => {
                tunnel.call().sent = true;
                let (id, client) = (tunnel.id, finished.source);
                if io.conns[id].outgoing.is_none() {
                    io.set_timeout(id, io.settings.sockets.agent_timeout);
                }
                io.conns.set_deadline(client, None);
                io.conns.enqueue(client);
                return io.conns.enqueue(id);
            }
            // The agent may have answered before it stopped reading.
            TransferOutcome::DestinationGone(_) => {
                tunnel.keeps = false;
                let id = tunnel.id;
                io.conns[id].readable = true;
                return io.conns.enqueue(id);
            }
            TransferOutcome::SourceGone(Loss::Stalled) => {
                Failure::RequestTimeout("The request body did not move for too long")
            }
            TransferOutcome::SourceGone(Loss::Closed | Loss::Failed)
            | TransferOutcome::SourceTooLarge(_) => Failure::BodyBroken,
            TransferOutcome::SourceBroken(error) => Failure::BadFraming(error),
        };
        self.fail(io, transfers, sessions, slot, &failure);
    }

    /// Handles the end of a call's response.
    pub fn response_finished(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
        finished: &Finished,
    ) {
        note(io, finished);
        if self.all[slot.key()].call().upgraded {
            count(sessions, self.all[slot.key()].agent, finished);
            return self.direction_finished(io, transfers, sessions, slot, finished);
        }
        let client = finished.destination;
        match finished.outcome {
            TransferOutcome::Complete => self.complete(io, transfers, sessions, slot, finished),
            TransferOutcome::DestinationGone(_) => io.conns.close(client, CloseMode::Orderly),
            TransferOutcome::SourceGone(_)
            | TransferOutcome::SourceBroken(_)
            | TransferOutcome::SourceTooLarge(_) => {
                // Its head may have been sent, and the rest must not look complete.
                self.take_call(io, transfers, slot);
                self.remove(io, sessions, slot);
                cut(io, client, finished.delimiter);
            }
        }
    }

    fn complete(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
        finished: &Finished,
    ) {
        let client = finished.destination;
        let (TunnelledCall { sent, .. }, _) = self.take_call(io, transfers, slot);
        let Tunnel { agent, keeps, .. } = self.all[slot.key()];
        if keeps && sent {
            count(sessions, agent, finished);
            self.give_back(io, sessions, slot);
        } else {
            self.remove(io, sessions, slot);
        }
        if io.conns[client].is_closing() {
            return;
        }
        let mut after = io.conns[client].reply.after;
        if finished.delimiter == Delimiter::Close {
            io.conns[client].reset_on_close(false);
            after = if after.keeps_alive() { OnFlushed::Close } else { after };
        }
        let after = settled(io, after, sent);
        follow(io, client, after);
    }

    /// Handles the end of one direction of an upgraded connection.
    fn direction_finished(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
        finished: &Finished,
    ) {
        if !upgraded::continues(io, self.all[slot.key()].id, finished) {
            self.end_upgraded(io, transfers, sessions, slot);
        }
    }

    /// Handles an event on one connection of an upgraded pair that concerns no transfer: only a
    /// reset matters, since a FIN is read by the transfer.
    pub fn upgraded_ready(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        (slot, id): (Slot, ConnId),
    ) {
        if upgraded::was_reset(io, id) {
            self.end_upgraded(io, transfers, sessions, slot);
        }
    }

    /// Ends both directions of an upgraded connection.
    fn end_upgraded(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
    ) {
        let (call, _) = self.take_call(io, transfers, slot);
        self.remove(io, sessions, slot);
        io.conns.close(call.client, CloseMode::Orderly);
    }

    /// Fails a call: the client is answered, or cut off if its answer has begun.
    pub fn fail(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
        failure: &Failure,
    ) {
        let (TunnelledCall { client, sent, .. }, begun) = self.take_call(io, transfers, slot);
        self.remove(io, sessions, slot);
        fail(io, client, begun, failure, sent);
    }

    /// Handles a tunnel's closed connection.
    pub fn closed(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
    ) {
        if self.all[slot.key()].call.is_some() {
            let (TunnelledCall { client, .. }, begun) = self.take_call(io, transfers, slot);
            fail(io, client, begun, &Failure::AgentGone, false);
        }
        self.forget(io, sessions, slot);
    }

    /// Handles a caller's closed connection: the tunnel's answer has no receiver any more.
    pub fn caller_closed(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        sessions: &mut Sessions,
        slot: Slot,
    ) {
        self.take_call(io, transfers, slot);
        self.remove(io, sessions, slot);
    }

    /// Takes the call from a tunnel and releases its client's connection. Ends running transfers,
    /// and returns the body delimiter of a response that had begun.
    fn take_call(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        slot: Slot,
    ) -> (TunnelledCall, Option<Delimiter>) {
        let tunnel = &mut self.all[slot.key()];
        let Some(call) = tunnel.call.take() else { unreachable!("a call ends once") };
        let upgraded = call.upgraded;
        let conn = &io.conns[tunnel.id];
        let (request, response) = (conn.incoming, conn.outgoing);
        if let Some(request) = request {
            transfers.end(io, request, NOT_WANTED);
        }
        let begun = response.map(|response| {
            let finished = transfers.end(io, response, NOT_WANTED);
            note(io, &finished);
            finished.delimiter
        });
        release(io, call.client);
        // An upgraded connection is past its answer, even with this direction complete.
        (*call, begun.or(upgraded.then_some(Delimiter::Close)))
    }
}

/// Counts the body of a response as received from its agent.
fn count(sessions: &mut Sessions, agent: Uuid, finished: &Finished) {
    if let Some(agent) = sessions.find(agent) {
        sessions[agent].bytes_in += finished.transfer.transferred();
    }
}

/// Notes how much of a response was sent to its client.
fn note(io: &mut Io, finished: &Finished) {
    if finished.transfer.head_started()
        && let Some(note) = &mut io.conns[finished.destination].note
    {
        note.downloaded(finished.transfer.transferred());
    }
}
