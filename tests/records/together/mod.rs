//! `rdv source` and `rdv destination` as their users put them together: what a sender was answered 201
//! for is with the server, whatever is killed in between, and in the order that was promised.
//!
//! Needs curl.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as they do")]

#[path = "../../clients/workdir.rs"]
#[allow(dead_code, reason = "made for clients; records need less")]
mod desk;
mod ends;
mod killed;
mod library;
mod piped;
mod relayed;
mod senders;
mod tally;
mod unasked;
