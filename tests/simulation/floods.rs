//! `GET /ping` is answered in time while other clients flood the relay, in each kind of flood: the
//! model of `src/fuzzing/floods/`, in virtual time. `tests/floods/` does the same over sockets.

use rdv::fuzzing::{Flood, flood, script};
use std::time::Duration;

/// Bound for 99 of 100 pings.
const BOUND: Duration = Duration::from_millis(50);

/// Clients of a flood.
const SIZES: [usize; 3] = [1, 150, 1000];

/// Pings per size: enough for a p99.
const PINGS: usize = 100;

/// Bytes of the script of one schedule.
const SCRIPT_BYTES: usize = 20_000;

fn holds(kind: Flood) {
    for clients in SIZES {
        let mut latencies = Vec::new();
        let mut seed = 0;
        while latencies.len() < PINGS {
            latencies.extend(flood(kind, clients, &script(seed, SCRIPT_BYTES)));
            seed += 1;
        }
        latencies.sort_unstable();
        let [median, p99]: [Duration; 2] =
            [50, 99].map(|part| latencies[latencies.len() * part / 100]);
        println!("{kind:?}, {clients} clients: median {median:?}, p99 {p99:?}");
        assert!(p99 < BOUND, "{kind:?}, {clients} clients: the p99 of /ping is {p99:?}");
    }
}

#[test]
fn interim_heads() {
    holds(Flood::InterimHeads);
}

#[test]
fn long_heads() {
    holds(Flood::LongHeads);
}

#[test]
fn empty_frames() {
    holds(Flood::EmptyFrames);
}

#[test]
fn pings() {
    holds(Flood::Pings);
}

#[test]
fn json_bodies() {
    holds(Flood::Json);
}

#[test]
fn chunked_json_bodies() {
    holds(Flood::ChunkedJson);
}

#[test]
fn chunks_of_one_byte() {
    holds(Flood::Chunks);
}

#[test]
fn chunks_of_one_byte_between_large_ones() {
    holds(Flood::MixedChunks);
}

#[test]
fn readers_of_the_list_of_streams() {
    holds(Flood::StreamList);
}

#[test]
fn readers_of_the_list_of_agents() {
    holds(Flood::AgentList);
}

#[test]
fn subscribers_to_streams() {
    holds(Flood::Events);
}

#[test]
fn subscribers_to_agents_that_vanish_at_once() {
    holds(Flood::VanishingAgents);
}
