//! A plain chunk decoder, for what a relay sends: no extensions, no trailers.

use crate::{Outcome, fault};

/// Where the decoder stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size.
    Size(u64),
    /// Behind the carriage return of a size line.
    SizeLineFeed(u64),
    /// This many payload bytes of a chunk are still to come.
    Payload(u64),
    /// Before the line end that closes a chunk, or the body if `last`.
    LineEnd { last: bool },
    /// Behind the carriage return of that line end.
    LineFeed { last: bool },
    /// The body is over.
    End,
}

/// Splits a chunked body into its payload.
pub(crate) struct Decoder(State);

impl Decoder {
    /// Before the first byte.
    pub(crate) fn new() -> Self {
        Self(State::Size(0))
    }

    /// Whether the last chunk and its empty trailer were seen.
    pub(crate) fn ended(&self) -> bool {
        self.0 == State::End
    }

    /// Takes wire bytes and hands their payload to `payload`.
    pub(crate) fn feed(
        &mut self,
        mut wire: &[u8],
        mut payload: impl FnMut(&[u8]) -> Outcome<()>,
    ) -> Outcome<()> {
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
    /// The state behind one byte that is no payload.
    fn after(self, byte: u8) -> Outcome<Self> {
        Ok(match (self, byte) {
            (Self::Size(size), b'\r') => Self::SizeLineFeed(size),
            (Self::Size(size), digit) => {
                let digit =
                    char::from(digit).to_digit(16).ok_or_else(|| fault("bad chunk size"))?;
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
                return Err(fault(format!("byte {byte:#04x} {place}")));
            }
        })
    }
}
