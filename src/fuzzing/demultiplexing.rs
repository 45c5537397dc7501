//! Exchanges of two sessions joined in memory: what one end sends of an exchange arrives unchanged
//! at the other, ends once, and causes no events after a cancellation. And no peer, whatever it
//! sends, makes the other end panic or hold more than the windows it granted.

use super::choices::Choices;
use super::exchanges::Ends;
use super::handshake::base;
use crate::mux::codec::{Codec, Endpoint};
use crate::mux::frame::{CancelReason, DATA_MAX_BYTES, Frame, HEAD_MAX_BYTES};
use crate::mux::handshake::{self, Dialect, Metadata, Welcome};
use crate::mux::session::{Event, Session, WINDOW_BYTES};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// Maximum acts in one script.
const ACTS_MAX: usize = 300;

/// Maximum concurrent exchanges of a dishonest peer.
const AT_MOST: usize = 4;

/// The head of a response to a request of the victim.
const ANSWER: &str = "HTTP/1.1 200 OK\r\nX-Correlation-Id: 1\r\nContent-Length: 2\r\n\r\n";

/// Fuzzes a dialect, whether both ends are honest, then their acts.
pub fn demultiplexing(data: &[u8]) {
    let mut choices = Choices::new(data);
    let dialect = choices.pick(&[Dialect::V1, Dialect::Text]);
    if choices.one_in(3) {
        dishonest(dialect, &mut choices);
    } else {
        honest(dialect, &mut choices);
    }
}

fn honest(dialect: Dialect, choices: &mut Choices) {
    let mut ends = Ends::open(dialect);
    for _ in 0..ACTS_MAX {
        if choices.is_over() {
            break;
        }
        ends.act(choices);
    }
    ends.finish();
}

/// An open end, and a peer that sends anything.
struct Victim {
    session: Session,
    peer: Codec,
    dialect: Dialect,
    /// Body bytes received of each exchange and not used.
    unused: BTreeMap<u32, u64>,
    closed: bool,
}

fn dishonest(dialect: Dialect, choices: &mut Choices) {
    let mut victim = Victim::open(dialect);
    for _ in 0..ACTS_MAX {
        if choices.is_over() || victim.closed {
            break;
        }
        victim.act(choices);
    }
    victim.session.eof();
    victim.process_events();
    assert!(victim.closed && victim.session.exchanges() == 0, "the end is the end of all");
}

impl Victim {
    fn open(dialect: Dialect) -> Self {
        let now = base();
        let mut session = Session::accepted(dialect, Duration::from_secs(20), now).at_most(AT_MOST);
        let mut peer = Codec::new(Endpoint::Dialled, usize::MAX);
        peer.text(&handshake::write_metadata(&Metadata::default()));
        session.received(&std::mem::take(peer.output()), now);
        session.welcome(&Welcome { connection: Uuid::nil(), path: None, tunnel_secret: None });
        peer.text(&handshake::write_ack());
        session.received(&std::mem::take(peer.output()), now);
        while session.next_event().is_some() {}
        Self { session, peer, dialect, unused: BTreeMap::new(), closed: false }
    }

    fn act(&mut self, choices: &mut Choices) {
        match choices.below(8) {
            0..=3 => match self.dialect {
                Dialect::V1 => self.peer.binary(frame(choices)),
                Dialect::Text => self.peer.text(&text(choices)),
            },
            4 => {
                let body = choices.one_in(2);
                let head = "POST / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1\r\n\r\n";
                self.session.request(head.as_bytes(), !body);
            }
            5 => {
                let over = choices.one_in(2);
                self.session.respond(number(choices), b"HTTP/1.1 200 OK\r\n\r\n", over);
            }
            6 => self.go_on(choices),
            _ => self.peer.output().extend_from_slice(choices.bytes(20)),
        }
        let bytes = std::mem::take(self.peer.output());
        if self.session.wants_input() {
            self.session.received(&bytes, base());
        }
        self.process_events();
    }

