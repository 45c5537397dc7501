//! `rdv expose` and its parts: an API that cannot be dialled, called through connections it opened.
//!
//! Needs python3.

mod api;
mod command;
mod heads;
mod paths;
mod reaching;
mod relay_end;
#[path = "../../clients/upload/server.rs"]
#[allow(dead_code, reason = "made for uploads; an API needs less")]
mod server;
mod silence;
mod spelling;
mod starting;
mod through_relay;
mod tokens;
mod tunnels;
mod upgraded;
