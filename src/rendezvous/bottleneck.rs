//! The measurements of a transfer's pace: how long the relay waited for each side, and the kernel's
//! figures of both sockets. Data only; `api` determines the bottleneck.

use super::stream::Side;
use std::time::{Duration, Instant};

/// What a transfer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingOn {
    /// Bytes of the source.
    Source,
    /// Buffer space at the destination.
    Destination,
    /// The end of a pause: the source has bytes, but exceeds its rate.
    Rate,
}

impl From<Side> for WaitingOn {
    fn from(side: Side) -> Self {
        match side {
            Side::Source => Self::Source,
            Side::Destination => Self::Destination,
        }
    }
}

/// The total wait for each side. A wait in progress is added by [`WaitTimes::until`].
#[derive(Clone, Copy, Debug)]
pub struct WaitTimes {
    /// The current wait.
    on: Option<WaitingOn>,
    since: Instant,
    /// Total wait for the source.
    pub source: Duration,
    /// The sum of squares of the waits for the source, in seconds squared: divided by their sum, it
    /// gives the expected length of the wait at a random moment.
    pub source_squares: f64,
    /// Total wait for the destination.
    pub destination: Duration,
    /// Total wait for the rate limit.
    pub rate: Duration,
}

impl WaitTimes {
    /// Starts with no waits.
    pub fn new(now: Instant) -> Self {
        Self {
            on: None,
            since: now,
            source: Duration::ZERO,
            source_squares: 0.0,
            destination: Duration::ZERO,
            rate: Duration::ZERO,
        }
    }

    /// Notes the end of a turn: whether bytes were moved, and the next wait.
    pub fn turn(&mut self, now: Instant, moved: bool, on: Option<WaitingOn>) {
        if moved || on != self.on {
            *self = Self { on, since: now, ..self.until(now) };
        }
    }

    /// Returns the totals including the wait in progress.
    #[must_use]
    pub fn until(&self, now: Instant) -> Self {
        let mut waits = *self;
        let wait = now.saturating_duration_since(self.since);
        match self.on {
            Some(WaitingOn::Source) => {
                waits.source += wait;
                waits.source_squares += wait.as_secs_f64() * wait.as_secs_f64();
            }
            Some(WaitingOn::Destination) => waits.destination += wait,
            Some(WaitingOn::Rate) => waits.rate += wait,
            None => {}
        }
        waits
    }
}

/// The kernel's figures of one socket: the named members of `struct tcp_info` (linux/tcp.h,
/// tcp(7)). Those marked *counts* increase over the lifetime of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFigures {
    /// `tcpi_rtt`: smoothed round trip time, in microseconds.
    pub rtt_us: u32,
    /// `tcpi_min_rtt`: the minimum, in microseconds.
    pub min_rtt_us: u32,
    /// `tcpi_rcv_rtt`: round trip time as measured by the receiver, in microseconds; 0: unknown.
    pub receive_rtt_us: u32,
    /// `tcpi_snd_mss`: maximum segment size, in bytes.
    pub segment_bytes: u32,
    /// `tcpi_snd_cwnd`: congestion window, in segments.
    pub congestion_window_segments: u32,
    /// `tcpi_unacked`: segments in flight.
    pub unacked_segments: u32,
    /// `tcpi_notsent_bytes`: unsent bytes in the send buffer.
    pub unsent_bytes: u32,
    /// `tcpi_snd_wnd`: the peer's receive window, in bytes.
    pub peer_window_bytes: u32,
    /// `tcpi_last_data_recv`: time since data was received, in milliseconds.
    pub last_received_ms: u32,
    /// `tcpi_delivery_rate`: recent rate of acknowledged data, in bytes per second.
    pub delivery_rate_bytes_per_s: u64,
    /// `tcpi_data_segs_in`: received segments with data; counts.
    pub segments_in: u32,
    /// `tcpi_data_segs_out`: sent segments with data; counts.
    pub segments_out: u32,
    /// `tcpi_total_retrans`: retransmitted segments; counts.
    pub retransmits: u32,
    /// `tcpi_rcv_ooopack`: segments received out of order; counts.
    pub out_of_order_segments: u32,
    /// `tcpi_bytes_received`: received bytes; counts.
    pub received_bytes: u64,
    /// `tcpi_busy_time`: time with data to send, in microseconds; counts.
    pub busy_us: u64,
    /// `tcpi_rwnd_limited`: the part of it limited by the peer's window; counts.
    pub rwnd_limited_us: u64,
    /// `tcpi_sndbuf_limited`: the part of it limited by the send buffer; counts.
    pub sndbuf_limited_us: u64,
}

