//! The acts: what clients, time and the operator can do to a registry.

use super::{FOREVER, LIMITS, STEP, State};
use crate::fuzzing::checked_registry::{CheckedRegistry, Creation};
use crate::rendezvous::{
    Client, Connected, Ending, LeaveOutcome, PeerReport, Receipt, Side, Stream, StreamKey,
    StreamState,
};
use std::time::Duration;
use uuid::Uuid;

/// Clients of each side: one for each stream, one to find a place occupied.
const CLIENTS: u64 = 3;

/// A stream with the default TTL, and one of another address with a longer one.
const CREATIONS: [Creation; 2] = [
    Creation { creator: 0, own_ttl: None, awaits_ack: false },
    Creation { creator: 2, own_ttl: Some(Duration::from_secs(30)), awaits_ack: true },
];

/// A process of a hand-over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Process {
    /// The one that hands over.
    Old,
    /// The one that takes over.
    New,
}

/// One act.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Creates a stream; an index in `CREATIONS`.
    Create(usize),
    /// Connects a client, which announces a receipt or not.
    Connect(Uuid, Side, bool),
    /// Disconnects a side before a byte was sent.
    Leave(StreamKey, Side),
    /// Completes a transfer.
    Finish(StreamKey),
    /// A side disconnects during the transfer.
    Disconnect(StreamKey, Side),
    /// A side fails during the transfer.
    Fail(StreamKey, Side),
    /// A source has too much.
    Exceed(StreamKey),
    /// Reports an error.
    Report(Uuid),
    /// Deletes a stream.
    Delete(Uuid),
    /// Sends a receipt; whether the receiver has all of the data.
    Receipt(Uuid, bool),
    /// Advances the time to the next deadline, in which nothing expires.
    WaitUntil,
    /// Advances the time to just after the next deadline.
    WaitBeyond,
    /// Reloads the limits.
    Reload,
    /// Hands over, and continues in this process; the other one comes to its end.
    HandOver(Process),
}

impl State {
    /// Returns what can happen next.
    pub(super) fn acts(&self) -> Vec<Act> {
        let mut acts: Vec<_> = (0..CREATIONS.len()).map(Act::Create).collect();
        acts.extend([Act::WaitUntil, Act::WaitBeyond, Act::Reload]);
        acts.extend([Process::Old, Process::New].map(Act::HandOver));
        let streams: Vec<_> = self.checked.registry.from_sequence(0).collect();
        // And one that does not exist.
        for id in streams.iter().map(|stream| stream.id()).chain([CheckedRegistry::id(0)]) {
            acts.extend([
                Act::Connect(id, Side::Source, false),
                Act::Connect(id, Side::Destination, false),
                Act::Connect(id, Side::Destination, true),
                Act::Report(id),
                Act::Delete(id),
                Act::Receipt(id, true),
                Act::Receipt(id, false),
            ]);
        }
        for stream in streams {
            acts.extend(acts_of_sides(stream, self.checked.key(stream.id())));
        }
        acts
    }

    /// Does it. Every client that was connected, or connects, is connected afterwards or was
    /// released, and once.
    pub(super) fn run(&mut self, act: Act) {
        let mut clients = self.connected();
        let released = match act {
            Act::Connect(id, side, receipt) => {
                let client = self.idle(side);
                clients.insert(client);
                self.connect(id, side, client, receipt)
            }
            Act::Leave(key, side) => self.leave(key, side),
            Act::Finish(key) => self.end(key, Ending::Finished(None)),
            Act::Disconnect(key, side) => self.end(key, Ending::Disconnected(side)),
            Act::Fail(key, side) => self.end(key, Ending::Failed(side)),
            Act::Exceed(key) => self.end(key, Ending::TooLarge(1)),
            Act::Report(id) => self.checked.report(id, report()).into_iter().collect(),
            Act::Delete(id) => self.delete(id),
            Act::WaitUntil => self.wait(Duration::ZERO),
            Act::WaitBeyond => self.wait(STEP),
            Act::HandOver(process) => self.hand_over(process),
            Act::Create(kind) => {
                self.checked.create_as(CREATIONS[kind]);
                Vec::new()
            }
            Act::Receipt(id, complete) => {
                let receipt = if complete { Receipt::confirmed(None) } else { Receipt::failed("") };
                self.checked.receive_receipt(id, receipt);
                Vec::new()
            }
            Act::Reload => {
                self.limits = 1 - self.limits;
                self.checked.set_limits(LIMITS[self.limits]);
                Vec::new()
            }
        };
        for client in released {
            assert!(clients.remove(&client), "{client:?} is answered once");
        }
        assert_eq!(self.connected(), clients, "a client is connected until it is answered");
    }

