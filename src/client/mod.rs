//! The command-line clients: blocking sockets on the same protocol room.

pub mod archive;
pub mod ctl;
mod exchange;
pub mod file_name;
pub mod output;

pub use ctl::Ctl;
