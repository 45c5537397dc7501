//! Two honest sessions joined in memory, and a model of the events that each should report.

use super::choices::Choices;
use super::handshake::base;
use crate::mux::frame::CancelReason;
use crate::mux::handshake::{Dialect, Metadata, Welcome};
use crate::mux::session::{Cancelled, Closed, Event, Session, WINDOW_BYTES};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Silence timeout, longer than any script's time.
const SILENCE: Duration = Duration::from_hours(1);

/// Frames that an end processes before it has to be resumed.
const FRAMES_MAX: u32 = 5;

/// Maximum concurrent exchanges.
const EXCHANGES_MAX: usize = 12;

/// Two ends and the bytes in flight.
pub(super) struct Ends {
    dialect: Dialect,
    now: Instant,
    sides: [Side; 2],
    /// Bytes in flight to each end.
    wires: [Vec<u8>; 2],
    /// Exchanges begun: the id that joins the two ends' views of each.
    begun: usize,
    /// The bodies sent, by id: of the request, and of the response.
    sent: BTreeMap<usize, [Body; 2]>,
}

/// One end.
struct Side {
    session: Session,
    /// Active exchanges, by their number at this end.
    exchanges: BTreeMap<u32, View>,
    closed: Option<Closed>,
}

/// A body as it was sent.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    over: bool,
}

/// One end's view of an exchange.
#[allow(clippy::struct_excessive_bools, reason = "each is true from some time on, in any order")]
struct View {
    id: usize,
    ours: bool,
    /// Whether the head of the peer's part was received.
    begun: bool,
    /// Whether this end has answered.
    answered: bool,
    sent_all: bool,
    /// Body bytes received, and whether they are complete.
    received: usize,
    received_all: bool,
    unused: usize,
    /// Whether it was cancelled, by either end.
    cancelled: bool,
}

impl View {
    fn new(id: usize, ours: bool) -> Self {
        Self {
            id,
            ours,
            begun: !ours,
            answered: false,
            sent_all: false,
            received: 0,
            received_all: false,
            unused: 0,
            cancelled: false,
        }
    }

    /// Returns the index of this end's body: 0 for the request's, 1 for the response's.
    fn mine(&self) -> usize {
        usize::from(!self.ours)
    }

    fn may_send(&self) -> bool {
        !self.cancelled && !self.sent_all && (self.ours || self.answered)
    }
}

impl Ends {
    pub(super) fn open(dialect: Dialect) -> Self {
        let now = base();
        let side = |mut session: Session| {
            session.in_turns_of(FRAMES_MAX);
            Side { session, exchanges: BTreeMap::new(), closed: None }
        };
        let mut ends = Self {
            dialect,
            now,
            sides: [
                side(Session::dialled(dialect, &Metadata::default(), SILENCE, now)),
                side(Session::accepted(dialect, SILENCE, now)),
            ],
            wires: [Vec::new(), Vec::new()],
            begun: 0,
            sent: BTreeMap::new(),
        };
        ends.carry_all();
        let welcome = Welcome { connection: Uuid::nil(), path: None, tunnel_secret: None };
        ends.sides[1].session.welcome(&welcome);
        ends.carry_all();
        assert!(ends.sides.iter().all(|end| end.session.is_open()));
        ends
    }

    /// Performs one act of one of the ends, or of the line between them.
    pub(super) fn act(&mut self, choices: &mut Choices) {
        let at = choices.below(2);
        match choices.below(12) {
            0..=2 => self.carry(at, choices.size()),
            3 | 4 => self.request(at, choices),
            5 | 6 => self.respond(at, choices),
            7 | 8 => self.send(at, choices),
            9 => self.use_up(at, choices),
            10 => self.cancel(at, choices),
            _ => {
                self.now += Duration::from_secs(1);
                self.sides[at].session.tick(self.now);
                if choices.one_in(8) {
                    self.sides[at].session.drain();
                }
            }
        }
    }

    /// Ends all exchanges and carries all bytes.
    pub(super) fn finish(&mut self) {
        for _ in 0..1000 {
            self.carry_all();
            if self.is_closed() || self.sides.iter().all(|end| end.session.exchanges() == 0) {
                break;
            }
            self.finish_some();
        }
        if self.is_closed() {
            return;
        }
        for end in &self.sides {
            assert_eq!(end.session.exchanges(), 0, "what is over is forgotten");
            for (number, view) in end.exchanges.iter().filter(|(_, view)| !view.cancelled) {
                assert!(
                    view.received_all && view.sent_all,
                    "exchange {number} ended without its end"
                );
            }
        }
    }

