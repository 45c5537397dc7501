//! Records between HTTP and pipelines. Guarantees: a record is complete or absent; what is
//! acknowledged has been handed over; memory stays flat, however large or many the records are.
//!
//! | file | act |
//! |---|---|
//! | `record/` | lines to records and back (`parse.rs`, `json.rs`); lines too long for memory, split while they are read (`reader.rs`, `scan.rs`, `spill_writer.rs`) |
//! | `spill.rs` | content too large for memory, in unnamed files |
//! | `signature/` | verifies the signature of a webhook |
//! | `spool/` | records on disk: segments, a cursor |
//! | `source/` | `rdv source`: `reception.rs` is called by the loop, `delivery/` hands over, `keeper.rs` and `spooled.rs` do so through a spool |
//! | `destination/` | `rdv destination`: the sources of records (`input.rs`), the workers and their order (`workers.rs`, `byte_budget.rs`), acknowledgements (`acks.rs`), one record with its attempts (`delivery.rs`, `retry.rs`), one attempt (`route.rs`, `http_sender.rs`, `via_relay.rs`) and its request (`outgoing_request.rs`), undeliverable records (`dead_letters.rs`), signals (`stopping.rs`) |

pub mod destination;
pub mod record;
pub mod signature;
pub mod source;
mod spill;
pub mod spool;

pub use destination::Destination;
pub use source::Source;
