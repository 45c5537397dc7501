//! The three messages that begin a connection, JSON in text:
//!
//! ```text
//! who dialled   {"Type":"ClientHandshakeMetaData","Meta":<any JSON>}
//! who accepted  {"Type":"ServerHandshakeConnectionID","ConnectionID":"<uuid>"}
//! who dialled   {"Type":"ClientHandshakeAckFrame"}
//! ```
//!
//! With `rdv.socket.v1` the second one also tells where the API is found (`Path`), and the secret
//! that spare connections are brought with (`Spare`).

use super::upgrade::SUBPROTOCOL;
use serde_json::{Value, json};
use uuid::Uuid;

const META: &str = "ClientHandshakeMetaData";
const CONNECTION_ID: &str = "ServerHandshakeConnectionID";
const ACK: &str = "ClientHandshakeAckFrame";

/// What of the metadata only the relay may know.
const SECRETS: [&str; 2] = ["secret", "token"];

/// Which messages follow the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// HTTP/1.1 messages as text, one after the other.
    Text,
    /// `rdv.socket.v1`: binary messages, many exchanges at once.
    V1,
}

impl Dialect {
    /// What people are shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::V1 => SUBPROTOCOL,
        }
    }
}

/// What the one who dialled says of itself: any JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(pub Value);

impl Metadata {
    /// The name it wants to be found by.
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// Who knows this may take the name over.
    pub fn secret(&self) -> Option<&str> {
        self.text("secret")
    }

    /// What allows it to connect, where that is limited.
    pub fn token(&self) -> Option<&str> {
        self.text("token")
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// The same without what must not be shown.
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

/// How the one who accepted welcomes the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The name of the connection.
    pub connection: Uuid,
    /// Where its API is found, a path on the relay.
    pub path: Option<String>,
    /// What spare connections are brought with; none are wanted without.
    pub spare: Option<Uuid>,
}

/// Why a handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotExpected(&'static str);

impl NotExpected {
    /// What was expected instead.
    pub fn message(self) -> &'static str {
        self.0
    }
}

/// The first message.
pub fn write_metadata(metadata: &Metadata) -> String {
    json!({ "Type": META, "Meta": metadata.0 }).to_string()
}

/// The second message.
pub fn write_welcome(welcome: &Welcome) -> String {
    let mut message =
        json!({ "Type": CONNECTION_ID, "ConnectionID": welcome.connection.to_string() });
    if let Some(path) = &welcome.path {
        message["Path"] = path.as_str().into();
    }
    if let Some(spare) = welcome.spare {
        message["Spare"] = spare.to_string().into();
    }
    message.to_string()
}

/// The third message.
pub fn write_ack() -> String {
    json!({ "Type": ACK }).to_string()
}

/// Reads the first message. `Meta` may be missing.
///
/// # Errors
/// When it is another one.
pub fn read_metadata(text: &str) -> Result<Metadata, NotExpected> {
    let mut message = read(text, META)
        .ok_or(NotExpected("expected {\"Type\":\"ClientHandshakeMetaData\",\"Meta\":...}"))?;
    Ok(Metadata(message.get_mut("Meta").map(Value::take).unwrap_or_default()))
}

/// Reads the second message.
///
/// # Errors
/// When it is another one, or names no connection.
pub fn read_welcome(text: &str) -> Result<Welcome, NotExpected> {
    let not_expected =
        NotExpected("expected {\"Type\":\"ServerHandshakeConnectionID\",\"ConnectionID\":...}");
    let message = read(text, CONNECTION_ID).ok_or(not_expected)?;
    let id = |key: &str| message.get(key)?.as_str().and_then(|text| Uuid::try_parse(text).ok());
    Ok(Welcome {
        connection: id("ConnectionID").ok_or(not_expected)?,
        path: message.get("Path").and_then(Value::as_str).map(str::to_owned),
        spare: id("Spare"),
    })
}

/// Reads the third message.
///
/// # Errors
/// When it is another one.
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
    fn the_messages_are_those_of_the_protocol() {
        let metadata = Metadata(json!({ "name": "billing", "n": [1, null] }));
        let text = r#"{"Type":"ClientHandshakeMetaData","Meta":{"name":"billing","n":[1,null]}}"#;
        assert_eq!(write_metadata(&metadata), text);
        assert_eq!(read_metadata(text), Ok(metadata));
        let connection = Uuid::from_u128(7);
        let plain = Welcome { connection, path: None, spare: None };
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
            spare: Some(Uuid::from_u128(2)),
        };
        assert_eq!(read_welcome(&write_welcome(&full)), Ok(full));
    }

    #[test]
    fn another_message_is_not_taken_for_the_expected_one() {
        for text in ["", "{}", "[]", "x", r#"{"Type":7}"#, &write_ack()] {
            assert!(read_metadata(text).is_err(), "{text}");
            assert!(read_welcome(text).is_err(), "{text}");
        }
        assert!(read_ack(&write_metadata(&Metadata::default())).is_err());
        let nameless = r#"{"Type":"ServerHandshakeConnectionID","ConnectionID":"x"}"#;
        assert!(read_welcome(nameless).is_err());
    }
}
