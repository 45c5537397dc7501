//! Receives one large record through a rendezvous stream: what a client uploads to a relay becomes
//! a record here. It is kept on disk until complete, because a record that was begun cannot be
//! withdrawn.
//!
//! The relay answers the uploader 200 once all bytes were sent to this process; that is before the
//! record is delivered, and cannot be later.

use super::accept_rules::{AcceptRules, JsonParts, Kind};
use super::delivery::{self, Delivery, RecordFeed};
use super::envelope::{Envelope, Payload, TAIL};
use super::line::{Body, LineTail, OutgoingLine};
use super::output::Output;
use super::positions::Positions;
use super::settings::SourceSettings;
use super::worker_handle::{WorkerCommand, WorkerHandle};
use crate::api::{Busy, Failure as Refused};
use crate::client::commands::receive::{broken, judged};
use crate::client::commands::{Exit, Failure};
use crate::client::credential::{self, RelayToken};
use crate::client::relay::{CreateOptions, Stream};
use crate::client::{Options, Response, Url};
use crate::connector::spill::SpilledContent;
use crate::ops::stdio;
use crate::rendezvous::Now;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};
use uuid::Uuid;

/// Receives one record through a stream, and delivers it.
///
/// # Errors
/// Why it failed: no uploader connected, the upload was interrupted, or no consumer read it.
pub fn receive(settings: &SourceSettings, relay: &str) -> Result<(), Failure> {
    let rules = settings.rules().map_err(|why| Failure::new(Exit::Usage, why))?;
    let output = super::serve::open_output(settings);
    let output = output.map_err(|error| Failure::new(Exit::Local, error.to_string()))?;
    // Before the stream is joined, which uses it up.
    let spilled = settings.record.spill_space().create().map_err(unkept)?;
    let positions = Positions::after(Uuid::nil());
    let positions = positions.map_err(|error| Failure::local("cannot create a record", error))?;
    let stream = stream(settings, relay)?;
    let response = judged(stream.get()?, Some(&stream))?;
    let created_ms = wall_ms();
    let upload =
        Upload { settings, rules: &rules, stream: &stream, spilled, positions, created_ms };
    let line = upload.into_line(response)?;
    hand_over(settings, output, line)
}

/// Returns the stream of this URL, or creates one at this relay and prints it to standard error.
fn stream(settings: &SourceSettings, relay: &str) -> Result<Stream, Failure> {
    let mut options = Options::default();
    if let Some(cacert) = &settings.relay.cacert {
        options.trust_only(cacert);
    }
    let url: Url = relay.parse()?;
    options.token = credential::token(None)?.map(|token| RelayToken::new(token, Some(&url)));
    if let Some(stream) = Stream::of_url(&url, options.clone()) {
        return Ok(stream);
    }
    let request = CreateOptions { ttl: Some(settings.relay.ttl), ..CreateOptions::default() };
    let (stream, _) = Stream::create(&url, &options, &request)??;
    // It does not matter if standard error is closed.
    stdio::error_line(json!({ "stream": stream.url().to_string() }));
    Ok(stream)
}

/// An upload that becomes a record.
struct Upload<'u> {
    settings: &'u SourceSettings,
    rules: &'u AcceptRules,
    stream: &'u Stream,
    /// The file of a body that is too large for memory.
    spilled: SpilledContent,
    positions: Positions,
    created_ms: i64,
}

