//! The client of a request that proxies forwarded, from `Forwarded` (RFC 7239) or `X-Forwarded-For`.
//!
//! Each proxy appends the address of its peer, so only the right end of a list is the relay's own
//! proxy's; what precedes the first address that is not a proxy's may be invented by the client.
//! So both lists are read from the right, and no further than to that address: what a client sent
//! cannot change how the elements of the proxies are read.

use super::fields::{Fields, trim};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Returns the address of the client that a request was forwarded for: the right-most address that
/// is not a proxy's, or the left-most if all are. `None` if that is not known: without a field, with
/// an address that cannot be read (obfuscated, `unknown`, malformed), or if both fields exist and
/// differ, since most proxies write only one of them and pass the other as the client sent it. The
/// port is 0 if it was not given.
pub fn client(fields: Fields<'_, '_>, is_proxy: impl Fn(IpAddr) -> bool) -> Option<SocketAddr> {
    let lines = |name| fields.all(name).rev().peekable();
    let (mut standard, mut usual) = (lines("Forwarded"), lines("X-Forwarded-For"));
    let has_both = standard.peek().is_some() && usual.peek().is_some();
    let standard = first_client(standard.flat_map(Members::of).map(forwarded_for), &is_proxy);
    let usual = first_client(usual.flat_map(Members::of).map(node), &is_proxy);
    if has_both {
        return standard.filter(|one| usual.is_some_and(|other| other.ip() == one.ip()));
    }
    standard.or(usual)
}

/// Returns the first address that is not a proxy's, or the last; `None` once one cannot be read.
fn first_client(
    nodes: impl Iterator<Item = Option<SocketAddr>>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Option<SocketAddr> {
    let mut last = None;
    for node in nodes {
        last = node;
        if !node.is_some_and(|node| is_proxy(node.ip())) {
            break;
        }
    }
    last
}

/// The members of a list from right to left, without empty ones. Commas in quotes are part of one.
struct Members<'b>(Option<&'b [u8]>);

impl<'b> Members<'b> {
    fn of(line: &'b [u8]) -> Self {
        Self(Some(line))
    }
}

impl<'b> Iterator for Members<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        loop {
            let rest = self.0?;
            let mut quoted = false;
            let comma = (0..rest.len()).rev().find(|&at| {
                quoted ^= rest[at] == b'"' && !is_escaped(rest, at);
                rest[at] == b',' && !quoted
            });
            self.0 = comma.map(|at| &rest[..at]);
            let member = trim(&rest[comma.map_or(0, |at| at + 1)..]);
            if !member.is_empty() {
                return Some(member);
            }
        }
    }
}

/// Whether a byte in quotes is literal: an odd number of backslashes precedes it.
fn is_escaped(line: &[u8], at: usize) -> bool {
    line[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// Reads the `for` parameter of a `forwarded-element` (RFC 7239, section 4); it must occur once.
fn forwarded_for(element: &[u8]) -> Option<SocketAddr> {
    // No node holds a semicolon. One in another quoted value yields parts without a parameter.
    let mut found = element.split(|&byte| byte == b';').filter_map(|pair| {
        let (name, value) = trim(pair).split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    });
    let (Some(value), None) = (found.next(), found.next()) else { return None };
    let quoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    node(quoted.unwrap_or(value))
}

/// Reads an address with an optional port: an IPv4 address, or an IPv6 address in brackets (RFC
/// 7239, section 6); without brackets too, as in `X-Forwarded-For`.
fn node(value: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(value).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(socket_address(address, 0));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { "" } else { rest.strip_prefix(':')? };
        return Some(socket_address(host.parse::<Ipv6Addr>().ok()?.into(), port_number(port)?));
    }
    let (host, port) = text.split_once(':')?;
    Some(socket_address(host.parse().ok()?, port_number(port)?))
}

/// Reads a port; an obfuscated one is unknown, not malformed (RFC 7239, section 6.2).
fn port_number(text: &str) -> Option<u16> {
    let is_hidden = text.starts_with('_') && text.bytes().skip(1).all(is_hidden_byte);
    if text.is_empty() || is_hidden {
        return Some(0);
    }
    // A sign is accepted by the standard library only.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn is_hidden_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

fn socket_address(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

#[cfg(test)]
mod tests;
