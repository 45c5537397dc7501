//! The matrix as Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::cells::Played;
use super::scene::Outcome;
use super::table::CALLS;

/// Results of some errors of one call.
#[derive(Default)]
struct Row {
    errors: Vec<&'static str>,
    injected: usize,
}

/// A row for each call, or some: errors with the same outcomes are in one.
pub(crate) fn table(results: &[Played]) -> String {
    let mut out = String::from("| call | errors | injected | outcome |\n|---|---|---|---|\n");
    for call in CALLS {
        let mut rows: BTreeMap<BTreeSet<&str>, Row> = BTreeMap::new();
        for error in call.errors() {
            let played = results.iter().filter(|one| {
                one.cell.call.name == call.name
                    && one.cell.error == error
                    && (one.injected > 0 || one.outcome.is_err())
            });
            let outcomes =
                played.clone().filter_map(|one| name(one.outcome.as_ref().ok().copied()));
            let row = rows.entry(outcomes.collect()).or_default();
            row.errors.push(error);
            row.injected += played.map(|one| one.injected).sum::<usize>();
        }
        for (outcomes, Row { errors, injected }) in rows {
            let outcomes: Vec<&str> = outcomes.into_iter().collect();
            let outcomes =
                if outcomes.is_empty() { "none".to_owned() } else { outcomes.join(", ") };
            let errors = errors.join(",");
            let _ = writeln!(out, "| `{}` | {errors} | {injected} | {outcomes} |", call.name);
        }
    }
    out
}

/// An outcome in the table; without an effect it is not shown. `None`: a check failed.
fn name(outcome: Option<Outcome>) -> Option<&'static str> {
    match outcome {
        Some(Outcome::Unharmed) => None,
        Some(Outcome::NoStart) => Some("no start"),
        Some(Outcome::TransferFails) => Some("transfer fails"),
        Some(Outcome::NoHandOver) => Some("no hand-over"),
        Some(Outcome::NotLogged) => Some("not logged"),
        Some(Outcome::Ends) => Some("relay ends"),
        Some(Outcome::Aborts) => Some("abort"),
        Some(Outcome::DebugAborts) => Some("abort (debug build)"),
        None => Some("FAILED"),
    }
}
