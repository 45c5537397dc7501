//! The state of one connection, the same at both ends: bytes in, events out, and bytes to send. The
//! dialling and the accepting end differ only in the handshake; both may send requests and
//! responses.
//!
//! Nothing here reads, writes or waits: the caller passes in received bytes ([`Session::received`])
//! with the time, sends [`Session::output`], and calls [`Session::tick`] at
//! [`Session::next_deadline`].

mod event;
mod exchange;
mod exchanging;
mod heads;
mod opening;
mod queue;
mod recv_frames;
mod recv_text;
mod send;

#[cfg(test)]
mod tests;

pub use event::{Cancelled, Closed, Event, close};
pub use exchange::WINDOW_BYTES;
pub use heads::head_too_large;
pub use opening::{HANDSHAKE_TIME, INTRODUCTION_TIME};

use super::codec::{Codec, Endpoint, Message};
use super::frame::{self, Frame};
use super::handshake::{self, Dialect, Metadata};
use super::heartbeat::{Heartbeat, HeartbeatAction};
use super::text::Reader;
use exchange::Exchange;
use queue::Queue;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tungstenite::Bytes;

/// Maximum size of a request in the text dialect, including the body: it is sent as one message.
pub const TEXT_MAX_BYTES: usize = 1 << 20;

/// Unused bytes of a body from which nothing more is read in the text dialect.
const TEXT_BUFFER_BYTES: u64 = 64 << 10;

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionState {
    /// Waiting for the metadata.
    AwaitsMetadata,
    /// Waiting for the caller's decision on the metadata.
    Introduced,
    /// Waiting for the welcome.
    AwaitsWelcome,
    /// Waiting for the acknowledgement of the welcome.
    AwaitsAck,
    Open,
    Closed,
}

/// One WebSocket connection.
#[derive(Debug)]
pub struct Session {
    end: Endpoint,
    codec: Codec,
    dialect: Dialect,
    state: SessionState,
    heartbeat: Heartbeat,
    begun_at: Instant,
    ping_data: Vec<u8>,
    reports_pings: bool,
    /// The number of the next exchange begun here.
    next_ours: u32,
    /// The lowest valid number for the next exchange begun by the peer.
    next_theirs: u32,
    exchanges: BTreeMap<u32, Exchange>,
    exchanges_max: usize,
    /// The text dialect: the exchange of incoming body bytes; `None` if unknown.
    reading: Option<u32>,
    reader: Reader,
    /// The text dialect: requests of ours that wait for their turn, and the one that has it.
    queue: Queue,
    /// The text dialect: exchanges with something to send; the first one has its turn.
    senders: VecDeque<u32>,
    events: VecDeque<Event>,
    /// The connection ends without a close frame, so that the peer connects again.
    cuts: bool,
    /// Whether a response of ours was sent.
    has_responded: bool,
}

impl Session {
    /// Creates the accepting end, after the upgrade response.
    pub fn accepted(dialect: Dialect, silence_max: Duration, now: Instant) -> Self {
        Self::new(Endpoint::Accepted, dialect, silence_max, now)
    }

    /// Creates the dialling end, after the upgrade response: it sends its metadata.
    pub fn dialled(
        dialect: Dialect,
        metadata: &Metadata,
        silence_max: Duration,
        now: Instant,
    ) -> Self {
        let mut session = Self::new(Endpoint::Dialled, dialect, silence_max, now);
        session.codec.text(&handshake::write_metadata(metadata));
        session
    }

    fn new(end: Endpoint, dialect: Dialect, silence_max: Duration, now: Instant) -> Self {
        let message_max = match dialect {
            Dialect::Text => TEXT_MAX_BYTES + frame::HEAD_MAX_BYTES,
            Dialect::V1 => frame::MESSAGE_MAX_BYTES,
        };
        let (state, next_ours, next_theirs) = match end {
            Endpoint::Dialled => (SessionState::AwaitsWelcome, 1, 2),
            Endpoint::Accepted => (SessionState::AwaitsMetadata, 2, 1),
        };
        Self {
            end,
            codec: Codec::new(end, message_max),
            dialect,
            state,
            heartbeat: Heartbeat::new(silence_max, now),
            begun_at: now,
            ping_data: Vec::new(),
            reports_pings: false,
            next_ours,
            next_theirs,
            exchanges: BTreeMap::new(),
            exchanges_max: usize::MAX,
            reading: None,
            reader: Reader::default(),
            queue: Queue::default(),
            senders: VecDeque::new(),
            events: VecDeque::new(),
            cuts: false,
            has_responded: false,
        }
    }

