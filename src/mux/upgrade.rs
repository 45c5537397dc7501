//! Recognizes WebSocket upgrade requests and determines the answer (RFC 6455, section 4.2). Reads a
//! head; sends nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tungstenite::handshake::derive_accept_key;

use crate::http::fields::members;
use crate::http::framing::Framing;
use crate::http::head::{Method, RequestHead, Version};

/// The subprotocol of binary messages, as in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "rdv.socket.v1";

/// The error for a WebSocket version other than 13, the only one defined (RFC 6455, section 4.4):
/// the answer is 426 with `Sec-WebSocket-Version: 13`. All other errors are 400.
pub const OTHER_VERSION: &str = "Sec-WebSocket-Version is not 13, the only version served";

/// Length of a decoded key in bytes (RFC 6455, section 4.1).
const KEY_BYTES: usize = 16;

/// A WebSocket request that can be accepted with 101.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// Whether the client offers [`SUBPROTOCOL`]; if so the answer names it in
    /// `Sec-WebSocket-Protocol`, otherwise it has no such field.
    pub v1: bool,
}

/// Returns the upgrade that a request wants: `None` unless it names `websocket` in `Upgrade`.
///
/// # Errors
///
/// A description of the problem, as a sentence for the client; [`OTHER_VERSION`] has a status of
/// its own.
pub fn asked(head: &RequestHead) -> Result<Option<Upgrade>, &'static str> {
    if !head.fields.lists("Upgrade", "websocket") {
        return Ok(None);
    }
    if head.method != Method::Get {
        return Err("a WebSocket is opened with GET");
    }
    if head.version != Version::Http11 {
        return Err("a WebSocket is opened with HTTP/1.1");
    }
    if !head.fields.lists("Connection", "upgrade") {
        return Err("Connection does not name upgrade, though there is an Upgrade field");
    }
    // Parsers could disagree on whether the bytes after the head are the first frame or a body.
    if head.framing != Framing::Length(0) {
        return Err("the request that opens a WebSocket has no body");
    }
    if only(head, "Sec-WebSocket-Version") != Some(b"13") {
        return Err(OTHER_VERSION);
    }
    let key = only(head, "Sec-WebSocket-Key").ok_or("there is not one Sec-WebSocket-Key")?;
    if !is_key(key) {
        return Err("Sec-WebSocket-Key is not the base64 form of 16 bytes");
    }
    // Subprotocol names are case-sensitive (RFC 6455, section 4.1).
    let mut offered = head.fields.all("Sec-WebSocket-Protocol").flat_map(members);
    let v1 = offered.any(|protocol| protocol == SUBPROTOCOL.as_bytes());
    Ok(Some(Upgrade { accept: derive_accept_key(key), v1 }))
}

