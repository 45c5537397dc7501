//! A flood in separate threads, and the latency of `GET /ping` during it.
//!
//! The bound is for the relay, not for the machine: if all cores are busy, client and relay wait
//! for a core as well. The kernel's count of such waits (the second number of
//! `/proc/PID/schedstat`) is therefore subtracted from each sample, and one of several batches must
//! be within the bound. A relay that is blocked by a flood exceeds it in each of them, by orders of
//! magnitude.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Relay, Wire, ask, eventually};

/// Bound for 99 of 100 pings.
const BOUND: Duration = Duration::from_millis(50);

/// Pings per batch.
const PINGS: usize = 200;

/// The same if the flood makes no progress: then it is not a flood.
const PINGS_MAX: usize = 20_000;

/// Maximum number of batches.
const BATCHES: usize = 3;

/// One round of a flood, repeated; an error ends the round.
pub(crate) type Rounds<'r> = Box<dyn FnMut() -> io::Result<()> + Send + 'r>;

/// Flags of every relay under a flood: it must exit within 1 s after `SIGTERM`.
pub(crate) const FLAGS: [&str; 2] = ["--drain-timeout", "1s"];

/// A running flood.
#[derive(Default)]
struct Flood {
    over: AtomicBool,
    rounds: AtomicU64,
}

/// Stops the flood, also if the test fails.
struct End<'f>(&'f Flood);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

impl Flood {
    fn run(&self, mut round: Rounds<'_>) {
        while !self.over.load(Ordering::Relaxed) {
            match round() {
                Ok(()) => {
                    self.rounds.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

/// Asserts that the relay serves other clients while each of these runs in its own thread, and that
/// it exits on request afterwards.
pub(crate) fn assert_served(name: &str, mut relay: Relay, threads: Vec<Rounds<'_>>) {
    let flood = Flood::default();
    thread::scope(|scope| {
        let end = End(&flood);
        for round in threads {
            let flood = &flood;
            scope.spawn(move || flood.run(round));
        }
        eventually(&format!("{name}: the flood begins"), || (flood.rounds() > 0).then_some(()));
        let served = (0..BATCHES).any(|_| batch(name, &relay, &flood) < BOUND);
        assert!(served, "{name}: p99 of /ping is not within {BOUND:?}");
        relay.signal(Signal::SIGTERM);
        eventually(&format!("{name}: the relay ends"), || relay.ended().then_some(()));
        drop(end);
    });
}

/// The p99 of one batch.
fn batch(name: &str, relay: &Relay, flood: &Flood) -> Duration {
    let before = flood.rounds();
    let mut wire = relay.connect();
    let process = format!("/proc/{}/schedstat", relay.process().id());
    let mut samples = Vec::with_capacity(PINGS);
    // Pings can be faster than a round.
    while samples.len() < PINGS || (flood.rounds() == before && samples.len() < PINGS_MAX) {
        samples.push(ping(&mut wire, &process));
    }
    samples.sort_unstable();
    let [median, p99] = [50, 99].map(|part| samples[samples.len() * part / 100 - 1]);
    let rounds = flood.rounds() - before;
    println!(
        "{name}: median {median:?}, p99 {p99:?}, max {:?}, {rounds} rounds",
        samples[samples.len() - 1]
    );
    assert!(rounds > 0, "{name}: the flood made no progress");
    p99
}

/// Duration of one ping, without the time that client and relay waited for a core.
#[allow(clippy::disallowed_methods, reason = "what is measured is time")]
fn ping(wire: &mut Wire, process: &str) -> Duration {
    let waited = || wait(process) + wait("/proc/thread-self/schedstat");
    let (start, before) = (Instant::now(), waited());
    assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    start.elapsed().saturating_sub(waited().saturating_sub(before))
}

/// How long a thread has waited for a core so far; 0 if the kernel does not count it.
fn wait(schedstat: &str) -> Duration {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    let nanos = text.split(' ').nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}
