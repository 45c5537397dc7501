//! One connection as both its ends see it: bytes in, events out, and bytes to be sent. Who dialled
//! and who accepted differ in the handshake only; either may ask, and either may answer.
//!
//! Nothing here reads, writes or waits: the caller hands in what came ([`Session::received`]) with
//! the time, sends what is in [`Session::output`], and calls [`Session::tick`] at
//! [`Session::next_deadline`].

mod exchange;
mod speaking;

#[cfg(test)]
mod tests;

pub use exchange::WINDOW_BYTES;

use super::codec::{Codec, End, Message};
use super::frame::{self, Frame, Why};
use super::handshake::{self, Dialect, Metadata, NotExpected, Welcome};
use super::heartbeat::{Heartbeat, Pulse};
use super::text::{Part, Reader};
use exchange::{Exchange, Role};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tungstenite::Bytes;

/// How long the handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_mins(1);

/// The longest request of the text dialect, body included: it goes as one message.
pub const TEXT_MAX_BYTES: usize = 1 << 20;

/// Close codes (RFC 6455, section 7.4.1, and the range for private use).
pub mod close {
    /// All is done.
    pub const NORMAL: u16 = 1000;
    /// This end goes away; another try reaches its successor.
    pub const GOING_AWAY: u16 = 1001;
    /// A message that the protocol does not have.
    pub const PROTOCOL: u16 = 1002;
    /// What was asked for is not allowed; the reason says why.
    pub const POLICY: u16 = 1008;
    /// This end failed.
    pub const FAILED: u16 = 1011;
    /// Another connection has taken over its name.
    pub const REPLACED: u16 = 4001;
    /// The name is somebody else's.
    pub const NAME_TAKEN: u16 = 4009;
}

/// What happened.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// Who dialled says what it is. The answer is [`Session::welcome`] or [`Session::close`].
    Introduced(Metadata),
    /// The handshake is complete; who dialled is told its connection.
    Open(Option<Welcome>),
    /// The other end asks.
    Request {
        /// Names the exchange from now on.
        number: u32,
        /// Request line, fields and empty line.
        head: Bytes,
        /// There is no body.
        over: bool,
    },
    /// The other end answers.
    Response {
        /// Which request.
        number: u32,
        /// Status line, fields and empty line.
        head: Bytes,
        /// There is no body.
        over: bool,
    },
    /// The next bytes of the other end's body. What was made of them is to be told with
    /// [`Session::used`].
    Body {
        /// Of which exchange.
        number: u32,
        /// Without framing.
        bytes: Bytes,
        /// They are the last ones.
        over: bool,
    },
    /// More can be sent of this exchange than before.
    Room(u32),
    /// The exchange is over before its end.
    Cancelled(u32, Cancelled),
    /// The other end wants no new requests.
    Draining,
    /// No more will come, and all exchanges are over. What is in the output may still be sent.
    Closed(Closed),
}

/// Why an exchange ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The other end says so.
    There(Why),
    /// A body is not UTF-8, and the text dialect has nothing else.
    NotText,
    /// A request is longer than [`TEXT_MAX_BYTES`], which the text dialect sends as one message.
    TooLarge,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The other end said so, with this code and reason.
    There(u16, String),
    /// This end said so before.
    Here,
    /// The other end broke the protocol, and was told so.
    Broken(String),
    /// The other end was silent for too long, or did not finish the handshake.
    Silent,
    /// The other end's connection ended without a word.
    Lost,
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The metadata are to come.
    AwaitsMetadata,
    /// The caller decides about them.
    Introduced,
    /// The welcome is to come.
    AwaitsWelcome,
    /// The acknowledgement of the welcome is to come.
    AwaitsAck,
    Open,
    Closed,
}

/// One WebSocket connection.
#[derive(Debug)]
pub struct Session {
    codec: Codec,
    dialect: Dialect,
    state: State,
    heartbeat: Heartbeat,
    begun_at: Instant,
    ping_data: Vec<u8>,
    /// The number of the next exchange that we begin.
    next_ours: u32,
    /// The number of the next exchange that the other end begins, at least.
    next_theirs: u32,
    exchanges: BTreeMap<u32, Exchange>,
    exchanges_max: usize,
    /// The text dialect: what the body bytes that come belong to; `None`: nothing that is known.
    reading: Option<u32>,
    reader: Reader,
    /// The text dialect: who has something to say; the first one speaks.
    speakers: VecDeque<u32>,
    events: VecDeque<Event>,
}

