//! An API behind NAT, made reachable: requests that come from a relay are forwarded to an HTTP server
//! of this machine or its network. Its promise: requests and answers are not held back, changed or
//! believed whole when they are not. Both bodies flow at once; what breaks off here breaks off there.

mod answer;
pub mod api;
mod hop;
mod incoming;
mod pool;
mod refusal;
mod sending;
mod wire;

pub use api::{Api, HostChoice};
