//! The matrix as Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::cells::Played;
use super::scene::Outcome;
use super::table::CALLS;

/// Results of some errors of one call.
#[derive(Default)]
struct Errors {
    names: Vec<&'static str>,
    injected: usize,
}

/// A row for all calls and errors with the same outcomes; in parentheses, how many calls failed.
pub(crate) fn table(results: &[Played]) -> String {
    let mut rows: BTreeMap<(usize, BTreeSet<&str>), Vec<String>> = BTreeMap::new();
    for call in CALLS {
        let mut parts: BTreeMap<BTreeSet<&str>, Errors> = BTreeMap::new();
        for error in call.errors() {
            let played = results.iter().filter(|one| {
                one.cell.call.name == call.name
                    && one.cell.error == error
                    && (one.injected > 0 || one.outcome.is_err())
            });
            if played.clone().next().is_none() {
                continue;
            }
            let outcomes =
                played.clone().filter_map(|one| name(one.outcome.as_ref().ok().copied()));
            let part = parts.entry(outcomes.collect()).or_default();
            part.names.push(error);
            part.injected += played.map(|one| one.injected).sum::<usize>();
        }
        for (outcomes, Errors { names, injected }) in parts {
            let row = rows.entry((outcomes.len(), outcomes)).or_default();
            row.push(format!("`{}` ({injected}) {}", call.name, names.join(",")));
        }
    }
    let mut out = String::from("| outcome | calls and errors |\n|---|---|\n");
    for ((_, outcomes), calls) in rows {
        let outcomes: Vec<&str> = outcomes.into_iter().collect();
        let outcomes = if outcomes.is_empty() { "none".to_owned() } else { outcomes.join(", ") };
        let _ = writeln!(out, "| {outcomes} | {} |", calls.join("; "));
    }
    out
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
