//! Sampling a transfer's pace, and remembering the verdict with its stream. Two system calls a
//! sample, so samples are rare: when somebody asks, at most once a second; and every few seconds
//! while bytes move, so that who asks for the first time hears of the last seconds.

use super::tcp_info;
use crate::api::bottleneck::classify;
use crate::relay::io::Conn;
use crate::rendezvous::bottleneck::{Bottleneck, PaceSample, WaitTimes, WaitingOn};
use std::time::{Duration, Instant};

/// Between two samples there is at least this time: less would judge by a few packets.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// How long after the last sample a transfer that moves is sampled unasked.
const UNASKED_AFTER: Duration = Duration::from_secs(5);

/// What a transfer remembers of its pace.
#[derive(Debug)]
pub(super) struct Meter {
    waits: WaitTimes,
    begun: Instant,
    /// Since when the next verdict counts; none: since the beginning.
    last: Option<Box<PaceSample>>,
    /// When a turn takes a sample unasked.
    due: Instant,
}

impl Meter {
    pub fn new(now: Instant) -> Self {
        Self { waits: WaitTimes::new(now), begun: now, last: None, due: now + WINDOW_MIN }
    }

    /// A turn is over; whether a sample is due.
    pub fn turn(&mut self, now: Instant, moved: bool, on: Option<WaitingOn>) -> bool {
        self.waits.turn(now, moved, on);
        now >= self.due
    }

    /// Samples both sockets and judges by the difference to the last sample, or to the beginning.
    /// `None` where the kernel does not say enough.
    pub fn update(
        &mut self,
        source: &Conn,
        destination: &Conn,
        at: Instant,
    ) -> Option<Box<Bottleneck>> {
        let source = tcp_info::figures(&source.socket)?;
        let destination = tcp_info::figures(&destination.socket)?;
        let sample = PaceSample { at, waits: self.waits.until(at), source, destination };
        let last = self.replace(Box::new(sample));
        Some(Box::new(classify(&last, &sample)))
    }

    /// Whether somebody who asks is to hear of a newer sample than the last one.
    pub fn is_stale(&self, now: Instant) -> bool {
        self.last.is_none() || self.is_ripe(now)
    }

    /// Whether enough time has passed since the last sample, or since the beginning.
    pub fn is_ripe(&self, now: Instant) -> bool {
        let since = self.last.as_ref().map_or(self.begun, |sample| sample.at);
        now.saturating_duration_since(since) >= WINDOW_MIN
    }

    /// Takes a sample in place of the last one, which it returns.
    fn replace(&mut self, sample: Box<PaceSample>) -> Box<PaceSample> {
        self.due = sample.at + UNASKED_AFTER;
        self.last.replace(sample).unwrap_or_else(|| Box::new(PaceSample::beginning(self.begun)))
    }
}
