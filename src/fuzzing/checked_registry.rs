//! The registry next to a naive one. Every act is applied to both, and they must agree on the
//! answer and on all visible state afterwards.

use crate::rendezvous::{
    Client, Connected, CreateError, Ending, LeaveOutcome, Limits, Now, PeerReport, Registered,
    Registry, Side, StreamKey, StreamState,
};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Any instant is as good as another to count from.
#[allow(clippy::disallowed_methods, reason = "read once; only distances from it matter")]
pub(super) static START: LazyLock<Instant> = LazyLock::new(Instant::now);

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
#[derive(Debug)]
struct Naive {
    id: Uuid,
    key: StreamKey,
    state: StreamState,
    clients: [Option<Client>; 2],
    /// Its creator's index in `CREATORS`, shared by addresses with common limits.
    creator: usize,
    report: Option<PeerReport>,
    awaits_ack: bool,
    created: Duration,
    /// When it times out, later when it is forgotten.
    deadline: Duration,
    /// Its position among the ended streams.
    ended: Option<u64>,
}

/// A registry and its naive twin.
#[derive(Debug)]
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
}

impl CheckedRegistry {
    pub(super) fn new(limits: Limits) -> Self {
        let registry = Registry::new(limits);
        let (now, streams) = (Duration::ZERO, Vec::new());
        Self { registry, limits, streams, now, made: 0, attempts: 0, endings: 0 }
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
        let (creator, address) = CREATORS[self.attempts % CREATORS.len()];
        let address = address.parse().expect("an address");
        let id = Self::id(self.made + 1);
        let full = self.streams.len() >= self.limits.streams;
        let gives_way = self.gives_way();
        let refused = self.refuses(creator, full && gives_way.is_none());
        let made = self.registry.create(id, None, address, self.now());
        if let Some(full) = refused {
            assert_eq!(made, Err(full));
            self.check();
            return;
        }
        if full {
            if let Some(id) = gives_way.filter(|id| self.active(*id).is_some()) {
                self.ended(id, StreamState::TimeoutNoSrcNoDst);
            }
            self.streams.retain(|stream| Some(stream.id) != gives_way);
        }
        self.made += 1;
        let key = made.expect("there is a place");
        let own = OWN_TTLS_S[self.attempts % OWN_TTLS_S.len()].map(Duration::from_secs);
        let deadline = self.now + own.unwrap_or(self.limits.ttl);
        if own.is_some() {
            self.registry.wait_until(key, *START + deadline, self.now());
        }
        let awaits_ack = self.attempts.is_multiple_of(2);
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
            awaits_ack,
            created: self.now,
            deadline,
            ended: None,
        });
        self.check();
    }

    /// Returns why no stream can be created; `full`: no place is free or can be freed.
    fn refuses(&self, creator: usize, full: bool) -> Option<CreateError> {
        let its = self.streams.iter().filter(|s| s.ended.is_none() && s.creator == creator);
        let unjoined = its.clone().filter(|stream| stream.state == StreamState::Created).count();
        let reached = |most: usize, count: usize| most > 0 && count >= most;
        if full {
            Some(CreateError::Registry)
        } else if reached(self.limits.streams_per_address, its.count()) {
            Some(CreateError::Address)
        } else if reached(self.limits.unjoined_per_address, unjoined) {
            Some(CreateError::AddressUnjoined)
        } else {
            None
        }
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
        while self.registry.next_deadline().is_some_and(|at| at < *START + self.now) {
            let mut budget = 2;
            while let Some(client) = self.registry.expire(self.now(), &mut budget) {
                found.push(client);
            }
        }
        assert_eq!(found, expected, "the clients that timed out");
        self.check();
        found
    }

    fn active(&mut self, id: Uuid) -> Option<&mut Naive> {
        self.streams.iter_mut().find(|stream| stream.id == id && stream.ended.is_none())
    }

    fn ended(&mut self, id: Uuid, state: StreamState) {
        let deadline = self.now + self.limits.retention;
        self.endings += 1;
        let place = self.endings;
        if let Some(stream) = self.active(id) {
            stream.state = state;
            stream.clients = [None, None];
            stream.report = None;
            stream.deadline = deadline;
            stream.ended = Some(place);
        }
    }

    /// Checks that both registries show the same state.
    fn check(&self) {
        let registry = &self.registry;
        assert_eq!(registry.len(), self.streams.len());
        assert_eq!(registry.is_empty(), self.streams.is_empty());
        assert!(registry.len() <= self.limits.streams);
        let active = self.streams.iter().filter(|stream| stream.ended.is_none()).count();
        assert_eq!(registry.active(), active);
        let unjoined =
            self.streams.iter().filter(|stream| stream.state == StreamState::Created).count();
        assert_eq!(registry.unjoined(), unjoined);
        let mut creators: Vec<_> =
            self.streams.iter().filter(|s| s.ended.is_none()).map(|s| s.creator).collect();
        creators.sort_unstable();
        creators.dedup();
        assert_eq!(registry.creators(), creators.len());
        let listed: Vec<_> = registry.from_sequence(0).map(|s| (s.id(), s.state())).collect();
        let expected: Vec<_> = self.streams.iter().map(|s| (s.id, s.state)).collect();
        assert_eq!(listed, expected, "oldest first");
        for stream in &self.streams {
            let found = registry.get(stream.id).expect("it is held");
            assert_eq!(found.state(), stream.state);
            assert_eq!(found.is_active(), stream.ended.is_none());
            assert_eq!(found.ended_wall_ms().is_some(), stream.ended.is_some());
            assert_eq!(found.pending_report(), stream.report.as_ref());
            assert_eq!(found.awaits_ack(), stream.awaits_ack);
        }
        let timed = self.streams.iter().filter(|s| s.waits() || s.ended.is_some());
        let next = timed.map(|stream| *START + stream.deadline).min();
        assert_eq!(registry.next_deadline(), next);
    }
}

impl Naive {
    /// Whether it can time out.
    fn waits(&self) -> bool {
        self.ended.is_none() && self.state != StreamState::Streaming
    }
}
