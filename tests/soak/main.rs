//! A soak test: `cargo test --test soak -- --duration 60s`.
//!
//! Many clients exchange bodies of all sizes through a relay, disconnect, stall, half-close, and
//! delete streams, while the relay hands over and reloads. Every byte and every ending is compared
//! with what the two sides did, and the relay's memory and descriptors with those of an idle one.

mod exchange;
mod load;
mod options;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use clap::Parser;

use exchange::{FLAGS, Strictness, Target};
use options::Options;
use support::Lineage;

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(random_seed);
    println!("seed: {seed}");
    let relay = Lineage::of_program(&options.relay, &FLAGS);
    let target = Target::new(relay.address(), Strictness::Exact);
    let tally = load::run(&options, seed, &target);
    println!("{tally}");
    if tally.problems() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A short one, to be typed again.
fn random_seed() -> u64 {
    u64::from(uuid::Uuid::new_v4().as_fields().0)
}