/// Returns the value of a field that occurs exactly once.
fn only<'b>(head: &RequestHead<'_, 'b>, name: &str) -> Option<&'b [u8]> {
    let mut values = head.fields.all(name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn is_key(key: &[u8]) -> bool {
    // A 24-character key decodes to at most 18 bytes; longer input does not fit and is refused.
    let mut decoded = [0; KEY_BYTES + 2];
    STANDARD.decode_slice(key, &mut decoded) == Ok(KEY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    /// The fields of the example in RFC 6455, section 1.3, without its subprotocols.
    const FIELDS: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

    fn parse_head(head: &str) -> Result<Option<Upgrade>, &'static str> {
        let mut slots = FieldSlots::new();
        let limits = HeadLimits { bytes: 16 << 10, target_bytes: 8 << 10 };
        asked(&parse(head.as_bytes(), &mut slots, &limits).unwrap().unwrap())
    }

    /// Parses a GET with these field lines.
    fn parse_fields(fields: &str) -> Result<Option<Upgrade>, &'static str> {
        parse_head(&format!("GET /socket HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
    }

    #[test]
    fn the_example_of_the_rfc_has_its_accept_key() {
        let upgrade = parse_fields(FIELDS).unwrap().unwrap();
        assert_eq!(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!upgrade.v1);
    }

    #[test]
    fn a_request_without_upgrade_websocket_is_no_upgrade() {
        for (name, fields) in [
            ("no field", FIELDS.replace("Upgrade: websocket\r\n", "")),
            ("another protocol", FIELDS.replace("websocket\r\nC", "h2c\r\nC")),
            ("a longer name", FIELDS.replace("websocket\r\nC", "websockets\r\nC")),
            ("nothing at all", String::new()),
        ] {
            assert_eq!(parse_fields(&fields), Ok(None), "{name}");
        }
    }

    #[test]
    fn names_are_found_in_lists_and_in_any_case() {
        for (name, from, to) in [
            ("capitals", "Upgrade: websocket", "UPGRADE: WebSocket"),
            ("among others", "Upgrade: websocket", "Upgrade: h2c, websocket"),
            ("among versions", "Upgrade: websocket", "Upgrade: HTTP/3.0,websocket ,IRC/6.9"),
            ("beside empty members", "Upgrade: websocket", "Upgrade: ,websocket,,"),
            ("in a second line", "Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: websocket"),
            ("with keep-alive", "Connection: Upgrade", "Connection: keep-alive, upgrade"),
            ("spaces around the key", "Key: dGhl", "Key: \t dGhl"),
        ] {
            assert!(FIELDS.contains(from), "{name}");
            assert!(matches!(parse_fields(&FIELDS.replace(from, to)), Ok(Some(_))), "{name}");
        }
    }

    #[test]
    fn the_subprotocol_is_one_of_those_offered() {
        for (name, offered, v1) in [
            ("alone", "Sec-WebSocket-Protocol: rdv.socket.v1\r\n", true),
            ("among others", "Sec-WebSocket-Protocol: chat, rdv.socket.v1,x\r\n", true),
            (
                "in a second line",
                "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: rdv.socket.v1\r\n",
                true,
            ),
            ("in capitals, which is another", "Sec-WebSocket-Protocol: RDV.socket.v1\r\n", false),
            ("a later one", "Sec-WebSocket-Protocol: rdv.socket.v12\r\n", false),
            ("none", "", false),
        ] {
            let upgrade = parse_fields(&format!("{FIELDS}{offered}"));
            assert_eq!(upgrade.unwrap().unwrap().v1, v1, "{name}");
        }
    }

    #[test]
    fn an_invalid_upgrade_is_refused_with_the_reason() {
        const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
        let twice = |line: &str| line.repeat(2);
        for (name, from, to, reason) in [
            ("no Connection", "Connection: Upgrade\r\n", String::new(), "Connection does not"),
            (
                "only keep-alive",
                "Connection: Upgrade",
                "Connection: keep-alive".into(),
                "Connection does not",
            ),
            ("a body", VERSION, format!("{VERSION}Content-Length: 1\r\n"), "no body"),
            ("chunks", VERSION, format!("{VERSION}Transfer-Encoding: chunked\r\n"), "no body"),
            ("version 8", VERSION, VERSION.replace("13", "8"), OTHER_VERSION),
            ("version 130", VERSION, VERSION.replace("13", "130"), OTHER_VERSION),
            ("no version", VERSION, String::new(), OTHER_VERSION),
            ("two versions", VERSION, twice(VERSION), OTHER_VERSION),
            ("no key", KEY, String::new(), "not one Sec-WebSocket-Key"),
            ("two keys", KEY, twice(KEY), "not one Sec-WebSocket-Key"),
            ("an empty key", KEY, "Sec-WebSocket-Key:\r\n".into(), "base64 form of 16"),
            ("15 bytes", KEY, KEY.replace("ZQ==", ""), "base64 form of 16"),
            ("17 bytes", KEY, KEY.replace("ZQ==", "ZWU="), "base64 form of 16"),
            ("18 bytes", KEY, KEY.replace("ZQ==", "ZWVl"), "base64 form of 16"),
            ("19 bytes", KEY, KEY.replace("ZQ==", "ZWVlZQ=="), "base64 form of 16"),
            ("a long key", KEY, KEY.replace("ZQ==", &"ZWVl".repeat(1000)), "base64 form of 16"),
            ("no padding", KEY, KEY.replace("ZQ==", "ZQ"), "base64 form of 16"),
            ("no base64", KEY, KEY.replace("ZQ==", "!!=="), "base64 form of 16"),
        ] {
            assert!(FIELDS.contains(from), "{name}");
            let refused = parse_fields(&FIELDS.replace(from, &to)).expect_err(name);
            assert!(refused.contains(reason), "{name}: {refused}");
        }
    }

    #[test]
    fn only_a_get_of_http_1_1_opens_a_websocket() {
        for (name, line, reason) in [
            ("another method", "POST / HTTP/1.1", "with GET"),
            ("HEAD", "HEAD / HTTP/1.1", "with GET"),
            ("an older version", "GET / HTTP/1.0", "with HTTP/1.1"),
        ] {
            let refused =
                parse_head(&format!("{line}\r\nHost: h\r\n{FIELDS}\r\n")).expect_err(name);
            assert!(refused.contains(reason), "{name}: {refused}");
        }
    }
}
