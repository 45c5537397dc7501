//! The relay as a process under floods of requests that are cheap for a client: in each flood,
//! other clients are served, and signals and timers work.
#![allow(dead_code, reason = "the agent's end has what other tests use")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test waits for one kind of event, whatever other kinds there are"
)]

#[path = "../agents/agent.rs"]
mod agent;
mod flood;
mod frames;
mod lists;
mod peer;
#[path = "../agents/received_request.rs"]
mod received_request;
mod slow_bytes;
mod subscribers;
#[path = "../support/mod.rs"]
mod support;
mod trailers;
mod tunnels;
