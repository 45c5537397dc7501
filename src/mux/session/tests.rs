//! Two ends of a connection, joined in memory.

use super::*;
use crate::mux::frame::CancelReason;
use crate::mux::handshake::{Metadata, Welcome};
use serde_json::json;
use uuid::Uuid;

mod forgotten;
mod limits;
mod order;

const SILENCE: Duration = Duration::from_secs(20);

/// Two ends and a simulated time.
struct Ends {
    dialled: Session,
    accepted: Session,
    now: Instant,
}

#[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
fn ends(dialect: Dialect) -> Ends {
    let now = Instant::now();
    let metadata = Metadata(json!({ "name": "billing" }));
    let dialled = Session::dialled(dialect, &metadata, SILENCE, now);
    Ends { dialled, accepted: Session::accepted(dialect, SILENCE, now).at_most(4), now }
}

fn drain(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.next_event()).collect()
}

impl Ends {
    /// Carries bytes both ways until none are left.
    fn carry(&mut self) {
        loop {
            let (up, down) =
                (std::mem::take(self.dialled.output()), std::mem::take(self.accepted.output()));
            if up.is_empty() && down.is_empty() {
                return;
            }
            self.accepted.received(&up, self.now);
            self.dialled.received(&down, self.now);
        }
    }

    /// Returns the events of the dialling end, then those of the accepting end.
    fn events(&mut self) -> (Vec<Event>, Vec<Event>) {
        self.carry();
        (drain(&mut self.dialled), drain(&mut self.accepted))
    }
}

fn welcome() -> Welcome {
    Welcome { connection: Uuid::from_u128(7), path: None, tunnel_secret: None }
}

fn open(dialect: Dialect) -> Ends {
    let mut ends = ends(dialect);
    let (_, introduced) = ends.events();
    assert!(matches!(&introduced[..], [Event::Introduced(meta)] if meta.name() == Some("billing")));
    ends.accepted.welcome(&welcome());
    let events = ends.events();
    assert_eq!(events, (vec![Event::Open(Some(welcome()))], vec![Event::Open(None)]));
    assert!(ends.dialled.is_open() && ends.accepted.is_open());
    ends
}

#[test]
fn a_request_can_follow_the_welcome() {
    for dialect in [Dialect::V1, Dialect::Text] {
        let mut ends = ends(dialect);
        ends.events();
        ends.accepted.welcome(&welcome());
        let number =
            ends.accepted.request(&head("GET /a HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 7"), true);
        assert!(number.is_some() && !ends.accepted.is_open(), "{dialect:?}");
        let (dialled, accepted) = ends.events();
        let requested = matches!(&dialled[1], Event::Request { head, over: true, .. }
            if head.starts_with(b"GET /a "));
        assert!(dialled[0] == Event::Open(Some(welcome())) && requested, "{dialled:?}");
        assert_eq!(accepted, [Event::Open(None)], "{dialect:?}");
    }
}

fn head(text: &str) -> Vec<u8> {
    format!("{text}\r\n\r\n").into_bytes()
}

/// Returns the concatenated body bytes of the events, and whether a body ended.
fn body(events: &[Event]) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    let mut ended = false;
    for event in events {
        if let Event::Body { bytes, over, .. } = event {
            all.extend_from_slice(bytes);
            ended |= over;
        }
    }
    (all, ended)
}

