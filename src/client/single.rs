//! One request with one body, which may be as large as it likes, and its answer.

use super::connection::Sent;
use super::outgoing::{Outgoing, Request};
use super::{Error, Options, Part, Response, Url};
use crate::http::framing::Framing;

/// A request on its own.
pub(crate) struct SingleRequest<'r> {
    pub(crate) method: &'r str,
    pub(crate) url: &'r Url,
    /// Fields besides those of the options.
    pub(crate) fields: Vec<(&'r str, String)>,
    pub(crate) content: Part<'r>,
    /// How long the content is, in bytes.
    pub(crate) bytes: u64,
    /// Whether nothing of it is sent before the server asks for it.
    pub(crate) is_held_back: bool,
}

/// Sends it; an answer that comes before its end is an early one ([`Response::is_early`]).
///
/// # Errors
/// All but [`Error::Answered`].
pub(crate) fn send(single: SingleRequest<'_>, options: &Options) -> Result<Response, Error> {
    let SingleRequest { method, url, fields, content, bytes, is_held_back } = single;
    // Nobody is asked about no body (RFC 9110, section 10.1.1).
    let expect_continue = is_held_back && bytes > 0;
    let framing = Framing::Length(bytes);
    let request = Request { method, url, framing, fields, expect_continue };
    let mut outgoing = Outgoing::open(&request, options)?;
    let asked = if expect_continue { outgoing.await_continue()? } else { Sent::All };
    let sent = match asked {
        Sent::All => content.send(&mut outgoing)?,
        Sent::Stopped => Sent::Stopped,
    };
    match sent {
        Sent::All => outgoing.finish(None),
        Sent::Stopped => outgoing.answer(),
    }
}
