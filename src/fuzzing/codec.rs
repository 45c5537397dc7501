//! WebSocket frames: messages encoded here as frames are read as those messages, violations of RFC
//! 6455 are reported with the right code, and neither depends on how the bytes are split. What one
//! end of the codec sends, the other reads.

use super::choices::Choices;
use crate::mux::codec::{Codec, Endpoint, Message};

/// Longest input that is split at every byte.
const CUT_EVERYWHERE_BYTES: usize = 200;

/// Maximum bytes that a peer that never reads can make this end queue: 32 pongs and a close frame
/// of 125 bytes, each with the longest header of a control frame.
const OWED_MAX: usize = 33 * (2 + 4 + 125);

/// Capacity for a header of 14 bytes without its last one, in a vector that doubles.
const HEADER_PART_MAX: usize = 2 * 13;

/// Characters of one to four bytes.
const LETTERS: [&str; 4] = ["a", "é", "€", "😀"];

/// A protocol violation after complete messages: the first byte, whether the frame is masked
/// incorrectly, the payload, and the expected close code.
type Fault = (u8, bool, &'static [u8], u16);

/// The longest payload in these is one byte too long for a ping.
const FAULTS: [Fault; 9] = [
    (0xc1, false, b"", 1002),
    (0x90, false, b"", 1002),
    (0x83, false, b"a", 1002),
    (0x8b, false, b"", 1002),
    (0x81, true, b"a", 1002),
    (0x80, false, b"a", 1002),
    (0x09, false, b"", 1002),
    (0x89, false, &[0; 126], 1002),
    (0x81, false, b"a\xf0\x9f\x98", 1007),
];

/// The result of reading some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    messages: Vec<Message>,
    /// The messages that the peer reads from the output.
    sent: Vec<Message>,
    /// The code of the violation.
    broken: Option<u16>,
    over: bool,
}

/// The frames of a peer, and the expected messages.
struct Script {
    /// The end that reads.
    end: Endpoint,
    message_max: usize,
    frames: Vec<u8>,
    messages: Vec<Message>,
}

/// Fuzzes an end and a limit, messages as frames, a violation, then noise; also sends the messages.
pub fn codec(data: &[u8]) {
    let mut choices = Choices::new(data);
    let end = choices.pick(&[Endpoint::Accepted, Endpoint::Dialled]);
    let message_max = 126 + choices.below(2000);
    let mut script = Script { end, message_max, frames: Vec::new(), messages: Vec::new() };
    for _ in 0..choices.below(8) {
        script.message(&mut choices);
    }
    check_sending(end, message_max, &script.messages);
    let code = choices.one_in(2).then(|| script.breach(&mut choices));
    let stride = 1 + usize::from(choices.byte());
    script.frames.extend_from_slice(choices.rest());

    let expected = script.outcome(script.frames.len().max(1));
    assert!(
        expected.messages.starts_with(&script.messages),
        "{expected:?}, not {:?}",
        script.messages
    );
    if code.is_some() {
        assert_eq!((expected.messages.len(), expected.broken), (script.messages.len(), code));
    }
    check_sent(&expected);
    check_flood(&script);
    check_streamed(&script, stride);
    assert_eq!(script.outcome(1), expected, "byte by byte");
    assert_eq!(script.outcome(stride), expected, "{stride} bytes at a time");
    if script.frames.len() <= CUT_EVERYWHERE_BYTES {
        for at in 1..script.frames.len() {
            let (one, other) = script.frames.split_at(at);
            assert_eq!(script.outcome_of([one, other]), expected, "cut at {at}");
        }
    }
}

