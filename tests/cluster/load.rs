//! Transfers one after the other on several threads, and what became of them.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::losses::{Losses, node_of};
use crate::support::{eventually, now};
use crate::transfer::{Plan, Trouble, create};

/// Transfers that begin until it is stopped.
pub(crate) struct Load<'a> {
    front: SocketAddr,
    losses: &'a Losses,
    next: AtomicU64,
    enough: AtomicBool,
    tally: Mutex<Tally>,
}

/// What became of all transfers.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) complete: usize,
    pub(crate) bytes: usize,
    /// Transfers of lost nodes that failed, by what the first side saw.
    pub(crate) lost: BTreeMap<String, usize>,
    /// Refused attempts to create a stream, by the response.
    pub(crate) refusals: BTreeMap<String, usize>,
    /// The most that a client needed to create one.
    pub(crate) most_attempts: usize,
    pub(crate) faults: Vec<String>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(front: SocketAddr, losses: &'a Losses) -> Load<'a> {
        let (next, enough) = (AtomicU64::new(0), AtomicBool::new(false));
        Load { front, losses, next, enough, tally: Mutex::default() }
    }

    /// What each thread does: streams for transfers of one kind.
    pub(crate) fn work(&self, transfer: impl Fn(SocketAddr, &str, Plan) -> Vec<Trouble>) {
        while !self.enough.load(Ordering::Relaxed) {
            let plan = Plan::of(self.next.fetch_add(1, Ordering::Relaxed));
            let begun = now();
            let (id, refusals) = create(self.front);
            let troubles = transfer(self.front, &id, plan);
            let explained = self.losses.explain(node_of(&id), begun);
            let mut tally = self.tally();
            tally.most_attempts = tally.most_attempts.max(refusals.len() + 1);
            for refusal in refusals {
                *tally.refusals.entry(refusal).or_default() += 1;
            }
            tally.add(&id, plan, &troubles, explained);
        }
    }

    /// Ends the threads after their transfers.
    pub(crate) fn stop(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    /// Waits until this many transfers have ended since it began.
    pub(crate) fn await_transfers(&self, count: usize) {
        let mut last = 0;
        while last < count {
            // Each step has a timeout of its own.
            last = eventually("transfers end", || Some(self.tally().count()).filter(|n| *n > last));
        }
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    fn add(&mut self, id: &str, plan: Plan, troubles: &[Trouble], explained: bool) {
        let is_seen = troubles.iter().all(|trouble| !trouble.is_hidden);
        match troubles.first() {
            None => {
                self.complete += 1;
                self.bytes += plan.bytes;
            }
            Some(trouble) if explained && is_seen => {
                *self.lost.entry(trouble.why.clone()).or_default() += 1;
            }
            Some(_) => self.faults.push(format!("{id}, {plan:?}: {troubles:?}")),
        }
    }

    /// All that have ended.
    pub(crate) fn count(&self) -> usize {
        self.complete + self.lost.values().sum::<usize>() + self.faults.len()
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Tally { complete, bytes, lost, refusals, most_attempts, faults } = self;
        write!(
            f,
            "{complete} complete ({} MiB), lost with their node {lost:?}, {} faults; \
             creations refused {refusals:?}, at most {most_attempts} attempts",
            bytes >> 20,
            faults.len()
        )
    }
}