#[test]
fn both_ends_send_requests_and_responses() {
    for dialect in [Dialect::V1, Dialect::Text] {
        let mut ends = open(dialect);
        let request =
            head("POST /a HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: c\r\nContent-Length: 5");
        let number = ends.accepted.request(&request, false).unwrap();
        ends.accepted.send(number, b"hello", true);
        let (events, _) = ends.events();
        let Event::Request { number: theirs, head: received, over: false } = &events[0] else {
            panic!()
        };
        assert_eq!((received.as_ref(), body(&events)), (&request[..], (b"hello".to_vec(), true)));
        let theirs = *theirs;
        ends.dialled.respond(theirs, &head("HTTP/1.1 200 OK\r\nContent-Length: 3"), false);
        ends.dialled.send(theirs, b"you", true);
        let (_, events) = ends.events();
        let Event::Response { number: answered, head: received, over: false } = &events[0] else {
            panic!("{dialect:?}: {events:?}")
        };
        assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert_eq!((*answered, body(&events)), (number, (b"you".to_vec(), true)), "{dialect:?}");
        assert_eq!((ends.dialled.exchanges(), ends.accepted.exchanges()), (0, 0), "{dialect:?}");

        let other = ends.dialled.request(&head("GET /b HTTP/1.1\r\nHost: h"), true).unwrap();
        assert_ne!(other % 2, number % 2, "each end has its own numbers");
        let (_, events) = ends.events();
        assert!(matches!(events[0], Event::Request { number, over: true, .. } if number == other));
        ends.accepted.respond(other, &head("HTTP/1.1 204 No Content"), true);
        let (events, _) = ends.events();
        assert!(matches!(events[0], Event::Response { over: true, .. }), "{events:?}");
    }
}

#[test]
fn a_stalled_exchange_blocks_no_other() {
    let mut ends = open(Dialect::V1);
    let get = head("GET / HTTP/1.1\r\nHost: h");
    let stalled = ends.accepted.request(&get, true).unwrap();
    let other = ends.accepted.request(&get, true).unwrap();
    ends.events();
    for number in [stalled, other] {
        ends.dialled.respond(number, &head("HTTP/1.1 200 OK"), false);
    }
    let mut sent = 0;
    while ends.dialled.room(stalled) > 0 {
        let room = ends.dialled.room(stalled);
        ends.dialled.send(stalled, &vec![1; room], false);
        sent += room as u64;
    }
    assert_eq!(sent, WINDOW_BYTES, "as much as the window allows");
    ends.events();
    for _ in 0..100 {
        let room = ends.dialled.room(other);
        assert_eq!(room, frame::DATA_MAX_BYTES);
        ends.dialled.send(other, &vec![2; room], false);
        let (_, events) = ends.events();
        assert_eq!(body(&events).0.len(), room);
        ends.accepted.used(other, room);
        ends.events();
    }
    assert_eq!(ends.dialled.room(stalled), 0);
    ends.accepted.used(stalled, 130 << 10);
    let (events, _) = ends.events();
    assert_eq!(events, [Event::Room(stalled)]);
    assert!(ends.dialled.room(stalled) > 0);
}

#[test]
fn exceeding_the_window_closes_the_connection() {
    let mut ends = open(Dialect::V1);
    let number = ends.accepted.request(&head("GET / HTTP/1.1\r\nHost: h"), true).unwrap();
    ends.events();
    ends.dialled.respond(number, &head("HTTP/1.1 200 OK"), false);
    for _ in 0..=WINDOW_BYTES / frame::DATA_MAX_BYTES as u64 {
        // Beyond the window, which an honest end would never send.
        let bytes = vec![0; frame::DATA_MAX_BYTES];
        ends.dialled.codec.binary(frame::data(number, &bytes, false));
    }
    let (there, here) = ends.events();
    let what = "more body bytes than the window allows".to_owned();
    assert_eq!(here.last(), Some(&Event::Closed(Closed::Broken(what.clone()))));
    assert_eq!(there, [Event::Closed(Closed::There(close::PROTOCOL, what))]);
}

#[test]
fn a_cancelled_exchange_is_removed_at_both_ends() {
    let mut ends = open(Dialect::V1);
    let get = head("GET / HTTP/1.1\r\nHost: h");
    let number = ends.accepted.request(&get, true).unwrap();
    ends.events();
    ends.dialled.respond(number, &head("HTTP/1.1 200 OK"), false);
    ends.dialled.send(number, b"a part", false);
    ends.accepted.cancel(number, CancelReason::Gone);
    let (events, _) = ends.events();
    assert_eq!(events, [Event::Cancelled(number, Cancelled::There(CancelReason::Gone))]);
    assert_eq!((ends.dialled.exchanges(), ends.accepted.exchanges()), (0, 0));
    ends.dialled.send(number, b"too late", true);
    assert_eq!(ends.events(), (vec![], vec![]));
    for _ in 0..5 {
        ends.dialled.request(&get, true).unwrap();
    }
    let (events, _) = ends.events();
    assert_eq!(
        events,
        [Event::Cancelled(9, Cancelled::There(CancelReason::Busy))],
        "the fifth is too many"
    );
}

