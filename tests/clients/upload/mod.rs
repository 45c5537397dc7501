//! The client library as its users know it: `Upload` and `Part` against servers of all manners, and
//! against form parsers that others wrote.
//!
//! Needs python3 and node, whose standard libraries parse what is sent.

#![expect(clippy::unwrap_used, reason = "what the tests share fails as they do")]

mod early_response;
mod forms;
mod memory;
mod parsers;
mod post;
mod proxies;
mod responses;
mod sequences;
mod server;
mod sizes;
mod tls;
