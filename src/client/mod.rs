//! The command-line clients: blocking sockets on the same protocol room.

pub mod archive;
mod clock;
pub mod commands;
mod connection;
pub mod ctl;
mod dial;
mod error;
mod exchange;
pub mod file_name;
mod options;
mod outgoing;
pub mod output;
mod part;
mod pour;
mod proxy;
pub mod relay;
mod response;
mod tls;
mod upload;
pub mod url;
mod wire;

pub use ctl::Ctl;
pub use error::Error;
pub use options::Options;
pub use part::Part;
pub use response::{Body, Response};
pub use upload::Upload;
pub use url::Url;

/// What requests name as their sender.
const USER_AGENT: &str = concat!("rdv/", env!("CARGO_PKG_VERSION"));
