//! Heartbeats: `102 Processing` at an interval to sides that wait for their response, because
//! proxies and NAT cut connections without traffic. The deadline of a waiting side is its next one.
//! During a transfer the deadline of the source belongs to that, and the destination's is the next
//! one of both sides: the turns of a transfer do not know of them.

use crate::relay::http1::send_processing;
use crate::relay::io::{ConnId, Io};
use crate::relay::transfers::{Progress, Transfers};
use std::time::Instant;

/// Schedules the next heartbeat of a side that connected or waits again.
pub(super) fn begin(io: &mut Io, id: ConnId) {
    // An earlier deadline may be that of a heartbeat; any other makes the first one early.
    let earlier = io.conns.deadline(id);
    let next = next(io, id).map(|next| earlier.map_or(next, |earlier| earlier.min(next)));
    io.conns.set_deadline(id, next);
}

/// Continues those of both sides while their transfer runs, which is about to begin.
pub(super) fn pair(io: &mut Io, source: ConnId, destination: ConnId) {
    let next = [source, destination].into_iter().filter_map(|id| io.conns.deadline(id)).min();
    io.conns.set_deadline(destination, next);
}

/// Handles the deadline of a waiting side, or of the destination of a transfer.
pub(super) fn due(io: &mut Io, transfers: &Transfers, id: ConnId) {
    let next = match io.conns[id].incoming {
        None => beat(io, id, true),
        Some(transfer) => {
            let Progress { source, received, head_started } = transfers.progress(io, transfer);
            // nginx sends nothing more of a body once its server has responded, and a client that
            // sent FIN may have closed.
            let waits = received && !io.conns[source].peer_ended();
            let of_source = beat(io, source, waits);
            let of_destination = if head_started { None } else { beat(io, id, true) };
            of_source.into_iter().chain(of_destination).min()
        }
    };
    io.conns.set_deadline(id, next);
}

/// Sends a heartbeat to a client that accepts it, if one is due; returns when to check it next.
fn beat(io: &mut Io, id: ConnId, due: bool) -> Option<Instant> {
    let next = next(io, id);
    if due && next.is_some() {
        send_processing(io, id);
    }
    next
}

/// Returns the time of the next heartbeat; `None`: its client gets none, or its response has begun.
fn next(io: &Io, id: ConnId) -> Option<Instant> {
    let interval = io.settings.proxies.heartbeat;
    let reply = io.conns[id].reply;
    let accepts = !interval.is_zero() && reply.interim && !reply.begun;
    accepts.then(|| io.now.monotonic.checked_add(interval)).flatten()
}
