//! Data frames as a stream: a message has no maximum size, and its bytes are passed on as they are
//! received, whether or not they are UTF-8. Control frames are left to tungstenite.

use super::Endpoint;
use super::wire::{NextFrame, WireBuffers};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// What was read next.
#[derive(Debug)]
pub(super) enum Step {
    /// More bytes of a message, and whether they are its last ones.
    Piece(Vec<u8>, bool),
    /// The next frame is a control frame, or invalid: tungstenite reads it.
    Other,
    /// More bytes have to be received.
    Waiting,
}

/// The data frames of a peer.
#[derive(Debug, Default)]
pub(super) struct DataStream {
    /// Bytes of the current frame not received yet.
    left: u64,
    /// The mask, rotated to the next byte; all zero for an unmasked frame.
    mask: [u8; 4],
    /// Whether the current frame is the last one of its message.
    is_final: bool,
    /// Whether a message has begun and not ended.
    in_message: bool,
}

impl DataStream {
    /// Returns what follows, from a peer of the end `end`.
    ///
    /// # Errors
    /// A description of a violation of RFC 6455, section 5.
    pub(super) fn next(
        &mut self,
        wire: &mut WireBuffers,
        end: Endpoint,
    ) -> Result<Step, &'static str> {
        loop {
            if self.left > 0 {
                let bytes = wire.take(self.left);
                return Ok(if bytes.is_empty() { Step::Waiting } else { self.piece(bytes) });
            }
            match wire.next_frame() {
                NextFrame::Incomplete => return Ok(Step::Waiting),
                NextFrame::Other => return Ok(Step::Other),
                NextFrame::Data(header, length) => self.begin(&header, length, end)?,
            }
            // An empty frame is news only as the end of its message.
            if self.left == 0 && self.is_final {
                return Ok(self.piece(Vec::new()));
            }
        }
    }

    fn begin(
        &mut self,
        header: &FrameHeader,
        length: u64,
        end: Endpoint,
    ) -> Result<(), &'static str> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err("Reserved bits are non-zero");
        }
        match (end, header.mask.is_some()) {
            (Endpoint::Accepted, true) | (Endpoint::Dialled, false) => {}
            (Endpoint::Accepted, false) => return Err("Received an unmasked frame from client"),
            (Endpoint::Dialled, true) => return Err("Received a masked frame from server"),
        }
        let continues = header.opcode == OpCode::Data(Data::Continue);
        if continues != self.in_message {
            return Err(if continues {
                "Continue frame but nothing to continue"
            } else {
                "A message begins within another one"
            });
        }
        // RFC 6455, section 5.2: "the most significant bit MUST be 0".
        if length > i64::MAX.unsigned_abs() {
            return Err("Length of a frame of more than 63 bits");
        }
        (self.left, self.is_final) = (length, header.is_final);
        self.mask = header.mask.unwrap_or_default();
        self.in_message = true;
        Ok(())
    }

    fn piece(&mut self, mut bytes: Vec<u8>) -> Step {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte ^= self.mask[at % 4];
        }
        self.mask.rotate_left(bytes.len() % 4);
        self.left -= bytes.len() as u64;
        let over = self.left == 0 && self.is_final;
        self.in_message = !over;
        Step::Piece(bytes, over)
    }
}
