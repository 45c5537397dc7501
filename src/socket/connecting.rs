//! The upgrade of a connection dialled by this end (RFC 6455, section 4.1).

use super::error::Error;
use crate::api::name::valid_name;
use crate::client::connection::Connection;
use crate::client::dial::basic;
use crate::client::proxy_answer::advice_on_upgrade;
use crate::client::wire::Wire;
use crate::client::{Options, Response, USER_AGENT, Url, clock};
use crate::http::answer::AnswerHead;
use crate::http::response::HeadWriter;
use crate::mux::handshake::Dialect;
use crate::mux::upgrade::SUBPROTOCOL;
use crate::ops::random;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;
use tungstenite::handshake::derive_accept_key;

/// Timeout for the server's response.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum bytes of a refusal's body that are read.
const REFUSAL_MAX_BYTES: u64 = 16 << 10;

/// Random bytes of `Sec-WebSocket-Key` (RFC 6455, section 4.1, point 7).
const NONCE_BYTES: usize = 16;

/// The parameters of an upgrade request.
pub(super) struct UpgradeOptions<'w> {
    pub url: &'w Url,
    pub options: &'w Options,
    /// The name in the metadata.
    pub name: Option<&'w str>,
    pub token: Option<&'w str>,
    pub text_only: bool,
}

/// A connection upgraded to a WebSocket.
pub(super) struct Upgraded {
    pub wire: Arc<Wire>,
    pub dialect: Dialect,
    /// Bytes received after the server's response.
    pub rest: Vec<u8>,
}

/// Connects, requests the upgrade and reads the response.
pub(super) fn upgrade(upgrade: &UpgradeOptions<'_>) -> Result<Upgraded, Error> {
    let nonce = random::bytes::<NONCE_BYTES>();
    let nonce = nonce.map_err(|error| Error::network("cannot create a WebSocket key", error))?;
    let key = BASE64_STANDARD.encode(nonce);
    let connection = Connection::open(upgrade.url, upgrade.options)?;
    let request = request(upgrade, &connection, &key);
    let (connection, head) = ask(connection, &request)?;
    let (mut connection, head) = switched(connection, head)?;
    let dialect = checked(&head, &key, upgrade.text_only)?;
    let rest = std::mem::take(connection.inbox());
    Ok(Upgraded { wire: connection.shared_wire(), dialect, rest })
}

/// Sends the head of an upgrade request, and returns the connection and the head of the response.
///
/// # Errors
/// The connection failed.
pub(super) fn ask(
    mut connection: Connection,
    request: &[u8],
) -> Result<(Connection, AnswerHead), Error> {
    connection.limit_to(clock::now(), ANSWER_TIMEOUT);
    // A server that responds before it has read the request gives the reason in its response.
    let _ = connection.send(request, false)?;
    let head = connection.head()?;
    Ok((connection, head))
}

/// Returns both if the server has switched protocols.
///
/// # Errors
/// [`Error::Refused`].
pub(super) fn switched(
    mut connection: Connection,
    head: AnswerHead,
) -> Result<(Connection, AnswerHead), Error> {
    if head.status != 101 {
        return Err(refusal(head, connection));
    }
    connection.lift_limit();
    Ok((connection, head))
}

/// Starts the head of an upgrade request.
pub(super) fn upgrade_head<'b>(
    bytes: &'b mut Vec<u8>,
    url: &Url,
    connection: &Connection,
    protocol: &str,
) -> HeadWriter<'b> {
    let (target, proxy_authorization) = connection.target();
    let mut head = HeadWriter::request(bytes, "GET", target)
        .field("Host", url.authority().as_bytes())
        .field("Connection", b"Upgrade")
        .field("Upgrade", protocol.as_bytes());
    if let Some(value) = proxy_authorization {
        head = head.field("Proxy-Authorization", value.as_bytes());
    }
    head
}

fn request(upgrade: &UpgradeOptions<'_>, connection: &Connection, key: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut head = upgrade_head(&mut bytes, upgrade.url, connection, "websocket")
        .field("Sec-WebSocket-Version", b"13")
        .field("Sec-WebSocket-Key", key.as_bytes());
    if !upgrade.text_only {
        head = head.field("Sec-WebSocket-Protocol", SUBPROTOCOL.as_bytes());
    }
    // A balancer of several relays sees no metadata, and has to choose the node by the name.
    if let Some(name) = upgrade.name.filter(|name| valid_name(name)) {
        head = head.field("Rdv-Name", name.as_bytes());
    }
    if !upgrade.options.has_field("User-Agent") {
        head = head.field("User-Agent", USER_AGENT.as_bytes());
    }
    if let Some(token) = upgrade.token {
        head = head.field("Authorization", format!("Bearer {token}").as_bytes());
    } else if let Some(credentials) = &upgrade.url.credentials {
        head = head.field("Authorization", basic(credentials).as_bytes());
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

/// Returns the refusal, with the message in its body if that is received.
fn refusal(head: AnswerHead, connection: Connection) -> Error {
    let (status, mut body) = (head.status, Vec::new());
    if let Ok(response) = Response::new(head, connection) {
        let reader = response.into_body();
        if !reader.ends_with_connection() {
            // What was received before an error is shown.
            let _ = reader.take(REFUSAL_MAX_BYTES).read_to_end(&mut body);
        }
    }
    Error::Refused { status, message: message(status, &body) }
}

/// Returns the `message` of a relay's JSON error; else what to do about a proxy's response, or the
/// first line of any other body.
fn message(status: u16, body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let said = json.and_then(|json| json["message"].as_str().map(str::to_owned));
    // Servers of programs answer with text, proxies with pages.
    let is_page = body.trim_ascii_start().starts_with(b"<");
    let of_proxy = || is_page.then(|| advice_on_upgrade(status));
    let text = said.or_else(|| of_proxy().flatten()).unwrap_or_else(|| {
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
