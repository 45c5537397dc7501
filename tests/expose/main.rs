//! `rdv expose` and its parts: an API that nobody can dial, asked by way of connections it opened.
//!
//! Needs python3.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as they do")]

mod api;
mod command;
mod heads;
mod relay_end;
#[path = "../upload/server.rs"]
#[allow(dead_code, reason = "made for uploads; an API needs less")]
mod server;
mod silence;
mod spares;
#[path = "../support/mod.rs"]
mod support;
mod through_relay;
mod tokens;
