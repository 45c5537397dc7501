//! `rdv source` as a process, with senders on one side and whoever takes its records on the other.
//! What it promises to both is held against what they see: 201 is one whole line, 503 is none.

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
mod process;
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
