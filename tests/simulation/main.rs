//! Thousands of schedules of a complete relay without sockets, each generated from one seed.
//!
//! `RDV_SIMULATION_SEED=17` runs only the schedule of that seed; `RDV_SIMULATION_RUNS=100000` runs
//! more of them than by default.

mod corpus;
mod floods;
mod nodes;
mod search;

use rdv::fuzzing::{script, world};
use std::env;

/// Schedules per run.
const RUNS: u64 = 5000;

/// Bytes of the script of one schedule: a few hundred actions.
const SCRIPT_BYTES: usize = 2000;

#[test]
fn every_schedule_ends_with_all_clients_answered_and_no_leaks() {
    if let Some(seed) = number("RDV_SIMULATION_SEED") {
        return world(&script(seed, SCRIPT_BYTES));
    }
    for seed in 0..number("RDV_SIMULATION_RUNS").unwrap_or(RUNS) {
        let result = std::panic::catch_unwind(|| world(&script(seed, SCRIPT_BYTES)));
        if let Err(panic) = result {
            eprintln!(
                "the schedule of seed {seed} fails; run it again with\n  RDV_SIMULATION_SEED={seed} \
                 cargo test --features fuzzing --test simulation"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number; it is {text}")))
}
