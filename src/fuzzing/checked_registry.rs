//! The registry next to a naive one. Every act is applied to both, and they must agree on the
//! answer and on all visible state afterwards.

mod checks;
mod processes;
mod receipts;

use crate::rendezvous::{
    Client, Connected, CreateError, Ending, Headers, LeaveOutcome, Limits, Now, PeerReport,
    Receipt, Registered, Registry, Side, StreamKey, StreamState,
};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Any instant is as good as another to count from.
#[allow(clippy::disallowed_methods, reason = "read once; only distances from it matter")]
pub(super) static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Paths of streams, so few that most are in use.
const PATHS: [&str; 3] = ["a", "a/b", ""];

/// Client addresses, each with an index; addresses with the same index share their limits.
const CREATORS: [(usize, &str); 5] = [
    (0, "192.0.2.1"),
    (0, "::ffff:192.0.2.1"),
    (1, "2001:db8::1"),
    (1, "2001:db8::2"),
    (2, "2001:db8:0:1::1"),
];

/// TTLs that creators request; most request none.
const OWN_TTLS_S: [Option<u64>; 7] = [None, None, Some(90), None, Some(1), None, Some(600)];

/// A stream as it would be stored without indexes.
#[derive(Clone, Debug)]
struct Naive {
    id: Uuid,
    key: StreamKey,
    state: StreamState,
    clients: [Option<Client>; 2],
    /// Its creator's index in `CREATORS`, shared by addresses with common limits.
    creator: usize,
    report: Option<PeerReport>,
    receipt: Option<Receipt>,
    awaits_ack: bool,
    created: Duration,
    /// When it times out, later when it is forgotten.
    deadline: Duration,
    /// Its position among the ended streams.
    ended: Option<u64>,
}

/// A registry and its naive twin.
#[derive(Clone, Debug)]
pub(super) struct CheckedRegistry {
    pub(super) registry: Registry,
    limits: Limits,
    streams: Vec<Naive>,
    /// Time since the start.
    now: Duration,
    made: u128,
    /// Attempts to create a stream.
    attempts: usize,
    endings: u64,
    /// Streams that ended since the last check: identifier, state, clients.
    records: Vec<(Uuid, StreamState, [Option<Client>; 2])>,
    /// Maximum streams that can be held: those held before a reload remain.
    held_max: usize,
}

/// What a stream is created with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Creation {
    /// An index in `CREATORS`.
    pub(super) creator: usize,
    pub(super) own_ttl: Option<Duration>,
    pub(super) awaits_ack: bool,
}

impl CheckedRegistry {
    pub(super) fn new(limits: Limits) -> Self {
        let mut registry = Registry::new(limits);
        registry.keep_records();
        Self {
            registry,
            limits,
            streams: Vec::new(),
            now: Duration::ZERO,
            made: 0,
            attempts: 0,
            endings: 0,
            records: Vec::new(),
            held_max: limits.streams,
        }
    }

    pub(super) fn now(&self) -> Now {
        let wall_ms = i64::try_from(self.now.as_millis()).expect("scripts are short");
        Now { monotonic: *START + self.now, wall_ms }
    }

    /// Returns the identifier of the `number`th created stream, from 1 on.
    pub(super) fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// Returns how many streams were created, including forgotten ones.
    pub(super) fn made(&self) -> u128 {
        self.made
    }

    /// Creates a stream; the addresses and the TTLs rotate.
    pub(super) fn create(&mut self) {
        self.attempts += 1;
        self.create_as(Creation {
            creator: self.attempts % CREATORS.len(),
            own_ttl: OWN_TTLS_S[self.attempts % OWN_TTLS_S.len()].map(Duration::from_secs),
            awaits_ack: self.attempts.is_multiple_of(2),
        });
    }

    /// Creates a stream.
    pub(super) fn create_as(&mut self, creation: Creation) {
        let Creation { creator, own_ttl, awaits_ack } = creation;
        let (creator, address) = CREATORS[creator];
        let address = address.parse().expect("an address");
        let id = Self::id(self.made + 1);
        let made = self.registry.create(id, self.free_path(), address, self.now());
        let refused = self.refuses(creator);
        if refused.is_some() || !self.make_room() {
            assert_eq!(made, Err(refused.unwrap_or(CreateError::Registry)));
            return self.check();
        }
        self.made += 1;
        let key = made.expect("there is a place");
        let deadline = self.now + own_ttl.unwrap_or(self.limits.ttl);
        if own_ttl.is_some() {
            self.registry.wait_until(key, *START + deadline, self.now());
        }
        if awaits_ack {
            self.registry.await_ack(key);
        }
        self.streams.push(Naive {
            id,
            key,
            state: StreamState::Created,
            clients: [None, None],
            creator,
            report: None,
            receipt: None,
            awaits_ack,
            created: self.now,
            deadline,
            ended: None,
        });
        self.check();
    }

