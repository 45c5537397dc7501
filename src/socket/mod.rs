//! HTTP over a WebSocket, for programs: both ends, with blocking sockets and threads. Either end
//! can send requests and answer them, many at once. Bodies are streamed, and a slow reader blocks
//! only its own exchange. In the text dialect requests are sent one at a time, and a slow reader blocks
//! the connection. Memory is bounded, and an
//! interrupted body is never mistaken for a complete one.
//!
//! [`SocketClient`] dials, [`SocketServer`] accepts, and both make a [`SocketConnection`]. Requests
//! and responses are those of the `http` crate, with a [`Body`].
//!
//! # An API at the dialling end
//!
//! A service that cannot be reached from outside dials a relay and serves the requests it receives.
//!
//! ```
//! use rdv::socket::{Body, SocketClient};
//! # let relay = rdv::socket::SocketServer::bind("127.0.0.1:0")?;
//! # let url = format!("ws://{}", relay.local_addr());
//!
//! let client = SocketClient::new(&url)?
//!     .with_metadata(serde_json::json!({ "name": "billing" }));
//! let connection = client.connect()?;
//! println!("URL path at the relay: {:?}", connection.welcome().path);
//! # drop(relay);
//! connection.serve(|request| http::Response::new(Body::from(request.uri().path())))?;
//! # Ok::<(), rdv::socket::Error>(())
//! ```
//!
//! # An API at the accepting end
//!
//! ```
//! use rdv::socket::{Body, SocketClient, SocketServer};
//!
//! let server = SocketServer::builder()
//!     .serving(|_, request| http::Response::new(Body::from(request.uri().path())))
//!     .bind("127.0.0.1:0")?;
//! let url = format!("ws://{}", server.local_addr());
//! let connection = SocketClient::new(&url)?.connect()?;
//! let response = connection.round_trip(http::Request::get("/hello").body(())?)?;
//! assert_eq!(response.into_body().into_bytes(100)?, b"/hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/api_at_client.rs` and `examples/api_at_server.rs` are complete programs.

mod accepting;
mod body;
mod body_pump;
pub mod call;
mod cancellation;
mod client;
mod connecting;
mod connection;
mod error;
mod events;
pub mod expose;
mod heads;
mod hop;
mod incoming;
mod link;
mod pings;
mod pump;
mod relay;
mod requests;
mod sending;
mod server;
mod serving;
mod spelling;
mod state;
mod stop;

pub use crate::mux::frame::CancelReason;
pub use crate::mux::handshake::{Dialect, Welcome};
pub use body::Body;
pub use cancellation::{Cancellation, OnCancel};
pub use client::SocketClient;
pub use connection::SocketConnection;
pub use error::Error;
pub use events::{ConnectionEvent, EventKind};
pub use server::{ServerBuilder, SocketServer};
pub use stop::Stop;

use std::time::Duration;

/// Default heartbeat timeout: how long the peer may be silent. It is pinged after half of this.
const HEARTBEAT: Duration = Duration::from_secs(20);
