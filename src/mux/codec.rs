//! A sans-I/O WebSocket codec (RFC 6455, section 5): the caller passes in the peer's bytes, takes
//! complete messages, and sends what collects in an output buffer. tungstenite parses and writes
//! the frames; this file feeds it from memory, bounds what a peer can make it hold, and sends the
//! right close code where tungstenite only reports an error.
//!
//! # Memory
//!
//! Between messages a codec holds no heap memory except unsent output: tungstenite's context, which
//! keeps the capacity of the largest message for the next one, is dropped and recreated. 10,000
//! idle codecs, after a message of 64 KiB each, were measured at 4.4 MB of resident memory,
//! including the vector that held them.
//!
//! Within a message a peer can make a codec hold three times `message_max`: the announced frame
//! (address space at first; pages as bytes arrive), and the fragments so far, in a vector that
//! doubles. Fragments of one byte cost no more than their bytes. Messages that are
//! [streamed](Codec::stream_messages) cost nothing but the bytes received last.

use std::io::ErrorKind;

use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error, Utf8Bytes};

use self::stream::{DataStream, Step};
use self::wire::WireBuffers;

mod stream;
mod wire;

#[cfg(test)]
mod tests;

/// Size of tungstenite's reads in bytes, allocated when the first frame arrives. tungstenite clears
/// the buffer for every frame, so a larger one is slower for small messages.
const READ_BYTES: usize = 4 << 10;

/// Longest reason of a close frame in bytes: 125 minus 2 for the code (RFC 6455, section 5.5).
const REASON_MAX: usize = 123;

/// Longest payload of a ping, in bytes (RFC 6455, section 5.5).
const PING_MAX: usize = 125;

/// The end of the connection that a codec serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The end that opened the connection: it masks its frames.
    Dialled,
    /// The end that accepted the connection: it requires masked frames from the peer.
    Accepted,
}

/// A complete message from the peer. Its bytes may be a slice of the read buffer: copy what is kept
/// for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(Utf8Bytes),
    /// Bytes.
    Binary(Bytes),
    /// More of a message, text or not, once they are [streamed](Codec::stream_messages).
    Piece {
        /// The bytes; none only at the end.
        bytes: Bytes,
        /// Whether these are the last ones of the message.
        over: bool,
    },
    /// A ping; its pong is already in the output.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The peer will send nothing more; its code and reason, if any. The reply is already in the
    /// output. A code that must not be sent (RFC 6455, section 7.4) is reported as 1002.
    Close(Option<(u16, String)>),
}

/// A violation of RFC 6455 or of the message size limit by the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError {
    /// The code of the close frame sent to the peer (RFC 6455, section 7.4.1): 1002 for a protocol
    /// violation, 1007 for text that is not UTF-8, 1009 for a message that is too big.
    pub code: u16,
    /// One line that describes the error; contains no data from the peer.
    pub what: String,
}

/// One end of a WebSocket, after its handshake.
#[derive(Debug)]
pub struct Codec {
    end: Endpoint,
    /// Maximum size of a message, and of a frame, in bytes.
    message_max: usize,
    /// `None` between messages.
    context: Option<Box<WebSocketContext>>,
    wire: WireBuffers,
    /// `Some` once messages are passed on as they are received.
    stream: Option<DataStream>,
    close_sent: bool,
    close_received: bool,
    eof: bool,
    broken: Option<ProtocolError>,
}

impl Codec {
    /// Creates a codec for this end that accepts messages of up to `message_max` bytes.
    pub fn new(end: Endpoint, message_max: usize) -> Self {
        Self {
            end,
            message_max,
            context: None,
            wire: WireBuffers::default(),
            stream: None,
            close_sent: false,
            close_received: false,
            eof: false,
            broken: None,
        }
    }

    /// From the next message on, passes on messages in pieces as they are received: of any size, and
    /// whether they are text or not. Call it between messages.
    pub fn stream_messages(&mut self) {
        self.stream = Some(DataStream::default());
    }

    /// Takes in a copy of bytes from the peer. Take all messages with [`Codec::next`] before
    /// passing in more. Bytes received after the end are dropped.
    pub fn received(&mut self, bytes: &[u8]) {
        if !self.ignores_input() {
            self.wire.resume();
            self.wire.received(bytes);
        }
    }

