//! The client library as users see it: `Upload` and `Part` with servers of all kinds, and with
//! third-party form parsers.
//!
//! Needs python3 and node, whose standard libraries parse the forms.

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