    /// Returns a path for each other attempt, unless another stream has it; the registry itself
    /// checks that each path is that of one active stream.
    fn free_path(&self) -> Option<Box<Headers>> {
        let path = PATHS[self.attempts % PATHS.len()];
        let is_free = self.attempts.is_multiple_of(2) && self.registry.at_path(path).is_none();
        is_free.then(|| Box::new(Headers { path: Some(path.into()), ..Headers::default() }))
    }

    /// Returns why no stream can be created, before any is removed for it.
    fn refuses(&self, creator: usize) -> Option<CreateError> {
        let its = self.streams.iter().filter(|s| s.ended.is_none() && s.creator == creator);
        let unjoined = its.clone().filter(|stream| stream.state == StreamState::Created).count();
        let reached = |most: usize, count: usize| most > 0 && count >= most;
        if self.streams.len() >= self.limits.streams && self.gives_way().is_none() {
            Some(CreateError::Registry)
        } else if reached(self.limits.streams_per_address, its.count()) {
            Some(CreateError::Address)
        } else if reached(self.limits.unjoined_per_address, unjoined) {
            Some(CreateError::AddressUnjoined)
        } else {
            None
        }
    }

    /// Removes streams for a new one; whether there is a place.
    fn make_room(&mut self) -> bool {
        while self.streams.len() >= self.limits.streams {
            let Some(id) = self.gives_way() else { return false };
            self.ended(id, StreamState::TimeoutNoSrcNoDst);
            self.streams.retain(|stream| stream.id != id);
        }
        true
    }

    /// Returns the stream that a new one replaces: the one that ended first, else the oldest that
    /// no side joined within the default TTL.
    fn gives_way(&self) -> Option<Uuid> {
        let first_ended = self.streams.iter().filter(|s| s.ended.is_some()).min_by_key(|s| s.ended);
        let overdue = |stream: &&Naive| {
            stream.state == StreamState::Created && stream.created + self.limits.ttl < self.now
        };
        let oldest = self.streams.iter().filter(overdue).min_by_key(|s| s.created);
        first_ended.or(oldest).map(|stream| stream.id)
    }

    /// Connects a client to one side.
    pub(super) fn connect(&mut self, id: Uuid, side: Side, client: Client) -> Connected {
        let found = self.registry.connect(id, side, client, self.now());
        let place = side as usize;
        let expected = match self.active(id) {
            None => Connected::Unknown,
            Some(stream) => match stream.report.take() {
                Some(report) => {
                    let report = Box::new(report);
                    self.ended(id, StreamState::ClientError);
                    Connected::Reported(report)
                }
                None if stream.clients[place].is_some() => Connected::Occupied,
                None => {
                    stream.clients[place] = Some(client);
                    let (key, other) = (stream.key, stream.clients[1 - place]);
                    stream.state = match (side, other) {
                        (_, Some(_)) => StreamState::Streaming,
                        (Side::Source, None) => StreamState::SrcConnected,
                        (Side::Destination, None) => StreamState::DstConnected,
                    };
                    match other {
                        Some(other) => Connected::Paired { stream: key, other },
                        None => Connected::Waits(key),
                    }
                }
            },
        };
        assert_eq!(found, expected);
        self.check();
        found
    }

    /// Reports an error of one side; returns the waiting client that receives it, if any.
    pub(super) fn report(&mut self, id: Uuid, report: PeerReport) -> Option<Client> {
        let found = self.registry.report(id, report.clone(), self.now());
        let known = self.streams.iter().any(|stream| stream.id == id);
        let expected = match self.active(id) {
            None if known => Registered::Started,
            None => Registered::Unknown,
            Some(stream) => match stream.clients {
                [None, None] => {
                    stream.report = Some(report);
                    Registered::Kept
                }
                [Some(client), None] | [None, Some(client)] => {
                    self.ended(id, StreamState::ClientError);
                    Registered::Delivered(client)
                }
                [Some(_), Some(_)] => Registered::Started,
            },
        };
        assert_eq!(found, expected);
        self.check();
        if let Registered::Delivered(client) = found { Some(client) } else { None }
    }