impl Session {
    /// The end that was dialled, after the upgrade was answered.
    pub fn accepted(dialect: Dialect, silence_max: Duration, now: Instant) -> Self {
        Self::new(End::Accepted, dialect, silence_max, now)
    }

    /// The end that dialled, after the upgrade was answered: it says what it is.
    pub fn dialled(
        dialect: Dialect,
        metadata: &Metadata,
        silence_max: Duration,
        now: Instant,
    ) -> Self {
        let mut session = Self::new(End::Dialled, dialect, silence_max, now);
        session.codec.text(&handshake::write_metadata(metadata));
        session
    }

    fn new(end: End, dialect: Dialect, silence_max: Duration, now: Instant) -> Self {
        let message_max = match dialect {
            Dialect::Text => TEXT_MAX_BYTES + frame::HEAD_MAX_BYTES,
            Dialect::V1 => frame::MESSAGE_MAX_BYTES,
        };
        let (state, next_ours, next_theirs) = match end {
            End::Dialled => (State::AwaitsWelcome, 1, 2),
            End::Accepted => (State::AwaitsMetadata, 2, 1),
        };
        Self {
            codec: Codec::new(end, message_max),
            dialect,
            state,
            heartbeat: Heartbeat::new(silence_max, now),
            begun_at: now,
            ping_data: Vec::new(),
            next_ours,
            next_theirs,
            exchanges: BTreeMap::new(),
            exchanges_max: usize::MAX,
            reading: None,
            reader: Reader::default(),
            speakers: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// At most so many exchanges that the other end begins are taken on at once; further ones are
    /// cancelled at once ([`Why::Busy`]).
    #[must_use]
    pub fn at_most(mut self, exchanges: usize) -> Self {
        self.exchanges_max = exchanges;
        self
    }

    /// What pings carry, at most 125 bytes (RFC 6455, section 5.5).
    #[must_use]
    pub fn with_ping_data(mut self, data: &[u8]) -> Self {
        self.ping_data = data[..data.len().min(125)].to_vec();
        self
    }

    /// Which messages it speaks.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the handshake is complete and the end has not come.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether nothing more will come: what is in the output is the rest.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// When something came from the other end last.
    pub fn heard_at(&self) -> Instant {
        self.heartbeat.heard_at()
    }

    /// Exchanges that are going on.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len()
    }

    /// What is to be sent; the caller takes it away.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.codec.output()
    }

    /// Whether more can be taken in. In the text dialect nothing else holds the other end back.
    pub fn wants_input(&self) -> bool {
        self.dialect == Dialect::V1
            || self.exchanges.values().all(|exchange| exchange.incoming.unused < WINDOW_BYTES)
    }

    /// The exchange of which more came than was used up, if the text dialect is held up by one.
    pub fn hold_up(&self) -> Option<u32> {
        let mut all = self.exchanges.iter();
        all.find(|(_, one)| one.incoming.unused >= WINDOW_BYTES)
            .map(|(number, _)| *number)
            .filter(|_| self.dialect == Dialect::Text)
    }

    /// Bytes came from the other end.
    pub fn received(&mut self, bytes: &[u8], now: Instant) {
        self.heartbeat.heard(now);
        self.codec.received(bytes);
        while self.state != State::Closed
            && let Some(message) = self.codec.next()
        {
            self.take(message);
        }
        if self.state != State::Closed
            && let Some(broken) = self.codec.broken()
        {
            let what = broken.what.clone();
            self.end(Closed::Broken(what));
        }
    }

    /// The other end's connection ended.
    pub fn eof(&mut self) {
        self.codec.eof();
        self.end(Closed::Lost);
    }

    /// What happened next.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Welcomes who introduced itself.
    pub fn welcome(&mut self, welcome: &Welcome) {
        if self.state == State::Introduced {
            self.codec.text(&handshake::write_welcome(welcome));
            self.state = State::AwaitsAck;
        }
    }

