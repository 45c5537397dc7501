//! Access control for requests. The lists show the identifier of every stream, and knowing an
//! identifier is the permission to use the stream; a browser sends whatever any web page makes it
//! send, with the rights of the machine it runs on. So the origin of a request is checked before
//! the request is served.

use super::{Audience, PathRoute, Route};
use crate::http::head::RequestHead;
use crate::http::host::Authority;
use crate::http::origin::Origin;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Fields added by proxies, besides all that begin with `X-Forwarded-`.
const FORWARDING: [&str; 4] = ["Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP"];
const FORWARDING_PREFIX: &str = "X-Forwarded-";

/// How a request arrived.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "facts, independent of each other")]
pub struct Arrival {
    /// Received on the admin listener.
    pub operators: bool,
    /// The local address; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// Whether the peer's address is in a trusted network.
    pub trusted: bool,
    /// Whether its token allows lists.
    pub lists: bool,
    /// Whether the listener has a loopback address.
    pub loopback: bool,
}

/// The part of the settings that controls access.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'s> {
    /// Origins allowed to act, besides the relay's own.
    pub allowed_origins: &'s [AllowedOrigin],
    /// Origins allowed to use streams and to read responses.
    pub cors_origins: &'s [AllowedOrigin],
    /// Host names of the relay, besides its addresses.
    pub admin_hosts: &'s [HostName],
    /// Whether agents need no token, or tokens are configured.
    pub agents: bool,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// This client must not list streams.
    Streams,
    /// This client must not list agents or their events.
    Agents,
    /// Cross-origin request from a web page.
    Origin,
    /// Request of a page of another origin for a path.
    PathOrigin,
    /// The `Host` is not this relay.
    Host,
    /// Any client could become an agent here.
    Attach,
    /// A service worker would control other pages of the relay's origin.
    ServiceWorker,
}

impl Denied {
    /// What is wrong, and what to do about it.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Streams => {
                "The list of streams is for operators: run 'rdv ctl list', send a token with the scope \
                 list, or configure trusted networks (trusted); without a token it is never shown \
                 through a proxy"
            }
            Self::Agents => {
                "The list of agents is for operators: run 'rdv ctl agents', send a token with the scope \
                 list, or configure trusted networks (trusted); without a token it is never shown \
                 through a proxy"
            }
            Self::Origin => "Requests from pages of other origins are refused (allowed-origins)",
            Self::PathOrigin => {
                "Pages of other origins cannot send to paths or receive from them (cors-origin)"
            }
            Self::Host => "Operators reach this relay by its own addresses only (admin-hosts)",
            Self::Attach => {
                "This relay takes agents on loopback addresses only, until it has tokens for them \
                 (tokens) or is open to all (open-agents)"
            }
            Self::ServiceWorker => {
                "Service workers are not served in the relay's origin, which streams and agents \
                 share (agent-host)"
            }
        }
    }
}

/// An origin whose pages are allowed to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Any origin.
    Any,
    /// A single origin.
    One(Origin),
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let expected = "expected an origin such as https://relay.example, or *";
        Origin::parse(text).map(Self::One).ok_or_else(|| expected.to_owned())
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => write!(f, "*"),
            Self::One(origin) => write!(f, "{origin}"),
        }
    }
}

