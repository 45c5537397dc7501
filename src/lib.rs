//! `rdv`: a rendezvous relay. One HTTP upload meets one HTTP download, and the kernel moves the
//! bytes from socket to socket.
//!
//! The rooms of the house, each importing only from rooms below it:
//!
//! | room | promise |
//! |---|---|
//! | [`connector`] | records: from HTTP requests, and to them |
//! | [`socket`] | HTTP over a WebSocket, both ends: blocking sockets, for programs |
//! | [`client`] | the command-line clients: blocking sockets |
//! | [`relay`] | the event loop: the only room that knows mio and socket2 |
//! | [`ops`] | how the relay is run: its settings, what it counts, and what a service manager is told |
//! | [`api`] | PURE: what requests mean, and how answers are worded |
//! | [`splice`] | bytes between sockets, through pipes or user memory |
//! | [`rendezvous`] | PURE: who meets whom, and what to do next with their bytes |
//! | [`mux`] | PURE: HTTP over a WebSocket, as data |
//! | [`http`] | PURE: bytes to values and back, RFC 9110 and 9112 |

pub mod api;
pub mod client;
pub mod connector;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod http;
pub mod mux;
pub mod ops;
pub mod relay;
pub mod rendezvous;
pub mod socket;
pub mod splice;
