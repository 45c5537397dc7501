//! What one worker knows of the others: how many there are, and how much they have of what is limited
//! in total. Each publishes its own numbers once a turn, and what clients notice at once, so a limit is
//! exact up to what the others began in their current turn. With one worker nothing here is used.

use crate::api::ShardKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is limited in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Clients' connections, lingering ones included.
    Clients,
    /// Lingering connections.
    Lingering,
    /// Requests whose response has not ended.
    Requests,
    /// TLS handshakes.
    Handshakes,
    /// Active streams.
    Streams,
    /// Agents that introduced themselves.
    Agents,
    /// Transfers.
    Transfers,
    /// Subscribers to the events of agents.
    AgentSubscribers,
    /// Subscribers to the events of streams.
    Followers,
}

impl Quantity {
    /// How many there are.
    pub const COUNT: usize = 9;
}

/// The numbers of one worker, by [`Quantity`]; on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Numbers([AtomicUsize; Quantity::COUNT]);

/// One of several workers.
#[derive(Clone, Debug)]
pub struct Workers {
    index: u8,
    all: Arc<[Numbers]>,
}

impl Workers {
    /// Returns the views of this many workers.
    pub fn of(count: usize) -> Vec<Self> {
        let all: Arc<[Numbers]> = (0..count).map(|_| Numbers::default()).collect();
        let indices = (0..=u8::MAX).take(count);
        indices.map(|index| Self { index, all: Arc::clone(&all) }).collect()
    }

    /// Returns its own number.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// Returns how many workers there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Returns the numbers of the other workers, the next one first.
    pub fn others(&self) -> impl Iterator<Item = u8> + use<> {
        let (own, count) = (usize::from(self.index), self.count());
        (1..count).filter_map(move |step| u8::try_from((own + step) % count).ok())
    }

    /// Returns the worker that this key belongs to, if it is another one.
    pub fn other(&self, key: ShardKey<'_>) -> Option<u8> {
        let worker = key.worker(self.count());
        (worker != self.index).then_some(worker)
    }

    /// Publishes its own numbers.
    pub fn publish(&self, numbers: [usize; Quantity::COUNT]) {
        for (published, number) in self.all[usize::from(self.index)].0.iter().zip(numbers) {
            published.store(number, Ordering::Relaxed);
        }
    }

    /// Publishes one of its numbers before the end of the turn: the response that follows may cause
    /// a request to another worker.
    pub fn publish_one(&self, quantity: Quantity, number: usize) {
        self.all[usize::from(self.index)].0[quantity as usize].store(number, Ordering::Relaxed);
    }

    /// Returns how many the other workers have.
    pub fn elsewhere(&self, quantity: Quantity) -> usize {
        let number =
            |other: u8| self.all[usize::from(other)].0[quantity as usize].load(Ordering::Relaxed);
        self.others().map(number).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_knows_what_the_others_have() {
        let workers = Workers::of(3);
        for (number, worker) in workers.iter().enumerate() {
            let mut numbers = [0; Quantity::COUNT];
            numbers[Quantity::Streams as usize] = 10 * (number + 1);
            worker.publish(numbers);
        }
        let elsewhere = |worker: &Workers| worker.elsewhere(Quantity::Streams);
        assert_eq!(workers.iter().map(elsewhere).collect::<Vec<_>>(), [50, 40, 30]);
        assert_eq!(workers[0].elsewhere(Quantity::Agents), 0);
        assert_eq!(workers[1].others().collect::<Vec<_>>(), [2, 0]);
        assert_eq!(Workers::of(256)[255].others().count(), 255);
    }
}