impl SocketFigures {
    /// Returns the figures with all counts relative to `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let count = u32::wrapping_sub;
        let total = u64::saturating_sub;
        Self {
            segments_in: count(self.segments_in, earlier.segments_in),
            segments_out: count(self.segments_out, earlier.segments_out),
            retransmits: count(self.retransmits, earlier.retransmits),
            out_of_order_segments: count(self.out_of_order_segments, earlier.out_of_order_segments),
            received_bytes: total(self.received_bytes, earlier.received_bytes),
            busy_us: total(self.busy_us, earlier.busy_us),
            rwnd_limited_us: total(self.rwnd_limited_us, earlier.rwnd_limited_us),
            sndbuf_limited_us: total(self.sndbuf_limited_us, earlier.sndbuf_limited_us),
            ..*self
        }
    }
}

/// A sample of a transfer's pace.
#[derive(Clone, Copy, Debug)]
pub struct PaceSample {
    /// The time of the sample.
    pub at: Instant,
    /// The waits up to then.
    pub waits: WaitTimes,
    /// The source's socket.
    pub source: SocketFigures,
    /// The destination's socket.
    pub destination: SocketFigures,
}

impl PaceSample {
    /// Returns the sample before any byte is moved, on new connections.
    pub fn beginning(at: Instant) -> Self {
        Self {
            at,
            waits: WaitTimes::new(at),
            source: SocketFigures::default(),
            destination: SocketFigures::default(),
        }
    }
}

/// The bottleneck of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The uploading program.
    Source,
    /// The network from the source to the relay.
    NetworkIn,
    /// The network from the relay to the destination.
    NetworkOut,
    /// The downloading program.
    Destination,
    /// The relay itself: the rate limit of a stream.
    Rate,
}

/// The bottleneck between two samples, and its evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bottleneck {
    /// The verdict.
    pub limit: Limit,
    /// The time between the samples.
    pub window: Duration,
    /// The part of it spent waiting for the source.
    pub source_waited: Duration,
    /// The part of it spent waiting for the destination.
    pub destination_waited: Duration,
    /// The part of it in which the relay paused the source because of its rate.
    pub rate_waited: Duration,
    /// The source's socket; counts cover that time.
    pub source: SocketFigures,
    /// The destination's socket; counts cover that time.
    pub destination: SocketFigures,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn a_wait_lasts_until_bytes_move_or_the_awaited_side_changes() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let mut waits = WaitTimes::new(base);
        waits.turn(at(10), true, Some(WaitingOn::Source));
        waits.turn(at(20), false, Some(WaitingOn::Source));
        waits.turn(at(40), true, Some(WaitingOn::Source));
        waits.turn(at(50), true, Some(WaitingOn::Destination));
        waits.turn(at(90), true, None);
        waits.turn(at(100), true, Some(WaitingOn::Destination));
        let ms = |duration: Duration| duration.as_millis();
        assert_eq!((ms(waits.source), ms(waits.destination)), (40, 40));
        assert!((waits.source_squares - (0.03 * 0.03 + 0.01 * 0.01)).abs() < 1e-9);
        assert_eq!(ms(waits.until(at(105)).destination), 45, "the wait that goes on");
    }

    #[test]
    fn only_counters_are_relative_to_the_earlier_sample() {
        let earlier =
            SocketFigures { rtt_us: 5, segments_in: u32::MAX, busy_us: 100, ..Default::default() };
        let later = SocketFigures { rtt_us: 7, segments_in: 2, busy_us: 150, ..earlier };
        let since = later.since(&earlier);
        assert_eq!((since.rtt_us, since.segments_in, since.busy_us), (7, 3, 50), "32 bits wrap");
    }
}
