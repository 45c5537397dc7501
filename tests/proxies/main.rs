//! The configurations in `deploy/proxies/` and `deploy/scale/`, in the proxies themselves, with TLS and the relay.
//!
//! Each test runs with every proxy; one that is not installed is skipped with a message. Caddy,
//! Traefik and the schemas of Kubernetes need `tests/proxies/install`.

mod agents;
#[path = "../browser/browser.rs"]
#[allow(dead_code, reason = "made for the tests of the pages")]
mod browser;
mod configured;
mod curl;
#[path = "../browser/devtools.rs"]
#[allow(dead_code, reason = "made for the tests of the pages")]
mod devtools;
mod draining;
mod endings;
mod front;
mod kubernetes;
#[path = "../browser/page.rs"]
#[allow(dead_code, reason = "made for the tests of the pages")]
mod page;
mod pages;
mod proxy;
mod refusals;
mod scale;
#[path = "../support/mod.rs"]
mod support;
mod transfers;
mod waiting;
