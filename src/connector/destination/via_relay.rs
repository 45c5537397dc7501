//! One attempt: sends a record through a stream of a relay, to the receiver that fetches it.

use super::delivery::AttemptError;
use super::options::DestinationOptions;
use super::outgoing_request::{OutgoingRequest, position_text};
use crate::client::commands::Failure;
use crate::client::credential::{self, RelayToken};
use crate::client::relay::{Answered, CreateOptions, Stream};
use crate::client::{Options, Url};
use crate::ops::stdio;
use serde_json::json;
use std::time::Duration;

/// Sends records through a relay.
#[derive(Clone, Debug)]
pub(super) struct ViaRelay {
    place: RelayPhase,
    options: Options,
}

#[derive(Clone, Debug)]
enum RelayPhase {
    /// Creates a stream there for each record.
    Relay(Url),
    /// One stream, for one record.
    Stream(Box<Stream>),
}

impl ViaRelay {
    pub(super) fn new(url: &Url, options: &DestinationOptions) -> Result<Self, Failure> {
        let mut client = options.client.clone();
        client.token = credential::token(None)?.map(|token| RelayToken::new(token, Some(url)));
        client.set_stall_timeout(options.timeout);
        let place = match Stream::of_url(url, client.clone()) {
            Some(stream) => RelayPhase::Stream(Box::new(stream)),
            None => RelayPhase::Relay(url.clone()),
        };
        Ok(Self { place, options: client })
    }

    /// Whether it accepts only one record.
    pub(super) fn is_for_one(&self) -> bool {
        matches!(self.place, RelayPhase::Stream(_))
    }

    /// Uploads a record. It is delivered when the relay reports that the receiver has all of it.
    pub(super) fn deliver(
        &self,
        parcel: &OutgoingRequest<'_>,
        position: &[u8],
    ) -> Result<(), AttemptError> {
        let stream = match &self.place {
            RelayPhase::Stream(stream) => (**stream).clone(),
            RelayPhase::Relay(relay) => {
                let (stream, _) =
                    settled(Stream::create(relay, &self.options, &create_options(parcel)))?;
                report(&stream, position);
                stream
            }
        };
        // A stream is used once, so a retry needs another one.
        let is_final = self.is_for_one();
        let again =
            |miss: AttemptError| AttemptError { is_final: is_final || miss.is_final, ..miss };
        let bytes = parcel.content.bytes();
        let part = parcel.content.part().map_err(AttemptError::local)?;
        settled(stream.put(part, bytes, parcel.content_type)).map_err(again)
    }
}

/// A relay passes `Content-Type` from the upload to the download, but not `Content-Encoding`.
fn create_options(parcel: &OutgoingRequest<'_>) -> CreateOptions {
    let encoding = parcel.content_encoding.map(|coding| ("Content-Encoding".into(), coding.into()));
    CreateOptions { download_headers: encoding.into_iter().collect(), ..CreateOptions::default() }
}

/// Prints the URL that serves the record.
fn report(stream: &Stream, position: &[u8]) {
    let line = json!({ "stream": stream.url().to_string(), "position": position_text(position) });
    // A caller that closed standard error knows the stream by other means.
    stdio::error_line(line);
}

fn settled<T>(answered: Answered<T>) -> Result<T, AttemptError> {
    let (status, failure): (_, Failure) = match answered {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(refusal)) => (Some(refusal.status), refusal.into()),
        Err(error) => (None, error.into()),
    };
    // A missing or disconnected receiver does not depend on the record; the next stream may
    // succeed.
    let is_final = match status {
        Some(404 | 429 | 502 | 504) | None => false,
        Some(status) => super::retry::is_final(status),
    };
    let Failure { exit, why } = failure;
    Err(AttemptError { status, exit, why, retry_after: None::<Duration>, is_final })
}
