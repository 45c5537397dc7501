//! `rdv destination` as users see it: records as input, requests to servers of all kinds,
//! acknowledgements as output.
//!
//! Needs curl, and python3 for TLS.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as they do")]

mod endings;
mod inputs;
mod large;
mod library;
mod order;
mod reachability;
pub(crate) mod record_server;
mod refusals;
mod relay;
mod sent;
