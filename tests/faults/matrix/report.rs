//! The matrix as Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::cells::Played;
use super::scene::Outcome;
use super::table::CALLS;

/// A row for all errors of a call with the same outcomes. After each error: how many calls failed
/// with it.
pub(crate) fn table(results: &[Played]) -> String {
    let mut rows: BTreeMap<(&str, BTreeSet<&str>), BTreeSet<String>> = BTreeMap::new();
    for call in CALLS {
        for error in call.errors() {
            let played = results.iter().filter(|one| {
                one.cell.call.name == call.name
                    && one.cell.error == error
                    && (one.injected > 0 || one.outcome.is_err())
            });
            let injected: usize = played.clone().map(|one| one.injected).sum();
            let outcomes =
                played.clone().filter_map(|one| name(one.outcome.as_ref().ok().copied()));
            if played.clone().next().is_some() {
                let row = rows.entry((call.name, outcomes.collect())).or_default();
                row.insert(format!("{error}:{injected}"));
            }
        }
    }
    let mut out = String::from("| call | error:injected | outcome |\n|---|---|---|\n");
    for ((call, outcomes), errors) in rows {
        let [errors, outcomes] = [Vec::from_iter(errors).join(" "), join(&outcomes)];
        let _ = writeln!(out, "| `{call}` | {errors} | {outcomes} |");
    }
    out
}

fn join(outcomes: &BTreeSet<&str>) -> String {
    if outcomes.is_empty() {
        return "none".to_owned();
    }
    outcomes.iter().copied().collect::<Vec<_>>().join(", ")
}

/// The errors of each call that never failed in these results.
pub(crate) fn missed(results: &[Played]) -> Vec<String> {
    let injected = |call: &str, error: &str| {
        let of = |one: &&Played| one.cell.call.name == call && one.cell.error == error;
        results.iter().filter(of).any(|one| one.injected > 0 || one.outcome.is_err())
    };
    let cells = CALLS.iter().flat_map(|call| call.errors().map(|error| (call.name, error)));
    let missed = cells.filter(|&(call, error)| !injected(call, error));
    missed.map(|(call, error)| format!("{call} {error}")).collect()
}

/// An outcome in the table; without an effect it is not shown. `None`: a check failed.
fn name(outcome: Option<Outcome>) -> Option<&'static str> {
    match outcome {
        Some(Outcome::Unharmed | Outcome::Detached) => None,
        Some(Outcome::NoStart) => Some("no start"),
        Some(Outcome::TransferFails) => Some("transfer fails"),
        Some(Outcome::NoHandOver) => Some("no hand-over"),
        Some(Outcome::NotLogged) => Some("not logged"),
        Some(Outcome::Ends) => Some("relay ends"),
        Some(Outcome::Aborts) => Some("abort"),
        Some(Outcome::NotWoken) => Some("hang (strace suppressed a wake-up)"),
        Some(Outcome::DebugAborts) => Some("abort (debug build)"),
        None => Some("FAILED"),
    }
}
