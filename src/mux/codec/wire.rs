//! The two in-memory buffers that tungstenite uses as a socket. The input passes on one frame at a
//! time, so that the codec knows when tungstenite holds nothing; the output bounds the number of
//! pongs queued for a peer that does not read.

use std::io::{Cursor, Error, ErrorKind, Read, Result, Write};
use std::mem;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

/// Maximum pongs queued in the output: beyond, only the last ping is answered, as RFC 6455, section
/// 5.5.3 allows. At 131 bytes each a flood of pings costs about 4 KiB.
const PONGS_MAX: usize = 32;

/// First byte of a pong: one complete frame, opcode 10 (RFC 6455, section 5.2).
const PONG: u8 = 0x8a;

/// First byte of a close frame: one complete frame, opcode 8.
const CLOSE: u8 = 0x88;

/// The input and output buffers.
#[derive(Debug)]
pub(super) struct WireBuffers {
    input: Vec<u8>,
    /// Maximum frames passed on until the next [`WireBuffers::resume`].
    frames_max: u32,
    /// Frames left in this turn.
    frames_left: u32,
    /// Bytes of the input already passed on.
    handed: usize,
    /// Bytes of the current frame not yet passed on.
    frame_left: u64,
    /// Whether the last data frame was not final.
    in_message: bool,
    output: Vec<u8>,
    /// Total bytes ever written to the output.
    put: u64,
    /// Value of `put` at the end of the last pong.
    put_with_pongs: u64,
    /// Pongs written since all of them were sent.
    pongs: usize,
    /// The reply to the last ping, while too many pongs are queued.
    owed_pong: Vec<u8>,
}

/// The frame that follows in the input.
#[derive(Debug)]
pub(super) enum NextFrame {
    /// Its header is incomplete, or not for this turn.
    Incomplete,
    /// A data frame with this payload length; its header has been passed on.
    Data(FrameHeader, u64),
    /// Any other frame, valid or not.
    Other,
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
    /// Limits the frames passed on until [`WireBuffers::resume`] is called.
    pub(super) fn in_turns_of(&mut self, frames: u32) {
        (self.frames_max, self.frames_left) = (frames, frames);
    }

    /// Whether input remains after the frames of this turn.
    pub(super) fn has_more(&self) -> bool {
        self.frames_left == 0 && self.handed < self.input.len()
    }

    /// Returns the number of frames passed on in this turn.
    pub(super) fn frames(&self) -> u32 {
        self.frames_max - self.frames_left
    }

    /// Allows the next batch of frames to be passed on.
    pub(super) fn resume(&mut self) {
        self.frames_left = self.frames_max;
    }

    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.input.drain(..mem::take(&mut self.handed));
        self.input.extend_from_slice(bytes);
    }

    /// Drops the input not yet passed on.
    pub(super) fn forget_input(&mut self) {
        self.input = Vec::new();
        self.handed = 0;
    }

    /// Whether the reader, once it has read everything, holds no part of a frame or message.
    pub(super) fn is_between_messages(&self) -> bool {
        self.frame_left == 0 && !self.in_message
    }

    /// Returns the bytes to send.
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

    /// Passes on the header of the next frame, if it is a valid one of a data frame.
    pub(super) fn next_frame(&mut self) -> NextFrame {
        if self.frame_left > 0 {
            return NextFrame::Other;
        }
        if self.frames_left == 0 {
            return NextFrame::Incomplete;
        }
        let mut cursor = Cursor::new(&self.input[self.handed..]);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(None) => return NextFrame::Incomplete,
            Ok(Some(parsed)) => parsed,
            Err(_) => return NextFrame::Other,
        };
        let header_bytes = header.len(length);
        if matches!(header.opcode, OpCode::Control(_)) || header_bytes as u64 != cursor.position() {
            return NextFrame::Other;
        }
        self.handed += header_bytes;
        self.frames_left -= 1;
        NextFrame::Data(header, length)
    }

    /// Passes on up to `most` bytes.
    pub(super) fn take(&mut self, most: u64) -> Vec<u8> {
        let there = &self.input[self.handed..];
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(there.len());
        let bytes = there[..count].to_vec();
        self.handed += count;
        bytes
    }

    /// Whether a complete header was received, so that the next frame can be passed on in this
    /// turn.
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
            // The reader detects the same error and reports it.
            Err(_) => self.frame_left = u64::MAX,
        }
        self.frames_left -= 1;
        Ok(true)
    }

    /// Drops the input already passed on and shrinks the buffer to the rest.
    pub(super) fn shrink(&mut self) {
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
        // The caller may have added bytes of its own.
        let sent = self.put.saturating_sub(self.output.len() as u64);
        self.put_with_pongs <= sent
    }
}

/// Reads at most the rest of a frame; `WouldBlock` until its header is complete.
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

/// Takes one complete frame per call: tungstenite writes this way without a buffer of its own.
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
    /// Returns the capacity of the input in bytes: when idle, no more than the bytes not yet passed
    /// on.
    pub(super) fn input_bytes(&self) -> usize {
        self.input.capacity()
    }
}
