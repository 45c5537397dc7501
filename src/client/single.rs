//! One request with one body of any size, and its response.

use super::connection::{Connection, Sent};
use super::outgoing::{Outgoing, Request};
#[cfg(feature = "connector")]
use super::redirect::Redirects;
use super::{Error, Options, Part, Response, Url};
use crate::http::framing::Framing;

/// A single request.
pub(crate) struct SingleRequest<'r> {
    pub(crate) method: &'r str,
    pub(crate) url: &'r Url,
    /// Fields in addition to those of the options.
    pub(crate) fields: Vec<(&'r str, String)>,
    pub(crate) content: Part<'r>,
    /// Length of the content, in bytes.
    pub(crate) bytes: u64,
    /// Whether to hold the content back until the server requests it.
    pub(crate) is_held_back: bool,
}

/// Sends the request on a connection of its own; a response received before its end is early
/// ([`Response::is_early`]).
///
/// # Errors
/// All but [`Error::Answered`].
pub(crate) fn send(single: SingleRequest<'_>, options: &Options) -> Result<Response, Error> {
    let connection = Connection::open(single.url, options)?;
    send_on(connection, single, options)
}

/// Does the same, and sends the request again to where the server redirects it, unless the content was
/// requested before.
///
/// # Errors
/// All but [`Error::Answered`], or a redirect cannot be followed.
#[cfg(feature = "connector")]
pub(crate) fn send_redirected(
    single: SingleRequest<'_>,
    options: &Options,
) -> Result<Response, Error> {
    let SingleRequest { method, url, fields, content, bytes, is_held_back } = single;
    let expect_continue = is_held_back && bytes > 0;
    let (framing, mut content) = (Framing::Length(bytes), Some(content));
    let mut place = Redirects::new(url.clone(), options);
    loop {
        let (url, fields) = (place.url(), fields.clone());
        let request = Request { method, url, framing, fields, expect_continue };
        let mut outgoing = Outgoing::open(&request, place.options())?;
        let asked = if expect_continue { outgoing.await_continue()? } else { Sent::All };
        let sent = match content.take_if(|_| asked == Sent::All) {
            Some(content) => content.send(&mut outgoing)?,
            None => asked,
        };
        let response = match sent {
            Sent::All => outgoing.finish(None),
            Sent::Stopped => outgoing.answer(),
        }?;
        let is_repeatable = content.is_some() || bytes == 0;
        if !is_repeatable || !place.follow_response(&response)? {
            return Ok(response);
        }
    }
}

/// Sends the request on this connection, which must be idle.
pub(crate) fn send_on(
    connection: Connection,
    single: SingleRequest<'_>,
    options: &Options,
) -> Result<Response, Error> {
    let SingleRequest { method, url, fields, content, bytes, is_held_back } = single;
    // A request without content must not expect `100 Continue` (RFC 9110, section 10.1.1).
    let expect_continue = is_held_back && bytes > 0;
    let framing = Framing::Length(bytes);
    let request = Request { method, url, framing, fields, expect_continue };
    let mut outgoing = Outgoing::on(connection, &request, options)?;
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
