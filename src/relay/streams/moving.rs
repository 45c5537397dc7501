//! A hand-over: waiting streams move to the process that takes over, running ones stay.

use super::Streams;
use crate::api::moved::{self, Moved};
use crate::api::{Busy, Failure};
use crate::relay::io::{CloseMode, ConnId, Io};
use crate::rendezvous::{AdoptedStream, Now};

/// Writes the streams that wait for a side or both, for the process that takes over; waiting
/// clients are answered to retry, and will find their streams in the new process.
pub(super) fn give_away(streams: &mut Streams, io: &mut Io) -> String {
    let given = streams.registry.give_away_waiting();
    // The sides at a path are answered, and meet at it again in the new process.
    let moved = given.iter().filter(|given| given.stream.path().is_none());
    let lines: String = moved.map(|given| moved::write(given, io.now.monotonic)).collect();
    let failure = Failure::TooBusy(Busy::Replaced);
    for client in given.iter().filter_map(|given| given.stream.waiting()) {
        streams.detach(io, ConnId::from_client(client), &failure);
    }
    // Their subscribers find them in the new process.
    for given in &given {
        for id in streams.subscribers.connections_of(given.stream.id()) {
            io.conns.close(id, CloseMode::Orderly);
        }
    }
    lines
}

/// Takes over one stream that another process has given away; whether that succeeded.
pub(super) fn adopt(streams: &mut Streams, io: &Io, moved: Moved) -> bool {
    let Moved { id, created_wall_ms: wall_ms, age, left, creator, headers, report, acked } = moved;
    let Some(deadline) = io.now.monotonic.checked_add(left) else { return false };
    let monotonic = io.now.monotonic.checked_sub(age).unwrap_or(io.now.monotonic);
    let created = Now { monotonic, wall_ms };
    let adopted = AdoptedStream { id, headers, creator, created, deadline };
    let Ok(key) = streams.registry.adopt(adopted, io.now) else { return false };
    if acked {
        streams.registry.await_ack(key);
    }
    if let Some(report) = report {
        let _ = streams.registry.report(id, report, io.now);
    }
    true
}
