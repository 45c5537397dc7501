//! The configurations in `deploy/proxies/`, in the proxies themselves, with TLS and the relay.
//!
//! Each test runs with every proxy; one that is not installed is skipped with a message. Traefik
//! needs `tests/proxies/install`.

mod agents;
mod configured;
mod curl;
mod draining;
mod endings;
mod front;
mod proxy;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
mod transfers;
mod waiting;
