//! Every system call of the relay, failing with every error that its manual page names, while the
//! relay starts, serves, hands over and ends. No client may receive wrong bytes or a false success,
//! nothing may hang or spin, no descriptor may leak, and afterwards all is as before.
//!
//! A sample runs with the other tests. The complete matrix takes some minutes, and prints itself:
//!
//! ```sh
//! cargo test --all-features --test faults -- --ignored --nocapture matrix
//! ```
//!
//! `RDV_FAULTS_SEED=17` chooses other calls to fail, `RDV_FAULTS_CALL=splice` fails only this one.

mod cells;
mod lifecycle;
mod phase;
mod report;
mod scene;
mod serving;
mod table;
pub(crate) mod tracer;

use std::env;

use cells::{Cells, run};

/// Cells in the sample that runs with all tests.
const SAMPLE: usize = 24;

/// Cells at once: most of their time they wait.
const AT_ONCE: usize = 6;

fn seed() -> u64 {
    let given = env::var("RDV_FAULTS_SEED").ok();
    given.map_or(1, |seed| seed.parse().expect("RDV_FAULTS_SEED is a number"))
}

fn assert_survived(results: &[cells::Played]) {
    let failures: Vec<String> = results.iter().filter_map(cells::Played::failure).collect();
    assert!(failures.is_empty(), "{} cells fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn no_failing_call_harms_more_than_its_own_exchange() {
    let cells = Cells::all(seed()).sample(SAMPLE);
    assert_survived(&run(&cells, AT_ONCE));
}

#[test]
#[ignore = "prints the matrix, which takes some minutes"]
fn matrix_of_all_calls_and_their_errors() {
    let cells = Cells::all(seed());
    let one_call = env::var("RDV_FAULTS_CALL");
    let complete = one_call.is_err();
    let cells = match one_call {
        Ok(call) => cells.of(&call),
        Err(_) => cells,
    };
    println!("{} cells", cells.len());
    let results = run(&cells, AT_ONCE);
    println!("{}", report::table(&results));
    assert_survived(&results);
    let missed = if complete { report::missed(&results) } else { Vec::new() };
    assert!(missed.is_empty(), "never injected: {missed:?}");
}
