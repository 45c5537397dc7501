//! `rdv source` as a process, with senders on one side and a consumer on the other. Its guarantees
//! are checked on both sides: 201 is one complete line, 503 is none.

mod admin;
mod arguments;
mod bodies;
mod codings;
mod consumer;
mod durability;
mod files;
mod keys;
mod large;
mod lifecycle;
mod memory;
mod payloads;
mod pipes;
pub(crate) mod process;
mod record_format;
mod requests;
mod rotation;
mod signatures;
mod socket_acks;
mod sockets;
mod spool;
mod spool_acks;
mod spool_disk;
mod spool_faults;
mod spool_killed;
mod spool_limits;
mod spool_shutdown;
mod stdin_acks;
mod tokens;
