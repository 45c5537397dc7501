//! What the delivery waits for, and for how long.

use super::{AckInput, Delivery, RETRY, RecordFeed};
use crate::api::Busy;
use crate::connector::source::clock::now;
use crate::connector::source::line::OutgoingLine;
use crate::connector::source::poll_set::{Answers, PollSet};
use crate::connector::source::worker_handle::WorkerCommand;
use nix::poll::PollFlags;
use std::io;
use std::time::Instant;

impl<F: RecordFeed> Delivery<F> {
    /// Returns the events to wait for.
    pub(super) fn questions(&self) -> PollSet {
        let wants_out = !self.lines.is_empty() || self.closed.is_some();
        let wants_out = wants_out && self.again.is_none();
        let out = if wants_out { PollFlags::POLLOUT } else { PollFlags::empty() };
        let output = if self.reads_output() { out | PollFlags::POLLIN } else { out };
        PollSet {
            output: self.output.shared().map(|descriptor| (descriptor, output)),
            stdin: matches!(self.acknowledging, AckInput::Stdin) && self.gone.is_none(),
            until: self.next_deadline(),
        }
    }

    pub(super) fn act(&mut self, Answers { output, stdin }: Answers) {
        if !stdin.is_empty() {
            self.read_stdin();
        }
        if output.contains(PollFlags::POLLIN) {
            self.read_output();
        }
        if output.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL)
            && self.output.shared().is_some()
        {
            self.drop_consumer(&io::ErrorKind::BrokenPipe.into());
        } else if output.contains(PollFlags::POLLOUT) && self.gone.is_none() {
            self.reopen_to_new(None);
        }
    }

    /// Whether to wait for an absent consumer. One whose separate acknowledgements have ended is
    /// not waited for.
    pub(super) fn may_return(&self) -> bool {
        self.gone.is_none() && self.output.returns() && self.output.shared().is_none()
    }

    /// Whether no client waits for an answer any more.
    pub(super) fn is_finishing(&self) -> bool {
        self.work.order() == WorkerCommand::Finish
    }

    /// Returns the number of records that cannot be refused any more; 0 while finishing.
    pub(super) fn begun(&self) -> usize {
        usize::from(self.sent > 0 && !self.is_finishing())
    }

    /// Returns when to continue even without an event.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let absent = self.may_return();
        // While finishing, even durable records do not wait indefinitely.
        let durable = self.feed.is_durable() && self.work.order() == WorkerCommand::Go;
        // Some may have been added just before new ones were refused.
        let can_refuse = self.closed.is_none() || self.lines.len() > self.begun();
        let limited = !durable && can_refuse;
        [
            absent.then(|| now() + RETRY),
            self.stuck.filter(|_| limited).map(|since| since + self.timeouts.hand_over),
            self.unacknowledged.values().next().map(|(_, until)| *until).filter(|_| !durable),
            self.gone,
            self.again,
            self.feed.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn look_at_the_clock(&mut self) {
        let now = now();
        if self.may_return() && self.output.reopen() {
            log::info!("a consumer connected");
            self.reopen_to_new(None);
        }
        let in_time = self.feed.is_durable()
            || self.stuck.is_none_or(|since| now < since + self.timeouts.hand_over);
        if !in_time {
            self.give_up_on_waiting();
        }
        // Durable records are acknowledged later, or sent again to the next consumer.
        while !self.feed.is_durable()
            && let Some(late) = self.unacknowledged.first_entry().filter(|late| late.get().1 <= now)
        {
            let (line, _) = late.remove();
            self.feed.refused(vec![line], Busy::ConsumerSlow);
        }
    }

    /// Refuses records that were not begun, and new ones until the consumer reads again. While
    /// finishing, a process that could be stuck indefinitely would be worse than half a line at the
    /// end.
    pub(super) fn give_up_on_waiting(&mut self) {
        let absent = self.output.shared().is_none();
        let busy = if absent { Busy::ConsumerGone } else { Busy::ConsumerSlow };
        let begun = self.begun();
        if self.is_finishing() && self.sent > 0 {
            log::error!("the consumer did not take the last record to its end");
            self.rewind();
        }
        let lines: Vec<OutgoingLine> = self.lines.drain(begun..).collect();
        if !lines.is_empty() {
            self.feed.refused(lines, busy);
        }
        self.reopen_to_new(Some(busy));
    }
}
