//! The three messages that begin a connection, JSON in text:
//!
//! ```text
//! dialling end   {"Type":"ClientHandshakeMetaData","Meta":<any JSON>}
//! accepting end  {"Type":"ServerHandshakeConnectionID","ConnectionID":"<uuid>"}
//! dialling end   {"Type":"ClientHandshakeAckFrame"}
//! ```
//!
//! With `rdv.socket.v1` the second message also has the path of the API (`Path`) and the secret
//! that authorizes tunnels (`Spare`).

use super::upgrade::SUBPROTOCOL;
use serde_json::{Value, json};
use uuid::Uuid;

const META: &str = "ClientHandshakeMetaData";
const CONNECTION_ID: &str = "ServerHandshakeConnectionID";
const ACK: &str = "ClientHandshakeAckFrame";

/// Metadata members that only the relay may see.
const SECRETS: [&str; 2] = ["secret", "token"];

/// The messages that follow the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// HTTP/1.1 messages as text, one at a time.
    Text,
    /// `rdv.socket.v1`: binary messages, concurrent exchanges.
    V1,
}

impl Dialect {
    /// Returns the name for display.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::V1 => SUBPROTOCOL,
        }
    }
}

/// The self-description of the dialling end: any JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(pub Value);

impl Metadata {
    /// Returns the requested name.
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// Returns the secret that authorizes a takeover of the name.
    pub fn secret(&self) -> Option<&str> {
        self.text("secret")
    }

    /// Returns the token that authorizes the connection, where one is required.
    pub fn token(&self) -> Option<&str> {
        self.text("token")
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// Removes the members that must not be shown.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if let Value::Object(fields) = &mut self.0 {
            for key in SECRETS {
                fields.shift_remove(key);
            }
        }
        self
    }
}

/// The accepting end's answer to the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The identifier of the connection.
    pub connection: Uuid,
    /// The path of its API on the relay.
    pub path: Option<String>,
    /// The secret for tunnels; `None` if none are wanted.
    pub tunnel_secret: Option<Uuid>,
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotExpected(&'static str);

impl NotExpected {
    /// Returns the description of the expected message.
    pub fn message(self) -> &'static str {
        self.0
    }
}

/// Serializes the first message.
pub fn write_metadata(metadata: &Metadata) -> String {
    json!({ "Type": META, "Meta": metadata.0 }).to_string()
}

/// Serializes the second message.
pub fn write_welcome(welcome: &Welcome) -> String {
    let mut message =
        json!({ "Type": CONNECTION_ID, "ConnectionID": welcome.connection.to_string() });
    if let Some(path) = &welcome.path {
        message["Path"] = path.as_str().into();
    }
    if let Some(tunnel_secret) = welcome.tunnel_secret {
        message["Spare"] = tunnel_secret.to_string().into();
    }
    message.to_string()
}

/// Serializes the third message.
pub fn write_ack() -> String {
    json!({ "Type": ACK }).to_string()
}

/// Parses the first message. `Meta` may be missing.
///
/// # Errors
/// If it is another message.
pub fn read_metadata(text: &str) -> Result<Metadata, NotExpected> {
    let mut message = read(text, META)
        .ok_or(NotExpected("expected {\"Type\":\"ClientHandshakeMetaData\",\"Meta\":...}"))?;
    Ok(Metadata(message.get_mut("Meta").map(Value::take).unwrap_or_default()))
}

/// Parses the second message.
///
/// # Errors
/// If it is another message, or has no connection identifier.
pub fn read_welcome(text: &str) -> Result<Welcome, NotExpected> {
    let not_expected =
        NotExpected("expected {\"Type\":\"ServerHandshakeConnectionID\",\"ConnectionID\":...}");
    let message = read(text, CONNECTION_ID).ok_or(not_expected)?;
    let id = |key: &str| message.get(key)?.as_str().and_then(|text| Uuid::try_parse(text).ok());
    Ok(Welcome {
        connection: id("ConnectionID").ok_or(not_expected)?,
        path: message.get("Path").and_then(Value::as_str).map(str::to_owned),
        tunnel_secret: id("Spare"),
    })
}

/// Parses the third message.
///
/// # Errors
/// If it is another message.
pub fn read_ack(text: &str) -> Result<(), NotExpected> {
    let expected = NotExpected("expected {\"Type\":\"ClientHandshakeAckFrame\"}");
    read(text, ACK).map(drop).ok_or(expected)
}

fn read(text: &str, kind: &str) -> Option<Value> {
    let message: Value = serde_json::from_str(text).ok()?;
    (message.get("Type")?.as_str()? == kind).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written_as_documented() {
        let metadata = Metadata(json!({ "name": "billing", "n": [1, null] }));
        let text = r#"{"Type":"ClientHandshakeMetaData","Meta":{"name":"billing","n":[1,null]}}"#;
        assert_eq!(write_metadata(&metadata), text);
        assert_eq!(read_metadata(text), Ok(metadata));
        let connection = Uuid::from_u128(7);
        let plain = Welcome { connection, path: None, tunnel_secret: None };
        let text = r#"{"Type":"ServerHandshakeConnectionID","ConnectionID":"00000000-0000-0000-0000-000000000007"}"#;
        assert_eq!(write_welcome(&plain), text);
        assert_eq!(read_welcome(text), Ok(plain));
        assert_eq!(write_ack(), r#"{"Type":"ClientHandshakeAckFrame"}"#);
        assert_eq!(read_ack(&write_ack()), Ok(()));
    }

    #[test]
    fn metadata_can_be_anything_or_missing() {
        for (name, text, meta) in [
            ("missing", r#"{"Type":"ClientHandshakeMetaData"}"#, Value::Null),
            ("text", r#"{"Meta":"dummy","Type":"ClientHandshakeMetaData"}"#, json!("dummy")),
            ("null", r#"{"Type":"ClientHandshakeMetaData","Meta":null}"#, Value::Null),
        ] {
            let metadata = read_metadata(text).unwrap();
            assert_eq!((&metadata.0, metadata.name()), (&meta, None), "{name}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let fields = json!({ "a": 1, "name": "n", "secret": "s", "token": "t", "b": 2 });
        let metadata = Metadata(fields);
        assert_eq!((metadata.secret(), metadata.token()), (Some("s"), Some("t")));
        let text = metadata.without_secrets().0.to_string();
        assert_eq!(text, r#"{"a":1,"name":"n","b":2}"#);
    }

    #[test]
    fn the_rest_of_a_welcome_is_optional() {
        let full = Welcome {
            connection: Uuid::from_u128(1),
            path: Some("/api/billing".into()),
            tunnel_secret: Some(Uuid::from_u128(2)),
        };
        assert_eq!(read_welcome(&write_welcome(&full)), Ok(full));
    }

    #[test]
    fn an_unexpected_message_is_refused() {
        for text in ["", "{}", "[]", "x", r#"{"Type":7}"#, &write_ack()] {
            assert!(read_metadata(text).is_err(), "{text}");
            assert!(read_welcome(text).is_err(), "{text}");
        }
        assert!(read_ack(&write_metadata(&Metadata::default())).is_err());
        let nameless = r#"{"Type":"ServerHandshakeConnectionID","ConnectionID":"x"}"#;
        assert!(read_welcome(nameless).is_err());
    }
}
