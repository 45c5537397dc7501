//! Semantics of requests: a request head becomes a [`Route`], a body becomes a value, an outcome
//! becomes a response. PURE: no socket, no clock.

pub mod access;
pub mod agent_host;
pub mod agents;
pub mod bottleneck;
pub mod busy;
pub mod cors;
pub mod creation;
pub mod download;
pub mod ended;
pub mod failure;
pub mod forward;
mod json;
pub mod misdirected;
pub mod moved;
pub mod name;
pub mod node_url;
pub mod openapi;
mod origin_wide;
pub mod paths;
pub mod permission;
pub mod place;
pub mod preview;
pub mod receipt;
pub mod report;
pub mod route;
pub mod route_name;
pub mod shard;
pub mod status;
pub mod token_failure;
pub mod watch;

pub use access::Denied;
pub use busy::Busy;
pub use cors::{Cors, Preflight};
pub use creation::CreationFailure;
pub use download::Upload;
pub use ended::Ended;
pub use failure::{ERROR_FIELD, Failure};
pub use misdirected::Misdirected;
pub use node_url::NodeUrl;
pub use place::Place;
pub use route::{Audience, Callee, Control, PathRoute, Route, route};
pub use route_name::RouteName;
pub use shard::ShardKey;
pub use token_failure::TokenFailure;
