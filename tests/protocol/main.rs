//! The relay on the wire: streams, their states and endings, requests, limits.

mod acked;
mod api;
mod bottleneck;
mod connections;
mod cors;
mod create;
mod curl;
mod digest;
mod endings;
mod errors;
mod events;
mod guarded;
mod headers;
mod heartbeats;
mod limits;
mod nodes;
mod pages;
mod paths;
mod phases;
mod receipts;
mod rendezvous;
mod routes;
mod status;
mod strict_chunks;
mod strict_heads;
#[path = "../support/mod.rs"]
mod support;
mod timeouts;
