//! Transfers that are in their middle at an event, and continue after it.

use std::net::SocketAddr;
use std::time::Instant;

use crate::losses::{Losses, node_of};
use crate::support::{Ending, Framing, Pair, Wire, ask, now, pattern};
use crate::transfer;

const HALF: usize = 48 << 10;
/// Transfers of the node of the event that are wanted, and at most of all nodes.
const WANTED: usize = 3;
const MOST: usize = 60;

/// Transfers of all nodes, half done.
pub(crate) struct Held {
    begun: Instant,
    pairs: Vec<Pair>,
}

/// How they ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ended {
    pub(crate) complete: usize,
    pub(crate) cut: usize,
}

impl Held {
    /// Begins some on each node, several on this one.
    pub(crate) fn begin(front: SocketAddr, node: u8) -> Held {
        let mut held = Held { begun: now(), pairs: Vec::new() };
        let mut found = 0;
        while found < WANTED {
            assert!(held.pairs.len() < MOST, "node {node} gets no streams");
            let pair = half(front, held.pairs.len());
            found += usize::from(node_of(&pair.id) == node);
            held.pairs.push(pair);
        }
        held
    }

    /// Passes the other half: those of lost nodes are complete or visibly cut, all others complete.
    pub(crate) fn finish(self, losses: &Losses) -> Ended {
        let mut ended = Ended::default();
        for mut pair in self.pairs {
            let rest = &data(&pair.id)[HALF..];
            if losses.explain(node_of(&pair.id), self.begun) {
                let complete = finished_or_cut(pair, rest);
                ended.complete += usize::from(complete);
                ended.cut += usize::from(!complete);
            } else {
                pair.pass(rest);
                pair.complete();
                ended.complete += 1;
            }
        }
        ended
    }
}

/// A transfer, half done.
fn half(front: SocketAddr, number: usize) -> Pair {
    let (id, _) = transfer::create(front);
    let chunked = number.is_multiple_of(2);
    let framing = if chunked { Framing::Chunked } else { Framing::Length(2 * HALF) };
    let (mut source, mut destination) = (Wire::connect(front), Wire::connect(front));
    source.ask(&framing.put(&id));
    destination.ask(&ask("GET", &format!("/stream/{id}")));
    let mut pair = Pair { id, framing, source, destination };
    let first = &data(&pair.id)[..HALF];
    pair.pass_first(first);
    pair
}

/// What passes through a stream.
fn data(id: &str) -> Vec<u8> {
    pattern(id.bytes().map(u64::from).sum(), 2 * HALF)
}

/// Whether the transfer is complete; otherwise both sides must see that it is not.
fn finished_or_cut(mut pair: Pair, rest: &[u8]) -> bool {
    let _ = pair.source.try_send(pair.framing.piece(rest));
    let _ = pair.source.try_send(pair.framing.end());
    let (received, ending) = pair.destination.rest();
    let answer = pair.source.try_response();
    if ending == Ending::Complete {
        assert_eq!(received, rest, "a download that looks complete is complete");
        return true;
    }
    let claimed = answer.is_ok_and(|answer| answer.status() == 200);
    assert!(!claimed, "the upload is reported as complete, the download was cut");
    false
}
