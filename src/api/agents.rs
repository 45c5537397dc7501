//! Agents as shown to clients: one object per agent, and one event per change of its connection.
//! Credentials of agents are never shown.

use super::status::iso8601;
use crate::http::sse;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

/// Members of the metadata that only the relay sees.
const SECRET_MEMBERS: [&str; 2] = ["secret", "token"];

/// The current state of one agent.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a> {
    /// The id of its connection.
    pub id: Uuid,
    /// Its name, if it has one.
    pub name: Option<&'a str>,
    /// Its own metadata, as [`metadata`] returned them.
    pub metadata: &'a str,
    /// The remote address of its WebSocket.
    pub remote_addr: SocketAddr,
    /// Its protocol: `rdv.socket.v1` or `text`.
    pub protocol: &'a str,
    /// The time it connected, in milliseconds since 1970.
    pub connected_wall_ms: i64,
    /// The time since it connected.
    pub age: Duration,
    /// Calls without a complete response yet.
    pub requests_in_flight: usize,
    /// Calls so far, including those in flight.
    pub requests: u64,
    /// Bytes of heads and bodies received from it.
    pub bytes_in: u64,
    /// Bytes of heads and bodies sent to it.
    pub bytes_out: u64,
    /// Open tunnels.
    pub spares: usize,
    /// The time of its last heartbeat, in milliseconds since 1970.
    pub last_heartbeat_wall_ms: i64,
}

/// A change of an agent's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentChange<'a> {
    /// It is connected and can be called.
    Received,
    /// It closed cleanly, with the reason if there is one.
    Closed(Option<&'a str>),
    /// It was interrupted, or failed before it could be called, with the reason.
    Failed(&'a str),
}

/// An event about an agent's connection.
#[derive(Clone, Copy, Debug)]
pub struct AgentEvent<'a> {
    /// What happened.
    pub change: AgentChange<'a>,
    /// The id of the connection; `None` if it failed early.
    pub connection_id: Option<Uuid>,
    /// The agent's name, if it has one.
    pub name: Option<&'a str>,
    /// The remote address of its WebSocket.
    pub remote_addr: SocketAddr,
    /// The time of the event, in milliseconds since 1970.
    pub wall_ms: i64,
}