#[test]
fn the_text_dialect_sends_messages_in_sequence() {
    let mut ends = open(Dialect::Text);
    for path in ["/one", "/other"] {
        ends.dialled.codec.text(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    let (_, events) = ends.events();
    let numbers: Vec<u32> = events.iter().filter_map(Event::number).collect();
    let &[one, other] = &numbers[..] else { panic!("{events:?}") };
    ends.accepted.respond(other, &head("HTTP/1.1 201 Other"), false);
    ends.accepted.respond(one, &head("HTTP/1.1 200 One"), false);
    assert_eq!(ends.accepted.room(one), 0, "it has to wait");
    let text = "grüße";
    ends.accepted.send(other, &text.as_bytes()[..3], false);
    ends.accepted.send(other, &text.as_bytes()[3..], false);
    ends.accepted.send(other, b"", true);
    ends.accepted.send(one, b"x", true);
    let sent = String::from_utf8_lossy(ends.accepted.output()).into_owned();
    let places = ["201 Other", "gr\r\n", "üße", "200 One", "x\r\n"]
        .map(|part| sent.find(part).unwrap_or_else(|| panic!("{part} in {sent:?}")));
    assert!(places.is_sorted(), "{sent:?}");
    assert_eq!(drain(&mut ends.accepted), [Event::Room(other), Event::Room(one)]);
    assert_eq!(ends.accepted.exchanges(), 0);
}

#[test]
fn the_text_dialect_refuses_bytes_and_long_bodies() {
    for (name, body, why) in [
        ("no text", vec![0xff; 9], Cancelled::NotText),
        ("too long", vec![b'x'; TEXT_MAX_BYTES], Cancelled::TooLarge),
    ] {
        let mut ends = open(Dialect::Text);
        let post = head("POST / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
        let number = ends.accepted.request(&post, false).unwrap();
        for part in body.chunks(frame::DATA_MAX_BYTES) {
            ends.accepted.send(number, part, false);
        }
        ends.accepted.send(number, b"", true);
        let (there, here) = ends.events();
        assert_eq!((there, here), (vec![], vec![Event::Cancelled(number, why)]), "{name}");
        assert!(ends.accepted.is_open() && ends.accepted.exchanges() == 0, "{name}");
    }
}

#[test]
fn a_response_that_is_not_text_becomes_a_502() {
    let mut ends = open(Dialect::Text);
    let get = head("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
    let number = ends.accepted.request(&get, true).unwrap();
    ends.events();
    ends.dialled.respond(number, &head("HTTP/1.1 200 OK"), false);
    ends.dialled.send(number, &[0xff], false);
    let (there, here) = ends.events();
    assert!(there.contains(&Event::Cancelled(number, Cancelled::NotText)), "{there:?}");
    let Event::Response { head, over: true, .. } = &here[0] else { panic!("{here:?}") };
    assert!(head.starts_with(b"HTTP/1.1 502 "));
    assert!(ends.dialled.is_open(), "nothing of it was said");
}

#[test]
fn a_late_text_response_is_not_matched_to_another_request() {
    let mut ends = open(Dialect::Text);
    let get = |id| head(&format!("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: {id}"));
    let first = ends.accepted.request(&get(1), true).unwrap();
    ends.events();
    ends.accepted.cancel(first, CancelReason::Late);
    assert!(!ends.accepted.knows(first));
    let second = ends.accepted.request(&get(2), true).unwrap();
    ends.events();
    // A peer that returns no ids answers in order.
    let mut answer = |text: &str| {
        let length = text.len();
        let message = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
        ends.dialled.codec.text(&message);
        ends.events().1
    };
    assert_eq!(answer("late"), [Event::Sent(second)]);
    let here = answer("soon");
    assert!(matches!(here[0], Event::Response { number, .. } if number == second), "{here:?}");
    assert_eq!((body(&here), ends.accepted.exchanges()), ((b"soon".to_vec(), true), 0));
}

#[test]
fn the_text_dialect_applies_backpressure_by_not_reading() {
    let mut ends = open(Dialect::Text);
    let get = head("GET / HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1");
    let number = ends.accepted.request(&get, true).unwrap();
    ends.events();
    ends.dialled.respond(number, &head("HTTP/1.1 200 OK"), false);
    for _ in 0..5 {
        ends.dialled.send(number, &vec![b'x'; frame::DATA_MAX_BYTES], false);
    }
    ends.events();
    assert!(!ends.accepted.wants_input());
    assert_eq!(ends.accepted.hold_up(), Some(number));
    ends.accepted.used(number, 5 * frame::DATA_MAX_BYTES);
    assert!(ends.accepted.wants_input());
}

#[test]
fn a_silent_peer_is_closed_and_a_responsive_one_is_not() {
    let mut ends = open(Dialect::V1);
    ends.now += SILENCE / 2;
    ends.accepted.tick(ends.now);
    ends.events();
    assert_eq!(ends.accepted.last_received_at(), ends.now, "its pong came");
    ends.now += SILENCE;
    ends.accepted.tick(ends.now);
    assert_eq!(drain(&mut ends.accepted), [Event::Closed(Closed::Silent)]);
}

#[test]
fn a_handshake_times_out() {
    let mut ends = ends(Dialect::Text);
    assert_eq!(ends.accepted.next_deadline(), Some(ends.now + INTRODUCTION_TIME));
    ends.accepted.tick(ends.now + INTRODUCTION_TIME);
    assert_eq!(drain(&mut ends.accepted), [Event::Closed(Closed::Silent)]);
    assert!(!ends.accepted.output().is_empty(), "the peer is told");
    assert_eq!(ends.dialled.next_deadline(), Some(ends.now + HANDSHAKE_TIME), "it waits");
}

#[test]
fn unexpected_messages_close_the_connection() {
    type Speak = fn(&mut Session);
    let speak: [(&str, Dialect, Speak); 6] = [
        ("text in v1", Dialect::V1, |peer| peer.codec.text("GET / HTTP/1.1\r\n\r\n")),
        ("no HTTP", Dialect::Text, |peer| peer.codec.text("hello\r\n\r\n")),
        ("no HTTP in bytes", Dialect::Text, |peer| peer.codec.binary(&b"hello\r\n\r\n"[..])),
        ("a kind that is none", Dialect::V1, |peer| peer.codec.binary(&[9, 0, 0, 0, 0, 1][..])),
        ("a number of ours", Dialect::V1, |peer| {
            let head = Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n");
            let frame = Frame::Request { number: 2, head, end: true };
            peer.codec.binary(frame.to_message());
        }),
        ("a window beyond all numbers", Dialect::V1, |peer| {
            for _ in 0..2 {
                let frame = Frame::Window { number: 2, bytes: u32::MAX };
                peer.codec.binary(frame.to_message());
            }
        }),
    ];
    for (name, dialect, speak) in speak {
        let mut ends = open(dialect);
        if dialect == Dialect::V1 {
            // In the text dialect it would be the response.
            ends.accepted.request(&head("GET / HTTP/1.1\r\nHost: h"), true).unwrap();
        }
        ends.events();
        speak(&mut ends.dialled);
        let (there, here) = ends.events();
        assert!(matches!(here.last(), Some(Event::Closed(Closed::Broken(_)))), "{name}: {here:?}");
        assert!(
            matches!(there.last(), Some(Event::Closed(Closed::There(close::PROTOCOL, _)))),
            "{name}: {there:?}"
        );
    }
}
