//! Exchanges on many threads, until the time or their number is reached.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::exchange::{Plan, Problem, Tally, Target, Worker, mix};
use crate::options::Options;
use crate::support::now;

/// Stack of a worker; small, as there can be many.
const STACK_BYTES: usize = 512 << 10;

/// What the workers share.
struct Shared<'s> {
    target: &'s Target,
    seed: u64,
    /// The seed of the only exchange.
    only: Option<u64>,
    deadline: Instant,
    /// Exchanges to begin at most, and those begun.
    limit: u64,
    begun: AtomicU64,
}

/// Runs exchanges with this relay.
pub(crate) fn run(options: &Options, seed: u64, target: &Target) -> Tally {
    let shared = Shared {
        target,
        seed,
        only: options.exchange,
        deadline: now() + options.duration,
        limit: if options.exchange.is_some() { 1 } else { options.transfers.unwrap_or(u64::MAX) },
        begun: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        let workers = (0..options.workers).map(|_| {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, || shared.work()).expect("a thread")
        });
        let workers: Vec<_> = workers.collect();
        let mut tally = Tally::default();
        for worker in workers {
            tally.merge(worker.join().expect("a worker"));
        }
        tally
    })
}

impl Shared<'_> {
    fn work(&self) -> Tally {
        let mut tally = Tally::default();
        let mut worker = Worker::new(self.target);
        loop {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            if number >= self.limit || now() >= self.deadline {
                return tally;
            }
            let plan = Plan::of(self.only.unwrap_or_else(|| mix(self.seed, number)));
            let result = catch_unwind(AssertUnwindSafe(|| worker.run(&plan)));
            let Ok(verdict) = result else {
                // The message of the panic was printed.
                println!("a malformed response\n  planned: {plan:?}");
                tally.count(&Problem::Unexpected(String::new()));
                worker = Worker::new(self.target);
                continue;
            };
            if let Some(problem) = tally.add(&plan, verdict) {
                println!("{problem}");
            }
        }
    }
}
