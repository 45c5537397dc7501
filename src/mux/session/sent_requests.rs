//! The text dialect: our requests that wait for their responses. Peers that return correlation ids
//! may answer in any order; others answer in the order of the requests.

use std::collections::{BTreeSet, VecDeque};

/// Requests sent and not yet answered.
#[derive(Debug, Default)]
pub(super) struct SentRequests {
    /// Their numbers, in the order in which they were sent.
    order: VecDeque<u32>,
    /// The requests with a correlation id.
    by_id: BTreeSet<(Box<str>, u32)>,
}

impl SentRequests {
    /// Adds a request that was sent.
    pub fn push(&mut self, number: u32, id: Option<&str>) {
        self.order.push_back(number);
        if let Some(id) = id {
            self.by_id.insert((id.into(), number));
        }
    }

    /// Removes a request.
    pub fn remove(&mut self, number: u32, id: Option<&str>) {
        self.order.retain(|other| *other != number);
        if let Some(id) = id {
            self.by_id.remove(&(id.into(), number));
        }
    }

    /// Returns the request that a response answers: the oldest one with its correlation id or,
    /// without an id, the oldest one. Skips those in `answered`.
    pub fn answered_by(&self, id: Option<&str>, answered: &BTreeSet<u32>) -> Option<u32> {
        let mut waiting: Box<dyn Iterator<Item = u32>> = match id {
            None => Box::new(self.order.iter().copied()),
            Some(id) => {
                let (first, last) = ((id.into(), 0), (id.into(), u32::MAX));
                Box::new(self.by_id.range(first..=last).map(|(_, number)| *number))
            }
        };
        waiting.find(|number| !answered.contains(number))
    }
}
