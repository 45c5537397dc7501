//! All streams: found by identifier, listed by age, expired by deadline, bounded in number.
//! Ended streams stay readable for the retention time; when the registry is full the one that
//! ended first is forgotten early, so that history never stands in the way of a new stream.

mod changes;
mod creation;
mod outcome;

pub use creation::AdoptedStream;
pub use outcome::{Connected, CreateError, Record, Registered, ReleasedStream, StateCounts};

use super::bottleneck::Bottleneck;
use super::stream::{
    Client, Ending, Joined, LeaveOutcome, PeerReport, Phase, Side, Stream, StreamState, Watch,
};
use super::unjoined::Unjoined;
use super::{Addresses, Now};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What the registry holds to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many streams are held at once, ended ones included.
    pub streams: usize,
    /// How many active streams one address may have created; 0: no limit.
    pub streams_per_address: usize,
    /// How many streams that no side has joined one address may have created; 0: no limit.
    pub unjoined_per_address: usize,
    /// How long after creation both sides may take to come, unless they are given until another
    /// time.
    pub ttl: Duration,
    /// How long the status of an ended stream stays readable.
    pub retention: Duration,
}

/// What the header fields, reports and digests of all streams may weigh together, in bytes; more streams
/// and reports are refused until some are forgotten.
pub const WEIGHT_MAX: usize = 256 << 20;

/// Names a stream that is active; it is not to be kept beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(u32);

/// Streams by identifier, with their deadlines.
#[derive(Debug)]
pub struct Registry {
    limits: Limits,
    streams: Slab<Stream>,
    by_id: HashMap<Uuid, u32>,
    by_age: BTreeMap<u64, u32>,
    /// When waiting times run out; precise, so that a long `ttl` leaves nothing behind.
    waiting_until: BTreeSet<(Instant, u32)>,
    /// Ended streams, in the order they ended.
    ended: VecDeque<(Instant, u32)>,
    next_sequence: u64,
    weight: usize,
    /// Active streams by the addresses of their creators.
    creators: Addresses,
    /// Those of them that no side has joined.
    unjoined: Unjoined,
    tally: StateCounts,
    /// Watched streams with something new.
    changed: Vec<Uuid>,
    /// Those of them that were forgotten before anybody looked.
    departed: Vec<Stream>,
    /// Streams that have ended since somebody asked, if anybody ever does.
    records: Option<VecDeque<Record>>,
}

