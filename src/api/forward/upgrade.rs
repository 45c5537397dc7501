//! A client's request to switch to another protocol (RFC 9110, section 7.8).

use crate::http::answer::AnswerHead;
use crate::http::fields::members;
use crate::http::framing::Framing;
use crate::http::head::{RequestHead, Version};

/// HTTP/2 without TLS. Servers no longer use it (RFC 9113, section 3.1), and the requests in it would
/// bypass the relay.
const HTTP2: &str = "h2c";

/// The protocols that a client offers to switch to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The value of the `Upgrade` field.
    protocols: Vec<u8>,
}

impl Upgrade {
    /// Returns the upgrade that a request offers. `None`: there is none, or it is ignored, as a
    /// server may: one with a body, of HTTP/1.0, or to HTTP/2.
    pub fn offered(head: &RequestHead<'_, '_>) -> Option<Self> {
        let passes = head.version == Version::Http11
            && head.framing == Framing::Length(0)
            && head.fields.lists("Connection", "upgrade")
            && !head.fields.lists("Upgrade", HTTP2);
        let names = head.fields.all("Upgrade").flat_map(members);
        let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        let protocols = names.join(&b", "[..]);
        (passes && !protocols.is_empty()).then_some(Self { protocols })
    }

    /// Returns the value of the `Upgrade` field that offers them.
    pub fn protocols(&self) -> &[u8] {
        &self.protocols
    }

    /// Whether a response switches to protocols that were offered.
    pub fn is_accepted_by(&self, answer: &AnswerHead) -> bool {
        let mut chosen = answer.all("Upgrade").flat_map(members).peekable();
        let offers = |name: &[u8]| members(&self.protocols).any(|it| it.eq_ignore_ascii_case(name));
        answer.status == 101 && chosen.peek().is_some() && chosen.all(offers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    fn offered(line: &str, fields: &str) -> Option<String> {
        let text = format!("{line}\r\nHost: h\r\n{fields}\r\n");
        let mut slots = FieldSlots::new();
        let limits = HeadLimits { bytes: 16 << 10, target_bytes: 8 << 10 };
        let head = parse(text.as_bytes(), &mut slots, &limits).unwrap().unwrap();
        let upgrade = Upgrade::offered(&head)?;
        Some(String::from_utf8(upgrade.protocols).unwrap())
    }

    #[test]
    fn an_upgrade_is_offered_by_a_request_without_a_body() {
        const GET: &str = "GET / HTTP/1.1";
        const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        for (name, line, fields, protocols) in [
            ("a WebSocket", GET, WEBSOCKET.to_owned(), Some("websocket")),
            (
                "with an empty body",
                GET,
                format!("{WEBSOCKET}Content-Length: 0\r\n"),
                Some("websocket"),
            ),
            ("by another method", "POST / HTTP/1.1", WEBSOCKET.to_owned(), Some("websocket")),
            (
                "several protocols",
                GET,
                "connection: keep-alive, upgrade\r\nupgrade: a/1,, b\r\nUpgrade: c\r\n".to_owned(),
                Some("a/1, b, c"),
            ),
            ("no protocol", GET, "Connection: Upgrade\r\nUpgrade: ,\r\n".to_owned(), None),
            ("no Upgrade", GET, "Connection: Upgrade\r\n".to_owned(), None),
            ("no Connection", GET, "Upgrade: websocket\r\n".to_owned(), None),
            ("HTTP/1.0", "GET / HTTP/1.0", WEBSOCKET.to_owned(), None),
            ("a body", GET, format!("{WEBSOCKET}Content-Length: 1\r\n"), None),
            ("chunks", GET, format!("{WEBSOCKET}Transfer-Encoding: chunked\r\n"), None),
            ("HTTP/2", GET, WEBSOCKET.replace("websocket", "websocket, H2C"), None),
        ] {
            assert_eq!(offered(line, &fields).as_deref(), protocols, "{name}");
        }
    }

    #[test]
    fn only_an_offered_protocol_is_accepted() {
        let upgrade = Upgrade { protocols: b"websocket, a/1".to_vec() };
        for (name, text, accepted) in [
            ("one of them", "101 x\r\nUpgrade: WebSocket", true),
            ("both", "101 x\r\nUpgrade: a/1, websocket", true),
            ("another", "101 x\r\nUpgrade: b", false),
            ("one of them and another", "101 x\r\nUpgrade: a/1\r\nUpgrade: b", false),
            ("none", "101 x", false),
            ("an offer of the server", "426 x\r\nUpgrade: websocket", false),
        ] {
            let head = AnswerHead::parse(format!("HTTP/1.1 {text}\r\n\r\n").as_bytes());
            assert_eq!(upgrade.is_accepted_by(&head.unwrap().unwrap()), accepted, "{name}");
        }
    }
}
