//! Readers of long lists: those that take each piece at once, that take it a turn later, and that
//! never do.

use super::super::checked_registry::START;
use super::super::choices::Choices;
use super::clock::Clock;
use super::{Flooder, readers};
use crate::relay::{
    Agent, AgentListing, ConnId, JsonArray, OnFlushed, Sessions, StreamListing, Streamed,
};
use crate::rendezvous::{Ending, Limits, Now, Registry};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;
use uuid::Uuid;

/// Streams in the list.
const STREAMS: u128 = 5000;

/// Agents in the list.
const AGENTS: u32 = 1000;

/// The metadata of an agent: as many small values as it may have.
const METADATA_BYTES: usize = 4 << 10;

/// Most bytes of a piece: those of the largest share, one more entry, and the framing.
const PIECE_MAX: usize = (4 << 10) + (6 << 10);

/// The address of all clients.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How a response with a list, or with events, goes on.
pub(super) const STREAMED: Streamed = Streamed { chunked: true, after: OnFlushed::NextRequest };

/// A list that is read.
#[derive(Clone)]
pub(super) enum List {
    Streams(Rc<Registry>),
    Agents(Rc<Sessions>),
}

/// A reader's position in it.
enum Listing {
    Streams(StreamListing),
    Agents(AgentListing),
}

/// When a reader takes what was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    AtOnce,
    Later,
    Never,
}

impl Takes {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        choices.pick(&[Self::AtOnce, Self::AtOnce, Self::Later, Self::Never])
    }
}

/// A client that requests a list again and again.
pub(super) struct ListReader {
    list: List,
    listing: Listing,
    takes: Takes,
    output: Vec<u8>,
    progress: usize,
}

impl ListReader {
    pub(super) fn new(list: List, choices: &mut Choices<'_>) -> Self {
        let listing = Listing::new(&list);
        let takes = Takes::choose(choices);
        Self { list, listing, takes, output: Vec::new(), progress: 0 }
    }

    fn write_piece(&mut self, share: usize, clock: &mut Clock) {
        let before = self.listing.next();
        match (&self.list, &mut self.listing) {
            (List::Streams(registry), Listing::Streams(listing)) => {
                listing.write_piece(registry, share, &mut self.output);
            }
            (List::Agents(sessions), Listing::Agents(listing)) => {
                listing.write_piece(sessions, now(), share, &mut self.output);
            }
            (List::Streams(_), Listing::Agents(_)) | (List::Agents(_), Listing::Streams(_)) => {
                unreachable!("a reader reads one list")
            }
        }
        let visited = self.listing.next() - before;
        clock.visits(visited);
        let copied = match self.list {
            List::Streams(_) => 0,
            List::Agents(_) => METADATA_BYTES * usize::try_from(visited).expect("some agents"),
        };
        clock.json(self.output.len().saturating_sub(copied));
        clock.write(self.output.len());
    }
}

impl Flooder for ListReader {
    fn turn(&mut self, share: usize, clock: &mut Clock, _: &mut Choices<'_>) -> bool {
        self.progress += 1;
        if !self.output.is_empty() {
            if self.takes == Takes::Never {
                return false;
            }
            clock.write(self.output.len());
            self.output.clear();
        }
        self.write_piece(share, clock);
        if self.listing.is_over() {
            clock.request();
            self.listing = Listing::new(&self.list);
        }
        if self.takes == Takes::AtOnce {
            self.output.clear();
        }
        self.takes == Takes::AtOnce
    }

    fn progress(&self) -> usize {
        self.progress
    }

    fn held_bytes(&self) -> usize {
        self.output.len()
    }

    fn held_max(&self) -> usize {
        PIECE_MAX
    }
}

impl Listing {
    fn new(list: &List) -> Self {
        match list {
            // Of all these streams it shows none.
            List::Streams(registry) => Self::Streams(StreamListing::new(
                registry.next_sequence(),
                true,
                JsonArray::new(STREAMED, 0),
            )),
            List::Agents(sessions) => Self::Agents(AgentListing::new(
                sessions.next_sequence(),
                JsonArray::new(STREAMED, 0),
            )),
        }
    }

    fn next(&self) -> u64 {
        match self {
            Self::Streams(listing) => listing.next(),
            Self::Agents(listing) => listing.next(),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Streams(listing) => listing.over().is_some(),
            Self::Agents(listing) => listing.over().is_some(),
        }
    }
}

thread_local! {
    /// The list of streams, for all runs.
    pub(super) static STREAM_LIST: List = streams();
    /// The list of agents, for all runs.
    pub(super) static AGENT_LIST: List = agents();
}

/// Returns a list of streams; those in its first half have ended.
fn streams() -> List {
    let mut registry = registry();
    for number in 1..=STREAMS {
        let made = registry.create(Uuid::from_u128(number), None, ADDRESS, now());
        let key = made.expect("room for the streams");
        if number <= STREAMS / 2 {
            registry.end(key, Ending::Finished(None), now());
        }
    }
    List::Streams(Rc::new(registry))
}

/// Returns a registry with room for many streams of one address.
pub(super) fn registry() -> Registry {
    Registry::new(Limits {
        streams: 10_000,
        streams_per_address: 0,
        unjoined_per_address: 0,
        ttl: Duration::from_mins(1),
        retention: Duration::from_mins(1),
    })
}

/// Returns a list of agents.
fn agents() -> List {
    let mut sessions = Sessions::new().expect("random bytes");
    let metadata = format!("[0{}]", ",0".repeat((METADATA_BYTES - 3) / 2));
    for index in 0..AGENTS {
        let conn = ConnId { index, generation: 1 };
        let id = Uuid::from_u128(index.into());
        let session = readers::open_session();
        let mut agent = Agent::new((conn, id), session, (ADDRESS, 1).into(), now());
        agent.metadata.clone_from(&metadata);
        sessions.insert(agent);
    }
    List::Agents(Rc::new(sessions))
}

pub(super) fn now() -> Now {
    Now { monotonic: *START, wall_ms: 0 }
}
