//! Sampling a transfer's pace, and remembering the verdict with its stream. Two system calls a
//! sample, so samples are rare: when somebody asks, at most once a second; and every few seconds
//! while bytes move, so that who asks for the first time hears of the last seconds.

use super::agents::Errand;
use super::relay::Relay;
use super::tcp_info;
use super::token::ConnId;
use crate::api::{bottleneck, status};
use crate::rendezvous::bottleneck::{Awaited, Sample, Waits};
use serde_json::Value;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Between two samples there is at least this time: less would judge by a few packets.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// How long after the last sample a transfer that moves is sampled unasked.
const UNASKED_AFTER: Duration = Duration::from_secs(5);

/// What a transfer remembers of its pace.
#[derive(Debug)]
pub(super) struct Meter {
    waits: Waits,
    begun: Instant,
    /// Since when the next verdict counts; none: since the beginning.
    last: Option<Box<Sample>>,
    /// When a turn takes a sample unasked.
    due: Instant,
}

impl Meter {
    pub fn new(now: Instant) -> Self {
        Self { waits: Waits::new(now), begun: now, last: None, due: now + WINDOW_MIN }
    }

    /// A turn is over; whether a sample is due.
    pub fn turn(&mut self, now: Instant, moved: bool, on: Option<Awaited>) -> bool {
        self.waits.turn(now, moved, on);
        now >= self.due
    }

    /// Whether enough time has passed since the last sample, or since the beginning.
    fn is_ripe(&self, now: Instant) -> bool {
        let since = self.last.as_ref().map_or(self.begun, |sample| sample.at);
        now.saturating_duration_since(since) >= WINDOW_MIN
    }

    /// Takes a sample in place of the last one, which it returns.
    fn replace(&mut self, sample: Box<Sample>) -> Box<Sample> {
        self.due = sample.at + UNASKED_AFTER;
        self.last.replace(sample).unwrap_or_else(|| Box::new(Sample::beginning(self.begun)))
    }
}

impl Relay {
    /// The status object of a stream, if there is one, with a verdict that is at most a second old.
    pub(super) fn fresh_status(&mut self, stream: Uuid) -> Option<Value> {
        self.judge_stream(stream);
        self.registry.get(stream).map(status::object)
    }

    /// Judges the transfer of a stream, unless that was done within the last second.
    pub(super) fn judge_stream(&mut self, stream: Uuid) {
        let Some(source) = self.registry.get(stream).and_then(|stream| stream.clients()[0]) else {
            return;
        };
        let Some(place) = self.conn(ConnId::from_client(source)).and_then(|conn| conn.exchange())
        else {
            return;
        };
        let now = self.now.monotonic;
        let Some(exchange) = self.exchanges.get(place) else { return };
        if exchange.meter.last.is_none() || exchange.meter.is_ripe(now) {
            self.judge(place);
        }
    }

    /// The transfer is about to end: what is known last is kept. Short ones are not worth it.
    pub(super) fn judge_last(&mut self, place: usize) {
        let now = self.now.monotonic;
        if self.exchanges.get(place).is_some_and(|exchange| exchange.meter.is_ripe(now)) {
            self.judge(place);
        }
    }

    /// Samples a transfer and judges by the difference to its last sample.
    pub(super) fn judge(&mut self, place: usize) {
        let at = self.now.monotonic;
        let Some(exchange) = self.exchanges.get(place) else { return };
        let Errand::Stream(stream) = exchange.errand else { return };
        let (source, destination) = (exchange.source, exchange.destination);
        let figures =
            |relay: &mut Self, id| relay.conn(id).and_then(|conn| tcp_info::figures(&conn.socket));
        let (source, destination) = (figures(self, source), figures(self, destination));
        let (Some(source), Some(destination)) = (source, destination) else { return };
        let Some(exchange) = self.exchanges.get_mut(place) else { return };
        let sample = Sample { at, waits: exchange.meter.waits.until(at), source, destination };
        let last = exchange.meter.replace(Box::new(sample));
        self.registry.judged(stream, Box::new(bottleneck::judge(&last, &sample)));
    }
}
