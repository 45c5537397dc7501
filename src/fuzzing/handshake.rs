//! The handshake of a WebSocket session: events do not repeat and do not depend on how the peer's
//! bytes are split, memory is bounded, and no message of the handshake is mistaken for another.

use super::choices::Choices;
use crate::mux::codec::{Codec, Endpoint};
use crate::mux::handshake::{self, Dialect, Metadata, Welcome};
use crate::mux::session::{Event, HANDSHAKE_TIME, Session};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Value of the secret members, which must not be shown.
const SECRET: &str = "3f9a-only-the-relay-knows";

/// Maximum output besides replies to input, in bytes: the welcome or the acknowledgement, and a
/// close frame.
const OUTPUT_MAX: usize = 1 << 10;

/// Longest input that is split at every byte.
const CUT_EVERYWHERE_BYTES: usize = 100;

/// Bytes received by a session before its caller acts, one segment after the other.
type Segments = Vec<Vec<u8>>;

/// The result of a script.
#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<Event>,
    /// Bytes sent so far, counted during the script.
    output_bytes: usize,
    exchanges: usize,
    open: bool,
}

/// Fuzzes an end and a dialect, then segments of messages and noise.
pub fn handshake(data: &[u8]) {
    let mut choices = Choices::new(data);
    let end = choices.pick(&[Endpoint::Accepted, Endpoint::Dialled]);
    let dialect = choices.pick(&[Dialect::V1, Dialect::Text]);
    let metadata = metadata(&mut choices, 3);
    check_messages(&metadata);
    check_secrets(metadata.clone());
    let mut segments = Segments::new();
    for _ in 0..=choices.below(4) {
        segments.push(segment(end, &metadata, &mut choices));
    }
    let stride = 1 + usize::from(choices.byte());
    if let Some(last) = segments.last_mut() {
        last.extend_from_slice(choices.rest());
    }
    let complete = outcome(end, dialect, &segments, usize::MAX);
    assert_eq!(outcome(end, dialect, &segments, stride), complete, "{stride} bytes at a time");
    let bytes: usize = segments.iter().map(Vec::len).sum();
    for piece in 1..bytes.min(CUT_EVERYWHERE_BYTES) {
        assert_eq!(outcome(end, dialect, &segments, piece), complete, "{piece} bytes at a time");
    }
}

