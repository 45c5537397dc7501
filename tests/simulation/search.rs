//! Every state of the registry that a few acts can reach (`src/fuzzing/search.rs`).

use rdv::fuzzing::search;

/// Acts, with two streams, three sources and three destinations.
const ACTS_MAX: usize = 8;

/// Fewer states than there are: what can happen must not get less unnoticed.
const STATES_MIN: usize = 18_000;

#[test]
fn in_every_reachable_state_of_the_registry_all_clients_are_answered_once() {
    let counts = search(ACTS_MAX);
    let states: usize = counts.iter().sum();
    println!("{states} states, after each number of acts: {counts:?}");
    assert!(states >= STATES_MIN, "{states} states");
}
