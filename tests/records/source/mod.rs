//! `rdv source` as a process, with senders on one side and whoever takes its records on the other.
//! What it promises to both is held against what they see: 201 is one whole line, 503 is none.

mod acknowledged;
mod acknowledging;
mod arguments;
mod bodies;
mod codings;
mod consumer;
mod desk;
mod files;
mod keys;
mod large;
mod lifecycle;
mod memory;
mod operators;
mod payloads;
mod pipes;
mod promise;
mod requests;
mod rotation;
mod shape;
mod signatures;
mod sockets;
mod spool;
mod spool_acks;
mod spool_disk;
mod spool_ends;
mod spool_faults;
mod spool_killed;
mod spool_room;
mod tokens;
