//! Opens a connection: addresses, an optional proxy, TLS for `https`.

use super::backoff::Backoff;
use super::options::Options;
use super::tls::Tls;
use super::url::{Scheme, Url};
use super::wire::Wire;
use super::{Error, clock, tcp, wire};
use crate::http::answer::AnswerHead;
use crate::http::answer_reader::AnswerReader;
use crate::http::response::HeadWriter;
use crate::splice::copy::{self, Read};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::poll::{PollFd, PollFlags};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A connection, and the form of the request target on it.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) wire: Wire,
    /// The request target: the path, or the complete URL for a proxy.
    pub(super) target: String,
    /// `Proxy-Authorization`, for a proxy that reads the request itself.
    pub(super) proxy_authorization: Option<String>,
}

/// Returns the pauses before `retries` retries of a person's command.
pub(super) fn pauses(retries: u32) -> impl Iterator<Item = Duration> {
    Backoff { retries, first: Duration::from_millis(400), max: Duration::from_secs(5) }.pauses()
}

/// Connects to the server of this URL.
///
/// # Errors
/// [`Error::Network`], or [`Error::Input`] for an unusable proxy or file of authorities.
pub(super) fn dial(url: &Url, options: &Options) -> Result<Dialled, Error> {
    for pause in pauses(options.connect_retries) {
        match attempt(url, options) {
            Err(Error::Network { source, .. }) if source.kind() != io::ErrorKind::InvalidData => {}
            decided => return decided,
        }
        std::thread::sleep(pause);
    }
    attempt(url, options)
}

fn attempt(url: &Url, options: &Options) -> Result<Dialled, Error> {
    if let Some(path) = &options.unix_socket {
        let failed = |error| Error::network(format!("cannot connect to {}", path.display()), error);
        let socket = UnixStream::connect(path).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let (wire, target) = (Wire::Unix(socket), url.target.clone());
        return Ok(Dialled { wire, target, proxy_authorization: None });
    }
    let Some(proxy) = options.proxies.for_url(url)? else {
        let socket = connect(url, options)?;
        let wire = secured(socket, url, options)?;
        return Ok(Dialled { wire, target: url.target.clone(), proxy_authorization: None });
    };
    let authorization = proxy.credentials.as_deref().map(basic);
    let socket = connect(&proxy, options)?;
    match url.scheme {
        Scheme::Http => Ok(Dialled {
            wire: Wire::Plain(socket),
            target: url.to_string(),
            proxy_authorization: authorization,
        }),
        Scheme::Https => {
            let socket = tunnel(socket, url, authorization.as_deref(), options)?;
            let wire = secured(socket, url, options)?;
            Ok(Dialled { wire, target: url.target.clone(), proxy_authorization: None })
        }
    }
}

/// Returns the value of `Authorization` for `user:password` (RFC 7617).
pub(crate) fn basic(credentials: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

/// Returns the addresses of the URL's host, in the resolver's order.
pub(crate) fn resolve(url: &Url) -> Result<Vec<SocketAddr>, Error> {
    let resolved = (url.host.as_str(), url.port).to_socket_addrs();
    resolved
        .map(Iterator::collect)
        .map_err(|error| Error::network(format!("cannot resolve {}", url.host), error))
}

/// Tries the host's addresses in the resolver's order.
fn connect(url: &Url, options: &Options) -> Result<TcpStream, Error> {
    let failed =
        |error| Error::network(format!("cannot connect to {}", url.host_and_port()), error);
    let addresses = match &options.addresses {
        Some(addresses) => addresses.clone(),
        None => resolve(url)?,
    };
    let socket = tcp::connect(addresses.into_iter(), options.connect_timeout).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    tcp::unpace_towards_this_machine(&socket).map_err(failed)?;
    Ok(socket)
}

/// Returns the connection, with TLS if the URL requires it.
fn secured(socket: TcpStream, url: &Url, options: &Options) -> Result<Wire, Error> {
    if url.scheme == Scheme::Http {
        return Ok(Wire::Plain(socket));
    }
    let tls = Box::new(Tls::new(socket, &url.host, &options.trust)?);
    let failed = |error| Error::network(format!("TLS handshake failed with {}", url.host), error);
    let end = clock::now() + options.connect_timeout;
    while !tls.handshake().map_err(failed)? {
        wait_to_read(tls.socket(), end).map_err(failed)?;
    }
    Ok(Wire::Tls(tls))
}

fn wait_to_read(socket: &TcpStream, end: Instant) -> io::Result<()> {
    let left = end.saturating_duration_since(clock::now());
    wire::wait(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], Some(left)).map(drop)
}

/// Requests a tunnel to the URL's server from a proxy (`CONNECT`, RFC 9110, section 9.3.6).
fn tunnel(
    socket: TcpStream,
    url: &Url,
    authorization: Option<&str>,
    options: &Options,
) -> Result<TcpStream, Error> {
    let place = url.host_and_port();
    let failed = |error| Error::network(format!("the proxy does not connect to {place}"), error);
    let mut request = Vec::new();
    let mut head = HeadWriter::request(&mut request, "CONNECT", &place);
    head = head.field("Host", place.as_bytes());
    if let Some(authorization) = authorization {
        head = head.field("Proxy-Authorization", authorization.as_bytes());
    }
    head.end();
    copy::write(&socket, &request, false).map_err(|error| failed(error.into()))?;
    let end = clock::now() + options.connect_timeout;
    let (mut reader, mut received) = (AnswerReader::default(), Vec::new());
    loop {
        // Byte by byte: anything after the head belongs to TLS.
        let mut byte = [0];
        match copy::read(&socket, &mut byte).map_err(|error| failed(error.into()))? {
            Read::Moved(_) => received.extend_from_slice(&byte),
            Read::Eof => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
            Read::Blocked => wait_to_read(&socket, end).map_err(failed)?,
        }
        match reader.take(&mut received)? {
            None => {}
            Some(AnswerHead { status: 200..=299, .. }) => return Ok(socket),
            Some(head) => return Err(failed(refusal(head.status))),
        }
    }
}

/// Returns the error for a proxy's response, worded for the user that configured the proxy.
fn refusal(status: u16) -> io::Error {
    io::Error::other(match status {
        407 => "it wants credentials (407); write them into its URL, as http://user:password@proxy"
            .into(),
        status => format!("it refused ({status})"),
    })
}