impl Upload<'_> {
    fn into_line(mut self, mut response: Response) -> Result<OutgoingLine, Failure> {
        let kind = response.text("Content-Type").map(str::to_owned);
        let encoding = response.text("Content-Encoding").map(str::to_owned);
        let collected = self.collect(&mut response)?;
        let url = self.stream.url();
        let mut envelope = Envelope::at(self.created_ms, encoding.clone());
        if let Some(kind) = &kind {
            envelope.put("rdv.source.content_type", kind);
        }
        envelope.put("rdv.source.method", "PUT");
        envelope.put("rdv.source.path", url.path());
        envelope.put("rdv.source.remote_address", &url.authority());
        let read = Now { monotonic: super::clock::now(), wall_ms: wall_ms() };
        let position = self.positions.next(read.wall_ms);
        let media_type = kind.as_deref().unwrap_or_default().as_bytes();
        let kind = self.rules.kind_of(media_type, encoding.as_deref().unwrap_or_default());
        let (head, rest) = match (collected, kind.map_err(|why| unreadable(&why))?) {
            (None, Kind::Json(_)) => {
                let why = "JSON that has to be looked into must fit into --memory-body";
                return Err(Failure::new(Exit::Refused, why));
            }
            (None, Kind::Raw) => {
                let body = Body::Encoded(Arc::new(self.spilled));
                let head = envelope.opened(position, b"null", read);
                (head, Some(LineTail { body, tail: TAIL }))
            }
            (Some(memory), Kind::Json(coding)) => {
                let parts = self.rules.read_json(&memory, coding);
                let JsonParts { payload, key } = parts.map_err(|why| unreadable(&why))?;
                let key = key.unwrap_or_else(|| b"null".to_vec());
                let payload = payload.as_deref().map_or(Payload::Raw(&memory), Payload::Json);
                (envelope.whole(position, &key, read, payload), None)
            }
            (Some(memory), Kind::Raw) => {
                (envelope.whole(position, b"null", read, Payload::Raw(&memory)), None)
            }
        };
        Ok(OutgoingLine { ticket: None, position, head, rest })
    }

    /// Returns the body, unless it is too large for memory and in the file.
    fn collect(&self, response: &mut Response) -> Result<Option<Vec<u8>>, Failure> {
        let most = self.settings.max_body as u64;
        let mut piece = Vec::new();
        let in_memory = self.settings.record.memory_body as u64;
        let body = response.body();
        let lost = |error: io::Error| broken(Some(self.stream), error);
        body.take(in_memory.min(most).saturating_add(1)).read_to_end(&mut piece).map_err(lost)?;
        if piece.len() as u64 <= in_memory.min(most) {
            return Ok(Some(piece));
        }
        while !piece.is_empty() {
            if self.spilled.bytes() + piece.len() as u64 > most {
                let why = format!("the upload is longer than --max-body ({most} bytes)");
                return Err(Failure::new(Exit::Refused, why));
            }
            self.spilled.append(&piece).map_err(unkept)?;
            piece.clear();
            body.take(256 << 10).read_to_end(&mut piece).map_err(lost)?;
        }
        Ok(None)
    }
}

fn unkept(error: io::Error) -> Failure {
    Failure::local("cannot store a large body", error)
}

fn unreadable(refused: &Refused) -> Failure {
    Failure::new(Exit::Refused, refused.message())
}

/// Delivers the record.
fn hand_over(settings: &SourceSettings, output: Output, line: OutgoingLine) -> Result<(), Failure> {
    let local = |error| Failure::local("cannot deliver records", error);
    let work = Arc::new(WorkerHandle::new().map_err(local)?);
    work.give(WorkerCommand::Finish);
    let outcome = Arc::new(Mutex::new(None));
    let feed = SingleRecord { line: Some(line), outcome: Arc::clone(&outcome) };
    let acking = super::serve::ack_settings(settings, &output);
    let delivery = Delivery::new(feed, work, output, acking);
    delivery::run(&Mutex::new(delivery));
    let outcome = outcome.lock().map(|outcome| *outcome).ok().flatten();
    match outcome {
        Some(Ok(())) => Ok(()),
        Some(Err(busy)) => Err(Failure::new(Exit::OtherSide, busy.message())),
        None => Err(Failure::new(Exit::OtherSide, Busy::ConsumerGone.message())),
    }
}

/// A feed of one record.
#[derive(Debug)]
struct SingleRecord {
    line: Option<OutgoingLine>,
    outcome: Arc<Mutex<Option<Result<(), Busy>>>>,
}

impl SingleRecord {
    fn end_with(&self, outcome: Result<(), Busy>) {
        if let Ok(mut place) = self.outcome.lock() {
            *place = Some(outcome);
        }
    }
}

impl RecordFeed for SingleRecord {
    fn take(&mut self, lines: &mut VecDeque<OutgoingLine>) {
        lines.extend(self.line.take());
    }

    fn created(&mut self, _lines: Vec<OutgoingLine>) {
        self.end_with(Ok(()));
    }

    fn refused(&mut self, _lines: Vec<OutgoingLine>, busy: Busy) {
        self.end_with(Err(busy));
    }

    fn unknown(&mut self, _lines: Vec<OutgoingLine>) {
        self.end_with(Err(Busy::Storage));
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn close(&mut self, _why: Option<Busy>) {
        // There are no other records.
    }

    fn end(&mut self) {
        // It ends anyway.
    }
}

#[allow(clippy::disallowed_methods, reason = "a command that knows no turns")]
fn wall_ms() -> i64 {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
}
