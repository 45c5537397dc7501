//! The PROXY protocol, versions 1 and 2: what a proxy sends before the bytes of a connection it
//! forwards. After the specification of `HAProxy`, `doc/proxy-protocol.txt` in its sources; the section
//! numbers are those of that file.

mod tlv;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tlv::Tlvs;

/// Maximum length of a header of version 1, including CRLF (section 2.1).
const V1_MAX_BYTES: usize = 107;

/// Maximum accepted length of a header: of version 2 with the longest addresses and room for fields,
/// as in the smallest segment every host must accept (536, RFC 1122, section 4.2.2.6).
pub const MAX_BYTES: usize = 536;

/// The first bytes of version 2 (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version and command, address family, and length.
const V2_FIXED_BYTES: usize = 16;

/// A complete header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client; `None`: the proxy speaks for itself, or does not know.
    pub client: Option<ProxiedClient>,
    /// The length of the header, in bytes.
    pub len: usize,
}

/// What a proxy declares of the client of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiedClient {
    /// Its address; an IPv4-mapped one as the IPv4 address.
    pub address: SocketAddr,
    /// Its TLS session with the proxy.
    pub tls: Option<ClientTls>,
    /// The proxy's identifier of the connection; any bytes.
    pub unique_id: Option<Box<[u8]>>,
}

/// A client's TLS session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// The version, such as `TLSv1.3`; empty if not declared.
    pub version: Box<str>,
    /// The common name of the client's certificate, if it has one that was verified.
    pub common_name: Option<Box<str>>,
}

/// The bytes are not a valid header: the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidProxyHeader;

type Parsed<T> = Result<T, InvalidProxyHeader>;

/// Parses the header at the start of `bytes`; `Ok(None)` while it is incomplete.
///
/// # Errors
/// [`InvalidProxyHeader`], as soon as no further bytes can make it valid.
pub fn parse(bytes: &[u8]) -> Parsed<Option<ProxyHeader>> {
    if matches(bytes, SIGNATURE) { version_2(bytes) } else { version_1(bytes) }
}

/// Whether `bytes` begin with `mark`, as far as they have been received.
fn matches(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.iter().zip(mark).all(|(byte, expected)| byte == expected)
}

/// Parses one line of text (section 2.1).
fn version_1(bytes: &[u8]) -> Parsed<Option<ProxyHeader>> {
    if !matches(bytes, b"PROXY ") {
        return Err(InvalidProxyHeader);
    }
    let window = &bytes[..bytes.len().min(V1_MAX_BYTES)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() == V1_MAX_BYTES { Err(InvalidProxyHeader) } else { Ok(None) };
    };
    let line = window[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(b"PROXY "));
    let text = line.and_then(|line| str::from_utf8(line).ok()).ok_or(InvalidProxyHeader)?;
    let client = match text.split_once(' ').unwrap_or((text, "")) {
        // The rest is to be ignored.
        ("UNKNOWN", _) => None,
        ("TCP4", rest) => Some(endpoints::<Ipv4Addr>(rest)?),
        ("TCP6", rest) => Some(endpoints::<Ipv6Addr>(rest)?),
        _ => return Err(InvalidProxyHeader),
    };
    let client = client.map(|address| ProxiedClient { address, tls: None, unique_id: None });
    Ok(Some(ProxyHeader { client, len: end + 1 }))
}

/// Parses both addresses and both ports; returns those of the client.
fn endpoints<A: std::str::FromStr + Into<IpAddr>>(text: &str) -> Parsed<SocketAddr> {
    let parts: Vec<&str> = text.split(' ').collect();
    let [source, destination, source_port, destination_port] = parts[..] else {
        return Err(InvalidProxyHeader);
    };
    let address = |text: &str| text.parse::<A>().map_err(|_| InvalidProxyHeader);
    let (source, _) = (address(source)?, address(destination)?);
    let (port, _) = (port(source_port)?, port(destination_port)?);
    Ok(socket_address(source.into(), port))
}

/// Parses a port in decimal digits without leading zeros.
fn port(text: &str) -> Parsed<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    let port = canonical.then(|| text.parse().ok()).flatten();
    port.ok_or(InvalidProxyHeader)
}

/// Parses the binary form (section 2.2).
fn version_2(bytes: &[u8]) -> Parsed<Option<ProxyHeader>> {
    let Some((fixed, rest)) = bytes.split_at_checked(V2_FIXED_BYTES) else { return Ok(None) };
    let (version_and_command, family) = (fixed[12], fixed[13]);
    let is_proxied = match version_and_command {
        0x20 => false,
        0x21 => true,
        _ => return Err(InvalidProxyHeader),
    };
    let len = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > MAX_BYTES || family >> 4 > 3 || family & 0xf > 2 {
        return Err(InvalidProxyHeader);
    }
    let Some(block) = rest.get(..len - V2_FIXED_BYTES) else { return Ok(None) };
    if !is_proxied || family >> 4 == 0 {
        // The block is to be discarded, whatever it holds.
        return Ok(Some(ProxyHeader { client: None, len }));
    }
    let (source, fields) = split_addresses(family, block)?;
    let tlvs = Tlvs::parse(fields)?;
    tlvs.check_sum(&bytes[..len])?;
    let client = source.map(|address| ProxiedClient {
        address,
        tls: tlvs.tls.clone(),
        unique_id: tlvs.unique_id.map(Box::from),
    });
    Ok(Some(ProxyHeader { client, len }))
}

/// Splits a block into the address of the client, if it is one of TCP, and what follows.
fn split_addresses(family: u8, block: &[u8]) -> Parsed<(Option<SocketAddr>, &[u8])> {
    // Two addresses, then two ports; Unix sockets have no ports.
    let len = match family >> 4 {
        1 => 12,
        2 => 36,
        _ => 216,
    };
    let (addresses, fields) = block.split_at_checked(len).ok_or(InvalidProxyHeader)?;
    let source = match (family, addresses) {
        (0x11, [a, b, c, d, _, _, _, _, high, low, ..]) => {
            let port = u16::from_be_bytes([*high, *low]);
            Some(socket_address(Ipv4Addr::new(*a, *b, *c, *d).into(), port))
        }
        (0x21, _) => {
            let source = addresses.first_chunk::<16>().copied().ok_or(InvalidProxyHeader)?;
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            Some(socket_address(Ipv6Addr::from(source).into(), port))
        }
        // Others are valid, and mean that the client's address is unknown.
        (_, _) => None,
    };
    Ok((source, fields))
}

fn socket_address(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

#[cfg(test)]
mod tests;
