//! The upgrade of a connection dialled by this end (RFC 6455, section 4.1).

use super::error::Error;
use crate::client::dial::{Dialled, basic};
use crate::client::wire::{self, Wire};
use crate::client::{Options, USER_AGENT, Url, clock};
use crate::http::answer::{AnswerFraming, AnswerHead};
use crate::http::body::BodyDecoder;
use crate::http::response::HeadWriter;
use crate::mux::handshake::Dialect;
use crate::mux::upgrade::SUBPROTOCOL;
use crate::splice::copy::{Read, Write};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::poll::{PollFd, PollFlags};
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};
use tungstenite::handshake::derive_accept_key;
use uuid::Uuid;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Maximum bytes of a refusal's body that are read.
const REFUSAL_MAX_BYTES: usize = 16 << 10;

/// The parameters of an upgrade request.
pub(super) struct UpgradeOptions<'w> {
    pub url: &'w Url,
    pub options: &'w Options,
    pub token: Option<&'w str>,
    pub text_only: bool,
}

/// A connection upgraded to a WebSocket.
pub(super) struct Upgraded {
    pub wire: Wire,
    pub dialect: Dialect,
    /// Bytes received after the server's response.
    pub rest: Vec<u8>,
}

/// Requests the upgrade and reads the response.
pub(super) fn upgrade(upgrade: &UpgradeOptions<'_>, dialled: Dialled) -> Result<Upgraded, Error> {
    // 122 of its bits are random; the key only has to be unique.
    let key = BASE64_STANDARD.encode(Uuid::new_v4().as_bytes());
    let request = request(upgrade, &dialled, &key);
    let mut upgrade_request = UpgradeRequest {
        wire: dialled.wire,
        received: Vec::new(),
        ended: false,
        end: clock::now() + PATIENCE,
    };
    upgrade_request.send(&request)?;
    let head = upgrade_request.head()?;
    upgrade_request.received.drain(..head.len);
    if head.status != 101 {
        return Err(upgrade_request.refusal(&head));
    }
    let dialect = checked(&head, &key, upgrade.text_only)?;
    Ok(Upgraded { wire: upgrade_request.wire, dialect, rest: upgrade_request.received })
}

fn request(upgrade: &UpgradeOptions<'_>, dialled: &Dialled, key: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut head = HeadWriter::request(&mut bytes, "GET", &dialled.target)
        .field("Host", upgrade.url.authority().as_bytes())
        .field("Connection", b"Upgrade")
        .field("Upgrade", b"websocket")
        .field("Sec-WebSocket-Version", b"13")
        .field("Sec-WebSocket-Key", key.as_bytes());
    if !upgrade.text_only {
        head = head.field("Sec-WebSocket-Protocol", SUBPROTOCOL.as_bytes());
    }
    if !upgrade.options.has_field("User-Agent") {
        head = head.field("User-Agent", USER_AGENT.as_bytes());
    }
    if let Some(token) = upgrade.token {
        head = head.field("Authorization", format!("Bearer {token}").as_bytes());
    } else if let Some(credentials) = &upgrade.url.credentials {
        head = head.field("Authorization", basic(credentials).as_bytes());
    }
    if let Some(value) = &dialled.proxy_authorization {
        head = head.field("Proxy-Authorization", value.as_bytes());
    }
    for (name, value) in &upgrade.options.fields {
        head = head.field(name, value.as_bytes());
    }
    head.end();
    bytes
}

/// Validates the response (RFC 6455, section 4.1, points 2 to 6), and returns the dialect it chose.
fn checked(head: &AnswerHead, key: &str, text_only: bool) -> Result<Dialect, Error> {
    let wrong = |why: &str| Err(Error::Handshake(format!("the server's upgrade is wrong: {why}")));
    let upgrade = head.text("Upgrade").is_some_and(|one| one.eq_ignore_ascii_case("websocket"));
    if !upgrade || !head.lists("Connection", "upgrade") {
        return wrong("it is none to WebSocket");
    }
    if head.text("Sec-WebSocket-Accept") != Some(&derive_accept_key(key.as_bytes())) {
        return wrong("Sec-WebSocket-Accept does not fit");
    }
    if head.field("Sec-WebSocket-Extensions").is_some() {
        return wrong("it selects extensions that were not offered");
    }
    match head.text("Sec-WebSocket-Protocol") {
        None => Ok(Dialect::Text),
        Some(SUBPROTOCOL) if !text_only => Ok(Dialect::V1),
        Some(_) => wrong("it selects a subprotocol that was not offered"),
    }
}

