//! Receipts of destinations.

use super::CheckedRegistry;
use crate::rendezvous::{Receipt, ReceiptOutcome, StreamKey, StreamState};
use uuid::Uuid;

impl CheckedRegistry {
    /// Announces a receipt of the destination that has just connected.
    pub(in crate::fuzzing) fn expect_receipt(&mut self, key: StreamKey) {
        let id = self.registry.stream(key).id();
        self.registry.expect_receipt(key);
        self.active(id).expect("its destination has connected").receipt = Some(Receipt::Expected);
        self.check();
    }

    /// Sends the receipt of a destination.
    pub(in crate::fuzzing) fn receive_receipt(&mut self, id: Uuid, receipt: Receipt) {
        let found = self.registry.receive_receipt(id, receipt.clone());
        let confirms = matches!(receipt, Receipt::Confirmed(_));
        let stream = self.streams.iter_mut().find(|stream| stream.id == id);
        let expected = match stream {
            None => ReceiptOutcome::Unknown,
            Some(stream) if stream.receipt != Some(Receipt::Expected) => ReceiptOutcome::Unexpected,
            Some(stream) if confirms && stream.ended.is_none() => ReceiptOutcome::Early,
            Some(stream) if confirms && stream.state != StreamState::Finished => {
                ReceiptOutcome::Unexpected
            }
            Some(stream) => {
                stream.receipt = Some(receipt);
                ReceiptOutcome::Taken
            }
        };
        assert_eq!(found, expected);
        self.check();
    }
}
