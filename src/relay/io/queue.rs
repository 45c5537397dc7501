//! The run queue. Tasks with something new run first, in the next turn. A task that used up its
//! share waits after those, and only some such tasks run in a turn: so however many clients flood
//! the relay, one that sends a little waits for few of them.

use super::id::{ConnId, TransferId};
use std::collections::VecDeque;

/// Bytes that all tasks of a turn may take together, unless there are more than 1,024: some
/// milliseconds of work, which a new task may have to wait for.
const TURN_BYTES: usize = 4 << 20;

/// The largest share of one task, in bytes: a larger one makes a turn no cheaper per byte.
const SHARE_MAX: usize = 256 << 10;

/// The smallest share of one task, in bytes: below it system calls cost far more than bytes.
const SHARE_MIN: usize = 4 << 10;

/// A task waiting for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A connection's.
    Conn(ConnId),
    /// A transfer's.
    Transfer(TransferId),
}

/// Maximum tasks of a turn that used up their shares in an earlier one: few enough that the share
/// of each is worth its system calls.
const SPENT_MAX: usize = TURN_BYTES / (16 << 10);

/// Connections and transfers that wait for their turn, each at most once.
#[derive(Debug, Default)]
pub struct RunQueue {
    /// Tasks with something new.
    fresh: VecDeque<Task>,
    /// Tasks that used up their shares, and are still ready.
    spent: VecDeque<Task>,
    /// How many of the first and of the second are left of this turn.
    left: [usize; 2],
    /// Transfers that began in this turn, and have their first share in it.
    begun: Vec<TransferId>,
    share: usize,
}

impl RunQueue {
    /// Fixes the tasks of a turn.
    pub fn begin_turn(&mut self) {
        self.left = [self.fresh.len(), self.spent.len().min(SPENT_MAX)];
        let tasks: usize = self.left.iter().sum();
        self.share = (TURN_BYTES / tasks.max(1)).clamp(SHARE_MIN, SHARE_MAX);
    }

    /// Returns how many bytes each task may read in this turn before others have their share; the
    /// more tasks, the fewer.
    pub fn share(&self) -> usize {
        self.share
    }

    /// Appends a task with something new. The caller remembers that it is queued.
    pub fn push(&mut self, task: Task) {
        self.fresh.push_back(task);
    }

    /// Appends a task that used up its share. The caller remembers that it is queued.
    pub fn push_spent(&mut self, task: Task) {
        self.spent.push_back(task);
    }

    /// Appends a new transfer, driven in the same turn: most are over with it.
    pub fn push_begun(&mut self, id: TransferId) {
        self.begun.push(id);
    }

    /// Returns the next task of this turn.
    pub fn pop(&mut self) -> Option<Task> {
        let [fresh, spent] = &mut self.left;
        let (left, tasks) =
            if *fresh > 0 { (fresh, &mut self.fresh) } else { (spent, &mut self.spent) };
        *left = left.checked_sub(1)?;
        tasks.pop_front()
    }

    /// Returns the next transfer that began in this turn.
    pub fn pop_begun(&mut self) -> Option<TransferId> {
        self.begun.pop()
    }

    /// Returns how many tasks wait.
    pub fn len(&self) -> usize {
        self.fresh.len() + self.spent.len() + self.begun.len()
    }

    /// Whether no task waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(index: usize) -> Task {
        Task::Conn(ConnId { index: u32::try_from(index).unwrap(), generation: 1 })
    }

    fn turn(queue: &mut RunQueue) -> Vec<Task> {
        queue.begin_turn();
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn a_task_with_something_new_waits_for_none_that_used_up_its_share() {
        let mut queue = RunQueue::default();
        (0..3).for_each(|index| queue.push_spent(task(index)));
        queue.push(task(3));
        assert_eq!(turn(&mut queue), [3, 0, 1, 2].map(task));
        assert!(queue.is_empty());
    }

    #[test]
    fn tasks_that_used_up_their_shares_take_turns() {
        let mut queue = RunQueue::default();
        let count = SPENT_MAX * 5 / 2;
        (0..count).for_each(|index| queue.push_spent(task(index)));
        let mut turns = Vec::new();
        for _ in 0..5 {
            let tasks = turn(&mut queue);
            assert_eq!(tasks.len(), SPENT_MAX);
            assert!(queue.share() * tasks.len() <= TURN_BYTES);
            for task in &tasks {
                queue.push_spent(*task);
            }
            turns.extend(tasks);
        }
        let order: Vec<Task> = (0..count).chain(0..count).map(task).collect();
        assert_eq!(turns, order, "each has had two turns");
    }

    #[test]
    fn what_is_queued_in_a_turn_runs_in_the_next() {
        let mut queue = RunQueue::default();
        queue.push(task(0));
        queue.begin_turn();
        assert_eq!(queue.pop(), Some(task(0)));
        queue.push(task(1));
        queue.push_spent(task(2));
        assert_eq!(queue.pop(), None);
        assert_eq!(turn(&mut queue), [1, 2].map(task));
    }
}
