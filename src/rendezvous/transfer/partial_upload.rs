//! An upload between two transfers: its destination left before a byte was sent to it.

use super::outcome::TransferOutcome;
use crate::http::body::BodyDecoder;
use crate::http::first_part::FirstPart;
use crate::http::framing::Framing;
use crate::http::repr_digest::ReprDigest;

/// An upload with its parse state, to be resumed by another transfer.
#[derive(Clone, Debug)]
pub struct PartialUpload {
    pub(super) decoder: BodyDecoder,
    pub(super) body_max: u64,
    pub(super) digest: Option<Box<ReprDigest>>,
    /// The form of which only the first part is passed on, if it is one.
    pub(super) form: Option<Box<FirstPart>>,
    /// Body bytes that were read but handed to no destination.
    pub(super) body: Vec<u8>,
    /// Why it is interrupted: invalid framing, for one, must survive a change of the destination.
    pub(super) lost: Option<TransferOutcome>,
}

impl PartialUpload {
    /// Creates an upload of which nothing was read.
    pub(super) fn new(decoder: BodyDecoder) -> Self {
        Self { decoder, body_max: u64::MAX, digest: None, form: None, body: Vec::new(), lost: None }
    }

    /// Creates an upload that is a form, of which nothing was read; it carries at most `bytes_max`
    /// bytes.
    pub fn of_form(framing: Framing, form: FirstPart, bytes_max: u64) -> Self {
        let upload = Self::new(BodyDecoder::new(framing).at_most(bytes_max));
        Self { form: Some(Box::new(form)), body_max: bytes_max, ..upload }
    }

    /// Whether it was read to its end.
    pub fn is_read(&self) -> bool {
        self.decoder.is_over()
    }

    /// Whether `bytes` that were already sent may contain all that remains of it.
    pub fn may_end_within(&self, bytes: u64) -> bool {
        if self.lost.is_some() {
            // The next destination is notified of the error.
            return true;
        }
        match self.decoder.still_to_come() {
            Some(left) => bytes >= left,
            None => bytes > 0,
        }
    }
}
