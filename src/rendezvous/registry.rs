//! All streams: found by identifier, listed by age, expired by deadline, limited in number. Ended
//! streams remain readable for the retention time; when the registry is full, the one that ended
//! first is removed early, so that history never blocks a new stream.

mod changes;
#[cfg(feature = "fuzzing")]
mod consistency;
mod creation;
mod notices;
mod outcome;
mod paths;
mod receipts;
mod shared;

pub use creation::AdoptedStream;
pub use outcome::{Connected, CreateError, Record, Registered, ReleasedStream, StateCounts};
pub use shared::SharedCreators;

use super::bottleneck::Bottleneck;
use super::stream::{
    Client, Ending, Joined, LeaveOutcome, PeerReport, Phase, Side, Stream, StreamState, Watch,
};
use super::unjoined::Unjoined;
use super::{Addresses, Now};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The limits of a registry.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum streams, including ended ones.
    pub streams: usize,
    /// Maximum active streams per address of their creator; 0: no limit.
    pub streams_per_address: usize,
    /// Maximum streams without a client per address of their creator; 0: no limit.
    pub unjoined_per_address: usize,
    /// Time after creation for both sides to connect, unless a stream has its own deadline.
    pub ttl: Duration,
    /// Retention time of the status of an ended stream.
    pub retention: Duration,
}

/// Maximum memory of the header fields, reports and digests of all streams, in bytes; further
/// streams and reports are refused until some are removed.
pub const WEIGHT_MAX: usize = 256 << 20;

/// The key of an active stream; it must not be kept after the stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(u32);

/// Streams by identifier, with their deadlines.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
pub struct Registry {
    limits: Limits,
    streams: Slab<Stream>,
    by_id: HashMap<Uuid, u32>,
    by_age: BTreeMap<u64, u32>,
    /// Active streams with a path.
    by_path: HashMap<Arc<str>, u32>,
    /// Streams by the request that created them, if that can be repeated.
    by_request: HashMap<[u8; 32], u32>,
    /// Deadlines of waiting streams; removed exactly, so that a long `ttl` leaves no stale entries.
    waiting_until: BTreeSet<(Instant, u32)>,
    /// Ended streams, in the order they ended.
    ended: VecDeque<(Instant, u32)>,
    next_sequence: u64,
    /// The difference of two numbers: other registries have those between them.
    stride: u64,
    /// Active streams that other registries hold, which share the limit.
    elsewhere: usize,
    weight: usize,
    /// Active streams by the addresses of their creators.
    creators: Addresses,
    /// Active streams that no side has joined.
    unjoined: Unjoined,
    tally: StateCounts,
    /// Watched streams that changed.
    changed: Vec<Uuid>,
    /// Those of them that were removed before their changes were read, or before their notice was.
    departed: Vec<Stream>,
    /// Records of ended streams that were not taken yet, if records are kept.
    records: Option<VecDeque<Record>>,
    /// Ended streams that a URL is to be notified of.
    notices: VecDeque<Uuid>,
}