    /// Limits processing to `frames` frames after [`Codec::received`] and each [`Codec::resume`]: a
    /// small read may hold thousands of empty ones.
    pub fn in_turns_of(&mut self, frames: u32) {
        self.wire.in_turns_of(frames);
    }

    /// Whether unprocessed bytes remain because the frame limit was reached: call [`Codec::resume`]
    /// before passing in more.
    pub fn has_more(&self) -> bool {
        !self.ignores_input() && self.wire.has_more()
    }

    /// Returns the number of frames processed since [`Codec::received`] or [`Codec::resume`].
    pub fn frames(&self) -> u32 {
        self.wire.frames()
    }

    /// Allows the next batch of frames to be processed.
    pub fn resume(&mut self) {
        self.wire.resume();
    }

    /// Returns the next complete message; `None` until more bytes arrive, or indefinitely once the
    /// peer has closed or [violated the protocol](Codec::protocol_error).
    #[expect(clippy::should_implement_trait, reason = "None does not end it, unlike an iterator")]
    pub fn next(&mut self) -> Option<Message> {
        if self.ignores_input() {
            return None;
        }
        if let Some(stream) = &mut self.stream {
            match stream.next(&mut self.wire, self.end) {
                Ok(Step::Piece(bytes, over)) => {
                    return Some(Message::Piece { bytes: bytes.into(), over });
                }
                Ok(Step::Other) => {}
                Ok(Step::Waiting) => {
                    self.wire.shrink();
                    return None;
                }
                Err(what) => {
                    self.fail(1002, what.to_owned());
                    return None;
                }
            }
        }
        let context = self.context.get_or_insert_with(|| context(self.end, self.message_max));
        let read = context.read(&mut self.wire);
        // Flush pongs and the reply to a close frame now, before any message of ours. The wire
        // accepts everything, so the only possible error is the end, which is handled below.
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

    /// Sends a text message. This and the methods below send nothing after a close frame.
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

    /// Sends a close frame, once; messages that the peer sends until it closes too are still
    /// received. `code` must be one that may be sent (RFC 6455, section 7.4); the reason is
    /// truncated to 123 bytes.
    pub fn close(&mut self, code: u16, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(REASON_MAX)];
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.send(tungstenite::Message::Close(Some(frame)));
    }

    /// Returns the bytes to send to the peer; the caller takes them from the front. Call again once
    /// it is empty: a delayed pong may follow, and the memory is freed.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.wire.output()
    }

    /// Returns the peer's protocol violation, if any. The close frame that reports it is in the
    /// output.
    pub fn protocol_error(&self) -> Option<&ProtocolError> {
        self.broken.as_ref()
    }

    /// Whether both ends have closed, or the peer disconnected or violated the protocol: send the
    /// output, then close the connection.
    pub fn is_over(&self) -> bool {
        self.ignores_input() || self.eof
    }

    /// Records that the peer closed its connection. Messages received before can still be taken.
    pub fn eof(&mut self) {
        self.eof = true;
    }

    /// Returns the capacity for bytes that tungstenite has not read, in bytes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn input_bytes(&self) -> usize {
        self.wire.input_bytes()
    }

    /// Whether further input from the peer is ignored.
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
            // Only ever sent.
            tungstenite::Message::Frame(_) => None,
        }
    }

    fn send(&mut self, message: tungstenite::Message) {
        if self.close_sent || self.broken.is_some() {
            return;
        }
        self.close_sent = message.is_close();
        let context = self.context.get_or_insert_with(|| context(self.end, self.message_max));
        // The wire accepts everything, and nothing is sent after a close frame: no error is
        // possible.
        let _ = context.write(&mut self.wire, message);
        self.rest();
    }

    /// Returns the close code and the description of a tungstenite error.
    fn fault(&self, error: &Error) -> (u16, String) {
        match error {
            Error::Utf8(_) => (1007, "text that is not UTF-8".to_owned()),
            Error::Capacity(_) => (1009, format!("a message of over {} bytes", self.message_max)),
            Error::Protocol(error) => (1002, error.to_string()),
            Error::Io(error) => (1002, error.to_string()),
            // None of these is known to occur when reading frames.
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

    /// Frees memory between messages. During the closing handshake the context holds its state.
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
        // Every frame is written to the wire at once; the wire is memory.
        .write_buffer_size(0)
        .max_message_size(Some(message_max))
        .max_frame_size(Some(message_max));
    Box::new(WebSocketContext::new(role, Some(config)))
}
