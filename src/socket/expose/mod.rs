//! Exposes an API behind NAT: forwards requests from a relay to an HTTP server of this machine or
//! its network. Bodies are streamed unchanged, both at once, and an interrupted body is interrupted at
//! the other side too: it is never mistaken for a complete one.

mod address;
mod agent;
mod answer;
mod api;
mod api_request;
mod calls;
pub mod command;
mod counted;
mod idle_tunnel;
mod idle_tunnels;
mod journal;
mod name_wait;
mod outcome;
mod pool;
mod public_paths;
mod refusal;
mod sending;
mod tunnel_server;
mod upgraded;

pub use api::{Api, HostChoice};
pub use calls::{Calls, Served};
pub use idle_tunnel::Owner;
pub use idle_tunnels::IdleTunnels;
