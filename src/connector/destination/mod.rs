//! Sends records to a server, each as one POST. Guarantees: a record is acknowledged only after the
//! server confirmed it (or it is in the dead-letter file); records of one key arrive in order, and
//! none after one that failed; memory stays flat, however large or many the records are.
//!
//! [`Destination`] is the library. Each record is sent with its position as `Idempotency-Key`,
//! which is the same in all attempts, so that a server can recognize duplicates.
//!
//! ```
//! use rdv::connector::Destination;
//! use rdv::connector::destination::DestinationOptions;
//! use rdv::connector::record::{Data, Record};
//! # use rdv::connector::source::{Source, SourceSettings};
//! # let mut settings = SourceSettings::default();
//! # settings.port = 0;
//! # let mut source = Source::open(settings)?;
//! # let url = format!("http://{}/in", source.addresses()[0]);
//! # let server = std::thread::spawn(move || {
//! #     let record = source.read().unwrap().expect("a record");
//! #     source.ack(&record).unwrap();
//! #     record
//! # });
//!
//! let mut options = DestinationOptions::default();
//! options.client.add_field("Authorization", "Bearer abc")?;
//! let mut destination = Destination::open(&url, options)?;
//! let line = br#"{"position":"cA==","operation":"create","payload":{"after":"Zm9v"}}"#;
//! destination.write(&Record::parse(line)?)?;
//! destination.teardown();
//! # assert_eq!(server.join().unwrap().payload.after, Some(Data::Raw(b"foo".to_vec())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/destination.rs` is a complete program.

mod acks;
mod byte_budget;
mod command;
mod dead_letters;
mod delivery;
mod http_sender;
mod input;
mod options;
mod outgoing_request;
mod retry;
mod stopping;
mod via_relay;
mod workers;

pub use crate::client::Backoff;
pub use command::DestinationCommand;
pub use dead_letters::{ATTEMPTS, ERROR, STATUS};
pub use delivery::NotDelivered;
pub use options::{BodyKind, DestinationOptions};
pub use outgoing_request::CONTENT_TYPE;

use self::delivery::{AttemptError, CancelFlag, Transport};
use self::http_sender::HttpSender;
use crate::client::Url;
use crate::client::commands::Failure;
use crate::connector::record::{Incoming, Record};
use std::sync::Arc;

/// A server that accepts records.
#[derive(Debug)]
pub struct Destination {
    way: Transport,
    options: DestinationOptions,
    halt: CancelFlag,
}

impl Destination {
    /// Connects to a server. Checks that it is reachable, unless disabled in the options.
    ///
    /// # Errors
    /// Returns an error if the URL is invalid, the authorities or proxies are unusable, the server
    /// cannot be reached ([`Exit::Network`](crate::client::commands::Exit::Network)) or it responds
    /// with 5xx ([`Exit::Refused`](crate::client::commands::Exit::Refused)).
    pub fn open(url: &str, options: DestinationOptions) -> Result<Self, Failure> {
        let url: Url = url.parse()?;
        let mut sender = HttpSender::new(url, Arc::new(options.clone()))?;
        if options.ping {
            sender.ping().map_err(|miss| not_there(&miss))?;
        }
        Ok(Self { way: Transport::Server(Box::new(sender)), options, halt: CancelFlag::default() })
    }

    /// Sends a record, with the configured retries and pauses, and returns when the server has it.
    ///
    /// # Errors
    /// Returns an error if the record was given up.
    pub fn write(&mut self, record: &Record) -> Result<(), NotDelivered> {
        self.way.deliver(record, None, &self.options, &self.halt)
    }

    /// Like [`Destination::write`], for a record that was read, whose content may be too large for
    /// memory.
    ///
    /// # Errors
    /// Returns an error if the record was given up.
    pub fn write_incoming(&mut self, incoming: &Incoming) -> Result<(), NotDelivered> {
        let spilled = incoming.spilled.as_ref();
        self.way.deliver(&incoming.record, spilled, &self.options, &self.halt)
    }

    /// Closes the connection.
    pub fn teardown(self) {
        drop(self);
    }
}

fn not_there(miss: &AttemptError) -> Failure {
    Failure::new(miss.exit, format!("the destination is not available: {}", miss.why))
}
