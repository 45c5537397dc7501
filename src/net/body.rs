//! Reading a JSON body, and doing what it asks for.

use super::conn::{JsonBody, Phase, Purpose};
use super::relay::Relay;
use super::token::ConnId;
use crate::api::creation::{self, Creation};
use crate::api::{Busy, Failure, report};
use crate::http::body::BodyError;
use crate::rendezvous::Registered;
use crate::splice::copy;
use serde_json::json;
use uuid::Uuid;

/// One read of a JSON body, in bytes.
const READ_BYTES: usize = 16 << 10;

impl Relay {
    /// Takes the part of a JSON body that came with its head; returns how many bytes of it.
    pub(super) fn take_json(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let limit = self.settings.max_json_body;
        let Some(conn) = self.conn(id) else { return 0 };
        let Phase::Json(body) = &mut conn.phase else { return 0 };
        match collect(body, bytes, limit) {
            Ok(used) => {
                if body.decoder.is_over() {
                    let purpose = body.purpose;
                    let collected = std::mem::take(&mut body.collected);
                    self.obey(id, purpose, &collected);
                }
                used
            }
            Err(failure) => {
                self.answer_failure(id, &failure, false);
                bytes.len()
            }
        }
    }

    /// Reads more of a JSON body.
    pub(super) fn read_json_body(&mut self, id: ConnId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(conn) = self.conn(id)
            && conn.readable
            && matches!(conn.phase, Phase::Json(_))
        {
            match copy::read(&conn.socket, &mut scratch[..READ_BYTES]) {
                Ok(copy::Read::Moved(count)) => {
                    let used = self.take_json(id, &scratch[..count]);
                    if let Some(conn) = self.conn(id)
                        && used < count
                    {
                        conn.carry = scratch[used..count].to_vec();
                        self.enqueue(id);
                    }
                }
                Ok(copy::Read::Blocked) => conn.readable = false,
                Ok(copy::Read::Eof) => self.answer_failure(id, &Failure::BodyBroken, true),
                Err(_) => self.close(id),
            }
        }
        self.scratch = scratch;
    }

    fn obey(&mut self, id: ConnId, purpose: Purpose, body: &[u8]) {
        let done = match purpose {
            Purpose::Create => self.create(id, body),
            Purpose::Report(stream) => self.report(id, stream, body),
        };
        if let Err(failure) = done {
            self.answer_failure(id, &failure, true);
        }
    }

    fn create(&mut self, id: ConnId, body: &[u8]) -> Result<(), Failure> {
        let Creation { headers, ttl_s } = creation::parse(body)?;
        if let Some(failure) = self.takes_no_streams() {
            return Err(failure);
        }
        let Some(peer) = self.conn(id).map(|conn| conn.peer) else { return Ok(()) };
        let stream = Uuid::new_v4();
        let made = self.registry.create(stream, headers, peer.ip(), self.now);
        let key = made.map_err(|full| Failure::TooBusy(full.into()))?;
        let granted = ttl_s.map(|seconds| self.settings.granted_ttl(seconds.get()));
        if let Some(ttl) = granted {
            self.registry.wait_until(key, self.now.monotonic + ttl, self.now);
        }
        self.note_created(id, stream);
        self.answer_created(id, stream, granted);
        Ok(())
    }

    fn report(&mut self, id: ConnId, stream: Uuid, body: &[u8]) -> Result<(), Failure> {
        let report = report::parse(body)?;
        match self.registry.report(stream, report.clone(), self.now) {
            Registered::Kept => {}
            Registered::Delivered(client) => {
                let failure = Failure::Reported(Box::new(report));
                self.dismiss(ConnId::from_client(client), &failure);
            }
            Registered::Started => return Err(Failure::StreamStarted),
            Registered::Unknown => return Err(Failure::SessionNotFound),
            Registered::Full => return Err(Failure::TooBusy(Busy::Streams)),
        }
        self.answer_json(id, 200, &json!({}), true);
        Ok(())
    }
}

/// Adds bytes to a body; returns how many were its own.
fn collect(body: &mut JsonBody, bytes: &[u8], limit: usize) -> Result<usize, Failure> {
    let mut pieces = Vec::new();
    let used = body.decoder.received(bytes, &mut pieces).map_err(|error| match error {
        BodyError::Framing(error) => Failure::BadFraming(error),
        BodyError::TooLarge => Failure::BodyTooLarge(limit),
    })?;
    for piece in pieces {
        body.collected.extend_from_slice(&bytes[piece]);
    }
    if body.collected.len() > limit { Err(Failure::BodyTooLarge(limit)) } else { Ok(used) }
}