    /// Returns a client that is not connected.
    fn idle(&self, side: Side) -> Client {
        let connected = self.connected();
        let numbers = (0..CLIENTS).map(|number| 2 * number + side as u64);
        let mut idle = numbers.map(Client).filter(|client| !connected.contains(client));
        idle.next().expect("a client more than streams")
    }

    fn connect(&mut self, id: Uuid, side: Side, client: Client, receipt: bool) -> Vec<Client> {
        match self.checked.connect(id, side, client) {
            Connected::Waits(key) | Connected::Paired { stream: key, .. } => {
                if receipt {
                    self.checked.expect_receipt(key);
                }
                Vec::new()
            }
            Connected::Occupied | Connected::Unknown | Connected::Reported(_) => vec![client],
        }
    }

    fn leave(&mut self, key: StreamKey, side: Side) -> Vec<Client> {
        let left = self.checked.registry.stream(key).clients()[side as usize];
        let outcome = self.checked.leave(key, side);
        assert_ne!(outcome, LeaveOutcome::Absent);
        left.into_iter().collect()
    }

    fn end(&mut self, key: StreamKey, ending: Ending) -> Vec<Client> {
        let clients = self.checked.registry.stream(key).clients();
        self.checked.end(key, ending);
        clients.into_iter().flatten().collect()
    }

    /// Deletes a stream; its transfer, if any, ends it once more.
    fn delete(&mut self, id: Uuid) -> Vec<Client> {
        let clients = self.checked.delete(id, report());
        if let [source, _] = clients[..] {
            assert!(source.0.is_multiple_of(2), "the source comes first");
            self.checked.end(self.checked.key(id), Ending::Disconnected(Side::Source));
        }
        clients
    }

    /// Advances the time to this long after the next deadline, if there is one.
    fn wait(&mut self, beyond: Duration) -> Vec<Client> {
        let Some(deadline) = self.checked.registry.next_deadline() else { return Vec::new() };
        let left = deadline.saturating_duration_since(self.checked.now().monotonic);
        let expired = self.checked.advance(left + beyond);
        assert!(!beyond.is_zero() || expired.is_empty(), "a deadline that is now has not passed");
        expired
    }

    /// Hands over; the process that this state does not continue with comes to its end.
    fn hand_over(&mut self, process: Process) -> Vec<Client> {
        let (successor, mut answered) = self.checked.hand_over();
        let mut other = State { checked: successor, ..self.clone() };
        if let Process::New = process {
            std::mem::swap(self, &mut other);
            answered.extend(other.connected());
        }
        other.end_transfers();
        for _ in 0..2 {
            assert_eq!(other.checked.advance(FOREVER), [], "no client waits there");
        }
        assert!(other.checked.registry.is_empty(), "the other process can exit");
        answered
    }
}

/// Returns what the sides of a stream can do.
fn acts_of_sides(stream: &Stream, key: StreamKey) -> Vec<Act> {
    let sides = [Side::Source, Side::Destination];
    let is_connected = |side: &Side| stream.clients()[*side as usize].is_some();
    let mut acts: Vec<_> =
        sides.into_iter().filter(is_connected).map(|side| Act::Leave(key, side)).collect();
    if is_connected(&Side::Source) {
        acts.push(Act::Exceed(key));
    }
    if stream.state() == StreamState::Streaming {
        acts.push(Act::Finish(key));
        acts.extend(sides.map(|side| Act::Disconnect(key, side)));
        acts.extend(sides.map(|side| Act::Fail(key, side)));
    }
    acts
}

fn report() -> PeerReport {
    PeerReport { status: 404, name: "Error".into(), message: "reported in a search".into() }
}
