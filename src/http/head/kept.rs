//! A head that was parsed, without its borrow of the bytes: it is used later, or by another thread,
//! and not parsed again.

use std::ops::Range;

use super::{Expect, FIELDS_MAX, Method, RequestHead, Version};
use crate::http::fields::Fields;
use crate::http::framing::Framing;

/// A parsed head, as positions in the bytes that it was parsed from.
#[derive(Debug)]
pub struct KeptHead {
    method: Method,
    method_name: Range<usize>,
    target: Range<usize>,
    path: KeptPath,
    query: Option<Range<usize>>,
    version: Version,
    /// Name and value of each field.
    fields: Vec<(Range<usize>, Range<usize>)>,
    framing: Framing,
    expect: Expect,
    keep_alive: bool,
    len: usize,
}

/// The path of a target, which may be one that the target does not have.
#[derive(Debug)]
enum KeptPath {
    Here(Range<usize>),
    Fixed(&'static str),
}

impl KeptHead {
    /// Keeps a head that was parsed from these bytes.
    pub fn keep(head: &RequestHead<'_, '_>, bytes: &[u8]) -> Self {
        let at = |part: &[u8]| position(part, bytes).unwrap_or(0..0);
        let fields = head.fields.iter();
        Self {
            method: head.method,
            method_name: at(head.method_name.as_bytes()),
            target: at(head.target.as_bytes()),
            path: match (position(head.path.as_bytes(), bytes), head.path) {
                (Some(here), _) => KeptPath::Here(here),
                (None, "*") => KeptPath::Fixed("*"),
                (None, _) => KeptPath::Fixed("/"),
            },
            query: head.query.map(|query| at(query.as_bytes())),
            version: head.version,
            fields: fields.map(|(name, value)| (at(name.as_bytes()), at(value))).collect(),
            framing: head.framing,
            expect: head.expect,
            keep_alive: head.keep_alive,
            len: head.len,
        }
    }

    /// Returns the fields for [`KeptHead::head`]. `bytes`: those that were passed to
    /// [`KeptHead::keep`].
    pub fn fields<'b>(&self, bytes: &'b [u8]) -> Vec<httparse::Header<'b>> {
        debug_assert!(self.fields.len() <= FIELDS_MAX, "it was parsed");
        let fields = self.fields.iter().map(|(name, value)| httparse::Header {
            name: text(bytes, name),
            value: &bytes[value.clone()],
        });
        fields.collect()
    }

    /// Returns the head again.
    pub fn head<'h, 'b>(
        &self,
        bytes: &'b [u8],
        fields: &'h [httparse::Header<'b>],
    ) -> RequestHead<'h, 'b> {
        RequestHead {
            method: self.method,
            method_name: text(bytes, &self.method_name),
            target: text(bytes, &self.target),
            path: match &self.path {
                KeptPath::Here(path) => text(bytes, path),
                KeptPath::Fixed(path) => path,
            },
            query: self.query.as_ref().map(|query| text(bytes, query)),
            version: self.version,
            fields: Fields::new(fields),
            framing: self.framing,
            expect: self.expect,
            keep_alive: self.keep_alive,
            len: self.len,
        }
    }
}

/// Returns where a part of these bytes is; `None` if it is not one.
fn position(part: &[u8], bytes: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= bytes.len()).then_some(start..end)
}

/// Returns a part of a head, which was checked when it was parsed.
fn text<'b>(bytes: &'b [u8], range: &Range<usize>) -> &'b str {
    str::from_utf8(&bytes[range.clone()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{FieldSlots, HeadLimits, parse};
    use super::*;

    #[test]
    fn a_kept_head_is_the_one_that_was_parsed() {
        let limits = HeadLimits { bytes: 4000, target_bytes: 2000 };
        for request in [
            "PUT /stream/x?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n",
            "\r\nGET http://host/path?q HTTP/1.1\r\nHost: other\r\nX:\r\n",
            "GET http://host HTTP/1.1\r\nHost: host\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
            "OPTIONS http://host HTTP/1.1\r\nHost: a\r\n",
            "CONNECT host:80 HTTP/1.1\r\nHost: a\r\n",
            "GET / HTTP/1.0\r\n",
            "BREW /? HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: \u{e9}\r\n",
        ] {
            let bytes = format!("{request}\r\nthe rest").into_bytes();
            let mut slots = FieldSlots::new();
            let head = parse(&bytes, &mut slots, &limits).unwrap().unwrap();
            let kept = KeptHead::keep(&head, &bytes);
            let moved = bytes.clone();
            let fields = kept.fields(&moved);
            let again = kept.head(&moved, &fields);
            assert_eq!(format!("{again:?}"), format!("{head:?}"), "{request}");
        }
    }
}
