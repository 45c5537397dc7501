//! The relay on the wire over TLS: the tests of the protocol with every client encrypted, and what
//! only TLS has.

#[path = "../protocol/acked.rs"]
mod acked;
mod certificates;
#[path = "../protocol/create.rs"]
mod create;
#[path = "../protocol/digest.rs"]
mod digest;
#[path = "../protocol/endings.rs"]
mod endings;
#[path = "../protocol/errors.rs"]
mod errors;
#[path = "../protocol/events.rs"]
mod events;
#[path = "../protocol/headers.rs"]
mod headers;
#[path = "../protocol/heartbeats.rs"]
mod heartbeats;
mod https;
#[path = "../protocol/limits.rs"]
mod limits;
#[path = "../protocol/phases/mod.rs"]
mod phases;
#[path = "../protocol/receipts.rs"]
mod receipts;
mod records;
#[path = "../protocol/rendezvous.rs"]
mod rendezvous;
#[path = "../protocol/status.rs"]
mod status;
#[path = "../protocol/strict_chunks.rs"]
mod strict_chunks;
#[path = "../protocol/strict_heads.rs"]
mod strict_heads;
#[path = "../support/mod.rs"]
mod support;
#[path = "../protocol/timeouts.rs"]
mod timeouts;
