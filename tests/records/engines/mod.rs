//! Records to and from message brokers, and sources at a balancer: the command lines of
//! docs/connector.md, while their processes are killed.
//!
//! Needs kcat, jq, nats-server, haproxy, and what the script `install` installs.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as they do")]

mod balanced;
mod conduit;
mod documented;
mod job;
mod kafka;
mod nats;
