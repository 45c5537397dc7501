//! Who may look, and who may act. The lists show the identifier of every stream, and knowing one is
//! the permission to use it; a browser sends what any page tells it to, with the rights of the
//! machine it runs on. So this asks where a request came from, before anything is done for it.

use super::Route;
use crate::http::head::RequestHead;
use crate::http::host::Authority;
use crate::http::origin::Origin;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Fields that a proxy adds; and all that begin with `X-Forwarded-`.
const FORWARDING: [&str; 4] = ["Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP"];
const FORWARDING_PREFIX: &str = "X-Forwarded-";

/// How a request arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// On the admin listener.
    pub operators: bool,
    /// The address it was sent to; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// The peer's address is in a trusted network.
    pub trusted: bool,
    /// The listener has a loopback address.
    pub loopback: bool,
}

/// What the settings allow.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'s> {
    /// Pages that may act besides the relay's own.
    pub allowed_origins: &'s [AllowedOrigin],
    /// Names the relay has besides its addresses.
    pub admin_hosts: &'s [HostName],
    /// Agents need no token, or there are tokens to prove themselves with.
    pub agents: bool,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The list of streams is not shown to this client.
    Streams,
    /// Neither are agents or their events.
    Agents,
    /// A page of another origin asks.
    Origin,
    /// The request is for a host that is not this relay.
    Host,
    /// Anyone could be an agent here.
    Attach,
}

impl Denied {
    /// What is wrong, and what to do.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Streams => {
                "The list of streams is for operators: run 'rdv ctl list', or configure trusted \
                 networks (trusted); it is never shown through a proxy"
            }
            Self::Agents => {
                "The list of agents is for operators: run 'rdv ctl agents', or configure trusted \
                 networks (trusted); it is never shown through a proxy"
            }
            Self::Origin => "Requests from pages of other origins are refused (allowed-origins)",
            Self::Host => "Operators reach this relay by its own addresses only (admin-hosts)",
            Self::Attach => {
                "This relay takes agents on loopback addresses only, until it has tokens for them \
                 (socket-tokens) or is open to all (open-agents)"
            }
        }
    }
}

/// An origin whose pages may act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Every origin.
    Any,
    /// This one.
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

/// A name or an address in `Host`, without a port.
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

/// Whether [`check`] has a say in this; else there is no need to find out how it arrived.
pub fn is_guarded(route: &Route<'_>, operators: bool) -> bool {
    operators || shown(route).is_some() || acts(route)
}

/// Whether a request may be served.
///
/// # Errors
/// Why not.
pub fn check(
    head: &RequestHead<'_, '_>,
    route: &Route<'_>,
    arrival: &Arrival,
    policy: &Policy<'_>,
) -> Result<(), Denied> {
    let list = shown(route);
    if let Some(list) = list
        && !arrival.operators
        && (!arrival.trusted || is_forwarded(head))
    {
        return Err(list);
    }
    let named = arrival.operators || list.is_some();
    if named && !is_own_host(head, arrival, policy) {
        return Err(Denied::Host);
    }
    if (named || acts(route)) && is_foreign(head, policy) {
        return Err(Denied::Origin);
    }
    if *route == Route::Attach && !arrival.loopback && !policy.agents {
        return Err(Denied::Attach);
    }
    Ok(())
}

/// What those are told who may not see this list.
fn shown(route: &Route<'_>) -> Option<Denied> {
    if matches!(route, Route::List { .. }) {
        Some(Denied::Streams)
    } else {
        matches!(route, Route::Agents | Route::AgentEvents).then_some(Denied::Agents)
    }
}

/// Whether it changes something that is not the client's own. A WebSocket is not bound by the
/// same-origin policy (RFC 6455, section 10.2), so becoming an agent is among these.
fn acts(route: &Route<'_>) -> bool {
    matches!(route, Route::Attach | Route::Spare | Route::Delete(_) | Route::Control(_))
}

/// Whether a proxy says that it passes on what another client asked.
fn is_forwarded(head: &RequestHead<'_, '_>) -> bool {
    head.fields.iter().any(|(name, _)| {
        let prefix = name.get(..FORWARDING_PREFIX.len());
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(FORWARDING_PREFIX))
            || FORWARDING.iter().any(|field| field.eq_ignore_ascii_case(name))
    })
}

/// Whether the request is for this relay by name. By DNS rebinding a page of any site has a name
/// that leads here, and for the browser this relay is then of that page's origin; but not even then
/// can it send another `Host` than that name. Every browser sends one, so a request without is not
/// from a page.
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

/// Whether a page sent it that is neither of the relay's own origin nor allowed to.
fn is_foreign(head: &RequestHead<'_, '_>, policy: &Policy<'_>) -> bool {
    if policy.allowed_origins.contains(&AllowedOrigin::Any) {
        return false;
    }
    let mut is_listed = false;
    for value in head.fields.all("Origin") {
        let Some(origin) = str::from_utf8(value).ok().and_then(Origin::parse) else { return true };
        let is_own = head.host().is_some_and(|host| origin.is_of_host(host));
        is_listed = policy.allowed_origins.contains(&AllowedOrigin::One(origin));
        if !is_listed && !is_own {
            return true;
        }
    }
    // What is listed is of another site. Links and images come without an origin. `same-site` is
    // foreign as well: a site is all ports of a host, and all subdomains of a domain.
    let known = |value: &[u8]| [&b"same-origin"[..], b"none"].contains(&value);
    !is_listed && !head.fields.all("Sec-Fetch-Site").all(known)
}

#[cfg(test)]
mod tests;
