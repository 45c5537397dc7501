//! HTTP over a WebSocket, for programs: both ends, with blocking sockets and threads. Its promise:
//! either end asks and either end answers, many at once; bodies stream, and whoever reads slowly
//! holds up one exchange and no other (in the text dialect: the connection); memory stays bounded;
//! what breaks off never looks whole.
//!
//! [`SocketClient`] dials, [`SocketServer`] accepts, and both make a [`SocketConnection`]. The
//! requests and responses are those of the `http` crate, with a [`Body`].
//!
//! # An API at the end that dialled
//!
//! This is what a service does that nobody can dial: it dials a relay, and serves what comes.
//!
//! ```no_run
//! use rdv::socket::{Body, SocketClient};
//!
//! let client = SocketClient::new("wss://relay.example")?
//!     .with_metadata(serde_json::json!({ "name": "billing" }));
//! let connection = client.connect()?;
//! println!("it is called below {:?}", connection.welcome().path);
//! connection.serve(|request| http::Response::new(Body::from(request.uri().path())))?;
//! # Ok::<(), rdv::socket::Error>(())
//! ```
//!
//! # An API at the end that accepted
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
//! `examples/api_at_client.rs` and `examples/api_at_server.rs` are whole programs.

mod accepting;
mod body;
mod body_pump;
pub mod call;
mod cancellation;
mod client;
mod connecting;
mod connection;
mod credential;
mod error;
mod events;
pub mod expose;
mod heads;
mod hop;
mod incoming;
mod link;
mod pump;
mod relay;
mod requests;
mod sending;
mod server;
mod serving;
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

/// How long the other end may be silent, unless said otherwise; it is asked after half of that.
const HEARTBEAT: Duration = Duration::from_secs(20);
