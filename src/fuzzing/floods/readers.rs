//! Clients that send without end what the relay has to understand.

use super::super::checked_registry::START;
use super::super::choices::Choices;
use super::Flooder;
use super::clock::Clock;
use super::input::Input;
use crate::http::answer_reader::AnswerReader;
use crate::http::framing::Framing;
use crate::mux::codec::{Codec, Endpoint};
use crate::mux::frame::HEAD_MAX_BYTES;
use crate::mux::handshake::{self, Dialect, Metadata, Welcome};
use crate::mux::session::Session;
use crate::relay::{FrameBudget, HEAD_READ_BYTES, JsonBody};
use memchr::{memchr_iter, memmem};
use std::time::Duration;
use uuid::Uuid;

/// The limit on JSON bodies by default.
pub(super) const JSON_MAX: usize = 64 << 10;

/// Most bytes of frames that wait to be processed: one read.
const FRAMES_MAX: usize = 64 << 10;

/// A tunnel, from which the head of an answer is read.
pub(super) struct Tunnel {
    input: Input,
    reader: AnswerReader,
    received: Vec<u8>,
    /// Whether there is a tunnel, with a call.
    is_open: bool,
    progress: usize,
}

impl Tunnel {
    pub(super) fn new(input: Input) -> Self {
        let (reader, received) = (AnswerReader::default(), Vec::new());
        Self { input, reader, received, is_open: true, progress: 0 }
    }

    /// Parses what was received; whether it may go on.
    fn parse(&mut self, clock: &mut Clock) -> bool {
        clock.copied(self.received.len());
        if !self.reader.is_worth_parsing(&self.received) {
            assert_eq!(self.reader.take(&mut self.received), Ok(None), "nothing is parsed");
            return true;
        }
        let bytes = self.received.clone();
        let taken = self.reader.take(&mut self.received);
        // After an error nothing more is parsed.
        let rest = if taken.is_ok() { 0 } else { self.received.len() };
        let parsed = &bytes[..bytes.len() - rest];
        let heads = memmem::find_iter(parsed, "\r\n\r\n").count();
        clock.heads(1 + heads, memchr_iter(b'\n', parsed).count(), parsed.len());
        match taken {
            Ok(None) => true,
            Ok(Some(answer)) => panic!("{answer:?} is not an interim head"),
            Err(_) => false,
        }
    }
}

impl Flooder for Tunnel {
    fn turn(&mut self, share: usize, clock: &mut Clock, choices: &mut Choices<'_>) -> bool {
        if !self.is_open {
            // Others are accepted before it.
            self.progress += 1;
            self.is_open = clock.accept() && clock.accept();
            return false;
        }
        self.input.arrive(choices);
        let mut budget = share;
        while budget > 0 {
            let bytes = self.input.read(HEAD_READ_BYTES);
            let count = bytes.len();
            if count == 0 {
                return false;
            }
            self.received.extend_from_slice(bytes);
            clock.read(count);
            self.progress += count;
            budget = budget.saturating_sub(count);
            if !self.parse(clock) {
                // The call is answered; the agent brings another tunnel, and is called again.
                clock.request();
                self.input.restart();
                (self.reader, self.received) = (AnswerReader::default(), Vec::new());
                self.is_open = false;
                return false;
            }
        }
        true
    }

    fn progress(&self) -> usize {
        self.progress
    }

    fn held_bytes(&self) -> usize {
        self.received.len()
    }

    fn held_max(&self) -> usize {
        HEAD_MAX_BYTES + HEAD_READ_BYTES
    }
}

/// An agent that sends frames, and reads the pongs.
pub(super) struct Agent {
    input: Input,
    session: Session,
    frames: usize,
}

impl Agent {
    pub(super) fn new(input: Input) -> Self {
        Self { input, session: open_session(), frames: 0 }
    }
}

impl Flooder for Agent {
    fn turn(&mut self, share: usize, clock: &mut Clock, choices: &mut Choices<'_>) -> bool {
        self.input.arrive(choices);
        let mut budget = FrameBudget::of(share);
        while !budget.is_spent() {
            if self.session.has_more() {
                // What is left is copied.
                clock.copied(self.session.input_bytes());
                budget.resume(&mut self.session);
            } else {
                let bytes = self.input.read(budget.read_bytes());
                if bytes.is_empty() {
                    return false;
                }
                clock.read(2 * bytes.len());
                budget.receive(&mut self.session, bytes, *START);
            }
            let pongs = self.session.output();
            if !pongs.is_empty() {
                clock.write(pongs.len());
                pongs.clear();
            }
            clock.frames(self.session.frames());
            self.frames += self.session.frames() as usize;
            assert!(!self.session.has_events(), "{:?}", self.session.next_event());
        }
        true
    }

    fn progress(&self) -> usize {
        self.frames
    }

    fn held_bytes(&self) -> usize {
        self.session.input_bytes()
    }

    fn held_max(&self) -> usize {
        FRAMES_MAX
    }
}

/// Returns the relay's end of a session that is open.
pub(super) fn open_session() -> Session {
    let mut session = Session::accepted(Dialect::V1, Duration::from_secs(20), *START);
    let mut peer = Codec::new(Endpoint::Dialled, usize::MAX);
    peer.text(&handshake::write_metadata(&Metadata::default()));
    session.received(&std::mem::take(peer.output()), *START);
    session.welcome(&Welcome { connection: Uuid::nil(), path: None, tunnel_secret: None });
    peer.text(&handshake::write_ack());
    session.received(&std::mem::take(peer.output()), *START);
    while session.next_event().is_some() {}
    session.output().clear();
    session
}

/// A client that sends JSON bodies, one after the other.
pub(super) struct Json {
    input: Input,
    framing: Framing,
    body: JsonBody,
    /// Whether the request was accepted.
    is_open: bool,
    progress: usize,
}

impl Json {
    pub(super) fn new(framing: Framing, input: Input) -> Self {
        Self { input, framing, body: JsonBody::new(framing), is_open: true, progress: 0 }
    }
}

impl Flooder for Json {
    fn turn(&mut self, share: usize, clock: &mut Clock, choices: &mut Choices<'_>) -> bool {
        if !self.is_open {
            // Others are accepted before it.
            self.progress += 1;
            self.is_open = clock.accept();
            return false;
        }
        self.input.arrive(choices);
        let mut budget = share;
        while budget > 0 {
            let bytes = self.input.read(JsonBody::read_bytes(share));
            if bytes.is_empty() {
                return false;
            }
            clock.read(bytes.len());
            budget = budget.saturating_sub(bytes.len());
            self.progress += bytes.len();
            let before = self.body.received_bytes();
            let taken = self.body.take(bytes, JSON_MAX);
            clock.copied(bytes.len());
            if self.framing == Framing::Chunked {
                // Each chunk has one byte.
                clock.chunks(self.body.received_bytes() - before);
            }
            if taken.is_err() || self.body.is_over() {
                // It is refused, and another request follows on another connection.
                clock.request();
                self.input.restart();
                (self.body, self.is_open) = (JsonBody::new(self.framing), false);
                return false;
            }
        }
        true
    }

    fn progress(&self) -> usize {
        self.progress
    }

    fn held_bytes(&self) -> usize {
        self.body.received_bytes()
    }

    fn held_max(&self) -> usize {
        JSON_MAX
    }
}
