//! The bodies of the fuzz targets, each with its oracle. A body takes any bytes; a panic is a
//! finding. They are part of the library so that stable Rust can replay them
//! (`tests/simulation/corpus.rs`, `tests/simulation/main.rs`) and `fuzz/` needs one line for each.
//!
//! | target | what it checks |
//! |---|---|
//! | [`head`] | the verdict on a head does not depend on how its bytes arrive |
//! | [`framing`] | where a body ends, against the rules written down naively |
//! | [`form`] | the first part of a form agrees with a naive reader, however the input is cut |
//! | [`chunks`] | the chunk decoder agrees with a naive one, however the input is cut |
//! | [`codec`] | WebSocket messages are read unchanged, however the frames are split |
//! | [`handshake`] | a session's outcome does not depend on the split; memory is bounded |
//! | [`demultiplexing`] | exchanges of two sessions: bodies reach their exchange, no peer harms |
//! | [`bodies`] | JSON bodies never panic, and what they request reads back from the wire |
//! | [`response`] | no value adds a field to a response head or ends it |
//! | [`disposition`] | a path gives one harmless file name, and any field a name or none |
//! | [`answer`] | the meaning of a response's head and events does not depend on the split |
//! | [`signature`] | a signed webhook is accepted, an unsigned one is refused |
//! | [`accept`] | the preferred form of an error, against a reference |
//! | [`proxy_protocol`] | a verdict does not depend on the split; a header is read as written |
//! | [`record`] | a line read as a record, written and read again, is the same record |
//! | [`rendezvous`] | the registry as a script of acts: every client is answered exactly once |
//! | [`transfer`] | the planner at random pace: head and body arrive, or visibly less |
//! | [`flood`] | `GET /ping` under a flood, in virtual time; run by `tests/simulation/floods.rs` |
//! | [`search`] | every state of the registry within a few acts; run by `tests/simulation/search.rs` |
//! | [`world`] | registry, transfers and connections together; run by `tests/simulation/main.rs` |
#![allow(clippy::missing_panics_doc, reason = "a panic is what a body reports with")]

mod accept;
mod answer;
mod bodies;
mod checked_registry;
mod choices;
mod chunks;
mod codec;
mod demultiplexing;
mod disposition;
mod exchanges;
mod floods;
mod flow;
mod form;
mod framing;
mod handshake;
mod head;
mod naive;
mod proxy_protocol;
mod record;
mod rendezvous;
mod request;
mod response;
mod search;
mod signature;
mod sockets;
mod transfer;
mod upload;
mod world;

pub use accept::accept;
pub use answer::answer;
pub use bodies::bodies;
pub use chunks::chunks;
pub use codec::codec;
pub use demultiplexing::demultiplexing;
pub use disposition::disposition;
pub use floods::{Flood, flood};
pub use form::form;
pub use framing::framing;
pub use handshake::handshake;
pub use head::head;
pub use proxy_protocol::proxy_protocol;
pub use record::record;
pub use rendezvous::rendezvous;
pub use response::response;
pub use search::search;
pub use signature::signature;
pub use transfer::transfer;
pub use world::world;

/// The body of a fuzz target.
pub type Body = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Body)] = &[
    ("accept", accept),
    ("answer", answer),
    ("bodies", bodies),
    ("chunks", chunks),
    ("codec", codec),
    ("demultiplexing", demultiplexing),
    ("disposition", disposition),
    ("form", form),
    ("framing", framing),
    ("handshake", handshake),
    ("head", head),
    ("proxy_protocol", proxy_protocol),
    ("record", record),
    ("rendezvous", rendezvous),
    ("response", response),
    ("signature", signature),
    ("transfer", transfer),
    ("world", world),
];

/// Returns `bytes` pseudo-random bytes (xorshift64*), the same for the same seed on every machine.
pub fn script(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()
    };
    let mut script = Vec::with_capacity(bytes + 8);
    while script.len() < bytes {
        script.extend_from_slice(&next()[..6]);
    }
    script.truncate(bytes);
    script
}
