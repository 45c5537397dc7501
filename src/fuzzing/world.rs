//! Registry, transfers and connections together: streams are created, clients connect, wait, meet,
//! move bytes, disconnect, are reported on, deleted, timed out, and return on the same connection.
//! Every request is answered exactly once or its client left, and every stream shows how it really
//! ended.

use super::checked_registry::CheckedRegistry;
use super::choices::Choices;
use super::flow::{Flow, Parted, Turn};
use super::rendezvous::report;
use super::upload::Upload;
use crate::rendezvous::transfer::Loss;
use crate::rendezvous::{
    Client, Connected, Ending, LeaveOutcome, Limits, Side, StreamKey, StreamState, TransferOutcome,
};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// A connection with an unanswered request.
#[derive(Debug)]
enum Life {
    /// The first client of its stream; a source with its upload.
    Waits { stream: StreamKey, side: Side, upload: Option<Offer> },
    /// One of two clients.
    Streams,
}

/// The upload of a source.
#[derive(Debug)]
enum Offer {
    /// An upload of which nothing was read.
    Fresh(Upload),
    /// An upload begun for a destination that left.
    Begun(Box<Parted>),
}

/// Two connections of one stream.
#[derive(Debug)]
struct Exchange {
    stream: StreamKey,
    source: Client,
    destination: Client,
    flow: Flow,
}

/// A relay without its sockets.
struct World {
    checked: CheckedRegistry,
    lives: BTreeMap<Client, Life>,
    /// Connections whose last request was answered and that may send another.
    kept_alive: Vec<Client>,
    exchanges: Vec<Exchange>,
    next_client: u64,
}

/// Fuzzes limits, then acts.
pub fn world(data: &[u8]) {
    let mut choices = Choices::new(data);
    let limits = Limits {
        streams: 2 + choices.below(12),
        streams_per_address: choices.pick(&[0, 1, 3]),
        unjoined_per_address: choices.pick(&[0, 1, 2]),
        ttl: Duration::from_mins(1),
        retention: Duration::from_secs(choices.pick(&[60, 0, 600])),
    };
    let mut world = World {
        checked: CheckedRegistry::new(limits),
        lives: BTreeMap::new(),
        kept_alive: Vec::new(),
        exchanges: Vec::new(),
        next_client: 0,
    };
    while !choices.is_over() {
        world.act(&mut choices);
    }
    while let Some(exchange) = world.exchanges.last_mut() {
        exchange.flow.advance_to_the_end();
        let place = world.exchanges.len() - 1;
        assert!(world.go_on(place, &mut choices), "a transfer hangs");
    }
    world.wait(Duration::from_hours(1));
    world.wait(Duration::from_hours(1));
    assert!(world.lives.is_empty(), "a client got no response: {:?}", world.lives);
    assert!(world.checked.registry.is_empty(), "a stream is left");
}

