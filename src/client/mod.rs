//! HTTP clients, for the relay and other servers: the command line and a library. Guarantees: both
//! directions of a connection are polled at all times, so an early response is returned while the
//! request is still being sent, and no client blocks on a server that has stopped reading; a
//! truncated transfer never looks complete, on either side; and memory use is a few hundred KiB for
//! any amount of data.
//!
//! Calls block the calling thread, without an async runtime. Redirects are followed for streams of
//! a relay only, and every request uses its own connection. Proxies are those of the environment. `SIGPIPE` must be
//! ignored, as Rust's runtime does at startup; otherwise a server that disconnects ends the
//! process.
//!
//! | file | act |
//! |---|---|
//! | `url.rs`, `proxy.rs`, `options.rs` | the target, the proxy, timeouts and other options |
//! | `dial.rs`, `tls.rs`, `wire.rs` | connecting; non-blocking reads and writes; waiting |
//! | `connection.rs` | one request on one connection: sending, and noticing an early response |
//! | `outgoing.rs` | a request's head and body, framed: from memory, from a file by sendfile(2), from a pipe by splice(2) |
//! | `response.rs`, `mover.rs`, `copy_to_file.rs` | the response, and moving its body to another connection, a file or a pipe |
//! | `part.rs`, `upload.rs` | the library: form uploads |
//! | `redirect.rs` | where a relay redirects a request to, and what is sent there |
//! | `single.rs` | one request with one large body |
//! | `relay.rs` | streams of a relay: creating, querying, following and ending them |
//! | `file_name.rs`, `output.rs`, `archive/` | safe names; files that appear only once complete; directories |
//! | `commands/` | `rdv send`, `receive`, `pipe`, `status`, `cancel`, `post`; exit statuses, progress, interruption |
//! | `ctl.rs` | `rdv ctl` |
//!
//! # Uploading files
//!
//! [`Upload`] sends a form (`multipart/form-data`, RFC 7578). A [`Part`] is a path, an open file, a
//! pipe, or any reader; files and pipes are sent by the kernel where there is no TLS.
//!
//! ```
//! use rdv::client::{Part, Upload};
//! # use rdv::connector::source::{Source, SourceSettings};
//! # let mut settings = SourceSettings::default();
//! # settings.port = 0;
//! # let mut source = Source::open(settings)?;
//! # let url = format!("http://{}/in", source.addresses()[0]);
//! # let server = std::thread::spawn(move || {
//! #     let record = source.read().unwrap().expect("a record");
//! #     source.ack(&record).unwrap();
//! # });
//!
//! let mut upload = Upload::new("POST", &url)?;
//! let response = upload.send_all(vec![
//!     Part::path("README.md")?.content_type("text/markdown"),
//!     Part::from("a,b\n1,2\n".as_bytes()).file_name("a.csv").size_bytes(8),
//! ])?;
//! assert!(response.is_success() && !response.is_early());
//! # server.join().unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Uploading files as they are produced
//!
//! [`Upload::send_unclose`] leaves the request open. It returns an error as soon as the server
//! has responded.
//!
//! ```
//! use rdv::client::{Error, Upload};
//! # use rdv::connector::source::{Source, SourceSettings};
//! # let mut settings = SourceSettings::default();
//! # settings.port = 0;
//! # let mut source = Source::open(settings)?;
//! # let url = format!("http://{}/in", source.addresses()[0]);
//! # let server = std::thread::spawn(move || {
//! #     let record = source.read().unwrap().expect("a record");
//! #     source.ack(&record).unwrap();
//! # });
//!
//! let mut upload = Upload::new("POST", &url)?.field_name("frames");
//! for frame in [[0; 640], [1; 640]] {
//!     match upload.send_unclose(frame.as_slice()) {
//!         Err(Error::Answered(early)) => panic!("refused with {}", early.status()),
//!         other => other?,
//!     }
//! }
//! let response = upload.close()?;
//! assert_eq!(response.status(), 201);
//! # server.join().unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Uploading the output of a program
//!
//! [`Part::descriptor`] waits for the pipe and for the response, so an idle pipe does not hide an
//! early response.
//!
//! ```
//! use rdv::client::{Part, Upload};
//! use std::os::fd::AsFd as _;
//! use std::process::{Command, Stdio};
//! # use rdv::connector::source::{Source, SourceSettings};
//! # let mut settings = SourceSettings::default();
//! # settings.port = 0;
//! # let mut source = Source::open(settings)?;
//! # let url = format!("http://{}/in", source.addresses()[0]);
//! # let server = std::thread::spawn(move || {
//! #     let record = source.read().unwrap().expect("a record");
//! #     source.ack(&record).unwrap();
//! # });
//!
//! let mut child = Command::new("df").stdout(Stdio::piped()).spawn()?;
//! let output = child.stdout.take().expect("it is piped");
//! let mut upload = Upload::new("POST", &url)?;
//! let response = upload.send(Part::descriptor(output.as_fd()).file_name("disks.txt"));
//! child.wait()?;
//! assert_eq!(response?.status(), 201);
//! # server.join().unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Certificates, timeouts and header fields
//!
//! All clients share the same [`Options`].
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
//! `examples/upload.rs` is a complete program.

pub mod archive;
mod backoff;
pub(crate) mod clock;
pub mod commands;
pub(crate) mod connection;
mod copy_to_file;
pub(crate) mod credential;
pub mod ctl;
pub(crate) mod dial;
mod error;
pub mod file_name;
pub(crate) mod known_length;
pub(crate) mod mover;
mod options;
mod outgoing;
pub mod output;
mod part;
mod proxy;
pub(crate) mod proxy_answer;
pub(crate) mod redirect;
pub mod relay;
mod response;
#[cfg(feature = "connector")]
pub(crate) mod session;
pub(crate) mod single;
pub(crate) mod tcp;
pub(crate) mod tls;
mod unfinished;
mod upload;
pub mod url;
pub(crate) mod wire;

pub use backoff::Backoff;
pub use ctl::Ctl;
pub use error::Error;
pub use options::Options;
pub use part::Part;
pub use response::{Body, Response};
pub use upload::Upload;
pub use url::Url;

/// The product name in requests.
pub(crate) const USER_AGENT: &str = concat!("rdv/", env!("CARGO_PKG_VERSION"));