    /// Asks the other end. `head` is a whole head without `Transfer-Encoding`; with `over` there is
    /// no body. In the text dialect its `X-Correlation-Id` is what the response is known by.
    pub fn request(&mut self, head: &[u8], over: bool) -> Option<u32> {
        if self.state != State::Open {
            return None;
        }
        let number = self.next_ours;
        self.next_ours = number.checked_add(2)?;
        let role = if head.starts_with(b"HEAD ") { Role::AsksForHead } else { Role::Asks };
        self.exchanges.insert(number, Exchange::new(role));
        match self.dialect {
            Dialect::V1 => {
                let head = Bytes::copy_from_slice(head);
                self.put(&Frame::Request { number, head, end: over });
                self.sent(number, over);
            }
            Dialect::Text => self.begin_text_request(number, head, over),
        }
        Some(number)
    }

    /// Answers the other end; as [`request`](Self::request).
    pub fn respond(&mut self, number: u32, head: &[u8], over: bool) {
        if !self.may_respond(number) {
            return;
        }
        match self.dialect {
            Dialect::V1 => {
                let head = Bytes::copy_from_slice(head);
                self.put(&Frame::Response { number, head, end: over });
                self.sent(number, over);
            }
            Dialect::Text => self.text_response(number, head, over.then_some(&[])),
        }
    }

    /// Answers the other end with a short answer at once. The head tells how long the body is, at
    /// most [`frame::DATA_MAX_BYTES`].
    pub fn respond_whole(&mut self, number: u32, head: &[u8], body: &[u8]) {
        match self.dialect {
            Dialect::V1 => {
                self.respond(number, head, false);
                self.send(number, body, true);
            }
            Dialect::Text => {
                if self.may_respond(number) {
                    self.text_response(number, head, Some(body));
                }
            }
        }
    }

    /// Whether the other end asked, and has no answer; from now on it has.
    fn may_respond(&mut self, number: u32) -> bool {
        let exchange = self.exchanges.get_mut(&number).filter(|one| !one.is_ours());
        exchange.is_some_and(|exchange| !std::mem::replace(&mut exchange.answered, true))
    }

    /// How many bytes of a body can be sent now.
    pub fn room(&self, number: u32) -> usize {
        let Some(exchange) = self.exchanges.get(&number).filter(|one| !one.outgoing.over) else {
            return 0;
        };
        match self.dialect {
            Dialect::V1 => exchange.outgoing.room(),
            Dialect::Text => self.text_room(number, exchange),
        }
    }

    /// Whether a request of ours with this correlation id waits for its response. In the text dialect
    /// a second one could get the other's.
    pub fn asks_as(&self, correlation_id: &str) -> bool {
        self.exchanges.values().any(|one| one.correlation.as_deref() == Some(correlation_id))
    }

    /// Whether the exchange is still going on.
    pub fn knows(&self, number: u32) -> bool {
        self.exchanges.get(&number).is_some_and(|one| !one.abandoned)
    }

    /// Sends the next bytes of a body, at most as many as there is [`room`](Self::room) for.
    pub fn send(&mut self, number: u32, bytes: &[u8], over: bool) {
        let Some(exchange) = self.exchanges.get_mut(&number).filter(|one| !one.outgoing.over)
        else {
            return;
        };
        if bytes.is_empty() && !over {
            return;
        }
        match self.dialect {
            Dialect::V1 => {
                exchange.outgoing.sent(bytes.len());
                self.codec.binary(frame::data(number, bytes, over));
                self.sent(number, over);
            }
            Dialect::Text => self.speak(number, bytes, over),
        }
    }

