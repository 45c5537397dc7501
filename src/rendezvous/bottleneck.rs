//! What is known of a transfer's pace: for how long the relay waited for each side, and what the
//! kernel says of both sockets. Figures only; which side they speak against is decided in `api`.

use super::stream::Side;
use std::time::{Duration, Instant};

/// What a transfer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingOn {
    /// Bytes of the source.
    Source,
    /// Room at the destination.
    Destination,
    /// The end of a pause: the source has bytes, but is faster than it may be.
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

/// For how long each side was waited for. A wait that goes on is counted when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct WaitTimes {
    /// What is waited for now.
    on: Option<WaitingOn>,
    since: Instant,
    /// For the source, in all.
    pub source: Duration,
    /// The squares of the waits for the source, in seconds squared, in all: divided by their sum
    /// they say how long a wait is that one happens upon.
    pub source_squares: f64,
    /// For the destination, in all.
    pub destination: Duration,
    /// For the rate to allow more, in all.
    pub rate: Duration,
}

impl WaitTimes {
    /// Nobody has been waited for.
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

    /// A turn is over: bytes `moved` or not, and now this is waited for.
    pub fn turn(&mut self, now: Instant, moved: bool, on: Option<WaitingOn>) {
        if moved || on != self.on {
            *self = Self { on, since: now, ..self.until(now) };
        }
    }

    /// The same with the wait that goes on.
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

/// What the kernel says of one socket: the members of `struct tcp_info` (linux/tcp.h, tcp(7)) that
/// are named. Those marked *counts* grow as long as the connection lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFigures {
    /// `tcpi_rtt`: smoothed round trip time, in microseconds.
    pub rtt_us: u32,
    /// `tcpi_min_rtt`: the shortest one seen, in microseconds.
    pub min_rtt_us: u32,
    /// `tcpi_rcv_rtt`: round trip time as the receiver of data sees it, in microseconds; 0: unknown.
    pub receive_rtt_us: u32,
    /// `tcpi_snd_mss`: bytes of a full segment.
    pub segment_bytes: u32,
    /// `tcpi_snd_cwnd`: congestion window, in segments.
    pub congestion_window_segments: u32,
    /// `tcpi_unacked`: segments on their way.
    pub unacked_segments: u32,
    /// `tcpi_notsent_bytes`: bytes that wait to be sent.
    pub unsent_bytes: u32,
    /// `tcpi_snd_wnd`: what the peer is ready to take, in bytes.
    pub peer_window_bytes: u32,
    /// `tcpi_last_data_recv`: time since data came, in milliseconds.
    pub last_received_ms: u32,
    /// `tcpi_delivery_rate`: what the peer acknowledged lately, in bytes a second.
    pub delivery_rate_bytes_per_s: u64,
    /// `tcpi_data_segs_in`: segments with data that came; counts.
    pub segments_in: u32,
    /// `tcpi_data_segs_out`: segments with data that were sent; counts.
    pub segments_out: u32,
    /// `tcpi_total_retrans`: segments sent again; counts.
    pub retransmits: u32,
    /// `tcpi_rcv_ooopack`: segments that came out of order; counts.
    pub out_of_order_segments: u32,
    /// `tcpi_bytes_received`: bytes that came; counts.
    pub received_bytes: u64,
    /// `tcpi_busy_time`: time with something to send, in microseconds; counts.
    pub busy_us: u64,
    /// `tcpi_rwnd_limited`: part of it in which the peer's window was full; counts.
    pub rwnd_limited_us: u64,
    /// `tcpi_sndbuf_limited`: part of it in which the send buffer was too small; counts.
    pub sndbuf_limited_us: u64,
}

impl SocketFigures {
    /// The same, with what counts counted from `earlier` on.
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

/// A transfer's pace at one moment.
#[derive(Clone, Copy, Debug)]
pub struct PaceSample {
    /// When it was taken.
    pub at: Instant,
    /// Who was waited for until then.
    pub waits: WaitTimes,
    /// The source's socket.
    pub source: SocketFigures,
    /// The destination's socket.
    pub destination: SocketFigures,
}

impl PaceSample {
    /// Before anything moved, on connections that did nothing else.
    pub fn beginning(at: Instant) -> Self {
        Self {
            at,
            waits: WaitTimes::new(at),
            source: SocketFigures::default(),
            destination: SocketFigures::default(),
        }
    }
}

/// What keeps a transfer from being faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The program that uploads.
    Source,
    /// The way from the source to the relay.
    NetworkIn,
    /// The way from the relay to the destination.
    NetworkOut,
    /// The program that downloads.
    Destination,
    /// The relay itself: the rate a stream may have.
    Rate,
}

/// What kept a transfer from being faster between two samples, and what speaks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bottleneck {
    /// The verdict.
    pub limit: Limit,
    /// How long the time between the samples was.
    pub window: Duration,
    /// For how long of it the source was waited for.
    pub source_waited: Duration,
    /// For how long of it the destination was waited for.
    pub destination_waited: Duration,
    /// For how long of it the relay left the source alone for the sake of its rate.
    pub rate_waited: Duration,
    /// The source's socket; what counts, in that time.
    pub source: SocketFigures,
    /// The destination's socket; what counts, in that time.
    pub destination: SocketFigures,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn a_wait_goes_on_until_bytes_move_or_another_side_is_waited_for() {
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
    fn only_what_counts_is_counted_from_the_earlier_sample_on() {
        let earlier =
            SocketFigures { rtt_us: 5, segments_in: u32::MAX, busy_us: 100, ..Default::default() };
        let later = SocketFigures { rtt_us: 7, segments_in: 2, busy_us: 150, ..earlier };
        let since = later.since(&earlier);
        assert_eq!((since.rtt_us, since.segments_in, since.busy_us), (7, 3, 50), "32 bits wrap");
    }
}
