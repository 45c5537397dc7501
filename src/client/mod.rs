//! Clients of HTTP servers, of the relay among them: the command line's, and a library. Its promise:
//! both directions of a connection are looked at all the time, so an answer that comes early is
//! returned while the request is still being sent, and nobody waits for a server that has stopped
//! reading; what breaks off never looks whole, on either side; and however much passes, a few hundred
//! KiB of it are in memory.
//!
//! Threads of the caller block; there is no runtime. Redirections are not followed, and every request
//! has a connection of its own. Proxies are those of the environment. A process whose `SIGPIPE` is
//! not ignored, as Rust's runtime has it from the start, is ended by a server that goes away.
//!
//! | file | act |
//! |---|---|
//! | `url.rs`, `proxy.rs`, `options.rs` | where to, by which way, how patiently |
//! | `dial.rs`, `tls.rs`, `wire.rs` | making a connection; bytes in and out of it without blocking; the waits |
//! | `connection.rs` | one request on one connection: sending, and noticing what comes meanwhile |
//! | `outgoing.rs` | a request's head and body, framed: from memory, from a file by sendfile(2), from a pipe by splice(2) |
//! | `response.rs`, `copy_to_file.rs` | what is answered, and its body into a file or a pipe |
//! | `part.rs`, `upload.rs` | the library: forms |
//! | `single.rs` | one request with one large body |
//! | `relay.rs` | streams of a relay: made, asked about, followed, ended |
//! | `file_name.rs`, `output.rs`, `archive/` | names made safe; files that are not there before they are whole; directories |
//! | `commands/` | `rdv send`, `receive`, `pipe`, `status`, `cancel`, `post`; exit statuses, progress, interruption |
//! | `ctl.rs`, `exchange.rs` | `rdv ctl` |
//!
//! # Files to a server
//!
//! [`Upload`] sends a form (`multipart/form-data`, RFC 7578). A [`Part`] is a path, an open file, a
//! pipe, or any reader; files and pipes are sent by the kernel where there is no TLS.
//!
//! ```no_run
//! use rdv::client::{Part, Upload};
//!
//! let mut upload = Upload::new("POST", "https://files.example/in")?;
//! let response = upload.send_all(vec![
//!     Part::path("report.pdf")?.content_type("application/pdf"),
//!     Part::from("a,b\n1,2\n".as_bytes()).file_name("a.csv").size_bytes(8),
//! ])?;
//! assert!(response.is_success() && !response.is_early());
//! # Ok::<(), rdv::client::Error>(())
//! ```
//!
//! # One file after the other, as they come to be
//!
//! [`Upload::send_unclose`] leaves the request open. Its error says at once when the server has
//! answered already.
//!
//! ```no_run
//! use rdv::client::{Error, Upload};
//!
//! let mut upload = Upload::new("POST", "http://files.example/in")?.field_name("frames");
//! for frame in [[0; 640], [1; 640]] {
//!     match upload.send_unclose(frame.as_slice()) {
//!         Err(Error::Answered(early)) => panic!("refused with {}", early.status()),
//!         other => other?,
//!     }
//! }
//! let response = upload.close()?;
//! # Ok::<(), rdv::client::Error>(())
//! ```
//!
//! # What a program prints, while it runs
//!
//! A pipe that gives nothing keeps no answer from being noticed: [`Part::descriptor`] waits for both.
//!
//! ```no_run
//! use rdv::client::{Part, Upload};
//! use std::os::fd::AsFd as _;
//! use std::process::{Command, Stdio};
//!
//! let mut child = Command::new("journalctl").arg("-f").stdout(Stdio::piped()).spawn()?;
//! let output = child.stdout.take().expect("it is piped");
//! let mut upload = Upload::new("POST", "http://logs.example/in")?;
//! let response = upload.send(Part::descriptor(output.as_fd()).file_name("journal.txt"));
//! child.kill()?;
//! println!("{}", response?.status());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Trust, times and fields
//!
//! [`Options`] are the same for all clients.
//!
//! ```
//! use rdv::client::{Options, Upload};
//! use std::time::Duration;
//!
//! let mut options = Options::default();
//! options.add_field("Authorization", "Bearer abc")?;
//! options.trust_only("/etc/ssl/own-authority.pem");
//! options.set_stall_timeout(Duration::from_secs(30));
//! let upload = Upload::new("PUT", "https://files.example/in")?.with_options(options);
//! # Ok::<(), rdv::client::Error>(())
//! ```
//!
//! `examples/upload.rs` is a whole program.

pub mod archive;
pub(crate) mod clock;
pub mod commands;
mod connection;
mod copy_to_file;
pub mod ctl;
pub(crate) mod dial;
mod error;
mod exchange;
pub mod file_name;
mod human;
mod options;
mod outgoing;
pub mod output;
mod part;
mod proxy;
pub mod relay;
mod response;
#[cfg(feature = "connector")]
pub(crate) mod single;
pub(crate) mod tcp;
pub(crate) mod tls;
mod unfinished;
mod upload;
pub mod url;
pub(crate) mod wire;

pub use ctl::Ctl;
pub use error::Error;
pub use options::Options;
pub use part::Part;
pub use response::{Body, Response};
pub use upload::Upload;
pub use url::Url;

/// What requests name as their sender.
pub(crate) const USER_AGENT: &str = concat!("rdv/", env!("CARGO_PKG_VERSION"));
