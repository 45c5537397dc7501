//! Numbers of exchanges, by kind and by outcome.

use std::collections::BTreeMap;
use std::fmt;

use super::oracle::{COMPLETE, Problem, Verdict};
use super::plan::Plan;

/// Problems that are described; further ones are only counted.
const DESCRIBED_MAX: u64 = 20;

/// The results of many exchanges.
#[derive(Default)]
pub(crate) struct Tally {
    outcomes: BTreeMap<(String, String), u64>,
    pub(crate) transfers: u64,
    pub(crate) bytes: u64,
    corruptions: u64,
    false_completions: u64,
    hangs: u64,
    unexpected: u64,
}

impl Tally {
    /// Counts one exchange, and returns a description of what is wrong with it.
    pub(crate) fn add(&mut self, plan: &Plan, verdict: Verdict) -> Option<String> {
        let described = self.problems() < DESCRIBED_MAX && !verdict.problems.is_empty();
        *self.outcomes.entry((plan.kind(), verdict.outcome)).or_default() += 1;
        self.transfers += 1;
        self.bytes += verdict.bytes;
        for problem in &verdict.problems {
            self.count(problem);
        }
        described.then(|| {
            let (problems, details) = (verdict.problems, verdict.details);
            format!("{problems:?}\n  planned: {plan:?}\n  observed: {details}")
        })
    }

    /// Counts a problem.
    pub(crate) fn count(&mut self, problem: &Problem) {
        match problem {
            Problem::Corruption(_) => self.corruptions += 1,
            Problem::FalseCompletion(_) => self.false_completions += 1,
            Problem::Hang => self.hangs += 1,
            Problem::Unexpected(_) => self.unexpected += 1,
        }
    }

    /// The number of all problems.
    pub(crate) fn problems(&self) -> u64 {
        self.corruptions + self.false_completions + self.hangs + self.unexpected
    }

    /// All calls of APIs, and those that were completed.
    pub(crate) fn calls(&self) -> (u64, u64) {
        let calls = self.outcomes.iter().filter(|((kind, _), _)| kind.starts_with("call"));
        let complete = calls.clone().filter(|((_, outcome), _)| outcome == COMPLETE);
        (calls.map(|(_, count)| count).sum(), complete.map(|(_, count)| count).sum())
    }

    /// Adds those of another.
    pub(crate) fn merge(&mut self, other: Tally) {
        for (key, count) in other.outcomes {
            *self.outcomes.entry(key).or_default() += count;
        }
        self.transfers += other.transfers;
        self.bytes += other.bytes;
        self.corruptions += other.corruptions;
        self.false_completions += other.false_completions;
        self.hangs += other.hangs;
        self.unexpected += other.unexpected;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for ((kind, outcome), count) in &self.outcomes {
            if kind != last {
                write!(out, "{}{kind:<34}", if last.is_empty() { "" } else { "\n" })?;
            }
            write!(out, " {outcome} {count},")?;
            last = kind;
        }
        writeln!(out)?;
        writeln!(out, "transfers: {}, {} MiB", self.transfers, self.bytes >> 20)?;
        writeln!(out, "corruptions: {}", self.corruptions)?;
        writeln!(out, "false completions: {}", self.false_completions)?;
        writeln!(out, "hangs: {}", self.hangs)?;
        write!(out, "unexpected endings: {}", self.unexpected)
    }
}
