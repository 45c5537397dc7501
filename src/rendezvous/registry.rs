//! All streams: found by identifier, listed by age, expired by deadline, bounded in number.
//! Ended streams stay readable for the retention time; when the registry is full the one that
//! ended first is forgotten early, so that history never stands in the way of a new stream.

use super::bottleneck::Bottleneck;
use super::stream::{Client, Ending, Headers, Joined, Phase, Report, Side, State, Stream, Watch};
use super::{Addresses, Now};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What the registry holds to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many streams are held at once, ended ones included.
    pub streams: usize,
    /// How many active streams one address may have created; 0: no limit.
    pub streams_per_address: usize,
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

/// Why no stream can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Every place is taken by an active stream, or all streams weigh too much.
    Registry,
    /// Its creator's address has as many active streams as one may have.
    Address,
}

/// What connecting to a stream led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connected {
    /// The client is the first; it waits.
    Waits(StreamKey),
    /// The other side was waiting; the transfer begins.
    Paired {
        /// The stream they share.
        stream: StreamKey,
        /// Who was waiting.
        other: Client,
    },
    /// That side is taken.
    Occupied,
    /// No such stream, or it is over.
    Unknown,
    /// An error was reported before anyone came; the stream is over now.
    Reported(Box<Report>),
}

/// What reporting an error led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Kept for whoever connects next.
    Kept,
    /// This client was waiting and is to be answered with it; the stream is over.
    Delivered(Client),
    /// The stream is paired or over: too late for a report.
    Started,
    /// No such stream.
    Unknown,
    /// Reports and header fields weigh too much already.
    Full,
}

/// A stream that has just ended, for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its identifier.
    pub id: Uuid,
    /// The state it ended in.
    pub state: State,
    /// Who was there: source, destination.
    pub clients: [Option<Client>; 2],
    /// Body bytes handed on.
    pub bytes_transferred: u64,
    /// How long the first side waited for the other, or in vain; `None`: nobody came.
    pub waited: Option<Duration>,
    /// From the meeting to the end.
    pub transferred_in: Option<Duration>,
}

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
    /// Active streams by the addresses of their creators, while that is limited.
    creators: Addresses,
    tally: Tally,
    /// Watched streams with something new.
    changed: Vec<Uuid>,
    /// Those of them that were forgotten before anybody looked.
    departed: Vec<Stream>,
    /// Streams that have ended since somebody asked, if anybody ever does.
    records: Option<VecDeque<Record>>,
}

/// How many streams there are and were, by the number of their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those held.
    pub held: [usize; State::ALL.len()],
    /// Those that ended, since the beginning.
    pub ended: [u64; State::ALL.len()],
}

impl Tally {
    fn moved(&mut self, from: State, to: State) {
        self.held[from as usize] -= 1;
        self.held[to as usize] += 1;
    }
}