impl Registry {
    /// An empty registry.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            streams: Slab::new(),
            by_id: HashMap::new(),
            by_age: BTreeMap::new(),
            waiting_until: BTreeSet::new(),
            ended: VecDeque::new(),
            next_sequence: 0,
            weight: 0,
            tally: StateCounts::default(),
            creators: Addresses::default(),
            unjoined: Unjoined::default(),
            changed: Vec::new(),
            departed: Vec::new(),
            records: None,
        }
    }

    /// How many streams there are and were.
    pub fn tally(&self) -> &StateCounts {
        &self.tally
    }

    /// Other limits for streams that begin, or end, from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// From now on a record is kept of each stream that ends; [`Registry::take_record`] must be
    /// asked for them often.
    pub fn keep_records(&mut self) {
        self.records.get_or_insert_default();
    }

    /// The record of a stream that has ended; the first first. It is to be asked for before one of
    /// its clients goes away.
    pub fn take_record(&mut self) -> Option<Record> {
        self.records.as_mut()?.pop_front()
    }

    /// How many streams are held, ended ones included.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// How many streams have not ended.
    pub fn active(&self) -> usize {
        self.streams.len() - self.ended.len()
    }

    /// Of how many addresses active streams are counted.
    pub fn creators(&self) -> usize {
        self.creators.len()
    }

    /// How many active streams no side has joined.
    pub fn unjoined(&self) -> usize {
        self.unjoined.len()
    }

    /// A client wants to be one side of a stream.
    pub fn connect(&mut self, id: Uuid, side: Side, client: Client, now: Now) -> Connected {
        let Some(&key) = self.by_id.get(&id) else { return Connected::Unknown };
        let stream = &mut self.streams[key as usize];
        let before = stream.state();
        if before == StreamState::Created {
            // While it still has the report that joining takes out.
            self.unjoined.remove(stream);
        }
        let joined = stream.join(side, client, now.monotonic);
        self.tally.moved(before, stream.state());
        match joined {
            Joined::Waits => {
                self.revised(key);
                Connected::Waits(StreamKey(key))
            }
            Joined::Paired(other) => {
                self.waiting_until.remove(&(stream.deadline, key));
                self.revised(key);
                Connected::Paired { stream: StreamKey(key), other }
            }
            Joined::Occupied => Connected::Occupied,
            Joined::Ended => Connected::Unknown,
            Joined::Reported(report) => {
                self.weight -= report.weight();
                self.end(StreamKey(key), Ending::Reported(report.clone()), now);
                Connected::Reported(report)
            }
        }
    }

    /// A side leaves before a byte of the body has passed: the stream is as it was before that side
    /// connected, and its waiting time runs out when it always would have.
    pub fn leave(&mut self, StreamKey(key): StreamKey, side: Side, now: Now) -> LeaveOutcome {
        let stream = &mut self.streams[key as usize];
        let before = stream.state();
        let left = stream.leave(side);
        self.tally.moved(before, stream.state());
        match left {
            LeaveOutcome::Absent => return left,
            LeaveOutcome::Alone => self.unjoined.add(key, stream),
            LeaveOutcome::Waits(_) => {
                // It may have run out while both sides were connected; it ends in a later turn then.
                stream.deadline = stream.deadline.max(now.monotonic);
                self.waiting_until.insert((stream.deadline, key));
            }
        }
        self.revised(key);
        left
    }

    /// One side reports an error to the other; a later report replaces one that still waits.
    pub fn report(&mut self, id: Uuid, report: PeerReport, now: Now) -> Registered {
        let Some(&key) = self.by_id.get(&id) else { return Registered::Unknown };
        let stream = &mut self.streams[key as usize];
        if stream.state() == StreamState::Streaming || !stream.is_active() {
            return Registered::Started;
        }
        let weight = self.weight - stream.reported_weight() + report.weight();
        let grows_by = report.weight().saturating_sub(stream.reported_weight());
        let limited =
            self.limits.unjoined_per_address > 0 && stream.state() == StreamState::Created;
        if weight > WEIGHT_MAX || (limited && !self.unjoined.may_grow(stream, grows_by)) {
            return Registered::Full;
        }
        match &mut stream.phase {
            Phase::Created(_) => {
                self.weight = weight;
                self.unjoined.remove(stream);
                stream.phase = Phase::Created(Some(Box::new(report)));
                self.unjoined.add(key, stream);
                self.revised(key);
                Registered::Kept
            }
            Phase::Waiting(_, client) => {
                let client = *client;
                self.end(StreamKey(key), Ending::Reported(Box::new(report)), now);
                Registered::Delivered(client)
            }
            Phase::Streaming { .. } | Phase::Ended { .. } => Registered::Started,
        }
    }

    /// Ends an active stream with a report for whoever is there: source, destination.
    /// `None`: no such stream, or it is over.
    pub fn delete(
        &mut self,
        id: Uuid,
        report: PeerReport,
        now: Now,
    ) -> Option<[Option<Client>; 2]> {
        let &key = self.by_id.get(&id)?;
        let stream = &self.streams[key as usize];
        if !stream.is_active() {
            return None;
        }
        let clients = stream.clients();
        self.end(StreamKey(key), Ending::Reported(Box::new(report)), now);
        Some(clients)
    }

    /// Ends an active stream; what is over stays as it was.
    pub fn end(&mut self, StreamKey(key): StreamKey, ending: Ending, now: Now) {
        let stream = &mut self.streams[key as usize];
        if !stream.is_active() {
            return;
        }
        if let Some(records) = &mut self.records {
            let [waited, transferred_in] = stream.spans(now.monotonic);
            records.push_back(Record {
                id: stream.id,
                state: ending.state(),
                clients: stream.clients(),
                bytes_transferred: stream.bytes_transferred(),
                waited,
                transferred_in,
            });
        }
        self.unjoined.remove(stream);
        self.waiting_until.remove(&(stream.deadline, key));
        stream.deadline = now.monotonic + self.limits.retention;
        self.weight -= stream.reported_weight();
        self.tally.moved(stream.state(), ending.state());
        self.tally.ended[ending.state() as usize] += 1;
        stream.phase = Phase::Ended { ending, wall_ms: now.wall_ms };
        self.weight += stream.reported_weight();
        if let Some(creator) = stream.creator.take() {
            self.creators.remove(creator);
        }
        self.ended.push_back((stream.deadline, key));
        self.revised(key);
    }

    /// How many body bytes the destination's socket has taken so far, in all.
    pub fn transferred(&mut self, StreamKey(key): StreamKey, bytes: u64) {
        self.streams[key as usize].set_bytes_transferred(bytes);
        self.changed(key);
    }

    /// What keeps its transfer from being faster, as judged now.
    pub fn set_bottleneck(&mut self, StreamKey(key): StreamKey, bottleneck: Box<Bottleneck>) {
        self.streams[key as usize].set_bottleneck(bottleneck);
    }

    /// The stream behind a key.
    pub fn stream(&self, StreamKey(key): StreamKey) -> &Stream {
        &self.streams[key as usize]
    }

    /// The stream with this identifier, ended or not.
    pub fn get(&self, id: Uuid) -> Option<&Stream> {
        self.by_id.get(&id).map(|&key| &self.streams[key as usize])
    }

    /// The streams held, oldest first, from this place in the order of creation on.
    pub fn from_sequence(&self, first: u64) -> impl Iterator<Item = &Stream> {
        self.by_age.range(first..).map(|(_, &key)| &self.streams[key as usize])
    }

    /// The place the next stream will take in the order of creation.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// When [`Registry::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting_until.first().map(|&(at, _)| at);
        let ended = self.ended.front().map(|&(at, _)| at);
        waiting.into_iter().chain(ended).min()
    }

    /// Ends one stream whose waiting time is over and returns the client that waited in vain; to be
    /// called until it returns `None`. Statuses beyond their retention are forgotten.
    ///
    /// A time that was set in this turn, be it 0, ends in a later one: so what ends here cannot
    /// follow itself around. Each stream that is dealt with takes 1 of `budget`; with nothing left
    /// of it the others wait for the next turn, and [`Registry::next_deadline`] is in the past.
    pub fn expire(&mut self, now: Now, budget: &mut usize) -> Option<Client> {
        while *budget > 0
            && let Some(&(at, key)) = self.ended.front()
            && at < now.monotonic
        {
            *budget -= 1;
            self.ended.pop_front();
            self.forget(key);
        }
        while *budget > 0
            && let Some(&(at, key)) = self.waiting_until.first()
            && at < now.monotonic
        {
            *budget -= 1;
            let stream = &self.streams[key as usize];
            let client = stream.waiting();
            let Some(ending) = stream.missing() else {
                debug_assert!(false, "only streams that wait have a waiting time");
                self.waiting_until.remove(&(at, key));
                continue;
            };
            self.end(StreamKey(key), ending, now);
            if client.is_some() {
                return client;
            }
        }
        None
    }

    fn forget(&mut self, key: u32) {
        let stream = self.remove(key);
        debug_assert!(!stream.is_active(), "an active stream is never forgotten");
        if stream.watch == Watch::Changed {
            self.departed.push(stream);
        }
    }

    fn remove(&mut self, key: u32) -> Stream {
        let stream = self.streams.remove(key as usize);
        self.unjoined.remove(&stream);
        self.tally.held[stream.state() as usize] -= 1;
        self.weight -= stream.weight();
        self.by_id.remove(&stream.id);
        self.by_age.remove(&stream.sequence);
        stream
    }
}

#[cfg(test)]
mod tests;
