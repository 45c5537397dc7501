//! Events that the delivery thread waits for.

use super::clock::now;
use super::worker_handle::WorkerHandle;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events to wait for, besides work.
#[derive(Clone, Debug, Default)]
pub struct PollSet {
    /// The output, held open while it is polled, and its events of interest.
    pub output: Option<(Arc<OwnedFd>, PollFlags)>,
    /// Whether to wait for standard input.
    pub stdin: bool,
    /// When to return without an event.
    pub until: Option<Instant>,
}

/// Events that have occurred.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// Events of the output.
    pub output: PollFlags,
    /// Events of standard input.
    pub stdin: PollFlags,
}

impl PollSet {
    /// Whether waiting for these events also covers `others`.
    pub fn add(&self, others: &Self) -> bool {
        let output = match (&self.output, &others.output) {
            (Some((ours, of_ours)), Some((theirs, of_theirs))) => {
                Arc::ptr_eq(ours, theirs) && of_ours.contains(*of_theirs)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let until = match (self.until, others.until) {
            (_, None) => true,
            (Some(ours), Some(theirs)) => ours <= theirs,
            (None, Some(_)) => false,
        };
        output && until && (self.stdin || !others.stdin)
    }

    /// Waits for an event or for work; `None` if interrupted by a signal.
    pub fn ask(&self, work: &WorkerHandle) -> Option<Answers> {
        let stdin = io::stdin();
        let mut questions = vec![PollFd::new(work.event(), PollFlags::POLLIN)];
        let output = self.output.as_ref();
        questions.extend(output.map(|(output, flags)| PollFd::new(output.as_fd(), *flags)));
        if self.stdin {
            questions.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        let timeout = self.until.map_or(PollTimeout::NONE, |at| {
            // Rounded up, to avoid a busy loop during the last millisecond.
            let left = at.saturating_duration_since(now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        poll(&mut questions, timeout).ok()?;
        let answer = |question: Option<&PollFd<'_>>| {
            question.and_then(PollFd::revents).unwrap_or(PollFlags::empty())
        };
        if !answer(questions.first()).is_empty() {
            work.rest();
        }
        let nothing = PollFlags::empty();
        Some(Answers {
            output: if output.is_some() { answer(questions.get(1)) } else { nothing },
            stdin: if self.stdin { answer(questions.last()) } else { nothing },
        })
    }
}
