//! Whether the peer accepts a head. One that it rejects would end the connection and all other
//! exchanges on it, so it is refused before it is sent.

use super::{Dialect, Session};
use crate::http::head::FIELDS_MAX;
use crate::mux::frame::{HEAD_MAX_BYTES, head_fits};
use crate::mux::text::{CORRELATION_ID, has_field};

/// Enough bytes for a 7-digit `Content-Length` or `Transfer-Encoding: chunked`, with the line end.
const FRAMING_BYTES: usize = 32;

impl Session {
    /// Whether a request head can be sent, including what the dialect adds to it: at most
    /// [`HEAD_MAX_BYTES`], half of them in the request line, and [`FIELDS_MAX`] fields.
    pub fn takes_request(&self, head: &[u8], over: bool) -> bool {
        head_fits(head, self.framing_added(head, over))
    }

    /// Like [`takes_request`](Self::takes_request), for the head of the response to a request.
    pub fn takes_response(&self, number: u32, head: &[u8], over: bool) -> bool {
        let (mut bytes, mut fields) = self.framing_added(head, over);
        let id = self.exchanges.get(&number).and_then(|one| one.correlation.as_ref());
        if let Some(id) = id.filter(|_| !has_field(head, CORRELATION_ID)) {
            bytes += CORRELATION_ID.len() + id.len() + 4;
            fields += 1;
        }
        head_fits(head, (bytes, fields))
    }

    /// Returns the bytes and fields added to delimit the body; frames need none.
    fn framing_added(&self, head: &[u8], over: bool) -> (usize, usize) {
        let added = self.dialect == Dialect::Text && !over && !has_field(head, "Content-Length");
        if added { (FRAMING_BYTES, 1) } else { (0, 0) }
    }
}

/// Returns the error message for a head that is too large.
pub fn head_too_large() -> String {
    format!("the head is too large: at most {HEAD_MAX_BYTES} bytes and {FIELDS_MAX} fields go")
}