/// A connection waiting for the response to its upgrade request.
struct UpgradeRequest {
    wire: Wire,
    received: Vec<u8>,
    ended: bool,
    end: Instant,
}

impl UpgradeRequest {
    fn wait(&self, flags: PollFlags) -> Result<(), Error> {
        let left = self.end.saturating_duration_since(clock::now());
        wire::wait(&mut [PollFd::new(self.wire.as_fd(), flags)], Some(left))
            .map(drop)
            .map_err(|error| Error::network("no response from the server", error))
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let failed = |error| Error::network("cannot send the request", error);
        while !bytes.is_empty() {
            match self.wire.write(bytes, false).map_err(failed)? {
                Write::Moved(count) => bytes = &bytes[count..],
                Write::Blocked => self.wait(PollFlags::POLLOUT)?,
            }
        }
        while !self.wire.flush().map_err(failed)? {
            self.wait(PollFlags::POLLOUT)?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 16 << 10];
        match self.wire.read(&mut buffer) {
            Ok(Read::Moved(count)) => self.received.extend_from_slice(&buffer[..count]),
            Ok(Read::Eof) => self.ended = true,
            Ok(Read::Blocked) => self.wait(PollFlags::POLLIN)?,
            Err(error) => return Err(Error::network("cannot read the answer", error)),
        }
        Ok(())
    }

    fn head(&mut self) -> Result<AnswerHead, Error> {
        loop {
            let head = AnswerHead::parse(&self.received);
            match head.map_err(|error| Error::Handshake(error.to_string()))? {
                Some(head) if head.is_interim() => drop(self.received.drain(..head.len)),
                Some(head) => return Ok(head),
                None if self.ended => {
                    let doing = "the server closed the connection without an answer";
                    return Err(Error::network(doing, io::ErrorKind::UnexpectedEof));
                }
                None => self.receive()?,
            }
        }
    }

    /// Returns the refusal, with the message in its body if that is received.
    fn refusal(mut self, head: &AnswerHead) -> Error {
        let mut body = Vec::new();
        if let Ok(AnswerFraming::Framed(framing)) = head.framing() {
            let mut decoder = BodyDecoder::new(framing);
            while let Ok(used) = decoded(&mut decoder, &self.received, &mut body) {
                self.received.drain(..used);
                let enough = decoder.is_over() || body.len() >= REFUSAL_MAX_BYTES;
                if enough || self.ended || self.receive().is_err() {
                    break;
                }
            }
        }
        Error::Refused { status: head.status, message: message(&body) }
    }
}

fn decoded(decoder: &mut BodyDecoder, bytes: &[u8], body: &mut Vec<u8>) -> Result<usize, ()> {
    let mut pieces = Vec::new();
    let used = decoder.received(bytes, &mut pieces).map_err(|_| ())?;
    for piece in pieces {
        body.extend_from_slice(&bytes[piece]);
    }
    Ok(used)
}

/// Returns the `message` of a relay's JSON error, or the first line of any other body.
fn message(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let said = json.and_then(|json| json["message"].as_str().map(str::to_owned));
    let text = said.unwrap_or_else(|| {
        String::from_utf8_lossy(body).lines().next().unwrap_or_default().trim().to_owned()
    });
    text.chars().filter(|char| !char.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrade_is_found_in_a_list_of_connection() {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        for (name, fields, understood) in [
            ("alone", "Upgrade: websocket\r\nConnection: Upgrade", true),
            ("in any case", "upgrade: WebSocket\r\nconnection: UPGRADE", true),
            ("among others", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade", true),
            (
                "on a second line",
                "Upgrade: websocket\r\nConnection: x\r\nConnection: ,upgrade",
                true,
            ),
            ("not there", "Upgrade: websocket\r\nConnection: keep-alive", false),
            ("another protocol", "Upgrade: h2c\r\nConnection: Upgrade", false),
        ] {
            let accept = derive_accept_key(KEY.as_bytes());
            let head =
                format!("HTTP/1.1 101 x\r\n{fields}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
            let head = AnswerHead::parse(head.as_bytes()).unwrap().unwrap();
            assert_eq!(checked(&head, KEY, false).is_ok(), understood, "{name}");
        }
    }
}
