//! An API behind NAT, made reachable: requests that come from a relay are forwarded to an HTTP server
//! of this machine or its network. Its promise: requests and answers are not held back, changed or
//! believed whole when they are not. Both bodies flow at once; what breaks off here breaks off there.

mod agent;
mod answer;
mod api;
mod backoff;
mod calls;
mod chunk;
pub mod command;
mod counted;
mod incoming;
mod journal;
mod outcome;
mod pool;
mod pour;
mod refusal;
mod sending;
mod spare;
mod spares;
mod wire;

pub use api::{Api, HostChoice};
pub use calls::{Calls, Served};
pub use spare::Owner;
pub use spares::Spares;
