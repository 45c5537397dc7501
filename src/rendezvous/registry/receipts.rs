//! Receipts of the receivers of streams, and of their TCP.

use super::{Registry, StreamKey, WEIGHT_MAX};
use crate::rendezvous::receipt::{Receipt, ReceiptOutcome};
use crate::rendezvous::stream::StreamState;
use uuid::Uuid;

impl Registry {
    /// Makes the source of a new stream await the acknowledgement of the destination's TCP.
    pub fn await_ack(&mut self, StreamKey(key): StreamKey) {
        self.streams[key as usize].await_ack();
    }

    /// Notes that the destination of this stream announced a receipt.
    pub fn expect_receipt(&mut self, StreamKey(key): StreamKey) {
        self.streams[key as usize].set_receipt(Receipt::Expected);
        self.revised(key);
    }

    /// Takes the announced receipt of a stream. A confirmation counts only once the transfer has
    /// finished, a failure at any time.
    pub fn receive_receipt(&mut self, id: Uuid, receipt: Receipt) -> ReceiptOutcome {
        let Some(&key) = self.by_id.get(&id) else { return ReceiptOutcome::Unknown };
        let stream = &mut self.streams[key as usize];
        if stream.receipt() != Some(&Receipt::Expected) {
            return ReceiptOutcome::Unexpected;
        }
        if matches!(receipt, Receipt::Confirmed(_)) && stream.state() != StreamState::Finished {
            let early = stream.is_active();
            return if early { ReceiptOutcome::Early } else { ReceiptOutcome::Unexpected };
        }
        if self.weight + receipt.weight() > WEIGHT_MAX {
            return ReceiptOutcome::Full;
        }
        self.weight += receipt.weight();
        stream.set_receipt(receipt);
        self.revised(key);
        ReceiptOutcome::Taken
    }
}
