//! An API behind NAT, made reachable: requests that come from a relay are forwarded to an HTTP server
//! of this machine or its network. Its promise: requests and answers are not held back, changed or
//! believed whole when they are not. Both bodies flow at once; what breaks off here breaks off there.

mod agent;
mod answer;
mod api;
mod backoff;
mod body_forwarder;
mod calls;
mod chunk;
pub mod command;
mod counted;
mod idle_tunnel;
mod idle_tunnels;
mod incoming;
mod journal;
mod outcome;
mod pool;
mod refusal;
mod sending;
mod wire;

pub use api::{Api, HostChoice};
pub use calls::{Calls, Served};
pub use idle_tunnel::Owner;
pub use idle_tunnels::IdleTunnels;