    /// Limits the peer's concurrent exchanges; further ones are cancelled at once
    /// ([`CancelReason::Busy`](frame::CancelReason::Busy)). The text dialect answers as many again
    /// with 503, and ends the connection of a peer that sends still more without reading the
    /// responses.
    #[must_use]
    pub fn at_most(mut self, exchanges: usize) -> Self {
        self.exchanges_max = exchanges;
        self
    }

    /// Limits the frames that [`Session::received`] and each [`Session::resume`] process: a small
    /// read may hold thousands of empty ones.
    pub fn in_turns_of(&mut self, frames: u32) {
        self.codec.in_turns_of(frames);
    }

    /// Sets the payload of pings, at most 125 bytes (RFC 6455, section 5.5).
    #[must_use]
    pub fn with_ping_data(mut self, data: &[u8]) -> Self {
        self.ping_data = data[..data.len().min(125)].to_vec();
        self
    }

    /// Reports received pings and pongs as events.
    #[must_use]
    pub fn reporting_pings(mut self) -> Self {
        self.reports_pings = true;
        self
    }

    /// Returns the dialect of the messages.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the handshake is complete and the connection has not ended.
    pub fn is_open(&self) -> bool {
        self.state == SessionState::Open
    }

    /// Whether requests can be sent. They follow the welcome, so the peer reads them once it is
    /// welcomed; other clients may use it before its acknowledgement arrives.
    pub fn takes_requests(&self) -> bool {
        matches!(self.state, SessionState::Open | SessionState::AwaitsAck)
    }

    /// Whether the connection has ended: only the output remains to be sent.
    pub fn is_closed(&self) -> bool {
        self.state == SessionState::Closed
    }

    /// Returns when data was last received from the peer.
    pub fn last_received_at(&self) -> Instant {
        self.heartbeat.last_received_at()
    }

    /// Returns the number of active exchanges.
    pub fn exchanges(&self) -> usize {
        self.exchanges.values().filter(|one| !one.abandoned).count()
    }