impl Registry {
    /// Creates an empty registry.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            streams: Slab::new(),
            by_id: HashMap::new(),
            by_age: BTreeMap::new(),
            by_path: HashMap::new(),
            by_request: HashMap::new(),
            waiting_until: BTreeSet::new(),
            ended: VecDeque::new(),
            next_sequence: 0,
            stride: 1,
            elsewhere: 0,
            weight: 0,
            tally: StateCounts::default(),
            creators: Addresses::default(),
            unjoined: Unjoined::default(),
            changed: Vec::new(),
            departed: Vec::new(),
            records: None,
            notices: VecDeque::new(),
        }
    }

    /// Returns the numbers of streams by state, held and ended.
    pub fn tally(&self) -> &StateCounts {
        &self.tally
    }

    /// Sets the limits for streams that are created, or end, from now on. A shorter retention
    /// applies to ended ones, too: they are removed in the order they ended.
    pub fn set_limits(&mut self, limits: Limits, now: Now) {
        self.limits = limits;
        let latest = now.monotonic + limits.retention;
        for (deadline, key) in self.ended.iter_mut().rev().take_while(|(at, _)| *at > latest) {
            *deadline = latest;
            self.streams[*key as usize].deadline = latest;
        }
    }

    /// Keeps a record of each stream that ends from now on; [`Registry::take_record`] must be
    /// called often.
    pub fn keep_records(&mut self) {
        self.records.get_or_insert_default();
    }

    /// Takes the oldest record of an ended stream. Must be called before one of its clients is
    /// removed.
    pub fn take_record(&mut self) -> Option<Record> {
        self.records.as_mut()?.pop_front()
    }

    /// Returns the number of streams, including ended ones.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there are no streams.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Returns the number of streams that have not ended.
    pub fn active(&self) -> usize {
        self.streams.len() - self.ended.len()
    }

    /// Returns the number of addresses that created active streams.
    pub fn creators(&self) -> usize {
        self.creators.len()
    }

    /// Returns the number of active streams that no side has joined.
    pub fn unjoined(&self) -> usize {
        self.unjoined.len()
    }

    /// Returns the stream that this request created before, ended or not.
    pub fn created_by(&self, request: &[u8; 32]) -> Option<&Stream> {
        self.by_request.get(request).map(|&key| &self.streams[key as usize])
    }

    /// Connects a client as one side of a stream.
    pub fn connect(&mut self, id: Uuid, side: Side, client: Client, now: Now) -> Connected {
        let Some(&key) = self.by_id.get(&id) else { return Connected::Unknown };
        let stream = &mut self.streams[key as usize];
        let before = stream.state();
        if before == StreamState::Created {
            // While it still has the report that joining removes.
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

    /// Removes a side before a byte of the body was sent: the stream is as it was before that side
    /// connected, with its original deadline.
    pub fn leave(&mut self, StreamKey(key): StreamKey, side: Side, now: Now) -> LeaveOutcome {
        let stream = &mut self.streams[key as usize];
        let before = stream.state();
        let left = stream.leave(side);
        self.tally.moved(before, stream.state());
        if side == Side::Destination {
            // The next one announces a receipt of its own.
            self.weight -= stream.take_receipt().map_or(0, |receipt| receipt.weight());
        }
        match left {
            LeaveOutcome::Absent => return left,
            LeaveOutcome::Alone => self.unjoined.add(key, stream),
            LeaveOutcome::Waits(_) => {
                // The deadline may have passed while both sides were connected; the stream then
                // ends in a later turn.
                stream.deadline = stream.deadline.max(now.monotonic);
                self.waiting_until.insert((stream.deadline, key));
            }
        }
        self.revised(key);
        left
    }

    /// Reports an error of one side to the other; a later report replaces a pending one.
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

    /// Ends an active stream with a report for the connected clients, which are returned: source,
    /// destination. `None`: no such stream, or it has ended.
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

    /// Ends an active stream; has no effect on an ended one.
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
        if let Some(path) = stream.path() {
            self.by_path.remove(path);
        }
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
        if stream.notify_url().is_some() {
            self.notices.push_back(stream.id);
        }
        self.ended.push_back((stream.deadline, key));
        self.revised(key);
    }

    /// Sets the total of body bytes that the destination's socket has accepted.
    pub fn transferred(&mut self, StreamKey(key): StreamKey, bytes: u64) {
        self.streams[key as usize].set_bytes_transferred(bytes);
        self.changed(key);
    }

    /// Sets the current bottleneck of its transfer.
    pub fn set_bottleneck(&mut self, StreamKey(key): StreamKey, bottleneck: Box<Bottleneck>) {
        self.streams[key as usize].set_bottleneck(bottleneck);
    }

    /// Returns the stream of a key.
    pub fn stream(&self, StreamKey(key): StreamKey) -> &Stream {
        &self.streams[key as usize]
    }

    /// Returns the stream with this identifier, active or ended.
    pub fn get(&self, id: Uuid) -> Option<&Stream> {
        self.by_id.get(&id).map(|&key| &self.streams[key as usize])
    }

    /// Returns the streams in order of creation, starting at this sequence number.
    pub fn from_sequence(&self, first: u64) -> impl Iterator<Item = &Stream> {
        self.by_age.range(first..).map(|(_, &key)| &self.streams[key as usize])
    }

    /// Returns the streams in reverse order of creation, those before this sequence number.
    pub fn before_sequence(&self, end: u64) -> impl Iterator<Item = &Stream> {
        self.by_age.range(..end).rev().map(|(_, &key)| &self.streams[key as usize])
    }

    /// Returns the active streams that no side has joined, in reverse order of creation, those before
    /// this sequence number.
    pub fn unjoined_before(&self, end: u64) -> impl Iterator<Item = &Stream> {
        self.unjoined.before(end).map(|key| &self.streams[key as usize])
    }

    /// Returns the sequence number of the next stream.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Returns when [`Registry::expire`] must be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting_until.first().map(|&(at, _)| at);
        let ended = self.ended.front().map(|&(at, _)| at);
        waiting.into_iter().chain(ended).min()
    }

    /// Ends one stream whose deadline has passed and returns its waiting client; call it until it
    /// returns `None`. Removes ended streams after their retention time.
    ///
    /// A deadline set in this turn, even if it is 0, expires in a later one, so that expiry cannot
    /// loop. Each expired stream takes 1 of `budget`; when it is used up the others wait for the
    /// next turn, and [`Registry::next_deadline`] is in the past.
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
        if stream.watch == Watch::Changed || self.notices.contains(&stream.id) {
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
        if let Some(created) = stream.key() {
            self.by_request.remove(&created.request);
        }
        stream
    }
}

#[cfg(test)]
mod tests;
