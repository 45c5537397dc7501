//! Frames of a WebSocket (RFC 6455, section 5) without a socket: bytes of the peer go in, whole
//! messages come out, and what is to be sent to the peer collects in a buffer. The frames are
//! tungstenite's; this file hands it bytes from memory, bounds what a peer can make it hold, and
//! says goodbye with the right code where tungstenite only reports an error.
//!
//! # Memory
//!
//! Between two messages a codec holds no heap memory but what of the output is not sent yet:
//! tungstenite's context, which keeps the room of the largest message for the next one, is dropped
//! and made anew. 10,000 codecs at rest, after a message of 64 KiB each, were measured at 4.4 MB of
//! resident memory, the vector that held them included (a codec has 176 bytes).
//!
//! Within a message a peer can make a codec hold three times `message_max`: the frame it has
//! announced (address space at first; pages as bytes come), and the fragments so far, in a vector
//! that doubles. Fragments of one byte cost no more than their bytes.

use std::io::ErrorKind;

use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error, Utf8Bytes};

use self::wire::WireBuffers;

mod wire;

#[cfg(test)]
mod tests;

/// Bytes that tungstenite reads at once, and allocates for it when the first frame comes. It clears
/// them for every frame, so more is slower where messages are small.
const READ_BYTES: usize = 4 << 10;

/// Longest reason of a close frame, in bytes: 125 less two of the code (RFC 6455, section 5.5).
const REASON_MAX: usize = 123;

/// Longest payload of a ping, in bytes (RFC 6455, section 5.5).
const PING_MAX: usize = 125;

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// It opened the connection: it masks what it sends.
    Dialled,
    /// It accepted the connection: it wants the peer's frames masked.
    Accepted,
}

/// A whole message of the peer. What it holds may be a part of the read buffer: copy what is kept
/// for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(Utf8Bytes),
    /// Bytes.
    Binary(Bytes),
    /// A ping; its pong is in the output already.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The peer will send nothing more; its code and reason, if it gave any. The answer is in the
    /// output already. A code that must not be sent (RFC 6455, section 7.4) reads as 1002.
    Close(Option<(u16, String)>),
}

/// How the peer broke RFC 6455 or the bound on messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError {
    /// The code of the close frame that told the peer (RFC 6455, section 7.4.1): 1002 for a broken
    /// protocol, 1007 for text that is not UTF-8, 1009 for a message that is too big.
    pub code: u16,
    /// What was wrong, in one line; nothing of it was sent by the peer.
    pub what: String,
}

/// One end of a WebSocket, behind its handshake.
#[derive(Debug)]
pub struct Codec {
    end: Endpoint,
    /// Bytes of the largest message, and of the largest frame.
    message_max: usize,
    /// Absent between messages.
    context: Option<Box<WebSocketContext>>,
    wire: WireBuffers,
    close_sent: bool,
    close_received: bool,
    eof: bool,
    broken: Option<ProtocolError>,
}

impl Codec {
    /// A codec of this end that takes messages of up to `message_max` bytes.
    pub fn new(end: Endpoint, message_max: usize) -> Self {
        Self {
            end,
            message_max,
            context: None,
            wire: WireBuffers::default(),
            close_sent: false,
            close_received: false,
            eof: false,
            broken: None,
        }
    }

    /// Takes in bytes of the peer. They are copied: ask for all messages with [`Codec::next`] before
    /// more is received. Behind the end they are dropped.
    pub fn received(&mut self, bytes: &[u8]) {
        if !self.ignores_input() {
            self.wire.resume();
            self.wire.received(bytes);
        }
    }

    /// At most this many frames of the peer are looked at after [`Codec::received`] and each
    /// [`Codec::resume`]: a small read may hold thousands of empty ones.
    pub fn in_turns_of(&mut self, frames: u32) {
        self.wire.in_turns_of(frames);
    }

    /// Whether there are bytes that were not looked at, because there were so many frames before
    /// them: [`Codec::resume`] before more is received.
    pub fn has_more(&self) -> bool {
        !self.ignores_input() && self.wire.has_more()
    }

    /// How many frames were looked at since [`Codec::received`] or [`Codec::resume`].
    pub fn frames(&self) -> u32 {
        self.wire.frames()
    }

    /// As many frames as before may be looked at.
    pub fn resume(&mut self) {
        self.wire.resume();
    }

