//! Sampling a transfer's pace, and remembering the verdict with its stream. A sample costs two
//! system calls, so samples are rare: on request, at most once a second; and every few seconds
//! while bytes move, so that a first request gets a verdict on the last seconds.

use super::tcp_info;
use crate::api::bottleneck::classify;
use crate::relay::io::Conn;
use crate::rendezvous::bottleneck::{Bottleneck, PaceSample, WaitTimes, WaitingOn};
use std::time::{Duration, Instant};

/// Minimum time between two samples: a shorter one would be a judgement on a few packets.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// How long after the last sample a moving transfer is sampled without a request.
const UNASKED_AFTER: Duration = Duration::from_secs(5);

/// What a transfer remembers of its pace.
#[derive(Debug)]
pub(super) struct Meter {
    waits: WaitTimes,
    begun: Instant,
    /// The start of the next verdict; `None`: the beginning.
    last: Option<Box<PaceSample>>,
    /// When a turn takes a sample without a request.
    due: Instant,
}

impl Meter {
    pub fn new(now: Instant) -> Self {
        Self { waits: WaitTimes::new(now), begun: now, last: None, due: now + WINDOW_MIN }
    }

    /// Ends a turn; whether a sample is due.
    pub fn turn(&mut self, now: Instant, moved: bool, on: Option<WaitingOn>) -> bool {
        self.waits.turn(now, moved, on);
        now >= self.due
    }

    /// Samples both sockets and judges by the difference to the last sample, or to the beginning.
    /// `None` if the kernel does not report enough.
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

    /// Whether a request should take a newer sample than the last one.
    pub fn is_stale(&self, now: Instant) -> bool {
        self.last.is_none() || self.is_ripe(now)
    }

    /// Whether enough time has passed since the last sample, or since the beginning.
    pub fn is_ripe(&self, now: Instant) -> bool {
        let since = self.last.as_ref().map_or(self.begun, |sample| sample.at);
        now.saturating_duration_since(since) >= WINDOW_MIN
    }

    /// Replaces the last sample, which is returned.
    fn replace(&mut self, sample: Box<PaceSample>) -> Box<PaceSample> {
        self.due = sample.at + UNASKED_AFTER;
        self.last.replace(sample).unwrap_or_else(|| Box::new(PaceSample::beginning(self.begun)))
    }
}
