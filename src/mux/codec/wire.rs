//! What tungstenite takes for a socket: two buffers. The input hands it one frame at a time, so that
//! it is known when it holds nothing; the output bounds how many pongs a peer that does not read
//! can be owed.

use std::io::{Cursor, Error, ErrorKind, Read, Result, Write};
use std::mem;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

/// Pongs that may wait in the output: beyond, only the last ping is answered, as RFC 6455, section
/// 5.5.3 allows. At 131 bytes each a flood of pings costs about 4 KiB.
const PONGS_MAX: usize = 32;

/// First byte of a pong: one whole frame, opcode 10 (RFC 6455, section 5.2).
const PONG: u8 = 0x8a;

/// First byte of a close frame: one whole frame, opcode 8.
const CLOSE: u8 = 0x88;

/// The two buffers.
#[derive(Debug)]
pub(super) struct WireBuffers {
    input: Vec<u8>,
    /// Frames that may be handed on before the caller says so again.
    frames_max: u32,
    /// How many of them are left.
    frames_left: u32,
    /// Bytes of the input that are handed on.
    handed: usize,
    /// Bytes of the frame at hand that are not handed on.
    frame_left: u64,
    /// Whether the last data frame was no final one.
    in_message: bool,
    output: Vec<u8>,
    /// Bytes ever put into the output.
    put: u64,
    /// Of these, those up to the end of the last pong.
    put_with_pongs: u64,
    /// Pongs put since all of them were sent.
    pongs: usize,
    /// The answer to the last ping, while too many pongs wait.
    owed_pong: Vec<u8>,
}

impl Default for WireBuffers {
    fn default() -> Self {
        Self {
            input: Vec::new(),
            frames_max: u32::MAX,
            frames_left: u32::MAX,
            handed: 0,
            frame_left: 0,
            in_message: false,
            output: Vec::new(),
            put: 0,
            put_with_pongs: 0,
            pongs: 0,
            owed_pong: Vec::new(),
        }
    }
}

impl WireBuffers {
    /// At most this many frames are handed on until [`WireBuffers::resume`] is called.
    pub(super) fn in_turns_of(&mut self, frames: u32) {
        (self.frames_max, self.frames_left) = (frames, frames);
    }

    /// Whether there is more to hand on than the frames of this turn.
    pub(super) fn has_more(&self) -> bool {
        self.frames_left == 0 && self.handed < self.input.len()
    }

    /// How many frames were handed on in this turn.
    pub(super) fn frames(&self) -> u32 {
        self.frames_max - self.frames_left
    }

    /// As many frames as before may be handed on again.
    pub(super) fn resume(&mut self) {
        self.frames_left = self.frames_max;
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.input.drain(..mem::take(&mut self.handed));
        self.input.extend_from_slice(bytes);
    }

    /// Drops what is not handed on.
    pub(super) fn forget_input(&mut self) {
        self.input = Vec::new();
        self.handed = 0;
    }

    /// Whether whoever reads here has nothing of a frame or of a message, once it has read all.
    pub(super) fn is_between_messages(&self) -> bool {
        self.frame_left == 0 && !self.in_message
    }

    /// What is to be sent.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        if self.pongs_are_sent() && !self.owed_pong.is_empty() {
            let pong = mem::take(&mut self.owed_pong);
            self.put_pong(&pong);
        }
        if self.output.is_empty() {
            self.output = Vec::new();
        }
        &mut self.output
    }

    /// Whether a complete header is there, and so the next frame can be handed on in this turn.
    fn begin_frame(&mut self) -> Result<bool> {
        if self.frames_left == 0 {
            return Ok(false);
        }
        let mut cursor = Cursor::new(&self.input[self.handed..]);
        match FrameHeader::parse(&mut cursor) {
            Ok(None) => return Ok(false),
            Ok(Some((header, length))) => {
                let header_bytes = cursor.position();
                // RFC 6455, section 5.2: "the minimal number of bytes MUST be used".
                if header.len(length) as u64 != header_bytes {
                    let what = "Length of a frame not in the fewest bytes";
                    return Err(Error::new(ErrorKind::InvalidData, what));
                }
                self.frame_left = header_bytes.saturating_add(length);
                if let OpCode::Data(_) = header.opcode {
                    self.in_message = !header.is_final;
                }
            }
            // Whoever reads finds the same, and says what it is.
            Err(_) => self.frame_left = u64::MAX,
        }
        self.frames_left -= 1;
        Ok(true)
    }

    /// Keeps of the input only what is not handed on, in no more memory than that takes.
    fn shrink(&mut self) {
        if self.handed > 0 {
            self.input = self.input[mem::take(&mut self.handed)..].to_vec();
        }
    }

    fn put(&mut self, frame: &[u8]) {
        self.output.extend_from_slice(frame);
        self.put += frame.len() as u64;
    }

    fn put_pong(&mut self, frame: &[u8]) {
        if self.pongs_are_sent() {
            self.pongs = 0;
        }
        if self.pongs == PONGS_MAX {
            self.owed_pong = frame.to_vec();
            return;
        }
        self.put(frame);
        self.put_with_pongs = self.put;
        self.pongs += 1;
    }

    fn pongs_are_sent(&self) -> bool {
        // The caller may have put bytes of its own there.
        let sent = self.put.saturating_sub(self.output.len() as u64);
        self.put_with_pongs <= sent
    }
}

/// Never more than what is left of a frame; `WouldBlock` until its header is whole.
impl Read for WireBuffers {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if self.frame_left == 0 && !self.begin_frame()? {
            self.shrink();
            return Err(ErrorKind::WouldBlock.into());
        }
        let frame_left = usize::try_from(self.frame_left).unwrap_or(usize::MAX);
        let there = &self.input[self.handed..];
        let bytes = there.len().min(frame_left).min(buf.len());
        if bytes == 0 {
            self.shrink();
            return Err(ErrorKind::WouldBlock.into());
        }
        buf[..bytes].copy_from_slice(&there[..bytes]);
        self.handed += bytes;
        self.frame_left -= bytes as u64;
        Ok(bytes)
    }
}

/// Takes one whole frame with each call, which is how tungstenite writes without a buffer of its
/// own.
impl Write for WireBuffers {
    fn write(&mut self, frame: &[u8]) -> Result<usize> {
        match frame.first() {
            Some(&PONG) => self.put_pong(frame),
            Some(&CLOSE) => {
                // Nothing follows a close frame.
                self.owed_pong = Vec::new();
                self.put(frame);
            }
            Some(_) | None => self.put(frame),
        }
        Ok(frame.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl WireBuffers {
    /// Room for input, in bytes: at rest no more than is received and not handed on.
    pub(super) fn input_bytes(&self) -> usize {
        self.input.capacity()
    }
}