    /// The next whole message; `None` until more bytes come, or for ever once the peer has closed or
    /// [is broken](Codec::protocol_error).
    #[expect(clippy::should_implement_trait, reason = "None does not end it, unlike an iterator")]
    pub fn next(&mut self) -> Option<Message> {
        if self.ignores_input() {
            return None;
        }
        let context = self.context.get_or_insert_with(|| context(self.end, self.message_max));
        let read = context.read(&mut self.wire);
        // Pongs and the answer to a close frame leave now, before anything of ours. The wire takes
        // everything, so the only error is that of the end, which is noted below.
        let _ = context.flush(&mut self.wire);
        match read {
            Ok(message) => self.message(message),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                self.rest();
                None
            }
            Err(error) => {
                let (code, what) = self.fault(&error);
                self.fail(code, what);
                None
            }
        }
    }

    /// Sends a text message. Behind a close frame nothing is sent, here and below.
    pub fn text(&mut self, text: &str) {
        self.send(tungstenite::Message::text(text));
    }

    /// Sends a binary message.
    pub fn binary(&mut self, bytes: impl Into<Bytes>) {
        self.send(tungstenite::Message::Binary(bytes.into()));
    }

    /// Sends a ping with the first 125 bytes of `payload`.
    pub fn ping(&mut self, payload: &[u8]) {
        let payload = &payload[..payload.len().min(PING_MAX)];
        self.send(tungstenite::Message::Ping(Bytes::copy_from_slice(payload)));
    }

    /// Sends a close frame, once; what the peer sends until it closes, too, is still heard. The code
    /// is one that may be sent (RFC 6455, section 7.4); the reason is cut to 123 bytes.
    pub fn close(&mut self, code: u16, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(REASON_MAX)];
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.send(tungstenite::Message::Close(Some(frame)));
    }

    /// What is to be sent to the peer; the caller takes it from the front. Look again when it is
    /// empty: a pong that was held back may follow, and the memory is given back.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.wire.output()
    }

    /// How the peer broke the protocol, if it did. The close frame that says so is in the output.
    pub fn protocol_error(&self) -> Option<&ProtocolError> {
        self.broken.as_ref()
    }

    /// Whether both ends have closed, or the peer is gone or broke the protocol: the output is to be
    /// sent, then the connection to be closed.
    pub fn is_over(&self) -> bool {
        self.ignores_input() || self.eof
    }

    /// The peer closed its connection. What was received before is still there to be asked for.
    pub fn eof(&mut self) {
        self.eof = true;
    }

    /// Room for bytes that tungstenite has not got.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn input_bytes(&self) -> usize {
        self.wire.input_bytes()
    }

    /// Whether nothing that the peer sends matters any more.
    fn ignores_input(&self) -> bool {
        self.close_received || self.broken.is_some()
    }

    fn message(&mut self, message: tungstenite::Message) -> Option<Message> {
        match message {
            tungstenite::Message::Text(text) => Some(Message::Text(text)),
            tungstenite::Message::Binary(bytes) => Some(Message::Binary(bytes)),
            tungstenite::Message::Ping(bytes) => Some(Message::Ping(bytes)),
            tungstenite::Message::Pong(bytes) => Some(Message::Pong(bytes)),
            tungstenite::Message::Close(frame) => {
                self.close_received = true;
                self.close_sent = true;
                self.end_of_input();
                Some(Message::Close(frame.map(|it| (it.code.into(), it.reason.to_string()))))
            }
            // It is only ever sent.
            tungstenite::Message::Frame(_) => None,
        }
    }

    fn send(&mut self, message: tungstenite::Message) {
        if self.close_sent || self.broken.is_some() {
            return;
        }
        self.close_sent = message.is_close();
        let context = self.context.get_or_insert_with(|| context(self.end, self.message_max));
        // The wire takes everything, and nothing is sent behind a close frame: no error is left.
        let _ = context.write(&mut self.wire, message);
        self.rest();
    }

    /// The code and the words for what tungstenite found.
    fn fault(&self, error: &Error) -> (u16, String) {
        match error {
            Error::Utf8(_) => (1007, "text that is not UTF-8".to_owned()),
            Error::Capacity(_) => (1009, format!("a message of over {} bytes", self.message_max)),
            Error::Protocol(error) => (1002, error.to_string()),
            Error::Io(error) => (1002, error.to_string()),
            // Of reading frames none of these is known.
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Tls(_)
            | Error::WriteBufferFull(_)
            | Error::AttackAttempt
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => (1002, error.to_string()),
        }
    }

    fn fail(&mut self, code: u16, what: String) {
        self.close(code, &what);
        self.broken = Some(ProtocolError { code, what });
        self.end_of_input();
    }

    fn end_of_input(&mut self) {
        self.context = None;
        self.wire.forget_input();
    }

    /// Gives memory back between messages. While a connection closes, the context holds how far.
    fn rest(&mut self) {
        if self.wire.is_between_messages() && !self.close_sent {
            self.context = None;
        }
    }
}

fn context(end: Endpoint, message_max: usize) -> Box<WebSocketContext> {
    let role = match end {
        Endpoint::Dialled => Role::Client,
        Endpoint::Accepted => Role::Server,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        // Every frame goes to the wire at once, which is memory.
        .write_buffer_size(0)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max));
    Box::new(WebSocketContext::new(role, Some(config)))
}
