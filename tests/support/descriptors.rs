//! Open descriptors of the relay, as listed by the kernel.

use std::fs;

use super::clock::eventually;
use super::relay::Relay;

/// Open descriptors of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// Ends of pipes: two per pipe, and the standard streams of a child.
    pub(crate) pipe_ends: usize,
    /// Sockets, epoll and all others.
    pub(crate) others: usize,
}

impl Descriptors {
    /// Those of this process that are open now.
    pub(crate) fn of(process: u32) -> Descriptors {
        let entries = fs::read_dir(format!("/proc/{process}/fd")).expect("/proc");
        // One that was closed since the listing has no target.
        let targets = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        let is_pipe = |target: &std::path::PathBuf| target.to_string_lossy().starts_with("pipe:");
        let (pipes, others): (Vec<_>, Vec<_>) = targets.partition(is_pipe);
        Descriptors { pipe_ends: pipes.len(), others: others.len() }
    }
}

impl Relay {
    /// The descriptors that are open now.
    pub(crate) fn descriptors(&self) -> Descriptors {
        Descriptors::of(self.process().id())
    }

    /// Waits until no more are open than `before`, except for at most this number of reusable
    /// pipes.
    pub(crate) fn await_descriptors(&self, before: Descriptors, idle_pipes: usize) {
        let mut last = before;
        let mut level = || {
            last = self.descriptors();
            let pipes = last.pipe_ends <= before.pipe_ends + 2 * idle_pipes;
            (pipes && last.others <= before.others).then_some(())
        };
        eventually(&format!("descriptors back at {before:?}"), &mut level);
    }
}
