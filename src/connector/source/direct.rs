//! Records from the queue straight to the output: who sent one waits until it is handed over.

use super::delivery::{Delivery, Feed};
use super::line::Line;
use super::queue::Queue;
use crate::api::Busy;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What hands records over from memory, for the thread and the loop.
pub type DirectDelivery = Arc<Mutex<Delivery<Direct>>>;

/// The queue as a feed.
#[derive(Debug)]
pub struct Direct(pub Arc<Queue>);

impl Feed for Direct {
    fn take(&mut self, lines: &mut VecDeque<Line>) {
        self.0.take(lines);
    }

    fn created(&mut self, lines: Vec<Line>) {
        self.0.created(lines);
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
