//! The events of agents on their way to the subscribers. Those of a turn are collected, so that each
//! subscriber gets them in one write, however many agents connect or disconnect at once. Pure.

use std::collections::VecDeque;

/// Maximum size of a batch, in bytes: 1,024 subscribers then take about 10 ms of a turn.
const BATCH_MAX_BYTES: usize = 16 << 10;

/// Maximum batches that wait for later turns, 1 MiB: the events of 4,000 agents.
const WAITING_MAX: usize = 64;

/// Events that were not sent yet, in batches.
#[derive(Debug, Default)]
pub struct EventBatches {
    waiting: VecDeque<Vec<u8>>,
    /// The number of batches that were taken before.
    taken: u64,
    /// The next event begins another batch.
    sealed: bool,
}

impl EventBatches {
    /// Appends an event.
    pub fn push(&mut self, event: &[u8]) {
        match self.waiting.back_mut() {
            Some(batch) if !self.sealed && batch.len() + event.len() <= BATCH_MAX_BYTES => {
                batch.extend_from_slice(event);
            }
            Some(_) | None => self.waiting.push_back(event.to_vec()),
        }
        self.sealed = false;
    }

    /// Returns the number of the batch that the next event begins: a new subscriber gets that one
    /// and later ones.
    pub fn seal(&mut self) -> u64 {
        self.sealed = true;
        self.taken + self.waiting.len() as u64
    }

    /// Takes the first batch, with its number.
    pub fn take(&mut self) -> Option<(u64, Vec<u8>)> {
        let batch = self.waiting.pop_front()?;
        let number = self.taken;
        self.taken += 1;
        Some((number, batch))
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether more than one has to be sent in a turn, so that they do not fill memory.
    pub fn are_too_many(&self) -> bool {
        self.waiting.len() > WAITING_MAX
    }

    /// Returns the size of all of them.
    #[cfg(feature = "fuzzing")]
    pub fn bytes(&self) -> usize {
        self.waiting.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sent_in_order_and_in_few_batches() {
        let mut batches = EventBatches::default();
        let events: Vec<Vec<u8>> =
            (0..1000).map(|n| format!("event {n:0100}\n\n").into()).collect();
        for event in &events {
            batches.push(event);
        }
        let mut sent = Vec::new();
        let mut count = 0;
        while let Some((number, batch)) = batches.take() {
            assert_eq!(number, count);
            assert!(batch.len() <= BATCH_MAX_BYTES && batch.ends_with(b"\n\n"), "entire events");
            sent.extend(batch);
            count += 1;
        }
        assert_eq!((sent, count), (events.concat(), 7));
        assert!(batches.is_empty());
    }

    #[test]
    fn a_new_subscriber_gets_no_earlier_event() {
        let mut batches = EventBatches::default();
        assert_eq!(batches.seal(), 0);
        batches.push(b"before");
        let first = batches.seal();
        batches.push(b"after");
        batches.push(b" it");
        let taken: Vec<_> = std::iter::from_fn(|| batches.take()).collect();
        assert_eq!(taken, [(first - 1, b"before".to_vec()), (first, b"after it".to_vec())]);
        assert_eq!(batches.seal(), first + 1);
    }

    #[test]
    fn a_long_event_is_a_batch_of_its_own() {
        let mut batches = EventBatches::default();
        let long = vec![b'x'; BATCH_MAX_BYTES + 1];
        for event in [b"a".as_slice(), &long, b"b"] {
            batches.push(event);
        }
        assert_eq!(
            std::iter::from_fn(|| batches.take()).map(|(_, batch)| batch.len()).collect::<Vec<_>>(),
            [1, long.len(), 1]
        );
    }
}
