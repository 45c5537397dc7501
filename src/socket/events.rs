//! What a server tells about its connections.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use uuid::Uuid;

use super::link::poisoned;

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionEvent {
    /// What.
    pub kind: EventKind,
    /// To which one.
    pub connection: Uuid,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is there: its handshake is complete.
    ConnectionReceived,
    /// It was closed by either end, in the way of the protocol.
    ConnectionClosed,
    /// It failed, or its handshake did.
    ConnectionFailure,
}

/// Who wants to hear of them.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<Vec<Sender<ConnectionEvent>>>);

impl Listeners {
    pub(super) fn subscribe(&self) -> Receiver<ConnectionEvent> {
        let (sender, receiver) = channel();
        poisoned(self.0.lock()).push(sender);
        receiver
    }

    pub(super) fn report(&self, kind: EventKind, connection: Uuid) {
        let event = ConnectionEvent { kind, connection };
        poisoned(self.0.lock()).retain(|listener| listener.send(event).is_ok());
    }
}
