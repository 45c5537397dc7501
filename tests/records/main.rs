//! Records: `rdv source`, `rdv destination`, the spool, and all of them together.

mod destination;
mod engines;
#[path = "../clients/upload/server.rs"]
#[allow(dead_code, reason = "made for uploads; records need less")]
mod server;
mod source;
mod spool;
#[path = "../support/mod.rs"]
mod support;
mod together;