/// Returns the JSON object of an agent. Its metadata are copied as they are: a few KiB of small
/// values would take longer to write than all the rest.
pub fn object(agent: &Agent<'_>) -> String {
    let rest = json!({
        "remote_addr": agent.remote_addr.to_string(),
        "protocol": agent.protocol,
        "connected_at": iso8601(agent.connected_wall_ms),
        "age_seconds": agent.age.as_secs(),
        "requests_in_flight": agent.requests_in_flight,
        "requests": agent.requests,
        "bytes_in": agent.bytes_in,
        "bytes_out": agent.bytes_out,
        "spares": agent.spares,
        "last_heartbeat_at": iso8601(agent.last_heartbeat_wall_ms),
    })
    .to_string();
    let (id, name, metadata) = (json!(agent.id.to_string()), json!(agent.name), agent.metadata);
    format!(r#"{{"id":{id},"name":{name},"metadata":{metadata},{}"#, &rest[1..])
}

/// Formats the event for `text/event-stream`.
pub fn event(event: &AgentEvent<'_>) -> Vec<u8> {
    let (kind, reason) = match event.change {
        AgentChange::Received => ("ConnectionReceived", None),
        AgentChange::Closed(reason) => ("ConnectionClosed", reason),
        AgentChange::Failed(reason) => ("ConnectionFailure", Some(reason)),
    };
    let mut data = json!({
        "type": kind,
        "connection_id": event.connection_id.map(|id| id.to_string()),
        "name": event.name,
        "remote_addr": event.remote_addr.to_string(),
        "at": iso8601(event.wall_ms),
    });
    if let Some(reason) = reason {
        data["reason"] = reason.into();
    }
    sse::event(kind, &data.to_string())
}

/// Returns the metadata of an agent as JSON, without its secrets.
pub fn metadata(metadata: &Value) -> String {
    let Value::Object(members) = metadata else { return metadata.to_string() };
    let open = members.iter().filter(|(name, _)| !SECRET_MEMBERS.contains(&name.as_str()));
    let open = open.map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(open.collect::<Map<_, _>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::sse::Events;

    const ID: Uuid = Uuid::from_u128(7);

    fn peer() -> SocketAddr {
        "[2001:db8::1]:4711".parse().unwrap()
    }

    #[test]
    fn an_agent_is_listed_without_its_secrets() {
        for (name, metadata, expected) in [
            (
                "secrets at the top",
                json!({"name": "b", "secret": "s", "token": "t", "z": 1, "a": 2}),
                r#"{"name":"b","z":1,"a":2}"#,
            ),
            ("deeper they are its own", json!({"a": {"secret": "s"}}), r#"{"a":{"secret":"s"}}"#),
            ("another case is another member", json!({"Secret": 1}), r#"{"Secret":1}"#),
            ("no object", json!(["secret"]), r#"["secret"]"#),
            ("null", Value::Null, "null"),
        ] {
            assert_eq!(super::metadata(&metadata), expected, "{name}");
        }
    }

    #[test]
    fn an_agent_is_listed_with_every_member() {
        let agent = Agent {
            id: ID,
            name: Some("billing"),
            metadata: r#"{"a":1}"#,
            remote_addr: peer(),
            protocol: "rdv.socket.v1",
            connected_wall_ms: 1_700_000_000_123,
            age: Duration::from_millis(61_999),
            requests_in_flight: 1,
            requests: 2,
            bytes_in: 3,
            bytes_out: u64::MAX,
            spares: 4,
            last_heartbeat_wall_ms: 1_700_000_060_000,
        };
        let expected = json!({
            "id": "00000000-0000-0000-0000-000000000007",
            "name": "billing",
            "metadata": {"a": 1},
            "remote_addr": "[2001:db8::1]:4711",
            "protocol": "rdv.socket.v1",
            "connected_at": "2023-11-14T22:13:20.123Z",
            "age_seconds": 61,
            "requests_in_flight": 1,
            "requests": 2,
            "bytes_in": 3,
            "bytes_out": u64::MAX,
            "spares": 4,
            "last_heartbeat_at": "2023-11-14T22:14:20.000Z",
        });
        assert_eq!(object(&agent), expected.to_string(), "in this order");
    }

    #[test]
    fn an_event_contains_kind_agent_and_reason() {
        for (change, id, kind, more) in [
            (AgentChange::Received, Some(ID), "ConnectionReceived", ""),
            (AgentChange::Closed(None), Some(ID), "ConnectionClosed", ""),
            (AgentChange::Closed(Some("bye")), Some(ID), "ConnectionClosed", r#","reason":"bye""#),
            (AgentChange::Failed("a\nb"), None, "ConnectionFailure", r#","reason":"a\nb""#),
        ] {
            let shown = AgentEvent {
                change,
                connection_id: id,
                name: id.map(|_| "billing"),
                remote_addr: peer(),
                wall_ms: 0,
            };
            let bytes = event(&shown);
            assert!(bytes.starts_with(format!("event: {kind}\n").as_bytes()), "{kind}");
            let mut read = Vec::new();
            Events::default().received(&bytes, &mut read).unwrap();
            let who = match id {
                Some(id) => format!(r#""connection_id":"{id}","name":"billing""#),
                None => r#""connection_id":null,"name":null"#.to_owned(),
            };
            let expected = format!(
                r#"{{"type":"{kind}",{who},"remote_addr":"[2001:db8::1]:4711","at":"1970-01-01T00:00:00.000Z"{more}}}"#
            );
            assert_eq!(read, [expected], "{change:?}");
        }
    }
}
