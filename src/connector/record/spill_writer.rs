//! Decodes content that is too large for memory into a file, while it is read.

use super::{ReadError, RecordError};
use crate::connector::spill::{SpillSpace, SpilledContent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::sync::Arc;

/// Characters of base64 decoded at once, a multiple of 4.
const DECODE_CHARS: usize = 64 << 10;

/// Decoder of base64 into a file.
#[derive(Debug)]
pub(super) struct SpillWriter {
    content: SpilledContent,
    text: Vec<u8>,
    /// Whether padding was received, after which nothing must follow.
    ended: bool,
}

impl SpillWriter {
    /// Creates a file in this space.
    pub(super) fn begin(space: &Arc<SpillSpace>) -> io::Result<Self> {
        let text = Vec::with_capacity(DECODE_CHARS);
        Ok(Self { content: space.create()?, text, ended: false })
    }

    /// Takes the next characters.
    pub(super) fn text(&mut self, mut text: &[u8]) -> Result<(), ReadError> {
        while !text.is_empty() {
            let room = DECODE_CHARS - self.text.len();
            let (now, later) = text.split_at(room.min(text.len()));
            self.text.extend_from_slice(now);
            text = later;
            if self.text.len() == DECODE_CHARS {
                self.decode()?;
            }
        }
        Ok(())
    }

    /// Returns the content after its last character.
    pub(super) fn finish(mut self) -> Result<SpilledContent, ReadError> {
        self.decode()?;
        Ok(self.content)
    }

    fn decode(&mut self) -> Result<(), ReadError> {
        if self.text.is_empty() {
            return Ok(());
        }
        let wrong = RecordError::Base64("payload.after");
        if self.ended {
            return Err(wrong.into());
        }
        let bytes = STANDARD.decode(&self.text).map_err(|_| wrong)?;
        self.ended = self.text.last() == Some(&b'=');
        self.text.clear();
        self.content.append(&bytes).map_err(ReadError::Spill)
    }
}
