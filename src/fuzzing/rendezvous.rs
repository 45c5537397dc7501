//! The registry as a script of acts with clock steps, next to its naive twin. Every client is in at
//! most one stream and answered exactly once; a jump in time leaves nothing.

use super::checked_registry::CheckedRegistry;
use super::choices::Choices;
use crate::rendezvous::{
    Client, Connected, Ending, LeaveOutcome, Limits, PeerReport, Side, StreamKey,
};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// The place of a client not yet answered.
#[derive(Clone, Copy, Debug)]
struct Place {
    stream: StreamKey,
    side: Side,
}

/// A registry and its unanswered clients.
struct Script {
    checked: CheckedRegistry,
    clients: BTreeMap<Client, Place>,
    next_client: u64,
}

/// Fuzzes limits, then acts.
pub fn rendezvous(data: &[u8]) {
    let mut choices = Choices::new(data);
    let limits = Limits {
        streams: 1 + choices.below(6),
        streams_per_address: choices.pick(&[0, 1, 3]),
        unjoined_per_address: choices.pick(&[0, 1, 2]),
        ttl: Duration::from_secs(choices.pick(&[60, 1, 0, 600])),
        retention: Duration::from_secs(choices.pick(&[60, 1, 0, 600])),
    };
    let (checked, clients) = (CheckedRegistry::new(limits), BTreeMap::new());
    let mut script = Script { checked, clients, next_client: 0 };
    while !choices.is_over() {
        script.act(&mut choices);
    }
    script.leave_all();
    // One jump for waiting clients, one for the streams remembered after them.
    script.answer_late(Duration::from_hours(1));
    script.answer_late(Duration::from_hours(1));
    assert!(script.clients.is_empty(), "a client got no response: {:?}", script.clients);
    assert!(script.checked.registry.is_empty(), "a stream is left");
}

impl Script {
    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(9) {
            0 => self.checked.create(),
            1..=3 => {
                let id = self.choose_id(choices);
                let side = choices.pick(&[Side::Source, Side::Destination]);
                self.connect(id, side);
            }
            4 => {
                let id = self.choose_id(choices);
                if let Some(client) = self.checked.report(id, report(choices)) {
                    self.answer(client);
                }
            }
            5 => {
                let id = self.choose_id(choices);
                for client in self.checked.delete(id, report(choices)) {
                    self.answer(client);
                }
            }
            6 => self.end_one(choices),
            7 => self.leave_one(choices),
            _ => self.answer_late(Duration::from_millis(choices.pick(&[1, 0, 500, 1000, 30_000]))),
        }
    }

    /// Returns one of the latest streams, or an unknown one.
    fn choose_id(&self, choices: &mut Choices<'_>) -> Uuid {
        CheckedRegistry::id(self.checked.made().saturating_sub(choices.below(8) as u128))
    }

    fn connect(&mut self, id: Uuid, side: Side) {
        self.next_client += 1;
        let client = Client(self.next_client);
        match self.checked.connect(id, side, client) {
            Connected::Waits(stream) => drop(self.clients.insert(client, Place { stream, side })),
            Connected::Paired { stream, other } => {
                let waited = self.clients.get(&other).expect("the other client was waiting");
                assert_eq!((waited.stream, waited.side), (stream, side.other()));
                self.clients.insert(client, Place { stream, side });
            }
            Connected::Occupied | Connected::Unknown | Connected::Reported(_) => {}
        }
    }

    /// Disconnects a client or ends its transfer: all clients of its stream are finished.
    fn end_one(&mut self, choices: &mut Choices<'_>) {
        if self.clients.is_empty() {
            return;
        }
        let number = choices.below(self.clients.len());
        let Some(&Place { stream, side }) = self.clients.values().nth(number) else { return };
        let both = self.clients.values().filter(|place| place.stream == stream).count() == 2;
        let ending = match choices.below(3) {
            0 if both => Ending::Finished(None),
            1 => Ending::Failed(side),
            _ => Ending::Disconnected(side),
        };
        self.checked.end(stream, ending);
        self.clients.retain(|_, place| place.stream != stream);
    }

    /// Disconnects a client before a byte has passed: the remaining one waits again.
    fn leave_one(&mut self, choices: &mut Choices<'_>) {
        if self.clients.is_empty() {
            return self.checked.create();
        }
        let number = choices.below(self.clients.len());
        let Some((&client, &Place { stream, side })) = self.clients.iter().nth(number) else {
            return;
        };
        self.clients.remove(&client);
        let other = self.clients.iter().find(|(_, place)| place.stream == stream);
        let expected =
            other.map_or(LeaveOutcome::Alone, |(client, _)| LeaveOutcome::Waits(*client));
        assert_eq!(self.checked.leave(stream, side), expected);
    }

    /// Advances the time and answers the clients that timed out.
    fn answer_late(&mut self, by: Duration) {
        for client in self.checked.advance(by) {
            self.answer(client);
        }
    }

    fn answer(&mut self, client: Client) {
        assert!(self.clients.remove(&client).is_some(), "{client:?} is answered twice");
    }

    /// Finishes every transfer; waiting clients keep waiting.
    fn leave_all(&mut self) {
        let paired: Vec<_> = self
            .clients
            .values()
            .filter(|place| place.side == Side::Source)
            .map(|place| place.stream)
            .filter(|stream| self.clients.values().filter(|p| p.stream == *stream).count() == 2)
            .collect();
        for stream in paired {
            self.checked.end(stream, Ending::Finished(None));
            self.clients.retain(|_, place| place.stream != stream);
        }
    }
}

/// Returns a report that is distinguishable from others.
pub(super) fn report(choices: &mut Choices<'_>) -> PeerReport {
    PeerReport {
        status: choices.pick(&[400, 404, 500]),
        name: "Error".into(),
        message: "reported by a script".into(),
    }
}
