//! One request to an admin address, and its complete response.

use crate::http::answer::{AnswerFraming, AnswerHead};
use crate::http::body::BodyDecoder;
use crate::ops::AdminAddress;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Maximum time for the relay per step of a response.
const PATIENCE: Duration = Duration::from_secs(30);

/// The response of the relay.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Sends a request, and reads the response to its end.
///
/// # Errors
/// One line: which step failed.
pub(super) fn exchange(address: &AdminAddress, method: &str, path: &str) -> Result<Answer, String> {
    let host = match address {
        AdminAddress::Unix(_) => "localhost".to_owned(),
        AdminAddress::Tcp(address) => address.to_string(),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let received = match address {
        AdminAddress::Unix(path) => UnixStream::connect(path).and_then(|socket| {
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.set_write_timeout(Some(PATIENCE))?;
            round_trip(socket, &request)
        }),
        AdminAddress::Tcp(address) => {
            TcpStream::connect_timeout(address, PATIENCE).and_then(|socket| {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                round_trip(socket, &request)
            })
        }
    };
    let received = received.map_err(|error| {
        format!("{address}: {error}; does the relay run, with --admin-listen {address}?")
    })?;
    read(&received).ok_or_else(|| format!("{address}: invalid or incomplete HTTP response"))
}

fn round_trip(mut socket: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    socket.write_all(request.as_bytes())?;
    let mut received = Vec::new();
    socket.read_to_end(&mut received)?;
    Ok(received)
}

/// Parses the response, if it is complete.
fn read(received: &[u8]) -> Option<Answer> {
    let head = AnswerHead::parse(received).ok()??;
    // The relay frames every response to operators; a body that ends with the connection is not
    // from it.
    let AnswerFraming::Framed(framing) = head.framing().ok()? else { return None };
    let (status, end) = (head.status, head.len);
    let behind = &received[end..];
    let mut decoder = BodyDecoder::new(framing);
    let mut pieces = Vec::new();
    decoder.received(behind, &mut pieces).ok()?;
    decoder.is_over().then(|| {
        let body = pieces.iter().flat_map(|piece| &behind[piece.clone()]).copied().collect();
        Answer { status, body }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        for (name, text, body) in [
            ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Some("hi")),
            (
                "chunks",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
                Some("hi"),
            ),
            ("nothing", "HTTP/1.1 204 No Content\r\n\r\n", Some("")),
            ("too short", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", None),
            (
                "no last chunk",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n",
                None,
            ),
            ("no head", "HTTP/1.1 200 OK\r\n", None),
            ("no HTTP", "SSH-2.0\r\n\r\n", None),
        ] {
            let got = read(text.as_bytes()).map(|answer| answer.body);
            assert_eq!(got.as_deref(), body.map(str::as_bytes), "{name}");
        }
    }
}
