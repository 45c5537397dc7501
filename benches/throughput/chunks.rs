//! A plain chunk decoder for the output of a relay: no extensions, no trailers.

use crate::{Result, failure};

/// Position within the framing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size.
    Size(u64),
    /// After the carriage return of a size line.
    SizeLineFeed(u64),
    /// Within a chunk, with this number of payload bytes left.
    Payload(u64),
    /// Before the CRLF that ends a chunk, or the body if `last`.
    LineEnd { last: bool },
    /// After the carriage return of that CRLF.
    LineFeed { last: bool },
    /// The body is complete.
    End,
}

/// Splits a chunked body into its payload.
pub(crate) struct Decoder(State);

impl Decoder {
    /// A decoder at the start of a body.
    pub(crate) fn new() -> Self {
        Self(State::Size(0))
    }

    /// Whether the last chunk and the empty trailer section were decoded.
    pub(crate) fn ended(&self) -> bool {
        self.0 == State::End
    }

    /// Decodes wire bytes and passes their payload to `payload`.
    pub(crate) fn feed(
        &mut self,
        mut wire: &[u8],
        mut payload: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while let Some((&first, rest)) = wire.split_first() {
            if let State::Payload(left) = self.0 {
                let count = wire.len().min(usize::try_from(left)?);
                let (now, later) = wire.split_at(count);
                payload(now)?;
                self.0 = match left - count as u64 {
                    0 => State::LineEnd { last: false },
                    left => State::Payload(left),
                };
                wire = later;
            } else {
                self.0 = self.0.after(first)?;
                wire = rest;
            }
        }
        Ok(())
    }
}

impl State {
    /// The state after one framing byte.
    fn after(self, byte: u8) -> Result<Self> {
        Ok(match (self, byte) {
            (Self::Size(size), b'\r') => Self::SizeLineFeed(size),
            (Self::Size(size), digit) => {
                let digit =
                    char::from(digit).to_digit(16).ok_or_else(|| failure("bad chunk size"))?;
                Self::Size(size * 16 + u64::from(digit))
            }
            (Self::SizeLineFeed(0), b'\n') => Self::LineEnd { last: true },
            (Self::SizeLineFeed(size), b'\n') => Self::Payload(size),
            (Self::LineEnd { last }, b'\r') => Self::LineFeed { last },
            (Self::LineFeed { last: true }, b'\n') => Self::End,
            (Self::LineFeed { last: false }, b'\n') => Self::Size(0),
            (state, byte) => {
                let place = match state {
                    Self::End => "after the last chunk",
                    Self::Size(_) | Self::SizeLineFeed(_) => "in a chunk size",
                    Self::Payload(_) | Self::LineEnd { .. } | Self::LineFeed { .. } => {
                        "at a chunk end"
                    }
                };
                return Err(failure(format!("byte {byte:#04x} {place}")));
            }
        })
    }
}
