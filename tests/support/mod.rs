//! Support for all tests: the relay as a process, a raw HTTP/1.x client, checks of bodies and JSON.
//!
//! It uses the relay only over real sockets, and does not depend on its internals.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod body;
mod clock;
mod closed;
mod descriptors;
mod encrypted;
mod heartbeats;
mod json;
mod line;
mod lineage;
mod nodes;
mod observed;
mod peak;
mod process;
mod proxies;
mod relay;
mod request;
mod response;
mod scene;
mod skip;
mod small_disk;
mod tls;
mod tokens;
mod unprivileged;
mod wire;

pub(crate) use body::{chunks, is_pattern, pattern};
pub(crate) use clock::{TEST_TIMEOUT, eventually, now};
pub(crate) use closed::{ClosedPort, close};
pub(crate) use descriptors::Descriptors;
pub(crate) use encrypted::{Handle, certified, https_address, trusting};
pub(crate) use json::{assert_error, parse};
pub(crate) use line::{Line, command_in_namespace, run};
pub(crate) use lineage::{Lineage, await_end_of, is_alive, successors};
pub(crate) use nodes::{Balancer, listener, node, node_on};
pub(crate) use observed::{ADMIN, Observed, Scrape};
pub(crate) use peak::peak_of;
pub(crate) use process::{Finished, Process, RUNTIME_DIRECTORY};
pub(crate) use proxies::{Haproxy, Nginx};
pub(crate) use relay::{Relay, TRUSTING, resident_bytes_of, stream_of};
pub(crate) use request::{Ask, ask};
pub(crate) use response::{Ending, Head, Response};
pub(crate) use scene::{Framing, Pair, assert_uploaded};
pub(crate) use skip::{MAY_SKIP, installation, ipv6, skip};
pub(crate) use small_disk::SmallDisk;
pub(crate) use tls::{Authority, Identity, Terminator};
pub(crate) use tokens::TokenFile;
pub(crate) use unprivileged::unprivileged_command;
pub(crate) use wire::{DISCONNECTS, Disconnect, Wire};

/// A well-formed id that no relay ever created.
pub(crate) const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";