impl Script {
    /// Adds a message, in fragments, sometimes with pings between them.
    fn message(&mut self, choices: &mut Choices) {
        let bytes = choices.below(self.message_max + 1);
        let (first, payload, message) = if choices.one_in(2) {
            let payload = vec![choices.byte(); bytes];
            (2, payload.clone(), Message::Binary(payload.into()))
        } else {
            let letter = choices.pick(&LETTERS);
            let text = letter.repeat(bytes / letter.len());
            (1, text.clone().into_bytes(), Message::Text(text.into()))
        };
        let (mut opcode, mut rest) = (first, &payload[..]);
        while choices.one_in(3) {
            let (fragment, after) = rest.split_at(choices.below(rest.len() + 1));
            self.frame(opcode, false, fragment, choices);
            (opcode, rest) = (0, after);
            if choices.one_in(2) {
                let ping = choices.bytes(125).to_vec();
                self.frame(0x89, false, &ping, choices);
                self.messages.push(Message::Ping(ping.into()));
            }
        }
        self.frame(0x80 | opcode, false, rest, choices);
        self.messages.push(message);
    }

    /// Adds a protocol violation; returns the close code that must be sent.
    fn breach(&mut self, choices: &mut Choices) -> u16 {
        let mask_bit = if self.end == Endpoint::Accepted { 0x80 } else { 0 };
        match choices.below(FAULTS.len() + 2) {
            0 => {
                let length = 1 + self.message_max as u64;
                let small = u16::try_from(length).expect("a bound of some thousands");
                self.frames.extend([0x82, mask_bit + 126]);
                self.frames.extend(small.to_be_bytes());
                self.frames.extend([0; 4]);
                1009
            }
            1 => {
                self.frames.extend([0x82, mask_bit + 126, 0, 125]);
                self.frames.extend([0; 4]);
                1002
            }
            place => {
                let (first, wrong, payload, code) = FAULTS[place - 2];
                self.frame(first, wrong, payload, choices);
                code
            }
        }
    }

    /// Adds a frame, masked if the peer's role requires it, or incorrectly if `wrong`.
    fn frame(&mut self, first: u8, wrong: bool, payload: &[u8], choices: &mut Choices) {
        let masked = (self.end == Endpoint::Accepted) != wrong;
        let mask_bit = if masked { 0x80 } else { 0 };
        self.frames.push(first);
        let length = u16::try_from(payload.len()).expect("payloads are of some thousand bytes");
        if length <= 125 {
            self.frames.push(mask_bit + length.to_be_bytes()[1]);
        } else {
            self.frames.push(mask_bit + 126);
            self.frames.extend(length.to_be_bytes());
        }
        let mask = if masked { [0; 4].map(|_: u8| choices.byte()) } else { [0; 4] };
        self.frames.extend(mask.iter().filter(|_| masked));
        self.frames.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Returns the outcome when `piece` bytes are received at a time.
    fn outcome(&self, piece: usize) -> Outcome {
        self.outcome_of(self.frames.chunks(piece))
    }

    /// The same with messages passed on in pieces, which are joined here.
    fn streamed(&self, piece: usize) -> Outcome {
        let mut codec = Codec::new(self.end, self.message_max);
        codec.stream_messages();
        let (mut messages, mut output, mut begun) = (Vec::new(), Vec::new(), Vec::new());
        for piece in self.frames.chunks(piece) {
            codec.received(piece);
            while let Some(message) = codec.next() {
                output.append(codec.output());
                let Message::Piece { bytes, over } = message else {
                    messages.push(message);
                    continue;
                };
                begun.extend_from_slice(&bytes);
                if over {
                    messages.push(Message::Binary(std::mem::take(&mut begun).into()));
                }
            }
            assert!(codec.input_bytes() <= HEADER_PART_MAX, "a part of a header is left at most");
        }
        output.append(codec.output());
        let (over, broken) = (codec.is_over(), codec.protocol_error().map(|broken| broken.code));
        let sent = read(other(self.end), &output);
        Outcome { messages, sent, broken, over }
    }

    fn outcome_of<'p>(&self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
        let mut codec = Codec::new(self.end, self.message_max);
        let (mut messages, mut output) = (Vec::new(), Vec::new());
        for piece in pieces {
            codec.received(piece);
            while let Some(message) = codec.next() {
                messages.push(message);
                output.append(codec.output());
            }
            assert!(codec.input_bytes() <= HEADER_PART_MAX, "a part of a header is left at most");
        }
        output.append(codec.output());
        let (over, broken) = (codec.is_over(), codec.protocol_error().map(|broken| broken.code));
        let sent = read(other(self.end), &output);
        Outcome { messages, sent, broken, over }
    }
}