    /// Returns the bytes to send; the caller takes them out.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.codec.output()
    }

    /// Whether more input is wanted. In the text dialect this is the only flow control.
    pub fn wants_input(&self) -> bool {
        self.hold_up().is_none()
    }

    /// Returns the exchange that blocks the text dialect with its unused bytes, if any.
    pub fn hold_up(&self) -> Option<u32> {
        let mut all = self.exchanges.iter();
        all.find(|(_, one)| one.incoming.unused >= TEXT_BUFFER_BYTES)
            .map(|(number, _)| *number)
            .filter(|_| self.dialect == Dialect::Text)
    }

    /// Processes bytes from the peer.
    pub fn received(&mut self, bytes: &[u8], now: Instant) {
        if self.state == SessionState::Closed {
            return;
        }
        self.heartbeat.received(now);
        self.codec.received(bytes);
        self.take_all();
    }

    /// Whether unprocessed bytes remain because of the frame limit: call [`Session::resume`] before
    /// more is received.
    pub fn has_more(&self) -> bool {
        self.state != SessionState::Closed && self.codec.has_more()
    }

    /// Returns how many frames the last [`Session::received`] or [`Session::resume`] processed.
    pub fn frames(&self) -> u32 {
        self.codec.frames()
    }

    /// Continues with the bytes already received.
    pub fn resume(&mut self) {
        self.codec.resume();
        self.take_all();
    }

    fn take_all(&mut self) {
        while self.state != SessionState::Closed
            && let Some(message) = self.codec.next()
        {
            self.take(message);
        }
        if self.state != SessionState::Closed
            && let Some(broken) = self.codec.protocol_error()
        {
            let what = broken.what.clone();
            self.end(Closed::Broken(what));
        }
    }

    /// Ends the session because the peer's connection ended.
    pub fn eof(&mut self) {
        self.codec.eof();
        self.end(Closed::Lost);
    }

    /// Whether events are queued.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Returns the next event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Signals the peer to send no new requests.
    pub fn drain(&mut self) {
        if self.state == SessionState::Open && self.dialect == Dialect::V1 {
            self.put(&Frame::Drain);
        }
    }

    /// Closes the connection; see [`close`](mod@close) for codes. A peer of the text dialect that
    /// is to connect again is sent no close frame: it may take any for a final one.
    pub fn close(&mut self, code: u16, reason: &str) {
        if self.state == SessionState::Closed {
            return;
        }
        if self.dialect == Dialect::Text && matches!(code, close::GOING_AWAY | close::FAILED) {
            self.cuts = true;
        } else {
            self.codec.close(code, reason);
        }
        self.end(Closed::Here);
    }

    /// Whether the connection is to end with a reset, once closed: a peer of the text dialect may
    /// notice only that it cannot send any more.
    pub fn ends_with_reset(&self) -> bool {
        self.cuts
    }

    /// Whether the peer may still have to receive a response of ours: a reset would discard it.
    pub fn has_responded(&self) -> bool {
        self.has_responded
    }

    /// Acts on timeouts up to `now`.
    pub fn tick(&mut self, now: Instant) {
        if self.is_open() && self.is_blocked(now) {
            self.close(close::GOING_AWAY, "a response that nothing waits for does not end");
        }
        match self.state {
            SessionState::Closed => {}
            SessionState::Open => match self.heartbeat.judge(now) {
                HeartbeatAction::Well => {}
                HeartbeatAction::Ask => self.codec.ping(&self.ping_data),
                HeartbeatAction::Dead => {
                    self.cuts = self.dialect == Dialect::Text;
                    self.end(Closed::Silent);
                }
            },
            SessionState::AwaitsMetadata
            | SessionState::Introduced
            | SessionState::AwaitsWelcome
            | SessionState::AwaitsAck => {
                if now >= self.begun_at + self.handshake_time() {
                    self.codec.close(close::POLICY, "the handshake took too long");
                    self.end(Closed::Silent);
                }
            }
        }
    }

    /// Resets the silence timer: the peer was not read because it was blocked, so it was not
    /// silent.
    pub fn was_held_up(&mut self, now: Instant) {
        self.heartbeat.received(now);
    }

    /// Returns when to [`tick`](Self::tick) next.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            SessionState::Closed => None,
            SessionState::Open => Some(
                self.blocked_until()
                    .map_or(self.heartbeat.next(), |at| at.min(self.heartbeat.next())),
            ),
            SessionState::AwaitsMetadata
            | SessionState::Introduced
            | SessionState::AwaitsWelcome
            | SessionState::AwaitsAck => Some(self.begun_at + self.handshake_time()),
        }
    }

    /// Returns the capacity for bytes that were not processed, in bytes.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn input_bytes(&self) -> usize {
        self.codec.input_bytes()
    }

    fn end(&mut self, how: Closed) {
        if self.state == SessionState::Closed {
            return;
        }
        self.state = SessionState::Closed;
        self.exchanges.clear();
        self.queue = Queue::default();
        self.senders.clear();
        self.events.push_back(Event::Closed(how));
    }

    fn fail_protocol(&mut self, what: &str) {
        self.codec.close(close::PROTOCOL, what);
        self.end(Closed::Broken(what.to_owned()));
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Ping(payload) if self.reports_pings => {
                self.events.push_back(Event::Ping(payload));
            }
            Message::Pong(payload) if self.reports_pings => {
                self.events.push_back(Event::Pong(payload));
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(how) => {
                let (code, reason) = how.unwrap_or((1005, String::new()));
                self.end(Closed::There(code, reason));
            }
            Message::Text(text) => self.take_text(text.as_str()),
            Message::Binary(bytes) => self.take_binary(&bytes),
            Message::Piece { bytes, over } => self.take_http(bytes, over),
        }
    }

    fn take_text(&mut self, text: &str) {
        if self.state == SessionState::Open {
            self.fail_protocol("a text message after the handshake");
        } else {
            self.take_handshake(text);
        }
    }

    fn take_binary(&mut self, bytes: &Bytes) {
        if self.state != SessionState::Open {
            return self.fail_protocol("a binary message within the handshake");
        }
        match Frame::parse(bytes) {
            Ok(frame) => self.take_frame(frame),
            Err(error) => self.fail_protocol(&error.to_string()),
        }
    }
}