impl World {
    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(12) {
            0 => self.checked.create(),
            1..=3 => self.arrive(choices),
            4 => self.leave(choices),
            5 => self.report_or_delete(choices),
            6 => self.wait(Duration::from_millis(choices.pick(&[1, 0, 700, 5000, 30_000]))),
            _ if self.exchanges.is_empty() => self.arrive(choices),
            7 if choices.one_in(4) => self.stall(choices),
            _ => {
                let place = choices.below(self.exchanges.len());
                self.exchanges[place].flow.advance(choices);
                self.go_on(place, choices);
            }
        }
    }

    /// Returns one of the latest streams, or an unknown one.
    fn choose_id(&self, choices: &mut Choices<'_>) -> Uuid {
        CheckedRegistry::id(self.checked.made().saturating_sub(choices.below(8) as u128))
    }

    /// Connects a client to one side of a stream, on a new connection or on one that was kept.
    fn arrive(&mut self, choices: &mut Choices<'_>) {
        let id = self.choose_id(choices);
        let side = choices.pick(&[Side::Source, Side::Destination]);
        let upload = (side == Side::Source).then(|| Upload::choose(choices));
        let kept = if choices.one_in(2) { self.kept_alive.pop() } else { None };
        let client = kept.unwrap_or_else(|| {
            self.next_client += 1;
            Client(self.next_client)
        });
        assert!(!self.lives.contains_key(&client), "one request at a time");
        let met = self.checked.connect(id, side, client);
        if let Some(upload) = upload.as_ref().filter(|upload| upload.is_refused()) {
            self.end_as_too_large(&met, upload.most);
            self.kept_alive.push(client);
            return;
        }
        match met {
            Connected::Waits(stream) => {
                let upload = upload.map(Offer::Fresh);
                self.lives.insert(client, Life::Waits { stream, side, upload });
            }
            Connected::Paired { stream, other } => {
                self.lives.insert(client, Life::Streams);
                self.pair(stream, (client, upload.map(Offer::Fresh)), other, choices);
            }
            Connected::Occupied | Connected::Unknown | Connected::Reported(_) => {
                self.kept_alive.push(client);
            }
        }
    }

    /// Ends a stream whose new source has too long an upload: the waiting client is answered.
    fn end_as_too_large(&mut self, met: &Connected, most: u64) {
        match *met {
            Connected::Waits(stream) => self.checked.end(stream, Ending::TooLarge(most)),
            Connected::Paired { stream, other } => {
                self.checked.end(stream, Ending::TooLarge(most));
                self.answer(other, true);
            }
            Connected::Occupied | Connected::Unknown | Connected::Reported(_) => {}
        }
    }

    /// Pairs the client that connected last with `other`.
    fn pair(
        &mut self,
        stream: StreamKey,
        (client, upload): (Client, Option<Offer>),
        other: Client,
        choices: &mut Choices<'_>,
    ) {
        let waited = self.lives.insert(other, Life::Streams);
        let Some(Life::Waits { stream: its, upload: theirs, .. }) = waited else {
            panic!("{other:?} did not wait");
        };
        assert_eq!(its, stream);
        let (source, destination) =
            if upload.is_some() { (client, other) } else { (other, client) };
        let upload = upload.or(theirs).expect("one of the two is the source");
        let lost_at = choices.one_in(4).then(|| {
            let bytes = if choices.one_in(3) { 0 } else { choices.size() };
            (bytes, choices.pick(&[Loss::Closed, Loss::Failed]))
        });
        let flow = match upload {
            Offer::Fresh(upload) => Flow::new(upload, lost_at, choices),
            Offer::Begun(parted) => Flow::resume(*parted, lost_at, choices),
        };
        self.exchanges.push(Exchange { stream, source, destination, flow });
    }

    /// Disconnects a client that waits, or that has received nothing yet.
    fn leave(&mut self, choices: &mut Choices<'_>) {
        let parts = self.exchanges.iter().position(|exchange| exchange.flow.may_part());
        if let Some(place) = parts.filter(|_| choices.one_in(2)) {
            let exchange = self.exchanges.swap_remove(place);
            exchange.flow.check_end(None);
            return self.part(exchange, choices.pick(&[Side::Source, Side::Destination]));
        }
        let waiting: Vec<_> = self
            .lives
            .iter()
            .filter_map(|(client, life)| match life {
                Life::Waits { stream, side, .. } => Some((*client, *stream, *side)),
                Life::Streams => None,
            })
            .collect();
        if waiting.is_empty() {
            return self.checked.create();
        }
        let (client, stream, side) = choices.pick(&waiting);
        assert_eq!(self.checked.leave(stream, side), LeaveOutcome::Alone);
        self.lives.remove(&client);
    }

    /// Removes one of two clients: the other waits again, a source with what was read of it.
    fn part(&mut self, exchange: Exchange, side: Side) {
        let Exchange { stream, source, destination, flow } = exchange;
        let (left, stays, upload) = match side {
            Side::Source => (source, destination, None),
            Side::Destination => (destination, source, Some(Offer::Begun(Box::new(flow.part())))),
        };
        assert_eq!(self.checked.leave(stream, side), LeaveOutcome::Waits(stays));
        assert!(self.lives.remove(&left).is_some(), "{left:?} had a place");
        self.lives.insert(stays, Life::Waits { stream, side: side.other(), upload });
    }

    fn report_or_delete(&mut self, choices: &mut Choices<'_>) {
        let id = self.choose_id(choices);
        if choices.one_in(2) {
            if let Some(client) = self.checked.report(id, report(choices)) {
                self.answer(client, true);
            }
            return;
        }
        for client in self.checked.delete(id, report(choices)) {
            let broken = self.exchanges.iter().position(|e| e.source == client);
            if let Some(place) = broken {
                self.exchanges.swap_remove(place).flow.check_end(None);
            }
            self.answer(client, false);
        }
    }

    /// Advances the time; clients that waited too long are answered.
    fn wait(&mut self, time: Duration) {
        for client in self.checked.advance(time) {
            assert!(matches!(self.lives.get(&client), Some(Life::Waits { .. })));
            self.answer(client, true);
        }
    }

    /// Ends a transfer that stalled for too long.
    fn stall(&mut self, choices: &mut Choices<'_>) {
        let place = choices.below(self.exchanges.len());
        let side = choices.pick(&[Side::Source, Side::Destination]);
        let exchange = self.exchanges.swap_remove(place);
        exchange.flow.check_end(None);
        self.over(&exchange, Ending::Failed(side));
    }

    /// Runs a turn of a transfer; returns whether it is over.
    fn go_on(&mut self, place: usize, choices: &mut Choices<'_>) -> bool {
        let exchange = &mut self.exchanges[place];
        let turn = exchange.flow.turn(choices);
        let bytes = exchange.flow.transfer.transferred();
        self.checked.registry.transferred(exchange.stream, bytes);
        let Turn::Over(outcome) = turn else { return false };
        let exchange = self.exchanges.swap_remove(place);
        exchange.flow.check_end(Some(outcome));
        match exchange.flow.transfer.side_left(outcome) {
            Some(side) => self.part(exchange, side),
            None => self.over(&exchange, ending(outcome, &exchange.flow)),
        }
        true
    }

    /// Checks that both sides of a stream are answered, and that its status shows how it ended.
    fn over(&mut self, exchange: &Exchange, ending: Ending) {
        let state = ending.state();
        let complete = state == StreamState::Finished;
        let id = self.checked.registry.stream(exchange.stream).id();
        self.checked.end(exchange.stream, ending);
        let stream = self.checked.registry.get(id).expect("it stays readable");
        assert_eq!(stream.bytes_transferred(), exchange.flow.transfer.transferred());
        assert_eq!(stream.state(), state);
        let digest = stream.digest().map(|digest| digest.as_str().to_owned());
        assert_eq!(digest, exchange.flow.digest().filter(|_| complete), "of complete uploads only");
        self.answer(exchange.source, complete);
        self.answer(exchange.destination, complete);
    }

    fn answer(&mut self, client: Client, keep_alive: bool) {
        assert!(self.lives.remove(&client).is_some(), "{client:?} is answered twice");
        if keep_alive {
            self.kept_alive.push(client);
        }
    }
}

/// Returns how a stream ended, given the outcome of its transfer.
fn ending(outcome: TransferOutcome, flow: &Flow) -> Ending {
    match outcome {
        TransferOutcome::Complete => {
            Ending::Finished(flow.transfer.digest().cloned().map(Box::new))
        }
        TransferOutcome::SourceGone(Loss::Closed) => Ending::Disconnected(Side::Source),
        TransferOutcome::SourceGone(_) | TransferOutcome::SourceBroken(_) => {
            Ending::Failed(Side::Source)
        }
        TransferOutcome::SourceTooLarge(most) => Ending::TooLarge(most),
        TransferOutcome::DestinationGone(Loss::Closed) => Ending::Disconnected(Side::Destination),
        TransferOutcome::DestinationGone(_) => Ending::Failed(Side::Destination),
    }
}
