//! All streams: found by identifier, listed by age, expired by deadline, bounded in number.
//! Ended streams stay readable for the retention time; when the registry is full the one that
//! ended first is forgotten early, so that history never stands in the way of a new stream.

use super::Now;
use super::stream::{Client, Ending, Headers, Joined, Phase, Report, Side, Stream};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What the registry holds to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many streams are held at once, ended ones included.
    pub streams: usize,
    /// How long after creation both sides may take to come.
    pub ttl: Duration,
    /// How long the status of an ended stream stays readable.
    pub retention: Duration,
}

/// Names a stream that is active; it is not to be kept beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(u32);

/// Every place is taken by an active stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

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
        }
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

    /// Makes a stream that waits for both sides.
    ///
    /// # Errors
    /// [`Full`] when as many streams as the limit allows are active.
    pub fn create(
        &mut self,
        id: Uuid,
        headers: Option<Box<Headers>>,
        now: Now,
    ) -> Result<StreamKey, Full> {
        if self.streams.len() >= self.limits.streams {
            let (_, oldest) = self.ended.pop_front().ok_or(Full)?;
            self.forget(oldest);
        }
        let deadline = now.monotonic + self.limits.ttl;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let stream = Stream::new(id, headers, sequence, now.wall_ms, deadline);
        let key = u32::try_from(self.streams.insert(stream)).map_err(|_| Full)?;
        self.by_id.insert(id, key);
        self.by_age.insert(sequence, key);
        self.waiting_until.insert((deadline, key));
        Ok(StreamKey(key))
    }

    /// A client wants to be one side of a stream.
    pub fn connect(&mut self, id: Uuid, side: Side, client: Client, now: Now) -> Connected {
        let Some(&key) = self.by_id.get(&id) else { return Connected::Unknown };
        let stream = &mut self.streams[key as usize];
        match stream.join(side, client) {
            Joined::Waits => Connected::Waits(StreamKey(key)),
            Joined::Paired(other) => {
                self.waiting_until.remove(&(stream.deadline, key));
                Connected::Paired { stream: StreamKey(key), other }
            }
            Joined::Occupied => Connected::Occupied,
            Joined::Ended => Connected::Unknown,
            Joined::Reported(report) => {
                self.end(StreamKey(key), Ending::Reported(report.clone()), now);
                Connected::Reported(report)
            }
        }
    }

    /// One side reports an error to the other; a later report replaces one that still waits.
    pub fn report(&mut self, id: Uuid, report: Report, now: Now) -> Registered {
        let Some(&key) = self.by_id.get(&id) else { return Registered::Unknown };
        match &mut self.streams[key as usize].phase {
            Phase::Created(pending) => {
                *pending = Some(Box::new(report));
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
        self.waiting_until.remove(&(stream.deadline, key));
        stream.deadline = now.monotonic + self.limits.retention;
        stream.phase = Phase::Ended { ending, wall_ms: now.wall_ms };
        self.ended.push_back((stream.deadline, key));
    }

    /// How many body bytes the destination's socket has taken so far, in all.
    pub fn transferred(&mut self, StreamKey(key): StreamKey, bytes: u64) {
        self.streams[key as usize].set_bytes_transferred(bytes);
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

    fn forget(&mut self, key: u32) {
        let stream = self.streams.remove(key as usize);
        debug_assert!(!stream.is_active(), "an active stream is never forgotten");
        self.by_id.remove(&stream.id);
        self.by_age.remove(&stream.sequence);
    }
}
