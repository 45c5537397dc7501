//! Receipts: whether a receiver has the complete data, as it reports itself. A stream is finished
//! once a socket accepted the data, whether or not the receiver keeps it.

/// Maximum length of the text of a receipt, in bytes; the rest is dropped.
pub const TEXT_MAX_BYTES: usize = 1 << 10;

/// The receipt of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The receiver announced one.
    Expected,
    /// The receiver has all of the data, with this digest if it reports one.
    Confirmed(Option<Box<str>>),
    /// The receiver does not have all of it, for this reason.
    Failed(Box<str>),
}

/// What becomes of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// It is shown in the status.
    Taken,
    /// The receiver did not announce one, or has sent it.
    Unexpected,
    /// The transfer is not complete yet.
    Early,
    /// There is no such stream.
    Unknown,
    /// There is no memory for it.
    Full,
}

impl Receipt {
    /// Returns a confirmation; the digest is text for people and programs at the other side.
    pub fn confirmed(digest: Option<&str>) -> Self {
        Self::Confirmed(digest.map(short))
    }

    /// Returns a failure for this reason.
    pub fn failed(reason: &str) -> Self {
        Self::Failed(short(reason))
    }

    /// Returns the name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Confirmed(_) => "confirmed",
            Self::Failed(_) => "failed",
        }
    }

    /// Returns its text in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Expected | Self::Confirmed(None) => 0,
            Self::Confirmed(Some(text)) | Self::Failed(text) => text.len(),
        }
    }
}

fn short(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(TEXT_MAX_BYTES)].into()
}