/// Returns some JSON, with members that the relay knows.
fn metadata(choices: &mut Choices, depth: usize) -> Value {
    match choices.below(if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(SECRET),
        2 => json!(choices.byte()),
        3 => json!(String::from_utf8_lossy(choices.bytes(9))),
        4 => json!(choices.one_in(2)),
        5 => (0..choices.below(4)).map(|_| metadata(choices, depth - 1)).collect(),
        _ => {
            let keys = ["secret", "token", "name", "Type", "other"];
            (0..choices.below(5))
                .map(|_| (choices.pick(&keys).to_owned(), metadata(choices, depth - 1)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
    }
}

/// Checks that each message parses as its own kind and as no other.
fn check_messages(metadata: &Value) {
    let metadata = Metadata(metadata.clone());
    let first = handshake::write_metadata(&metadata);
    let welcome = welcome();
    let second = handshake::write_welcome(&welcome);
    let third = handshake::write_ack();
    assert_eq!(handshake::read_metadata(&first), Ok(metadata));
    assert_eq!(handshake::read_welcome(&second), Ok(welcome));
    assert_eq!(handshake::read_ack(&third), Ok(()));
    for other in [&second, &third] {
        assert!(handshake::read_metadata(other).is_err(), "{other}");
    }
    for other in [&first, &third] {
        assert!(handshake::read_welcome(other).is_err(), "{other}");
    }
    for other in [&first, &second] {
        assert!(handshake::read_ack(other).is_err(), "{other}");
    }
}

/// Checks that only the two secret members are hidden.
fn check_secrets(metadata: Value) {
    let shown = Metadata(metadata.clone()).without_secrets();
    assert_eq!((shown.secret(), shown.token()), (None, None));
    let mut expected = metadata;
    if let Value::Object(fields) = &mut expected {
        fields.retain(|key, _| key != "secret" && key != "token");
    }
    assert_eq!(shown.0, expected);
}

fn welcome() -> Welcome {
    Welcome {
        connection: Uuid::from_u128(7),
        path: Some("/api/billing".into()),
        tunnel_secret: Some(Uuid::from_u128(8)),
    }
}

/// Returns frames of the peer: handshake messages, in the right order or not, HTTP, and noise.
fn segment(end: Endpoint, metadata: &Value, choices: &mut Choices) -> Vec<u8> {
    let peer = match end {
        Endpoint::Accepted => Endpoint::Dialled,
        Endpoint::Dialled => Endpoint::Accepted,
    };
    let mut codec = Codec::new(peer, usize::MAX);
    match choices.below(9) {
        0 => match end {
            Endpoint::Accepted => {
                codec.text(&handshake::write_metadata(&Metadata(metadata.clone())));
            }
            Endpoint::Dialled => codec.text(&handshake::write_welcome(&welcome())),
        },
        1 => codec.text(&handshake::write_ack()),
        2 => codec.text("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        3 => codec.text(&String::from_utf8_lossy(choices.bytes(50))),
        4 => codec.binary(choices.bytes(50).to_vec()),
        5 => codec.ping(choices.bytes(125)),
        6 => codec.close(1000, "bye"),
        7 => codec.text(&" ".repeat(choices.size())),
        _ => codec.output().extend_from_slice(choices.bytes(50)),
    }
    std::mem::take(codec.output())
}

/// Returns the outcome when `piece` bytes are received at a time. The caller welcomes a peer that
/// introduces itself, but only after a complete segment: the outcome must not depend on the split.
fn outcome(end: Endpoint, dialect: Dialect, segments: &[Vec<u8>], piece: usize) -> Outcome {
    let now = base();
    let silence = Duration::from_secs(20);
    let mut session = match end {
        Endpoint::Accepted => Session::accepted(dialect, silence, now).at_most(4),
        Endpoint::Dialled => {
            Session::dialled(dialect, &Metadata::default(), silence, now).at_most(4)
        }
    };
    let mut outcome = Outcome { events: Vec::new(), output_bytes: 0, exchanges: 0, open: false };
    let mut received = 0;
    for segment in segments {
        for bytes in segment.chunks(piece) {
            session.received(bytes, now);
            outcome.drain_events(&mut session);
        }
        received += segment.len();
        if matches!(outcome.events.last(), Some(Event::Introduced(_))) {
            session.welcome(&welcome());
        }
        outcome.drain_events(&mut session);
        // A ping of 2 bytes has a pong of 6.
        assert!(
            outcome.output_bytes <= OUTPUT_MAX + 3 * received,
            "{} bytes",
            outcome.output_bytes
        );
    }
    // How many of many pongs are delayed depends on when others are sent.
    outcome.output_bytes = 0;
    outcome.exchanges = session.exchanges();
    outcome.open = session.is_open();
    session.tick(now + HANDSHAKE_TIME);
    session.eof();
    outcome.drain_events(&mut session);
    assert!(session.is_closed() && session.exchanges() == 0);
    outcome
}

impl Outcome {
    /// Takes the session's events and output; no event may follow the end.
    fn drain_events(&mut self, session: &mut Session) {
        while let Some(event) = session.next_event() {
            let ended = matches!(self.events.last(), Some(Event::Closed(_)));
            assert!(!ended, "{event:?} after the end");
            self.events.push(event);
        }
        self.output_bytes += std::mem::take(session.output()).len();
    }
}

/// Returns a base for simulated times.
#[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
pub(super) fn base() -> Instant {
    Instant::now()
}
