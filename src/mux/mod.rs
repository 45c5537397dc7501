//! PURE: HTTP over a WebSocket as data. Bytes go in, messages come out, and what is to be sent lies
//! in a buffer; no socket, no clock, no file. The event loop and the blocking ends drive the same
//! machines, so that both ends of a connection agree on the wire.
//!
//! One randomness is not passed in: the masks of frames that the dialling end sends are drawn by
//! tungstenite itself (RFC 6455, section 5.3: they must not be predictable). Nothing here depends on
//! their value.

pub mod codec;
pub mod frame;
pub mod handshake;
pub mod heartbeat;
pub mod session;
pub mod text;
pub mod upgrade;