    /// Bytes of the other end's body were used up: as many more may come.
    pub fn used(&mut self, number: u32, bytes: usize) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        let more = exchange.incoming.used(bytes).filter(|_| !exchange.incoming.over);
        if let Some(bytes) = more.filter(|_| self.dialect == Dialect::V1) {
            self.put(&Frame::Window { number, bytes });
        }
    }

    /// Ends an exchange before its end, and forgets it.
    pub fn cancel(&mut self, number: u32, why: Why) {
        if !self.knows(number) {
            return;
        }
        match self.dialect {
            Dialect::V1 => {
                self.exchanges.remove(&number);
                self.put(&Frame::Cancel { number, why });
            }
            Dialect::Text => self.fall_silent(number),
        }
    }

    /// Asks the other end for no new requests.
    pub fn drain(&mut self) {
        if self.state == State::Open && self.dialect == Dialect::V1 {
            self.put(&Frame::Drain);
        }
    }

    /// Ends the connection; see [`close`](mod@close) for codes.
    pub fn close(&mut self, code: u16, reason: &str) {
        if self.state != State::Closed {
            self.codec.close(code, reason);
            self.end(Closed::Here);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        match self.state {
            State::Closed => {}
            State::Open => match self.heartbeat.judge(now) {
                Pulse::Well => {}
                Pulse::Ask => self.codec.ping(&self.ping_data),
                Pulse::Dead => self.end(Closed::Silent),
            },
            State::AwaitsMetadata | State::Introduced | State::AwaitsWelcome | State::AwaitsAck => {
                if now >= self.begun_at + HANDSHAKE_TIME {
                    self.codec.close(close::POLICY, "the handshake took too long");
                    self.end(Closed::Silent);
                }
            }
        }
    }

    /// The other end was not listened to, because it had to wait; that is no silence of its own.
    pub fn was_held_up(&mut self, now: Instant) {
        self.heartbeat.heard(now);
    }

    /// When to [`tick`](Self::tick) next.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Open => Some(self.heartbeat.next()),
            State::AwaitsMetadata | State::Introduced | State::AwaitsWelcome | State::AwaitsAck => {
                Some(self.begun_at + HANDSHAKE_TIME)
            }
        }
    }

    fn put(&mut self, frame: &Frame) {
        self.codec.binary(frame.to_message());
    }

    /// Our part of an exchange went out, all of it if `over`.
    fn sent(&mut self, number: u32, over: bool) {
        if let Some(exchange) = self.exchanges.get_mut(&number).filter(|_| over) {
            exchange.outgoing.over = true;
            self.forget_if_over(number);
        }
    }

    fn forget_if_over(&mut self, number: u32) {
        if self.exchanges.get(&number).is_some_and(Exchange::is_over) {
            self.exchanges.remove(&number);
        }
    }

    fn end(&mut self, how: Closed) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        self.exchanges.clear();
        self.speakers.clear();
        self.events.push_back(Event::Closed(how));
    }

    fn break_off(&mut self, what: &str) {
        self.codec.close(close::PROTOCOL, what);
        self.end(Closed::Broken(what.to_owned()));
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(how) => {
                let (code, reason) = how.unwrap_or((1005, String::new()));
                self.end(Closed::There(code, reason));
            }
            Message::Text(text) => match (self.state, self.dialect) {
                (State::Open, Dialect::Text) => self.take_http(text.as_bytes()),
                (State::Open, Dialect::V1) => self.break_off("a text message after the handshake"),
                _ => self.take_handshake(text.as_ref()),
            },
            Message::Binary(bytes) => match (self.state, self.dialect) {
                (State::Open, Dialect::V1) => match Frame::parse(&bytes) {
                    Ok(frame) => self.take_frame(frame),
                    Err(error) => self.break_off(&error.to_string()),
                },
                (State::Open, Dialect::Text) => self.break_off("not a text message"),
                _ => self.break_off("a binary message within the handshake"),
            },
        }
    }

    fn take_handshake(&mut self, text: &str) {
        if let Err(not_expected) = self.shake_hands(text) {
            self.break_off(not_expected.message());
        }
    }

    fn shake_hands(&mut self, text: &str) -> Result<(), NotExpected> {
        match self.state {
            State::AwaitsMetadata => {
                let metadata = handshake::read_metadata(text)?;
                self.state = State::Introduced;
                self.events.push_back(Event::Introduced(metadata));
            }
            State::AwaitsWelcome => {
                let welcome = handshake::read_welcome(text)?;
                self.codec.text(&handshake::write_ack());
                self.state = State::Open;
                self.events.push_back(Event::Open(Some(welcome)));
            }
            State::AwaitsAck => {
                handshake::read_ack(text)?;
                self.state = State::Open;
                self.events.push_back(Event::Open(None));
            }
            State::Introduced => self.break_off("the handshake was not answered yet"),
            State::Open | State::Closed => {}
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Request { number, head, end } => self.take_request(number, head, end),
            Frame::Response { number, head, end } => self.take_response(number, head, end),
            Frame::Data { number, bytes, end } => self.take_data(number, bytes, end),
            Frame::Window { number, bytes } => {
                let Some(exchange) = self.exchanges.get_mut(&number) else { return };
                match exchange.outgoing.allowed(bytes) {
                    Ok(()) => self.events.push_back(Event::Room(number)),
                    Err(_) => self.break_off("a window that is too large"),
                }
            }
            Frame::Cancel { number, why } => {
                if self.exchanges.remove(&number).is_some() {
                    self.events.push_back(Event::Cancelled(number, Cancelled::There(why)));
                }
            }
            Frame::Drain => self.events.push_back(Event::Draining),
        }
    }

    fn take_request(&mut self, number: u32, head: Bytes, over: bool) {
        if number < self.next_theirs || number % 2 != self.next_theirs % 2 {
            return self.break_off("a request with a number that is not next");
        }
        let Some(next) = number.checked_add(2) else {
            return self.break_off("all numbers are used up");
        };
        self.next_theirs = next;
        let theirs = self.exchanges.values().filter(|one| !one.is_ours()).count();
        if theirs >= self.exchanges_max {
            return self.put(&Frame::Cancel { number, why: Why::Busy });
        }
        let mut exchange = Exchange::new(Role::Answers);
        exchange.incoming.over = over;
        self.exchanges.insert(number, exchange);
        self.events.push_back(Event::Request { number, head, over });
    }

    fn take_response(&mut self, number: u32, head: Bytes, over: bool) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        if !exchange.is_ours() || exchange.answered {
            return self.break_off("a response to no request");
        }
        exchange.answered = true;
        exchange.incoming.over = over;
        if !exchange.abandoned {
            self.events.push_back(Event::Response { number, head, over });
        }
        self.forget_if_over(number);
    }

    fn take_data(&mut self, number: u32, bytes: Bytes, over: bool) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        if exchange.incoming.over || (exchange.is_ours() && !exchange.answered) {
            return self.break_off("body bytes that belong to no body");
        }
        if exchange.incoming.came(bytes.len()).is_err() {
            return self.break_off("more body bytes than the window allows");
        }
        exchange.incoming.over = over;
        self.events.push_back(Event::Body { number, bytes, over });
        self.forget_if_over(number);
    }

    /// The text dialect: the next text message of the other end.
    fn take_http(&mut self, text: &[u8]) {
        let exchanges = &self.exchanges;
        let asks_for_head = |id: Option<&str>| {
            oldest_asked(exchanges, id)
                .is_some_and(|number| exchanges[&number].role == Role::AsksForHead)
        };
        match self.reader.take(text, asks_for_head) {
            Ok(parts) => {
                for part in parts {
                    self.take_part(part);
                }
            }
            Err(what) => self.break_off(what),
        }
    }

    fn take_part(&mut self, part: Part) {
        match part {
            Part::Request { head, correlation, over } => {
                let number = self.next_theirs;
                self.reading = Some(number);
                self.take_request(number, head, over);
                if let Some(exchange) = self.exchanges.get_mut(&number) {
                    exchange.correlation = correlation;
                }
            }
            Part::Response { head, correlation, over } => {
                self.reading = oldest_asked(&self.exchanges, correlation.as_deref());
                if let Some(number) = self.reading {
                    self.take_response(number, head, over);
                }
            }
            Part::Body { bytes, over } => {
                let Some(number) = self.reading else { return };
                let Some(exchange) = self.exchanges.get_mut(&number) else { return };
                exchange.incoming.over = over;
                if !exchange.abandoned {
                    exchange.incoming.came_unasked(bytes.len());
                    self.events.push_back(Event::Body { number, bytes, over });
                }
                self.forget_if_over(number);
            }
        }
    }
}

/// Which of our requests a response answers: the oldest one of its correlation id; without one, the
/// oldest of all, because a peer that passes no ids on answers in order.
fn oldest_asked(exchanges: &BTreeMap<u32, Exchange>, id: Option<&str>) -> Option<u32> {
    let mut waiting = exchanges.iter().filter(|(_, one)| one.is_ours() && !one.answered);
    match id {
        Some(id) => waiting.find(|(_, one)| one.correlation.as_deref() == Some(id)),
        None => waiting.next(),
    }
    .map(|(number, _)| *number)
}