/// A stream that left its registry while it waited.
#[derive(Debug)]
pub struct Given {
    /// As it was.
    pub stream: Stream,
    /// The address it counted for.
    pub creator: Option<IpAddr>,
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
            tally: Tally::default(),
            creators: Addresses::default(),
            changed: Vec::new(),
            departed: Vec::new(),
            records: None,
        }
    }

    /// How many streams there are and were.
    pub fn tally(&self) -> &Tally {
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

    /// Makes a stream that waits for both sides.
    ///
    /// # Errors
    /// [`Full`] when as many streams as a limit allows are active, or they weigh too much.
    pub fn create(
        &mut self,
        id: Uuid,
        headers: Option<Box<Headers>>,
        creator: IpAddr,
        now: Now,
    ) -> Result<StreamKey, Full> {
        self.adopt(id, headers, Some(creator), now)
    }

    /// The same with a stream of another registry, whose creator may not be known: then it counts
    /// for no address.
    ///
    /// # Errors
    /// As [`Registry::create`].
    pub fn adopt(
        &mut self,
        id: Uuid,
        headers: Option<Box<Headers>>,
        creator: Option<IpAddr>,
        now: Now,
    ) -> Result<StreamKey, Full> {
        let most = self.limits.streams_per_address;
        let creator = creator.filter(|_| most > 0);
        if creator.is_some_and(|creator| self.creators.count(creator) >= most) {
            return Err(Full::Address);
        }
        let weight = headers.as_ref().map_or(0, |headers| headers.weight());
        while self.streams.len() >= self.limits.streams || self.weight + weight > WEIGHT_MAX {
            let (_, oldest) = self.ended.pop_front().ok_or(Full::Registry)?;
            self.forget(oldest);
        }
        self.weight += weight;
        let deadline = now.monotonic + self.limits.ttl;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let mut stream = Stream::new(id, headers, sequence, now.wall_ms, deadline);
        stream.creator = creator.map(|creator| self.creators.add(creator));
        let key = u32::try_from(self.streams.insert(stream)).map_err(|_| Full::Registry)?;
        self.tally.held[State::Created as usize] += 1;
        self.by_id.insert(id, key);
        self.by_age.insert(sequence, key);
        self.waiting_until.insert((deadline, key));
        Ok(StreamKey(key))
    }

    /// A stream that still waits for a side or both does so until then, whatever the limits say.
    pub fn wait_until(&mut self, StreamKey(key): StreamKey, deadline: Instant) {
        let stream = &mut self.streams[key as usize];
        if self.waiting_until.remove(&(stream.deadline, key)) {
            stream.deadline = deadline;
            self.waiting_until.insert((deadline, key));
        }
    }

    /// A client wants to be one side of a stream.
    pub fn connect(&mut self, id: Uuid, side: Side, client: Client, now: Now) -> Connected {
        let Some(&key) = self.by_id.get(&id) else { return Connected::Unknown };
        let stream = &mut self.streams[key as usize];
        let before = stream.state();
        let joined = stream.join(side, client);
        self.tally.moved(before, stream.state());
        match joined {
            Joined::Waits => {
                stream.note_joined(now.monotonic);
                self.revised(key);
                Connected::Waits(StreamKey(key))
            }
            Joined::Paired(other) => {
                stream.note_joined(now.monotonic);
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

    /// One side reports an error to the other; a later report replaces one that still waits.
    pub fn report(&mut self, id: Uuid, report: Report, now: Now) -> Registered {
        let Some(&key) = self.by_id.get(&id) else { return Registered::Unknown };
        let stream = &mut self.streams[key as usize];
        if stream.state() == State::Streaming || !stream.is_active() {
            return Registered::Started;
        }
        let weight = self.weight - stream.told_weight() + report.weight();
        if weight > WEIGHT_MAX {
            return Registered::Full;
        }
        match &mut stream.phase {
            Phase::Created(pending) => {
                self.weight = weight;
                *pending = Some(Box::new(report));
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
    pub fn delete(&mut self, id: Uuid, report: Report, now: Now) -> Option<[Option<Client>; 2]> {
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
        self.waiting_until.remove(&(stream.deadline, key));
        stream.deadline = now.monotonic + self.limits.retention;
        self.weight -= stream.told_weight();
        self.tally.moved(stream.state(), ending.state());
        self.tally.ended[ending.state() as usize] += 1;
        stream.phase = Phase::Ended { ending, wall_ms: now.wall_ms };
        self.weight += stream.told_weight();
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
    pub fn judged(&mut self, StreamKey(key): StreamKey, bottleneck: Box<Bottleneck>) {
        self.streams[key as usize].set_bottleneck(bottleneck);
    }

    /// Whether somebody wants to hear of a stream's changes from now on.
    pub fn watch(&mut self, id: Uuid, wanted: bool) {
        let Some(&key) = self.by_id.get(&id) else { return };
        let watch = &mut self.streams[key as usize].watch;
        *watch = match (wanted, *watch) {
            (true, Watch::Changed) => Watch::Changed,
            (true, Watch::Nobody | Watch::Quiet) => Watch::Quiet,
            (false, _) => Watch::Nobody,
        };
    }

    /// Whether there are changed streams among those that are watched.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Watched streams that changed since this was asked last. Until
    /// [`Registry::forget_departed`], [`Registry::watched`] finds all of them.
    pub fn take_changes(&mut self) -> Vec<Uuid> {
        let changed = std::mem::take(&mut self.changed);
        for id in &changed {
            if let Some(&key) = self.by_id.get(id)
                && self.streams[key as usize].watch == Watch::Changed
            {
                self.streams[key as usize].watch = Watch::Quiet;
            }
        }
        changed
    }

    /// A stream that is watched, even if it was forgotten right after its last change.
    pub fn watched(&self, id: Uuid) -> Option<&Stream> {
        self.get(id).or_else(|| self.departed.iter().find(|stream| stream.id == id))
    }

    /// Everybody has looked at what changed.
    pub fn forget_departed(&mut self) {
        self.departed.clear();
    }

    /// Something that the status shows has changed.
    fn revised(&mut self, key: u32) {
        self.streams[key as usize].revise();
        self.changed(key);
    }

    fn changed(&mut self, key: u32) {
        let stream = &mut self.streams[key as usize];
        if stream.watch == Watch::Quiet {
            stream.watch = Watch::Changed;
            self.changed.push(stream.id);
        }
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

    /// Ends one stream whose waiting time is over and returns the client that waited for nothing;
    /// to be called until it returns `None`. Statuses beyond their retention are forgotten.
    pub fn expire(&mut self, now: Now) -> Option<Client> {
        while let Some(&(at, key)) = self.ended.front()
            && at <= now.monotonic
        {
            self.ended.pop_front();
            self.forget(key);
        }
        while let Some(&(at, key)) = self.waiting_until.first()
            && at <= now.monotonic
        {
            let stream = &self.streams[key as usize];
            let [source, destination] = stream.clients();
            let Some(ending) = stream.missing() else {
                debug_assert!(false, "only streams that wait have a waiting time");
                self.waiting_until.remove(&(at, key));
                continue;
            };
            self.end(StreamKey(key), ending, now);
            if let Some(client) = source.or(destination) {
                return Some(client);
            }
        }
        None
    }

    /// Gives away all streams that wait for a side or both, oldest deadline first: somebody else
    /// goes on with them, and here they are unknown from now on.
    pub fn give_away_waiting(&mut self) -> Vec<Given> {
        let keys = std::mem::take(&mut self.waiting_until);
        let give = |(_, key)| {
            let mut stream = self.remove(key);
            let counted = stream.creator.take();
            let creator = counted.as_ref().map(super::addresses::Counted::address);
            if let Some(counted) = counted {
                self.creators.remove(counted);
            }
            Given { stream, creator }
        };
        keys.into_iter().map(give).collect()
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
        self.tally.held[stream.state() as usize] -= 1;
        self.weight -= stream.headers().map_or(0, Headers::weight) + stream.told_weight();
        self.by_id.remove(&stream.id);
        self.by_age.remove(&stream.sequence);
        stream
    }
}

#[cfg(test)]
mod tests;
