//! A soak test: `cargo test --test soak -- --duration 60s`.
//!
//! Many clients exchange bodies of all sizes through a relay, disconnect, stall, half-close, and
//! delete streams; agents are called and killed; the relay hands over and reloads. Every byte and
//! every ending is compared with what the two sides did, and the relay's memory and descriptors with
//! those of an idle one.
//!
//! - `exchange` one exchange, and its oracle, for any relay
//! - `load` many of them, on threads
//! - `agents`, `service` APIs that are called
//! - `lifecycle` hand-overs and reloads, `pauses` their times
//! - `growth` memory and descriptors at the end

mod agents;
mod exchange;
mod growth;
mod lifecycle;
mod load;
mod options;
mod pauses;
mod service;
#[path = "../support/mod.rs"]
mod support;

use std::hash::{BuildHasher as _, RandomState};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use clap::Parser;
use nix::unistd::Pid;

use agents::Agents;
use exchange::{FLAGS, Strictness, Tally, Target, mix};
use growth::Usage;
use options::Options;
use pauses::Pauses;
use service::Service;
use support::{Lineage, now};

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(random_seed);
    println!("seed: {seed}");
    let mut relay = Lineage::of_program(&options.relay, &FLAGS);
    let fresh = Usage::of(relay.serving());
    let service = Service::start().expect("a listener");
    let tally = run(&options, seed, &mut relay, &service);
    let mut problems = tally.problems() + service.corruptions();
    println!("{tally}");
    println!("corrupted uploads in calls: {}", service.corruptions());
    let (calls, complete) = tally.calls();
    println!("complete calls: {complete} of {calls}");
    // Agents need seconds to reconnect after each hand-over; two of three calls and more find one.
    problems += u64::from(complete * 4 < calls && options.exchange.is_none());
    let earlier = [Pid::from_raw(relay.first.process().id().cast_signed())];
    let earlier: Vec<Pid> = earlier.into_iter().chain(relay.successors.iter().copied()).collect();
    if let [earlier @ .., last] = earlier.as_slice() {
        problems += growth::compare(fresh, *last, earlier);
    }
    if problems == 0 {
        println!("passed");
        return ExitCode::SUCCESS;
    }
    println!("failed; again with --seed {seed}, or a single exchange with --exchange SEED");
    ExitCode::FAILURE
}

/// The load, while agents are killed and the relay is replaced.
fn run(options: &Options, seed: u64, relay: &mut Lineage, service: &Service) -> Tally {
    let target = Target::new(relay.address(), Strictness::Exact);
    let mut agents = Agents::start(options.relay.clone(), target.address, service.address);
    let began = now();
    let last_hand_over = began + options.duration / 2;
    thread::scope(|scope| {
        let (stop_changes, load) = mpsc::channel();
        let pauses = Pauses::new(mix(seed, 1), load);
        let changes = scope.spawn(|| lifecycle::disturb(relay, &target, last_hand_over, pauses));
        let (stop_kills, load) = mpsc::channel();
        let pauses = Pauses::new(mix(seed, 2), load);
        let kills = scope.spawn(|| agents.disturb(pauses));
        let tally = load::run(options, seed, &target);
        let seconds = (now() - began).as_secs().max(1);
        drop((stop_changes, stop_kills));
        let changes = changes.join().expect("hand-overs succeed");
        let kills = kills.join().expect("agents start");
        println!(
            "{} transfers a second for {seconds} s; {} hand-overs, {} reloads, {kills} agents killed",
            tally.transfers / seconds,
            changes.hand_overs,
            changes.reloads,
        );
        tally
    })
}

/// A short one, to be typed again.
fn random_seed() -> u64 {
    RandomState::new().hash_one(()) >> 32
}
