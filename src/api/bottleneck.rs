//! Bottleneck detection: derives from two pace samples what limits a transfer. See docs/protocol.md
//! for the reasoning.

use crate::rendezvous::bottleneck::{Bottleneck, Limit, PaceSample, SocketFigures};
use serde_json::{Value, json};
use std::time::Duration;

/// Below this delay a path does not count as queued: the receiver's round trip time has a
/// granularity of a millisecond, and a busy machine adds one or two.
const QUEUE_MIN_US: f64 = 3_000.0;

/// The peer counts as the limit if its window was full for at least 1/`RWND_SHARE` of the busy
/// time.
const RWND_SHARE: u64 = 2;

/// The path counts as the limit if at least one segment in `OUT_OF_ORDER_SHARE` was out of order.
const OUT_OF_ORDER_SHARE: u64 = 100;

/// Classifies the bottleneck between two samples.
pub fn classify(earlier: &PaceSample, later: &PaceSample) -> Bottleneck {
    let mut bottleneck = Bottleneck {
        limit: Limit::Source,
        window: later.at.saturating_duration_since(earlier.at),
        source_waited: later.waits.source.saturating_sub(earlier.waits.source),
        destination_waited: later.waits.destination.saturating_sub(earlier.waits.destination),
        rate_waited: later.waits.rate.saturating_sub(earlier.waits.rate),
        source: later.source.since(&earlier.source),
        destination: later.destination.since(&earlier.destination),
    };
    let others_waited = bottleneck.source_waited.max(bottleneck.destination_waited);
    bottleneck.limit = if bottleneck.rate_waited > others_waited {
        Limit::Rate
    } else if bottleneck.destination_waited > bottleneck.source_waited {
        of_destination(&bottleneck.destination)
    } else {
        let squares = later.waits.source_squares - earlier.waits.source_squares;
        let waited = bottleneck.source_waited.as_secs_f64();
        let typical_wait_us = if waited > 0.0 { squares / waited * 1e6 } else { 0.0 };
        of_source(&bottleneck.source, typical_wait_us)
    };
    bottleneck
}

/// The destination was waited for: either its program does not read, or the path to it is slow. A
/// kernel whose program does not read closes its window.
fn of_destination(socket: &SocketFigures) -> Limit {
    let closed = socket.peer_window_bytes < socket.segment_bytes;
    let limited = socket.rwnd_limited_us > 0
        && socket.rwnd_limited_us.saturating_mul(RWND_SHARE) >= socket.busy_us;
    if closed || limited { Limit::Destination } else { Limit::NetworkOut }
}

/// The source was waited for: either its program does not write, or the path from it is slow. A
/// receiver cannot see what its peer has yet to send, so blaming the path takes evidence: lost or
/// reordered segments, or a queue. With a queue, full segments arrive back to back, yet each took
/// longer than the pauses between them explain.
fn of_source(socket: &SocketFigures, typical_wait_us: f64) -> Limit {
    let disorder = u64::from(socket.out_of_order_segments);
    if disorder > 0 && disorder * OUT_OF_ORDER_SHARE >= u64::from(socket.segments_in) {
        return Limit::NetworkIn;
    }
    let queue_us = f64::from(socket.receive_rtt_us) - f64::from(socket.min_rtt_us);
    let queued = queue_us >= QUEUE_MIN_US.max(2.0 * typical_wait_us);
    if full_segments(socket) && queued { Limit::NetworkIn } else { Limit::Source }
}

/// Whether the received segments were at least three quarters full on average; a program that
/// writes little at a time fills none.
fn full_segments(socket: &SocketFigures) -> bool {
    let full = u64::from(socket.segment_bytes) * u64::from(socket.segments_in);
    socket.segments_in > 0 && socket.received_bytes.saturating_mul(4) >= full.saturating_mul(3)
}

/// Returns the verdict as shown in the status object.
pub(super) fn object(bottleneck: &Bottleneck) -> Value {
    let Bottleneck {
        limit,
        window,
        source_waited,
        destination_waited,
        rate_waited,
        source,
        destination,
    } = bottleneck;
    json!({
        "side": name(*limit),
        "window_ms": ms(*window),
        "rate_waited_ms": ms(*rate_waited),
        "source": {
            "waited_ms": ms(*source_waited),
            "received_bytes": source.received_bytes,
            "receive_rate_bytes_per_s": rate(source.received_bytes, *window),
            "segments": source.segments_in,
            "out_of_order_segments": source.out_of_order_segments,
            "last_received_ms": source.last_received_ms,
            "rtt_us": source.rtt_us,
            "min_rtt_us": source.min_rtt_us,
            "receive_rtt_us": source.receive_rtt_us,
        },
        "destination": {
            "waited_ms": ms(*destination_waited),
            "delivery_rate_bytes_per_s": destination.delivery_rate_bytes_per_s,
            "segments": destination.segments_out,
            "retransmits": destination.retransmits,
            "rtt_us": destination.rtt_us,
            "min_rtt_us": destination.min_rtt_us,
            "congestion_window_segments": destination.congestion_window_segments,
            "unacked_segments": destination.unacked_segments,
            "unsent_bytes": destination.unsent_bytes,
            "peer_window_bytes": destination.peer_window_bytes,
            "busy_us": destination.busy_us,
            "rwnd_limited_us": destination.rwnd_limited_us,
            "sndbuf_limited_us": destination.sndbuf_limited_us,
        },
    })
}

/// Returns the name of the verdict on the wire.
pub fn name(limit: Limit) -> &'static str {
    match limit {
        Limit::Source => "source",
        Limit::NetworkIn => "network_in",
        Limit::NetworkOut => "network_out",
        Limit::Destination => "destination",
        Limit::Rate => "rate",
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns bytes per second; 0 for an empty window.
fn rate(bytes: u64, window: Duration) -> u64 {
    let per_s = u128::from(bytes) * 1_000_000 / window.as_micros().max(1);
    u64::try_from(per_s).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
