//! A complete body of which the destination's TCP has not acknowledged every byte, where the creator
//! of the stream requested that: its transfer is over only then.

use super::exchange::Ack;
use super::step::loss_of;
use super::{Finished, Transfers, tcp_info};
use crate::relay::io::{Io, TransferId};
use crate::rendezvous::TransferOutcome;
use crate::rendezvous::ack_wait::{AckWait, Acked};
use crate::rendezvous::transfer::Loss;

impl Transfers {
    /// Makes a complete transfer wait for the acknowledgement of the destination's TCP.
    pub(super) fn await_ack(&mut self, io: &Io, id: TransferId) {
        let (_, exchange) = &mut self.slab[id.index as usize];
        exchange.ack = Ack::Awaited(AckWait::new(io.now.monotonic));
        // Nothing more is read from its source.
        exchange.stop_gathering(&io.conns[exchange.source]);
        self.count(id);
    }

    /// Ends a transfer whose last byte is acknowledged, or that waits for that in vain.
    pub(super) fn check_ack(&mut self, io: &mut Io, id: TransferId) -> Option<Finished> {
        let (_, exchange) = &mut self.slab[id.index as usize];
        let (source, destination) = (exchange.source, &io.conns[exchange.destination]);
        let Ack::Awaited(wait) = &mut exchange.ack else { return None };
        let outcome = match tcp_info::acked(&destination.socket) {
            Acked::All => TransferOutcome::Complete,
            Acked::Lost => TransferOutcome::DestinationGone(loss_of(destination)),
            found @ Acked::Not { .. } => {
                let next = wait.checked(found, io.now.monotonic, io.settings.idle_timeout);
                if next.is_some() {
                    io.conns.set_deadline(source, next);
                    return None;
                }
                TransferOutcome::DestinationGone(Loss::Stalled)
            }
        };
        Some(self.end(io, id, outcome))
    }

    /// Ends the transfer of a destination that closed its connection. It is complete if that is
    /// what its TCP acknowledged, and nothing else was missing.
    pub fn destination_ended(&mut self, io: &mut Io, id: TransferId) -> Finished {
        let (_, exchange) = &self.slab[id.index as usize];
        let destination = &io.conns[exchange.destination];
        let acked = exchange.awaits_ack() && tcp_info::acked(&destination.socket) == Acked::All;
        let outcome = if acked {
            TransferOutcome::Complete
        } else {
            TransferOutcome::DestinationGone(loss_of(destination))
        };
        self.end(io, id, outcome)
    }
}
