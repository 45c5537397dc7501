//! Request heads: bytes to a [`RequestHead`], using httparse, which is lenient where RFC 9112
//! allows it; this module is strict. The verdict is the same whether a head arrives at once or byte
//! by byte: an incomplete head either gets the error that its completion would get, or more bytes
//! are awaited.

use std::mem::MaybeUninit;

use memchr::{memchr, memchr_iter};

use self::common_fields::CommonFields;
pub use self::kept::KeptHead;
use self::request_line::{check_visible_target, diagnose, skip_empty_lines};
use super::fields::Fields;
use super::framing::Framing;
use super::reject::Reject;
use super::target::Target;

mod common_fields;
mod kept;
mod request_line;

/// Maximum field lines of a head: twice what a browser behind several proxies sends.
pub const FIELDS_MAX: usize = 100;

/// Limits of a head, besides [`FIELDS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Maximum bytes of the complete head, including its empty line.
    pub bytes: usize,
    /// Maximum bytes of the request target; only effective below `bytes`.
    pub target_bytes: usize,
}

/// A request method (RFC 9110, section 9). Methods are case-sensitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// `OPTIONS`.
    Options,
    /// `CONNECT`.
    Connect,
    /// `TRACE`.
    Trace,
    /// `PATCH` (RFC 5789).
    Patch,
    /// Any other token.
    Other,
}

impl Method {
    /// Returns the method of this name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "CONNECT" => Self::Connect,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// Returns its name; empty for any other token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "",
        }
    }
}

/// The supported versions of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0: no chunks, no 100, and one request per connection unless keep-alive is requested.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The client's expectation before it sends its body (RFC 9110, section 10.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing; always so in HTTP/1.0.
    None,
    /// `100-continue`.
    Continue,
    /// Something else, to be answered with 417.
    Unknown,
}

/// Slots for the fields of one head: 3 KiB on the stack that are never cleared.
pub struct FieldSlots<'b>([MaybeUninit<httparse::Header<'b>>; FIELDS_MAX]);

impl FieldSlots<'_> {
    /// Creates empty slots.
    pub const fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; FIELDS_MAX])
    }
}

impl Default for FieldSlots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A complete and valid request head, borrowed from the head buffer.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'h, 'b> {
    /// The method.
    pub method: Method,
    /// The method as received, a token.
    pub method_name: &'b str,
    /// The target as received.
    pub target: &'b str,
    /// The path of origin- or absolute-form, `/` when empty; `*`; or the authority of `CONNECT`.
    pub path: &'b str,
    /// The part of the target after the first `?`.
    pub query: Option<&'b str>,
    /// The version of the request line.
    pub version: Version,
    /// The header fields.
    pub fields: Fields<'h, 'b>,
    /// How the body is delimited.
    pub framing: Framing,
    /// What the client expects before it sends its body.
    pub expect: Expect,
    /// Whether the client wants to keep the connection open (RFC 9112, section 9.3).
    pub keep_alive: bool,
    /// The length of the head in the buffer, including the empty lines before and after it, in
    /// bytes.
    pub len: usize,
}

impl<'b> RequestHead<'_, 'b> {
    /// Returns the host and port the request is for: those of a target in absolute form, else the
    /// `Host` field (RFC 9112, section 3.2.2). HTTP/1.0 may have neither.
    pub fn host(&self) -> Option<&'b [u8]> {
        let of_target = match self.target.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                rest.split(['/', '?']).next()
            }
            Some(_) | None => None,
        };
        of_target.map(str::as_bytes).or_else(|| self.fields.get("Host"))
    }

    /// Returns the target in origin-form, with nothing decoded (RFC 9112, section 3.2.1).
    pub fn path_and_query(&self) -> String {
        let query = self.query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", self.path)
    }
}

/// Parses the head at the start of `buf`; `Ok(None)` while it is incomplete. Only the first
/// `limits.bytes` bytes are considered.
///
/// # Errors
///
/// Returns the [`Reject`] to answer with, as soon as no further bytes can make the head valid.
pub fn parse<'h, 'b>(
    buf: &'b [u8],
    slots: &'h mut FieldSlots<'b>,
    limits: &HeadLimits,
) -> Result<Option<RequestHead<'h, 'b>>, Reject> {
    let window = &buf[..buf.len().min(limits.bytes)];
    let start = skip_empty_lines(window)?;
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(&window[start..], &mut slots.0) {
        Ok(httparse::Status::Complete(len)) => {
            // An overlong target is reported first, as it would be for an incomplete head.
            check_line_endings(&window[start..start + len])
                .or_else(|reject| check_visible_target(window, limits).and(Err(reject)))?;
            build(request, start + len, limits).map(Some)
        }
        Ok(httparse::Status::Partial) => {
            check_visible_target(window, limits)?;
            wait(window, limits)
        }
        Err(error) => {
            check_visible_target(window, limits)?;
            diagnose(&window[start..], error).map_or_else(|| wait(window, limits), Err)
        }
    }
}

/// Whether [`parse`] can return anything new for `buf`, whose first `seen` bytes it called
/// incomplete before: true for the first bytes, after the end of a line, or beyond a limit.
/// Checking this first avoids parsing a slowly arriving head once per byte.
pub fn worth_parsing(buf: &[u8], seen: usize, limits: &HeadLimits) -> bool {
    seen == 0
        || buf.len() >= limits.bytes
        || buf.get(seen..).is_some_and(|new| memchr(b'\n', new).is_some())
        || (buf.len() > limits.target_bytes && check_visible_target(buf, limits).is_err())
}

/// Checks that every LF follows a CR; httparse itself refuses a CR without LF.
fn check_line_endings(head: &[u8]) -> Result<(), Reject> {
    let bare = memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r');
    if bare { Err(Reject::LineEnding) } else { Ok(()) }
}

/// Returns the verdict on an incomplete head: wait, unless it has already reached the limit.
fn wait<T>(window: &[u8], limits: &HeadLimits) -> Result<Option<T>, Reject> {
    if window.len() >= limits.bytes { Err(Reject::HeadTooLong) } else { Ok(None) }
}

/// Runs the checks that need the complete head.
fn build<'h, 'b>(
    request: httparse::Request<'h, 'b>,
    len: usize,
    limits: &HeadLimits,
) -> Result<RequestHead<'h, 'b>, Reject> {
    let httparse::Request { method, path, version, headers } = request;
    let method_name = method.ok_or(Reject::Method)?;
    let target = path.ok_or(Reject::TargetBytes)?;
    let version = if version == Some(0) { Version::Http10 } else { Version::Http11 };
    if target.len() > limits.target_bytes {
        return Err(Reject::TargetTooLong);
    }
    let method = Method::from_name(method_name);
    let Target { path, query } = Target::parse(method, target)?;
    let fields = Fields::new(headers);
    let noted = CommonFields::read(fields)?;
    noted.check_host(version)?;
    Ok(RequestHead {
        method,
        method_name,
        target,
        path,
        query,
        version,
        fields,
        framing: noted.claims.settle(version)?,
        expect: noted.expect(version),
        keep_alive: noted.keep_alive(version),
        len,
    })
}

#[cfg(test)]
mod tests;
