//! The cells of the matrix: a call, an error, a part of the relay's life, and which calls fail.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use super::phase::{PHASES, Phase};
use super::scene::Outcome;
use super::table::{CALLS, Call, MayEnd, NOT_INJECTED};
use super::tracer;
use crate::injected::Fault;
use crate::support::pattern;

/// Calls that fail in one cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) call: &'static Call,
    pub(crate) error: &'static str,
    pub(crate) phase: Phase,
    /// In the words of strace: `3`, `3..5`, `3+`.
    pub(crate) when: String,
    /// The first call of the phase, which is surely made.
    first: usize,
}

/// What became of a cell.
pub(crate) struct Played {
    pub(crate) cell: Cell,
    pub(crate) injected: usize,
    /// The outcome, or the failed check.
    pub(crate) outcome: Result<Outcome, String>,
}

/// Cells, and the seed that chose them.
pub(crate) struct Cells {
    list: Vec<Cell>,
    seed: u64,
}

/// A number below `end`, by the seed and the position.
fn random(seed: u64, position: usize, end: usize) -> usize {
    let bytes = pattern(seed.wrapping_mul(1_000_003).wrapping_add(position as u64), 40);
    let last = bytes[32..40].try_into().expect("8 bytes");
    usize::try_from(u64::from_le_bytes(last) % end as u64).expect("below a usize")
}

/// The calls that may fail in each phase: from the first number, exclusively, to the second.
type Counts = HashMap<(Phase, String), (usize, usize)>;

/// Counts the calls of each phase when none fails.
fn count() -> Counts {
    let mut counts = Counts::new();
    for phase in PHASES {
        let log = phase.play(None, MayEnd::Never).log;
        // The runtime of Rust begins with poll(2), without which it aborts; before it, the dynamic
        // loader runs.
        let begins = |at: usize| at + log[at..].find('\n').unwrap_or(0);
        let start = (phase == Phase::Start).then(|| log.find(" poll(").map(begins)).flatten();
        let loader = start.unwrap_or(0);
        let before = tracer::counts(&log[..loader]);
        for (call, most) in tracer::counts(&log) {
            let first = before.get(&call).copied().unwrap_or(0);
            counts.insert((phase, call), (first, most));
        }
    }
    // A relay of which every call is logged is too slow to sleep between two batches.
    counts.entry((Phase::Serving, "clock_nanosleep".to_owned())).or_insert((0, 1));
    counts
}

impl Cells {
    /// All calls and errors, at calls chosen by this seed.
    pub(crate) fn all(seed: u64) -> Cells {
        let counts = count();
        for (phase, name) in counts.keys() {
            let known = Call::find(name).is_some() || NOT_INJECTED.iter().any(|(c, _)| c == name);
            assert!(known, "{name} ({phase:?}) is missing in table.rs");
        }
        let mut list = Vec::new();
        for call in CALLS {
            for phase in PHASES {
                let Some(&(first, most)) = counts.get(&(phase, call.name.to_owned())) else {
                    continue;
                };
                if first == most || is_artefact(call, phase) {
                    continue;
                }
                for error in call.errors() {
                    let at = first + 1 + random(seed, list.len(), most - first);
                    let burst = format!("{at}..{}", at + 2);
                    let whens = match phase {
                        Phase::Start => vec![at.to_string()],
                        Phase::Serving => vec![
                            if list.len().is_multiple_of(2) { at.to_string() } else { burst },
                            format!("{}+", 1 + random(seed, list.len() + 1, most.min(6))),
                        ],
                        Phase::HandOver | Phase::Shutdown => vec![burst],
                    };
                    let first = first + 1;
                    let cell = |when| Cell { call, error, phase, when, first };
                    list.extend(whens.into_iter().map(cell));
                }
            }
        }
        Cells { list, seed }
    }

    /// Those of one call.
    pub(crate) fn of(mut self, call: &str) -> Cells {
        self.list.retain(|cell| cell.call.name == call);
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Some of them, chosen by the seed.
    pub(crate) fn sample(mut self, count: usize) -> Cells {
        for at in 0..count.min(self.list.len()) {
            let other = at + random(self.seed, at, self.list.len() - at);
            self.list.swap(at, other);
        }
        self.list.truncate(count);
        self
    }
}

/// Whether a failure of this call shows only what strace does: it suppresses the call, while Linux
/// releases the descriptor whatever close(2) returns, and a lock that is not waited for is not held.
fn is_artefact(call: &Call, phase: Phase) -> bool {
    matches!((call.name, phase), ("close", Phase::Serving))
}

fn play(cell: &Cell) -> Played {
    // That of an earlier cell.
    tracer::last_log();
    let fault = Fault { call: cell.call.name, error: cell.error, when: &cell.when };
    let played = catch_unwind(AssertUnwindSafe(|| {
        cell.phase.play(Some(fault), cell.call.may_end.within(cell.phase))
    }));
    let cell = cell.clone();
    match played {
        Ok(scene) => {
            let injected = tracer::strikes(&scene.log);
            let first = cell.first.to_string();
            if injected == 0 && cell.when != first {
                // There were fewer calls this time.
                return play(&Cell { when: first, ..cell });
            }
            Played { cell, injected, outcome: Ok(scene.outcome) }
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let text = text.unwrap_or_default();
            let log = tracer::last_log();
            let hangs = text.starts_with("timeout: ") || text.starts_with("no byte received");
            let not_woken = hangs && tracer::suppressed_wake_up(&log);
            let outcome = if not_woken { Ok(Outcome::NotWoken) } else { Err(text) };
            Played { cell, injected: tracer::strikes(&log), outcome }
        }
    }
}

/// Plays all cells, this number at once.
pub(crate) fn run(cells: &Cells, at_once: usize) -> Vec<Played> {
    let left = Mutex::new(cells.list.iter());
    let played = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let next = || left.lock().expect("lock").next();
                while let Some(cell) = next() {
                    let one = play(cell);
                    played.lock().expect("lock").push(one);
                }
            });
        }
    });
    played.into_inner().expect("lock")
}

impl Played {
    /// The failed check, if any.
    pub(crate) fn failure(&self) -> Option<String> {
        let Cell { call, error, phase, when, .. } = &self.cell;
        let failed = self.outcome.as_ref().err();
        failed.map(|why| format!("{} {error} {when} ({phase:?}): {why}", call.name))
    }
}
