//! The text dialect: our requests that wait for their responses. Peers that pass correlation ids on may
//! answer in any order; others answer in the order of the requests.

use std::collections::{BTreeSet, VecDeque};

/// Requests that were sent, and not answered.
#[derive(Debug, Default)]
pub(super) struct SentRequests {
    /// Their numbers, in the order in which they were sent.
    order: VecDeque<u32>,
    /// Those that have a correlation id.
    by_id: BTreeSet<(Box<str>, u32)>,
}

impl SentRequests {
    /// A request was sent.
    pub fn push(&mut self, number: u32, id: Option<&str>) {
        self.order.push_back(number);
        if let Some(id) = id {
            self.by_id.insert((id.into(), number));
        }
    }

    /// A request waits no more.
    pub fn remove(&mut self, number: u32, id: Option<&str>) {
        self.order.retain(|other| *other != number);
        if let Some(id) = id {
            self.by_id.remove(&(id.into(), number));
        }
    }

    /// Which request a response answers: the one with its correlation id; without one, the one that
    /// was sent first. Those in `answered` are left aside.
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