/// Checks that pings, a close frame and a violation are answered, and nothing else is sent.
fn check_sent(outcome: &Outcome) {
    let mut expected = Vec::new();
    for message in &outcome.messages {
        match message {
            Message::Ping(payload) => expected.push(Message::Pong(payload.clone())),
            Message::Close(close) => expected.push(Message::Close(close.clone())),
            Message::Text(_) | Message::Binary(_) | Message::Piece { .. } | Message::Pong(_) => {}
        }
    }
    let (last, before) = match outcome.sent.split_last() {
        Some((last @ Message::Close(Some((code, _))), before)) if Some(*code) == outcome.broken => {
            (Some(last), before)
        }
        Some(_) | None => (None, &outcome.sent[..]),
    };
    assert_eq!(before, expected, "the events besides a violation");
    assert_eq!(last.is_some(), outcome.broken.is_some(), "a violation is reported");
    let closed = matches!(outcome.messages.last(), Some(Message::Close(_)));
    assert_eq!(outcome.over, closed || outcome.broken.is_some(), "when it is over");
}

/// Checks that a peer that never reads makes this end queue little.
fn check_flood(script: &Script) {
    let mut codec = Codec::new(script.end, script.message_max);
    codec.received(&script.frames);
    while codec.next().is_some() {}
    assert!(codec.output().len() <= OWED_MAX, "{} bytes are owed", codec.output().len());
}

/// Checks that messages passed on in pieces have the same bytes, wherever they are split.
fn check_streamed(script: &Script, stride: usize) {
    let expected = script.streamed(script.frames.len().max(1));
    let same = |(one, read): (&Message, &Message)| match one {
        Message::Text(text) => *read == Message::Binary(text.clone().into()),
        Message::Binary(_)
        | Message::Piece { .. }
        | Message::Ping(_)
        | Message::Pong(_)
        | Message::Close(_) => one == read,
    };
    assert!(expected.messages.len() >= script.messages.len());
    assert!(script.messages.iter().zip(&expected.messages).all(same), "{expected:?}");
    assert_eq!(script.streamed(1), expected, "byte by byte");
    assert_eq!(script.streamed(stride), expected, "{stride} bytes at a time");
}

/// Checks that one end reads what the other sends.
fn check_sending(end: Endpoint, message_max: usize, messages: &[Message]) {
    let mut codec = Codec::new(end, message_max);
    for message in messages {
        match message {
            Message::Text(text) => codec.text(text),
            Message::Binary(bytes) => codec.binary(bytes.clone()),
            Message::Ping(payload) => codec.ping(payload),
            Message::Piece { .. } | Message::Pong(_) | Message::Close(_) => {}
        }
    }
    codec.close(1000, "that is all");
    let mut expected = messages.to_vec();
    expected.push(Message::Close(Some((1000, "that is all".to_owned()))));
    let mut peer = Codec::new(other(end), message_max);
    peer.received(codec.output());
    assert_eq!(std::iter::from_fn(|| peer.next()).collect::<Vec<_>>(), expected);
}

/// Returns the messages that an end reads from these bytes, all of which must be valid.
fn read(end: Endpoint, bytes: &[u8]) -> Vec<Message> {
    let mut codec = Codec::new(end, usize::MAX);
    codec.received(bytes);
    let messages = std::iter::from_fn(|| codec.next()).collect();
    assert_eq!(codec.protocol_error(), None, "what is sent breaks no rule");
    messages
}

fn other(end: Endpoint) -> Endpoint {
    match end {
        Endpoint::Dialled => Endpoint::Accepted,
        Endpoint::Accepted => Endpoint::Dialled,
    }
}
