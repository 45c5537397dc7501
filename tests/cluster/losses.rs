//! Which node was lost when: what fails there is the consequence, what fails elsewhere a fault.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::support::now;

/// A node that could not be reached, or whose process died.
struct Loss {
    node: u8,
    over: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Losses(Mutex<Vec<Loss>>);

impl Losses {
    /// Records that a node is lost from now on.
    pub(crate) fn begin(&self, node: u8) {
        self.locked(|losses| losses.push(Loss { node, over: None }));
    }

    /// Records that it is back: it has what was made from now on.
    pub(crate) fn end(&self, node: u8) {
        let open = |loss: &&mut Loss| loss.node == node && loss.over.is_none();
        let over = Some(now());
        self.locked(|losses| losses.iter_mut().filter(open).for_each(|loss| loss.over = over));
    }

    /// Whether what used this node from `begun` until now was affected.
    pub(crate) fn explain(&self, node: u8, begun: Instant) -> bool {
        let affects = |loss: &Loss| loss.node == node && loss.over.is_none_or(|over| begun <= over);
        self.locked(|losses| losses.iter().any(affects))
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Vec<Loss>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The node that an identifier names.
pub(crate) fn node_of(id: &str) -> u8 {
    let digits = id.get(..4).expect("an identifier");
    u16::from_str_radix(digits, 16).ok().and_then(|node| node.try_into().ok()).expect("a node")
}
