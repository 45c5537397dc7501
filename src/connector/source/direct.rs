//! Records from the queue straight to the output: who sent one waits until it is handed over.

use super::delivery::Feed;
use super::line::Line;
use super::queue::{Order, Queue};
use crate::api::Busy;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

/// The queue as a feed.
#[derive(Debug)]
pub struct Direct(pub Arc<Queue>);

impl Feed for Direct {
    fn take(&mut self, lines: &mut VecDeque<Line>) -> Order {
        self.0.take(lines)
    }

    fn work(&self) -> BorrowedFd<'_> {
        self.0.work()
    }

    fn created(&mut self, lines: Vec<Line>) {
        self.0.created(&lines);
    }

    fn refused(&mut self, lines: Vec<Line>, busy: Busy) {
        self.0.refused(lines, busy);
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn close(&mut self, why: Option<Busy>) {
        self.0.close(why);
    }

    fn end(&mut self) {
        self.0.end();
    }
}