/// A host name or an address in `Host`, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
            return Ok(Self(format!("[{address}]")));
        }
        match Authority::parse(text) {
            Some(Authority { host, port: None }) if !host.is_empty() => {
                Ok(Self(host.to_ascii_lowercase()))
            }
            Some(_) | None => Err("expected a host name or address, without a port".into()),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether [`check`] applies to this request; if not, its [`Arrival`] need not be determined.
pub fn is_guarded(route: &Route<'_>, operators: bool) -> bool {
    operators || shown(route).is_some() || acts(route)
}

/// Checks whether a request is allowed.
///
/// # Errors
/// The reason why it is not.
pub fn check(
    head: &RequestHead<'_, '_>,
    route: &Route<'_>,
    arrival: &Arrival,
    policy: &Policy<'_>,
) -> Result<(), Denied> {
    let list = shown(route);
    // A token is stronger than an address, and a name that leads here cannot make a browser send it.
    if let Some(list) = list.filter(|_| !arrival.lists)
        && !arrival.operators
        && (!arrival.trusted || is_forwarded(head))
    {
        return Err(list);
    }
    let named = arrival.operators || list.is_some();
    if named && !arrival.lists && !is_own_host(head, arrival, policy) {
        return Err(Denied::Host);
    }
    let owns = !arrival.operators && matches!(route, Route::Delete(_));
    let cors_origins = if owns { policy.cors_origins } else { &[] };
    if (named || acts(route)) && is_foreign(head, [policy.allowed_origins, cors_origins]) {
        return Err(Denied::Origin);
    }
    if *route == Route::Attach && !arrival.loopback && !policy.agents {
        return Err(Denied::Attach);
    }
    Ok(())
}

/// Refuses the script of a service worker (Service Workers, section 4.6), in an origin that others
/// share: the worker would intercept their requests below its path, without end.
///
/// # Errors
/// [`Denied::ServiceWorker`].
pub fn check_worker(
    head: &RequestHead<'_, '_>,
    route: &Route<'_>,
    audience: Audience<'_>,
) -> Result<(), Denied> {
    let shared = matches!(audience, Audience::Public { .. });
    let untrusted = matches!(route, Route::Destination(_) | Route::Call { .. });
    let is_worker = |value: &[u8]| value.eq_ignore_ascii_case(b"script");
    if shared && untrusted && head.fields.all("Service-Worker").any(is_worker) {
        return Err(Denied::ServiceWorker);
    }
    Ok(())
}

/// Refuses requests for a path that pages of other origins make: paths can be short and known, and
/// browsers send such requests without asking first. A link may lead to a path.
///
/// # Errors
/// [`Denied::PathOrigin`].
pub fn check_path(
    head: &RequestHead<'_, '_>,
    route: &Route<'_>,
    cors_origins: &[AllowedOrigin],
) -> Result<(), Denied> {
    let Route::Path(route) = route else { return Ok(()) };
    let exempt = match route {
        PathRoute::Upload(_) => false,
        PathRoute::Download(_) => is_navigation(head),
        PathRoute::Exists(_) | PathRoute::About | PathRoute::NotAllowed(_) => true,
    };
    if !exempt && is_foreign(head, [cors_origins, &[]]) {
        return Err(Denied::PathOrigin);
    }
    Ok(())
}

/// Whether a user follows a link, and sees the response instead of the page (Fetch Metadata).
fn is_navigation(head: &RequestHead<'_, '_>) -> bool {
    let is = |name, value: &[u8]| head.fields.get(name).is_some_and(|found| found == value);
    is("Sec-Fetch-Mode", b"navigate") && is("Sec-Fetch-Dest", b"document")
}

/// The refusal for clients that are not allowed to see this list; `None` for other routes.
fn shown(route: &Route<'_>) -> Option<Denied> {
    if matches!(route, Route::List { .. }) {
        Some(Denied::Streams)
    } else {
        matches!(route, Route::Agents | Route::AgentEvents).then_some(Denied::Agents)
    }
}

/// Whether the request changes something that the client does not own. A WebSocket is not bound by
/// the same-origin policy (RFC 6455, section 10.2), so attaching an agent counts.
fn acts(route: &Route<'_>) -> bool {
    matches!(route, Route::Attach | Route::AttachTunnel | Route::Delete(_) | Route::Control(_))
}

/// Whether the request was forwarded by a proxy for another client.
fn is_forwarded(head: &RequestHead<'_, '_>) -> bool {
    head.fields.iter().any(|(name, _)| {
        let prefix = name.get(..FORWARDING_PREFIX.len());
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(FORWARDING_PREFIX))
            || FORWARDING.iter().any(|field| field.eq_ignore_ascii_case(name))
    })
}

/// Whether the `Host` names this relay. With DNS rebinding, a page of any site has a name that
/// resolves to this relay, and the browser then treats the relay as same-origin; but even then the
/// page cannot send a `Host` other than that name. Every browser sends one, so a request without it
/// is not from a page.
fn is_own_host(head: &RequestHead<'_, '_>, arrival: &Arrival, policy: &Policy<'_>) -> bool {
    let Some(local) = arrival.local else { return true };
    let Some(host) = head.host().filter(|host| !host.is_empty()) else { return true };
    let Some(Authority { host, .. }) = str::from_utf8(host).ok().and_then(Authority::parse) else {
        return false;
    };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let own_address = literal.parse::<IpAddr>().is_ok_and(|address| {
        let address = address.to_canonical();
        address.is_loopback() || address == local.ip().to_canonical()
    });
    own_address
        || host.eq_ignore_ascii_case("localhost")
        || policy.admin_hosts.iter().any(|name| name.0.eq_ignore_ascii_case(host))
}

/// Whether a page sent the request whose origin is neither the relay's own nor on one of these
/// lists.
fn is_foreign(head: &RequestHead<'_, '_>, lists: [&[AllowedOrigin]; 2]) -> bool {
    let allows = |origin| lists.iter().any(|list| list.contains(&origin));
    if allows(AllowedOrigin::Any) {
        return false;
    }
    let mut is_listed = false;
    for value in head.fields.all("Origin") {
        let Some(origin) = str::from_utf8(value).ok().and_then(Origin::parse) else { return true };
        let is_own = head.host().is_some_and(|host| origin.is_of_host(host));
        is_listed = allows(AllowedOrigin::One(origin));
        if !is_listed && !is_own {
            return true;
        }
    }
    // An allowed origin is on another site. Links and images are fetched without an `Origin`.
    // `same-site` is foreign as well: a site is all ports of a host, and all subdomains of a
    // domain.
    let known = |value: &[u8]| [&b"same-origin"[..], b"none"].contains(&value);
    !is_listed && !head.fields.all("Sec-Fetch-Site").all(known)
}

#[cfg(test)]
mod tests;