    /// Uses received bytes, answers, and ends bodies at both ends.
    fn finish_some(&mut self) {
        for at in 0..2 {
            let numbers: Vec<u32> = self.sides[at].exchanges.keys().copied().collect();
            for number in numbers {
                self.use_all(at, number);
                self.answer(at, number, false);
                self.send_body(at, number, 0, true);
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.sides.iter().any(|end| end.closed.is_some())
    }

    fn request(&mut self, at: usize, choices: &mut Choices) {
        if self.sides[at].session.exchanges() >= EXCHANGES_MAX {
            return;
        }
        let id = self.begun;
        let over = choices.one_in(2);
        let head = format!("POST /{id} HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: {id}\r\n\r\n");
        let Some(number) = self.sides[at].session.request(head.as_bytes(), over) else { return };
        self.begun += 1;
        let view = View { sent_all: over, ..View::new(id, true) };
        assert!(self.sides[at].exchanges.insert(number, view).is_none(), "a number is used once");
        self.sent.entry(id).or_default()[0].over = over;
        self.process_events(at);
    }

    fn respond(&mut self, at: usize, choices: &mut Choices) {
        if let Some(number) = self.some(at, choices) {
            self.answer(at, number, choices.one_in(4));
        }
    }

    fn answer(&mut self, at: usize, number: u32, over: bool) {
        let side = &mut self.sides[at];
        let Some(view) = side.exchanges.get_mut(&number) else { return };
        if view.ours || view.answered || view.cancelled {
            return;
        }
        view.answered = true;
        view.sent_all = over;
        let id = view.id;
        let length = if over { "Content-Length: 0\r\n" } else { "" };
        let head = format!("HTTP/1.1 200 OK\r\nX-Id: {id}\r\n{length}\r\n");
        self.sent.entry(id).or_default()[1].over = over;
        side.session.respond(number, head.as_bytes(), over);
        self.process_events(at);
    }

    fn send(&mut self, at: usize, choices: &mut Choices) {
        if let Some(number) = self.some(at, choices) {
            let (bytes, over) = (choices.size() - 1, choices.one_in(4));
            self.send_body(at, number, bytes, over);
        }
    }

    /// Sends up to `bytes` bytes, as far as the window allows.
    fn send_body(&mut self, at: usize, number: u32, bytes: usize, over: bool) {
        let side = &mut self.sides[at];
        let Some(view) = side.exchanges.get_mut(&number).filter(|view| view.may_send()) else {
            return;
        };
        let room = side.session.room(number);
        if room == 0 && (self.dialect == Dialect::Text || bytes > 0) {
            return;
        }
        let body = &mut self.sent.get_mut(&view.id).expect("it has begun")[view.mine()];
        let first = body.bytes.len();
        // Text in which no position resembles its neighbours.
        body.bytes
            .extend((first..first + bytes.min(room)).map(|at| b'0' + at.to_le_bytes()[0] % 75));
        body.over = over;
        view.sent_all = over;
        side.session.send(number, &body.bytes[first..], over);
        self.process_events(at);
    }

    fn use_up(&mut self, at: usize, choices: &mut Choices) {
        if let Some(number) = self.some(at, choices) {
            self.use_all(at, number);
        }
    }

    fn use_all(&mut self, at: usize, number: u32) {
        let side = &mut self.sides[at];
        let Some(view) = side.exchanges.get_mut(&number) else { return };
        let unused = std::mem::take(&mut view.unused);
        side.session.used(number, unused);
    }

    fn cancel(&mut self, at: usize, choices: &mut Choices) {
        let Some(number) = self.some(at, choices) else { return };
        let side = &mut self.sides[at];
        let Some(view) = side.exchanges.get_mut(&number) else { return };
        // The text dialect cannot retract what it has begun to send; that ends the connection.
        view.cancelled = true;
        side.session.cancel(number, CancelReason::Gone);
        assert!(!side.session.knows(number));
        self.process_events(at);
    }

    /// Returns one of the exchanges of an end.
    fn some(&self, at: usize, choices: &mut Choices) -> Option<u32> {
        let numbers: Vec<u32> = self.sides[at]
            .exchanges
            .iter()
            .filter(|(_, view)| !(view.cancelled || view.received_all && view.sent_all))
            .map(|(number, _)| *number)
            .collect();
        (!numbers.is_empty()).then(|| numbers[choices.below(numbers.len())])
    }

    /// Carries up to `bytes` bytes to an end.
    fn carry(&mut self, to: usize, bytes: usize) {
        let output = std::mem::take(self.sides[1 - to].session.output());
        self.wires[to].extend(output);
        let count = bytes.min(self.wires[to].len());
        if count == 0 || !self.sides[to].session.wants_input() {
            return;
        }
        let bytes: Vec<u8> = self.wires[to].drain(..count).collect();
        let session = &mut self.sides[to].session;
        session.in_turns_of(FRAMES_MAX);
        session.received(&bytes, self.now);
        self.process_events(to);
        // Whatever was received, each turn is bounded and nothing is lost.
        for _ in 0..=bytes.len() {
            let session = &mut self.sides[to].session;
            assert!(session.frames() <= FRAMES_MAX, "a turn has a bound");
            if !session.has_more() {
                return;
            }
            session.resume();
            self.process_events(to);
        }
        panic!("{} bytes are more frames than bytes", bytes.len());
    }

    fn carry_all(&mut self) {
        for _ in 0..8 {
            for to in 0..2 {
                self.carry(to, usize::MAX);
            }
        }
    }

    /// Checks the events of an end against what was sent.
    fn process_events(&mut self, at: usize) {
        while let Some(event) = self.sides[at].session.next_event() {
            assert!(self.sides[at].closed.is_none(), "{event:?} after the end");
            match event {
                Event::Introduced(_)
                | Event::Open(_)
                | Event::Ping(_)
                | Event::Pong(_)
                | Event::Draining => {}
                Event::Request { number, head, over } => self.on_request(at, number, &head, over),
                Event::Response { number, head, over } => self.answered(at, number, &head, over),
                Event::Body { number, bytes, over } => self.received(at, number, &bytes, over),
                Event::Room(number) => self.check_room(at, number),
                Event::Sent(number) => self.check_turn(at, number),
                Event::Cancelled(number, why) => self.cancelled(at, number, &why),
                Event::Closed(how) => self.closed(at, how),
            }
        }
    }

    fn on_request(&mut self, at: usize, number: u32, head: &[u8], over: bool) {
        let text = str::from_utf8(head).expect("the head is text");
        let path = text.split(' ').nth(1).expect("the head has a target");
        let id = path[1..].parse().expect("the target is the id");
        let view = View { received_all: over, ..View::new(id, false) };
        assert!(self.sides[at].exchanges.insert(number, view).is_none(), "a number is used once");
        if over {
            assert!(self.sent[&id][0].over && self.sent[&id][0].bytes.is_empty());
        }
    }

    fn answered(&mut self, at: usize, number: u32, head: &[u8], over: bool) {
        let view = self.sides[at].exchanges.get_mut(&number).expect("it was requested");
        assert!(view.ours && !view.begun && !view.cancelled, "one answer to each request");
        view.begun = true;
        view.received_all = over;
        let text = str::from_utf8(head).expect("the head is text");
        let substitute = self.dialect == Dialect::Text && text.starts_with("HTTP/1.1 502 ");
        let own = format!("X-Id: {}\r\n", view.id);
        assert!(substitute || text.contains(&own), "the answer to {} is {text}", view.id);
        if over && !substitute {
            assert!(self.sent[&view.id][1].over && self.sent[&view.id][1].bytes.is_empty());
        }
    }

    fn received(&mut self, at: usize, number: u32, bytes: &[u8], over: bool) {
        let view = self.sides[at].exchanges.get_mut(&number).expect("it has begun");
        assert!(view.begun && !view.received_all && !view.cancelled, "a body of what goes on");
        let sent = &self.sent[&view.id][1 - view.mine()];
        let end = view.received + bytes.len();
        assert_eq!(sent.bytes.get(view.received..end), Some(bytes), "exchange {number}");
        (view.received, view.received_all, view.unused) = (end, over, view.unused + bytes.len());
        assert!(!over || (sent.over && end == sent.bytes.len()), "a body ends where it does");
        if self.dialect == Dialect::V1 {
            assert!(view.unused as u64 <= WINDOW_BYTES, "more than the window");
        }
    }

    fn check_room(&self, at: usize, number: u32) {
        let end = &self.sides[at];
        assert!(end.session.room(number) as u64 <= WINDOW_BYTES);
        let view = end.exchanges.get(&number);
        assert!(view.is_some_and(|view| !view.cancelled), "room of what was cancelled");
    }

    /// Checks that a request was complete when it was sent, and that no other one is unanswered.
    fn check_turn(&self, at: usize, number: u32) {
        let side = &self.sides[at];
        assert!(self.dialect == Dialect::Text && side.exchanges[&number].sent_all);
        let mut others = side.exchanges.iter().filter(|(other, _)| **other != number);
        assert!(others.all(|(other, view)| {
            !view.ours || view.cancelled || view.received_all || side.session.is_queued(*other)
        }));
    }

    fn cancelled(&mut self, at: usize, number: u32, why: &Cancelled) {
        let view = self.sides[at].exchanges.get_mut(&number).expect("it has begun");
        assert!(!view.cancelled, "it ends once");
        view.cancelled = true;
        let known = match why {
            Cancelled::There(why) => self.dialect == Dialect::V1 && *why == CancelReason::Gone,
            Cancelled::TooLarge => self.dialect == Dialect::Text && view.ours,
            Cancelled::Invalid(_) | Cancelled::NotText | Cancelled::Interim => false,
        };
        assert!(known, "{why:?}");
    }

    /// Checks that the only cause of an honest connection's end is an interrupted response of the
    /// text dialect.
    fn closed(&mut self, at: usize, how: Closed) {
        assert_eq!(self.dialect, Dialect::Text, "{how:?}");
        match &how {
            Closed::Here => {}
            Closed::There(..) | Closed::Broken(_) | Closed::Silent | Closed::Lost => {
                panic!("{how:?}")
            }
        }
        self.sides[at].closed = Some(how);
    }
}
