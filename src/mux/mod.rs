//! PURE: HTTP over a WebSocket as data. Bytes go in, messages come out, and what is to be sent lies
//! in a buffer; no socket, no clock, no file. The event loop and the blocking ends drive the same
//! machines, so that both ends of a connection agree on the wire.
//!
//! One randomness is not passed in: the masks of frames that the dialling end sends are drawn by
//! tungstenite itself (RFC 6455, section 5.3: they must not be predictable). Nothing here depends on
//! their value.
//!
//! | file | act |
//! |---|---|
//! | `upgrade.rs`, `codec/` | HTTP becomes a WebSocket; frames to messages and back |
//! | `handshake.rs`, `frame.rs`, `text.rs` | the messages: of the handshake, of `rdv.socket.v1`, of the text dialect |
//! | `session/` | the state of one connection: bytes in, events out, bytes to be sent |
//! | `heartbeat.rs` | whether the other end is alive |

pub mod codec;
pub mod frame;
pub mod handshake;
pub mod heartbeat;
pub mod session;
pub mod text;
pub mod upgrade;
