//! The command-line clients: blocking sockets on the same protocol room.

pub mod ctl;
mod exchange;

pub use ctl::Ctl;
