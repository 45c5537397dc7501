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
    /// How long after creation both sides may take to come.
    pub ttl: Duration,
    /// How long the status of an ended stream stays readable.
    pub retention: Duration,
}

/// What the header fields and reports of all streams may weigh together, in bytes; more streams
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
        let weight = self.weight - stream.report_weight() + report.weight();
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
        self.weight -= stream.report_weight();
        self.tally.moved(stream.state(), ending.state());
        self.tally.ended[ending.state() as usize] += 1;
        stream.phase = Phase::Ended { ending, wall_ms: now.wall_ms };
        self.weight += stream.report_weight();
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
        self.weight -= stream.headers().map_or(0, Headers::weight) + stream.report_weight();
        self.by_id.remove(&stream.id);
        self.by_age.remove(&stream.sequence);
        stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value};

    fn report(bytes: usize) -> Report {
        Report { status: 400, name: "Error".into(), message: "x".repeat(bytes) }
    }

    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn begin() -> (Registry, Now) {
        let limits = Limits {
            streams: 100,
            streams_per_address: 2,
            ttl: Duration::from_mins(1),
            retention: Duration::from_mins(1),
        };
        (Registry::new(limits), Now { monotonic: Instant::now(), wall_ms: 0 })
    }

    /// One address for each number.
    fn creator(number: u128) -> IpAddr {
        IpAddr::from([192, 0, 2, u8::try_from(number).unwrap()])
    }

    fn later(now: Now) -> Now {
        Now { monotonic: now.monotonic + Duration::from_hours(1), ..now }
    }

    #[test]
    fn what_streams_weigh_is_given_back_when_they_are_forgotten() {
        let (mut registry, now) = begin();
        let field = Map::from_iter([("A".to_owned(), Value::from("b"))]);
        let headers = Headers { download: field.clone(), upload: field };
        for act in 0..6 {
            let id = Uuid::from_u128(act);
            let key =
                registry.create(id, Some(Box::new(headers.clone())), creator(act), now).unwrap();
            let _ = registry.report(id, report(10), now);
            match act {
                0 => {}
                1 => assert_eq!(registry.report(id, report(20), now), Registered::Kept),
                2 => {
                    let answer = registry.connect(id, Side::Source, Client(1), now);
                    assert!(matches!(answer, Connected::Reported(_)));
                }
                3 => assert!(registry.delete(id, report(5), now).is_some()),
                4 => registry.end(key, Ending::Reported(Box::new(report(7))), now),
                _ => registry.end(key, Ending::Finished, now),
            }
        }
        assert!(registry.weight > 0);
        let now = later(now);
        assert_eq!(registry.expire(now), None);
        assert_eq!(registry.expire(later(now)), None);
        assert_eq!((registry.len(), registry.weight, registry.creators()), (0, 0, 0));
    }

    #[test]
    fn a_refused_address_costs_nobody_its_history() {
        let (mut registry, now) = begin();
        registry.limits.streams = 3;
        let create = |registry: &mut Registry, number| {
            registry.create(Uuid::from_u128(number), None, creator(number / 10), now)
        };
        let ended = create(&mut registry, 11).unwrap();
        registry.end(ended, Ending::Finished, now);
        for number in [12, 13] {
            assert!(create(&mut registry, number).is_ok(), "an ended stream counts no more");
        }
        assert_eq!(create(&mut registry, 14), Err(Full::Address));
        assert!(registry.get(Uuid::from_u128(11)).is_some(), "nothing was forgotten for it");
        assert!(create(&mut registry, 21).is_ok(), "others are not concerned");
        assert_eq!(create(&mut registry, 22), Err(Full::Registry));
        assert_eq!(registry.creators(), 2);
    }

    /// What the tally has to say, counted anew.
    fn held(registry: &Registry) -> [usize; State::ALL.len()] {
        State::ALL
            .map(|state| registry.from_sequence(0).filter(|stream| stream.state() == state).count())
    }

    #[test]
    fn the_tally_follows_every_act() {
        let (mut registry, now) = begin();
        let [source, destination] = [Side::Source, Side::Destination];
        let mut acts = 0_u128;
        for first in [None, Some(source), Some(destination)] {
            for second in [None, Some(source), Some(destination)] {
                for last in 0..5 {
                    acts += 1;
                    let id = Uuid::from_u128(acts);
                    let key = registry.create(id, None, creator(acts), now).unwrap();
                    for side in first.into_iter().chain(second) {
                        registry.connect(id, side, Client(1), now);
                        assert_eq!(registry.tally().held, held(&registry));
                    }
                    match last {
                        0 => registry.end(key, Ending::Finished, now),
                        1 => registry.end(key, Ending::Disconnected(source), now),
                        2 => drop(registry.delete(id, report(1), now)),
                        3 => drop(registry.report(id, report(1), now)),
                        _ => {}
                    }
                    registry.connect(id, source, Client(2), now);
                    assert_eq!(registry.tally().held, held(&registry));
                }
            }
        }
        let active = registry.active() as u64;
        let ended: u64 = registry.tally().ended.iter().sum();
        assert_eq!(u128::from(ended + active), acts);

        let now = later(now);
        while registry.expire(now).is_some() {}
        assert_eq!(registry.tally().held, held(&registry));
        assert!(registry.tally().ended[State::TimeoutNoDst as usize] > 0);
        assert_eq!(registry.tally().ended[..State::ACTIVE], [0; State::ACTIVE]);
    }

    #[test]
    fn the_numbers_of_states_follow_the_order_of_their_table() {
        for (number, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, number, "{}", state.name());
        }
        assert_eq!(State::ALL[State::ACTIVE], State::Finished, "the first that is over");
    }

    #[test]
    fn streams_that_wait_are_given_away_and_leave_nothing_behind() {
        let (mut registry, now) = begin();
        let field = Map::from_iter([("A".to_owned(), Value::from("b"))]);
        let headers = Headers { download: field.clone(), upload: field };
        for number in 0..5 {
            let id = Uuid::from_u128(number);
            registry.create(id, Some(Box::new(headers.clone())), creator(number), now).unwrap();
        }
        let _ = registry.report(Uuid::from_u128(0), report(10), now);
        registry.connect(Uuid::from_u128(1), Side::Source, Client(1), now);
        let joins = [(2, Side::Source, 12), (2, Side::Destination, 13), (3, Side::Source, 14)];
        for (number, side, client) in joins {
            registry.connect(Uuid::from_u128(number), side, Client(client), now);
        }
        let key = StreamKey(3);
        registry.end(key, Ending::Disconnected(Side::Source), now);

        assert_eq!(registry.tally().held, held(&registry));
        let given = registry.give_away_waiting();
        assert_eq!(registry.tally().held, held(&registry));
        let what = |Given { stream: s, .. }: &Given| {
            (s.id().as_u128(), s.waiting(), s.pending_report().is_some())
        };
        let given: Vec<_> = given.iter().map(what).collect();
        assert_eq!(given, [(0, None, true), (1, Some(Client(1)), false), (4, None, false)]);
        assert_eq!(
            (registry.len(), registry.active()),
            (2, 1),
            "the paired and the ended one stay"
        );
        assert!(registry.get(Uuid::from_u128(1)).is_none());

        registry.end(StreamKey(2), Ending::Finished, now);
        assert_eq!(registry.expire(later(now)), None);
        assert_eq!((registry.len(), registry.weight), (0, 0));
    }

    #[test]
    fn changes_of_watched_streams_are_noted_once() {
        let (mut registry, now) = begin();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        registry.create(one, None, creator(1), now).unwrap();
        registry.create(other, None, creator(1), now).unwrap();
        registry.connect(one, Side::Source, Client(1), now);
        assert!(!registry.has_changes(), "nobody watches");
        registry.watch(one, true);
        registry.connect(one, Side::Destination, Client(2), now);
        registry.connect(other, Side::Source, Client(3), now);
        assert!(registry.delete(one, report(1), now).is_some());
        assert_eq!(registry.take_changes(), [one]);
        assert!(registry.take_changes().is_empty());
        registry.watch(other, true);
        registry.watch(other, false);
        assert!(registry.delete(other, report(1), now).is_some());
        assert!(!registry.has_changes(), "nobody watches any more");
    }

    #[test]
    fn a_watched_stream_is_found_until_its_end_was_looked_at() {
        let (mut registry, now) = begin();
        registry.limits.streams = 1;
        let id = Uuid::from_u128(1);
        registry.create(id, None, creator(1), now).unwrap();
        registry.watch(id, true);
        assert!(registry.delete(id, report(1), now).is_some());
        registry.create(Uuid::from_u128(2), None, creator(1), now).unwrap();
        assert!(registry.get(id).is_none());
        assert_eq!(registry.take_changes(), [id]);
        assert_eq!(registry.watched(id).map(Stream::state), Some(State::ClientError));
        registry.forget_departed();
        assert!(registry.watched(id).is_none());
    }

    #[test]
    fn a_record_of_each_end_is_kept_once_somebody_wants_them() {
        let (mut registry, now) = begin();
        let at = |ms| Now { monotonic: now.monotonic + Duration::from_millis(ms), ..now };
        let ended = registry.create(Uuid::from_u128(1), None, creator(1), now).unwrap();
        registry.end(ended, Ending::Finished, now);
        registry.keep_records();
        assert_eq!(registry.take_record(), None, "nobody wanted that one");

        let id = Uuid::from_u128(2);
        let key = registry.create(id, None, creator(1), now).unwrap();
        let _ = registry.connect(id, Side::Destination, Client(7), at(5));
        let _ = registry.connect(id, Side::Source, Client(8), at(25));
        registry.transferred(key, 99);
        registry.end(key, Ending::Finished, at(125));
        registry.end(key, Ending::Failed(Side::Source), at(500));
        let lonely = Uuid::from_u128(3);
        registry.create(lonely, None, creator(1), at(130)).unwrap();
        assert!(registry.delete(lonely, report(0), at(140)).is_some());

        let record = registry.take_record().unwrap();
        assert_eq!((record.id, record.state, record.bytes_transferred), (id, State::Finished, 99));
        assert_eq!(record.clients, [Some(Client(8)), Some(Client(7))]);
        assert_eq!(record.waited, Some(Duration::from_millis(20)));
        assert_eq!(record.transferred_in, Some(Duration::from_millis(100)));
        let record = registry.take_record().unwrap();
        assert_eq!((record.id, record.state), (lonely, State::ClientError));
        assert_eq!((record.waited, record.transferred_in), (None, None));
        assert_eq!(registry.take_record(), None);
    }

    #[test]
    fn streams_that_weigh_too_much_together_are_refused() {
        let (mut registry, now) = begin();
        let text = Value::from("x".repeat(WEIGHT_MAX / 3));
        let headers = || {
            let download = Map::from_iter([("A".to_owned(), text.clone())]);
            Some(Box::new(Headers { download, upload: Map::new() }))
        };
        let first = registry.create(Uuid::from_u128(1), headers(), creator(1), now).unwrap();
        registry.create(Uuid::from_u128(2), headers(), creator(2), now).unwrap();
        let third = Uuid::from_u128(3);
        assert_eq!(registry.create(third, headers(), creator(3), now), Err(Full::Registry));
        let heavy = report(WEIGHT_MAX / 2);
        assert_eq!(registry.report(Uuid::from_u128(2), heavy, now), Registered::Full);

        registry.end(first, Ending::Finished, now);
        assert!(registry.create(third, headers(), creator(3), now).is_ok(), "history gives way");
        assert!(registry.get(Uuid::from_u128(1)).is_none());
    }
}