    /// Deletes a stream; returns the clients that are answered.
    pub(super) fn delete(&mut self, id: Uuid, report: PeerReport) -> Vec<Client> {
        let found = self.registry.delete(id, report, self.now());
        let expected = self.active(id).map(|stream| stream.clients);
        self.ended(id, StreamState::ClientError);
        assert_eq!(found, expected);
        self.check();
        found.into_iter().flatten().flatten().collect()
    }

    /// Removes a side before a byte has passed.
    pub(super) fn leave(&mut self, key: StreamKey, side: Side) -> LeaveOutcome {
        let id = self.registry.stream(key).id();
        let found = self.registry.leave(key, side, self.now());
        let now = self.now;
        let stream = self.active(id).expect("a stream that a side leaves is active");
        let other = stream.clients[side.other() as usize];
        if side == Side::Destination {
            stream.receipt = None;
        }
        stream.clients[side as usize] = None;
        stream.state = match (side, other) {
            (_, None) => StreamState::Created,
            (Side::Source, Some(_)) => StreamState::DstConnected,
            (Side::Destination, Some(_)) => StreamState::SrcConnected,
        };
        if other.is_some() {
            stream.deadline = stream.deadline.max(now);
        }
        assert_eq!(found, other.map_or(LeaveOutcome::Alone, LeaveOutcome::Waits));
        self.check();
        found
    }

    /// Ends a stream with at least one connected side.
    pub(super) fn end(&mut self, key: StreamKey, ending: Ending) {
        let id = self.registry.stream(key).id();
        let state = ending.state();
        self.registry.end(key, ending, self.now());
        self.ended(id, state);
        self.check();
    }

    /// Advances the time; returns the clients that timed out.
    pub(super) fn advance(&mut self, by: Duration) -> Vec<Client> {
        self.now += by;
        let mut expected = Vec::new();
        let now = self.now;
        self.streams.retain(|stream| stream.ended.is_none() || stream.deadline >= now);
        let mut late: Vec<_> = self
            .streams
            .iter()
            .filter(|stream| stream.deadline < now && stream.waits())
            .map(|stream| (stream.id, stream.clients))
            .collect();
        // Ties are visible in the order in which streams are forgotten.
        late.sort_by_key(|(id, _)| {
            let stream = self.streams.iter().find(|stream| stream.id == *id);
            stream.map(|stream| (stream.deadline, stream.key))
        });
        for (id, clients) in late {
            expected.extend(clients.into_iter().flatten());
            let state = match clients {
                [None, None] => StreamState::TimeoutNoSrcNoDst,
                [None, Some(_)] => StreamState::TimeoutNoSrc,
                [Some(_), _] => StreamState::TimeoutNoDst,
            };
            self.ended(id, state);
        }
        let mut found = Vec::new();
        loop {
            let mut budget = 2;
            while let Some(client) = self.registry.expire(self.now(), &mut budget) {
                found.push(client);
            }
            if self.registry.next_deadline().is_none_or(|at| at >= *START + self.now) {
                break;
            }
        }
        assert_eq!(found, expected, "the clients that timed out");
        self.check();
        found
    }

    /// Returns the key of a stream that is held.
    pub(super) fn key(&self, id: Uuid) -> StreamKey {
        self.streams.iter().find(|stream| stream.id == id).expect("it is held").key
    }

    /// Returns the keys of the streams in this state.
    pub(super) fn keys_of(&self, state: StreamState) -> Vec<StreamKey> {
        self.streams.iter().filter(|it| it.state == state).map(|it| it.key).collect()
    }

    fn active(&mut self, id: Uuid) -> Option<&mut Naive> {
        self.streams.iter_mut().find(|stream| stream.id == id && stream.ended.is_none())
    }

    /// Ends a stream, if it is active.
    fn ended(&mut self, id: Uuid, state: StreamState) {
        let (deadline, place) = (self.now + self.limits.retention, self.endings + 1);
        let Some(stream) = self.active(id) else { return };
        let clients = std::mem::take(&mut stream.clients);
        stream.state = state;
        stream.report = None;
        stream.deadline = deadline;
        stream.ended = Some(place);
        self.endings = place;
        self.records.push((id, state, clients));
    }
}

impl Naive {
    /// Whether it can time out.
    fn waits(&self) -> bool {
        self.ended.is_none() && self.state != StreamState::Streaming
    }
}
