//! PURE: HTTP over a WebSocket as data. Bytes go in, messages come out, and output collects in a
//! buffer; no socket, no clock, no file. The event loop and the blocking ends drive the same state
//! machines, so that both ends of a connection agree on the wire format.
//!
//! One source of randomness is not passed in: tungstenite draws the masks of frames that the
//! dialling end sends (RFC 6455, section 5.3: they must not be predictable). Nothing here depends
//! on their value.
//!
//! | file | act |
//! |---|---|
//! | `upgrade.rs`, `codec/` | HTTP becomes a WebSocket; frames to messages and back |
//! | `handshake.rs`, `frame.rs`, `text.rs` | messages: handshake, `rdv.socket.v1`, text dialect |
//! | `session/` | the state of one connection: bytes in, events out, bytes to be sent |
//! | `heartbeat.rs` | whether the other end is alive |

pub mod codec;
pub mod frame;
pub mod handshake;
pub mod heartbeat;
pub mod session;
pub mod text;
pub mod upgrade;
