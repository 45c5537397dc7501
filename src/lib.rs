//! `rdv`: a rendezvous relay. It connects one HTTP upload to one HTTP download, and the kernel
//! moves the bytes from socket to socket.
//!
//! The library's API is [`client`], [`connector`], [`socket`], [`relay`], [`notify`] and [`ops`]; the
//! first three are features, all enabled by default. The other modules are internal and may change at any
//! time.
//!
//! Modules import only from those below them:
//!
//! | module | content |
//! |---|---|
//! | [`connector`] | records: from HTTP requests, and to them |
//! | [`notify`] | notifications about ended streams, from a thread |
//! | [`socket`] | HTTP over a WebSocket, for programs at both ends: blocking sockets |
//! | [`client`] | HTTP client and commands of sender and receiver: blocking sockets |
//! | [`relay`] | the event loop: the only module with mio and socket2 |
//! | `web` | pure: pages for browsers |
//! | [`ops`] | settings, logs, metrics, help, service manager |
//! | `api` | pure: routes, errors, JSON of requests and responses |
//! | `splice` | bytes between sockets, through pipes or user memory |
//! | `rendezvous` | pure: streams, their states, and the next step of a transfer |
//! | `mux` | pure: HTTP over a WebSocket, as data |
//! | `http` | pure: parsing and writing, RFC 9110 and 9112 |

#[doc(hidden)]
pub mod api;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "connector")]
pub mod connector;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod mux;
#[cfg(feature = "client")]
pub mod notify;
pub mod ops;
pub mod relay;
#[doc(hidden)]
pub mod rendezvous;
#[cfg(feature = "socket")]
pub mod socket;
#[doc(hidden)]
pub mod splice;
#[doc(hidden)]
pub mod web;
