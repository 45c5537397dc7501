//! The relay as a process, with agents on one side and callers of their APIs on the other. The
//! agents are built on the library's session over a blocking socket, and do only what a test
//! requests.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test waits for one kind of event, whatever other kinds there are"
)]

mod accounts;
mod agent;
mod agent_requests;
mod autobahn;
mod bodies;
mod bounds;
mod calls;
mod early;
mod expose;
mod failures;
mod flow;
mod guarded_calls;
mod handover;
mod handshake;
mod head_of_line;
mod memory;
mod names;
mod openapi;
mod original;
mod origins;
mod received_request;
mod shutdown;
mod slow_subscribers;
mod smuggling;
mod socket;
mod stalled;
mod stalled_shutdown;
mod subscribers;
#[path = "../support/mod.rs"]
mod support;
mod text;
mod tokens;
mod tunnel;
mod tunnels;
mod upgraded;
mod upgrades;
