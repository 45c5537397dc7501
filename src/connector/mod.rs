//! Records between HTTP and pipelines. Its promise: a record is whole or it is not there; what is
//! acknowledged has been handed on; and memory stays flat, however large or many records are.
//!
//! | file | act |
//! |---|---|
//! | `record/` | lines to records and back (`parse.rs`, `json.rs`); lines too long for memory, divided as they come (`reader.rs`, `scan.rs`, `spill.rs`) |
//! | `signature/` | whether a webhook was signed by one who knows the secret |
//! | `spool/` | records on the disk: segments, a cursor |
//! | `source/` | `rdv source`: `reception.rs` is called by the loop, `delivery/` hands over, `keeper.rs` and `spooled.rs` do it by way of a spool |
//! | `destination/` | `rdv destination`: where records come from (`input.rs`), who sends them and in which order (`crew.rs`, `room.rs`), where acknowledgements go (`acks.rs`), one record with its tries (`delivery.rs`, `retry.rs`), one try (`route.rs`, `courier.rs`, `via_relay.rs`) of what (`parcel.rs`), what is given up (`dead_letters.rs`), signals (`stopping.rs`) |

pub mod destination;
pub mod record;
pub mod signature;
pub mod source;
pub mod spool;

pub use destination::Destination;
pub use source::Source;
