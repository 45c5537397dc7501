//! A small blocking HTTP client for cases without bulk transfers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::{Result, failure};

/// Read and write timeout.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A connection to a relay.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    host: SocketAddr,
    /// Bytes read after the last response.
    rest: Vec<u8>,
}

/// A final response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(host: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(host)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { socket, host, rest: Vec::new() })
    }

    /// Sends a request line, more header lines (each with its CRLF) and a body.
    pub(crate) fn send(&mut self, line: &str, headers: &str, body: &[u8]) -> Result<()> {
        let mut request =
            format!("{line} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.host).into_bytes();
        request.extend_from_slice(body);
        Ok(self.socket.write_all(&request)?)
    }

    /// Reads the head of the next response: its status, and its `Content-Length`.
    pub(crate) fn head(&mut self) -> Result<(u16, Option<usize>)> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.rest, b"\r\n\r\n") {
                let later = self.rest.split_off(end + 4);
                let head = std::mem::replace(&mut self.rest, later);
                let (status, length) = parse(&head)?;
                if status >= 200 {
                    return Ok((status, length));
                }
            } else {
                self.read_more()?;
            }
        }
    }

    /// Reads the next response, which must have a `Content-Length`.
    pub(crate) fn read_response(&mut self) -> Result<Response> {
        let (status, length) = self.head()?;
        let length = length.ok_or_else(|| failure(format!("{status} without a Content-Length")))?;
        while self.rest.len() < length {
            self.read_more()?;
        }
        let later = self.rest.split_off(length);
        let body = std::mem::replace(&mut self.rest, later);
        Ok(Response { status, body })
    }

    /// Reads the next response and requires a 200 with this body.
    pub(crate) fn expect(&mut self, what: &str, body: &[u8]) -> Result<()> {
        let response = self.read_response()?;
        if response.status == 200 && response.body == body {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&response.body).into_owned();
        Err(failure(format!("{what} returned {}: {text}", response.status)))
    }

    /// Takes the bytes read after the last head.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }

    /// Creates a stream.
    pub(crate) fn create_stream(&mut self) -> Result<String> {
        self.send("POST /stream", "Content-Length: 0\r\n", b"")?;
        let response = self.read_response()?;
        let json: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let id = json.get("stream").and_then(|id| id.as_str());
        id.map(str::to_owned).ok_or_else(|| {
            let text = String::from_utf8_lossy(&response.body).into_owned();
            failure(format!("POST /stream returned {}: {text}", response.status))
        })
    }

    fn read_more(&mut self) -> Result<()> {
        let mut bytes = [0; 8192];
        match self.socket.read(&mut bytes)? {
            0 => Err(failure("the relay closed the connection")),
            count => {
                self.rest.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }
}

/// Status and `Content-Length` of a head.
pub(crate) fn parse(head: &[u8]) -> Result<(u16, Option<usize>)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head)?;
    let length =
        response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = match length {
        Some(field) => Some(std::str::from_utf8(field.value)?.trim().parse()?),
        None => None,
    };
    Ok((response.code.unwrap_or(0), length))
}
