//! `rdv source` and `rdv destination` combined by users: records with a 201 reach the server, in
//! order, whichever process is killed in between.
//!
//! Needs curl.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as they do")]

pub(crate) mod ends;
pub(crate) mod killed;
mod library;
mod piped;
mod relayed;
mod senders;
pub(crate) mod tally;
mod without_acks;
#[path = "../../clients/workdir.rs"]
#[allow(dead_code, reason = "made for clients; records need less")]
mod workdir;