    /// Sends, uses or cancels.
    fn go_on(&mut self, choices: &mut Choices) {
        let number = number(choices);
        match choices.below(3) {
            0 => {
                let bytes = self.session.room(number).min(choices.size());
                self.session.send(number, &vec![b'x'; bytes], choices.one_in(3));
            }
            1 => {
                let unused = self.unused.remove(&number).unwrap_or(0);
                self.session.used(number, usize::try_from(unused).expect("at most a window"));
            }
            _ => {
                self.session.cancel(number, CancelReason::Gone);
                self.unused.remove(&number);
            }
        }
    }

    fn process_events(&mut self) {
        let mut events = 0;
        while let Some(event) = self.session.next_event() {
            assert!(!self.closed, "{event:?} after the end");
            events += 1;
            match event {
                Event::Body { number, bytes, .. } => {
                    *self.unused.entry(number).or_default() += bytes.len() as u64;
                    self.check_held(number);
                }
                Event::Request { head, .. } | Event::Response { head, .. } => {
                    assert!(head.len() <= HEAD_MAX_BYTES);
                }
                Event::Cancelled(number, _) => drop(self.unused.remove(&number)),
                Event::Closed(_) => self.closed = true,
                Event::Room(_) | Event::Sent(_) | Event::Draining => {}
                Event::Introduced(_) | Event::Open(_) | Event::Ping(_) | Event::Pong(_) => {
                    panic!("{event:?} once it is open")
                }
            }
        }
        assert!(events <= DATA_MAX_BYTES, "{events} events of one message");
        let theirs_max = AT_MOST * 2;
        assert!(self.session.exchanges() <= theirs_max + ACTS_MAX, "those of ours and some");
        self.session.output().clear();
    }

    fn check_held(&self, number: u32) {
        let held = self.unused.get(&number).copied().unwrap_or(0);
        // Even the last text message is processed as a unit.
        let most = match self.dialect {
            Dialect::V1 => WINDOW_BYTES,
            Dialect::Text => WINDOW_BYTES + DATA_MAX_BYTES as u64 * 2,
        };
        assert!(held <= most, "{held} bytes of exchange {number}");
    }
}

/// Returns one of the first numbers of either end.
fn number(choices: &mut Choices) -> u32 {
    u32::from(choices.byte() % 12)
}

/// Returns any frame message, well formed or not.
fn frame(choices: &mut Choices) -> Vec<u8> {
    let number = if choices.one_in(20) { u32::MAX - number(choices) } else { number(choices) };
    let head = |choices: &mut Choices| b"x".repeat(choices.below(60)).into();
    let frame = match choices.below(7) {
        0 => Frame::Request { number, head: head(choices), end: choices.one_in(2) },
        1 => Frame::Response { number, head: head(choices), end: choices.one_in(2) },
        2 => {
            let bytes = vec![choices.byte(); choices.size().min(DATA_MAX_BYTES)];
            Frame::Data { number, bytes: bytes.into(), end: choices.one_in(4) }
        }
        3 => Frame::Window { number, bytes: u32::from(choices.byte()) << choices.below(25) },
        4 => Frame::Cancel { number, why: CancelReason::Gone },
        5 => Frame::Drain,
        _ => return choices.bytes(40).to_vec(),
    };
    frame.to_message()
}

/// Returns any text message: parts of HTTP.
fn text(choices: &mut Choices) -> String {
    let mut text = String::new();
    for _ in 0..choices.below(6) {
        match choices.below(9) {
            0 => text.push_str("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            1 => text.push_str("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
            2 => text.push_str(ANSWER),
            3 => text.push_str("HTTP/1.1 200 OK\r\n\r\n"),
            4 => text.push_str("3\r\nabc\r\n"),
            5 => text.push_str("0\r\n\r\n"),
            6 => text.push_str("ab"),
            7 => text.push_str(&"x".repeat(choices.size())),
            _ => text.push_str(&String::from_utf8_lossy(choices.bytes(30))),
        }
        text.truncate(2 * DATA_MAX_BYTES);
    }
    text
}
