//! The run queue: what is still ready after its share of a turn goes to the back.

use super::id::{ConnId, TransferId};
use std::collections::VecDeque;

/// Bytes that all tasks of a turn may take together, as long as each has [`SHARE_MIN`]: a few
/// milliseconds of work, which a new task may have to wait for.
const TURN_BYTES: usize = 4 << 20;

/// The largest share of one task, in bytes: a larger one makes a turn no cheaper per byte.
const SHARE_MAX: usize = 256 << 10;

/// The smallest share of one task, in bytes: below it system calls cost more than bytes.
const SHARE_MIN: usize = 16 << 10;

/// A task waiting for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A connection's.
    Conn(ConnId),
    /// A transfer's.
    Transfer(TransferId),
}

/// Connections and transfers that wait for their turn, each at most once.
#[derive(Debug, Default)]
pub struct RunQueue {
    tasks: VecDeque<Task>,
    /// Transfers that began in this turn, and have their first share in it.
    begun: Vec<TransferId>,
    share: usize,
}

impl RunQueue {
    /// Fixes the tasks of a turn; returns their number.
    pub fn begin_turn(&mut self) -> usize {
        let tasks = self.len();
        self.share = (TURN_BYTES / tasks.max(1)).clamp(SHARE_MIN, SHARE_MAX);
        tasks
    }

    /// Returns how many bytes each task may read in this turn before others have their share; the
    /// more tasks, the fewer.
    pub fn share(&self) -> usize {
        self.share
    }

    /// Appends a task. The caller remembers that it is queued.
    pub fn push(&mut self, task: Task) {
        self.tasks.push_back(task);
    }

    /// Appends a new transfer, driven in the same turn: most are over with it.
    pub fn push_begun(&mut self, id: TransferId) {
        self.begun.push(id);
    }

    /// Returns the next task.
    pub fn pop(&mut self) -> Option<Task> {
        self.tasks.pop_front()
    }

    /// Returns the next transfer that began in this turn.
    pub fn pop_begun(&mut self) -> Option<TransferId> {
        self.begun.pop()
    }

    /// Returns how many tasks wait.
    pub fn len(&self) -> usize {
        self.tasks.len() + self.begun.len()
    }

    /// Whether no task waits.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.begun.is_empty()
    }
}
