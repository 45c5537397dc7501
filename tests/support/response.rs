//! A received response: a head, a body, and how the body ended.

use super::json;

/// How a message ended, as seen by its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By its own framing; for a body without framing, by an orderly close.
    Complete,
    /// The connection was closed before the end of the framing.
    Closed,
    /// The connection was reset.
    Reset,
}

/// A status line and its fields.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
}

/// A complete response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
}

impl Head {
    /// Parses the bytes before the empty line; panics unless they are a head by RFC 9112.
    pub(crate) fn parse(text: &[u8]) -> Head {
        let text = std::str::from_utf8(text).expect("a head is ASCII");
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let rest =
            line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("status line: {line:?}"));
        let (status, _reason) =
            rest.split_once(' ').unwrap_or_else(|| panic!("no space: {line:?}"));
        assert_eq!(status.len(), 3, "status line: {line:?}");
        let status = status.parse().unwrap_or_else(|_| panic!("status line: {line:?}"));
        Head { status, fields: lines.map(field).collect() }
    }

    /// All values of this field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of this field, which must occur at most once.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} occurs {} times: {values:?}", values.len());
        values.first().copied()
    }

    /// The comma-separated members of this field, in upper case.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let members = self.all(name).join(",");
        let members = members.split(',').map(|member| member.trim().to_ascii_uppercase());
        members.filter(|member| !member.is_empty()).collect()
    }

    /// Whether `Connection` declares this response the last one.
    pub(crate) fn closes(&self) -> bool {
        self.list("Connection").iter().any(|option| option == "CLOSE")
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("field line: {line:?}"));
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(token), "field name: {line:?}");
    assert!(!value.bytes().any(|byte| byte < b' ' && byte != b'\t'), "field value: {line:?}");
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        json::parse(&self.body)
    }
}
