//! The connection events of a server.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use uuid::Uuid;

use super::link::poisoned;

/// An event on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionEvent {
    /// Kind of the event.
    pub kind: EventKind,
    /// Connection it happened on.
    pub connection: Uuid,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Connected: the handshake is complete.
    ConnectionReceived,
    /// Closed by either end, with a close frame.
    ConnectionClosed,
    /// Failed, or the handshake did.
    ConnectionFailure,
}

/// The subscribers to connection events.
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
