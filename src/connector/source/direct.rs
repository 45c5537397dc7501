//! Records from the queue straight to the output: a sender waits until its record is delivered.

use super::delivery::{Delivery, RecordFeed};
use super::line::OutgoingLine;
use super::queue::Queue;
use crate::api::Busy;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Delivery from memory, shared by the thread and the event loop.
pub type DirectDelivery = Arc<Mutex<Delivery<QueueFeed>>>;

/// The queue as a feed.
#[derive(Debug)]
pub struct QueueFeed(pub Arc<Queue>);

impl RecordFeed for QueueFeed {
    fn take(&mut self, lines: &mut VecDeque<OutgoingLine>) {
        self.0.take(lines);
    }

    fn created(&mut self, lines: Vec<OutgoingLine>) {
        self.0.created(lines);
    }

    fn refused(&mut self, lines: Vec<OutgoingLine>, busy: Busy) {
        self.0.refused(lines, busy);
    }

    fn unknown(&mut self, lines: Vec<OutgoingLine>) {
        self.0.unknown(lines);
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
