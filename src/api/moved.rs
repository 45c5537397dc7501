//! A stream without both sides connected, as one process hands it to the next: one line of JSON.
//! Its members are those of the bodies it was made from, and are parsed by the same rules.

use super::creation::{self, Creation};
use super::report;
use crate::http::hex;
use crate::rendezvous::{CreationKey, Guard, Headers, PeerReport, ReleasedStream};
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The line sent by a suspended process: its successor starts suspended, too.
pub const SUSPENDED: &str = "suspended\n";

/// A stream being handed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Its identifier.
    pub id: Uuid,
    /// When it was created, in milliseconds since 1970.
    pub created_wall_ms: i64,
    /// The time since it was created.
    pub age: Duration,
    /// The remaining waiting time, chosen by the creator or by default.
    pub left: Duration,
    /// The address whose limits it counts against.
    pub creator: Option<IpAddr>,
    /// The custom header fields of its creator.
    pub headers: Option<Box<Headers>>,
    /// The pending report for the first client to connect.
    pub report: Option<PeerReport>,
    /// Its source awaits the acknowledgement of the destination's TCP.
    pub acked: bool,
}

/// Writes one line.
pub fn write(ReleasedStream { stream, creator }: &ReleasedStream, now: Instant) -> String {
    let mut members = Map::new();
    members.insert("id".into(), stream.id().to_string().into());
    members.insert("created_ms".into(), stream.created_wall_ms().into());
    let age = now.saturating_duration_since(stream.created());
    let left = stream.deadline().saturating_duration_since(now);
    for (name, time) in [("age_ms", age), ("left_ms", left)] {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        members.insert(name.into(), ms.into());
    }
    if let Some(creator) = creator {
        members.insert("creator".into(), creator.to_string().into());
    }
    if let Some(headers) = stream.headers() {
        members.insert("download_headers".into(), headers.download.clone().into());
        members.insert("upload_headers".into(), headers.upload.clone().into());
        let guard = headers.guard.map(|Guard { put, get, owner }| [put, get, owner]);
        let guard = guard.map(|tokens| tokens.map(|token| token.simple().to_string()));
        members.extend(guard.map(|tokens| ("guard".to_owned(), json!(tokens))));
        let url = headers.notify_url.as_deref();
        members.extend(url.map(|url| (creation::NOTIFY_URL.to_owned(), url.into())));
        let key = headers.key.map(|key| [key.request, key.body].map(|digest| hex::encode(&digest)));
        members.extend(key.map(|key| ("key".to_owned(), json!(key))));
    }
    if stream.awaits_ack() {
        let (member, acked) = creation::ACKED;
        members.insert(member.into(), acked.into());
    }
    if let Some(PeerReport { status, name, message }) = stream.pending_report() {
        let report = json!({ "http_status": status, "name": name, "message": message });
        members.insert("report".into(), report);
    }
    format!("{}\n", Value::Object(members))
}

/// Parses one line; `None` if [`write()`] could not have written it.
pub fn read(line: &str) -> Option<Moved> {
    let members: Map<String, Value> = serde_json::from_str(line).ok()?;
    let report = match members.get("report") {
        Some(value) => Some(report::parse(value.to_string().as_bytes()).ok()?),
        None => None,
    };
    let creator = match members.get("creator") {
        Some(value) => Some(value.as_str()?.parse().ok()?),
        None => None,
    };
    let Creation { mut headers, acked, .. } = creation::parse(line.as_bytes()).ok()?;
    let (guard, key) = (guard(&members)?, key(&members)?);
    if guard.is_some() || key.is_some() {
        let headers = headers.get_or_insert_default();
        (headers.guard, headers.key) = (guard, key);
    }
    Some(Moved {
        creator,
        id: members.get("id")?.as_str()?.parse().ok()?,
        created_wall_ms: members.get("created_ms")?.as_i64()?,
        // Earlier versions do not write it.
        age: Duration::from_millis(members.get("age_ms").map_or(Some(0), Value::as_u64)?),
        left: Duration::from_millis(members.get("left_ms")?.as_u64()?),
        headers,
        report,
        acked,
    })
}

/// Returns the tokens of a stream; the outer `None`: they are invalid.
#[allow(clippy::option_option, reason = "absent is not invalid")]
fn guard(members: &Map<String, Value>) -> Option<Option<Guard>> {
    let Some(tokens) = members.get("guard") else { return Some(None) };
    let [put, get, owner] = &tokens.as_array()?[..] else { return None };
    let token = |value: &Value| Uuid::try_parse(value.as_str()?).ok();
    Some(Some(Guard { put: token(put)?, get: token(get)?, owner: token(owner)? }))
}

/// Returns the request that created a stream, in the same way.
#[allow(clippy::option_option, reason = "absent is not invalid")]
fn key(members: &Map<String, Value>) -> Option<Option<CreationKey>> {
    let Some(key) = members.get("key") else { return Some(None) };
    let [request, body] = &key.as_array()?[..] else { return None };
    let digest = |value: &Value| hex::decode(value.as_str()?.as_bytes());
    Some(Some(CreationKey { request: digest(request)?, body: digest(body)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendezvous::{Limits, Now, Registry};

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn written_streams_are_read_back() {
        let minute = Duration::from_mins(1);
        let limits = Limits {
            streams: 9,
            streams_per_address: 3,
            unjoined_per_address: 3,
            ttl: minute,
            retention: minute,
        };
        let now = Now { monotonic: Instant::now(), wall_ms: 1_700_000_000_123 };
        let (age, left) = (Duration::from_millis(1_234), Duration::from_millis(86_400_001));
        let fields = br#"{"download_headers":{"X-B":1,"X-A":"\"q\""},"upload_headers":{"Y":true}}"#;
        let headers = creation::parse(fields).unwrap().headers;
        let creator = "192.0.2.7".parse().unwrap();
        let [put, get, owner] = [1, 2, 3].map(Uuid::from_u128);
        let guarded = Headers {
            guard: Some(Guard { put, get, owner }),
            key: Some(CreationKey { request: [7; 32], body: [8; 32] }),
            notify_url: Some("https://hooks.example/?a=b".into()),
            ..Headers::default()
        };
        let report = PeerReport { status: 418, name: "Tea".into(), message: "two\nlines".into() };
        for (name, headers, report, acked) in [
            ("bare", None, None, false),
            ("headers", headers.clone(), None, false),
            ("tokens", Some(Box::new(guarded)), None, false),
            ("report", None, Some(report.clone()), false),
            ("receipt", None, None, true),
            ("all", headers, Some(report), true),
        ] {
            let mut registry = Registry::new(limits);
            let id = Uuid::from_u128(7);
            let key = registry.create(id, headers.clone(), creator, now).unwrap();
            let later = now.monotonic + age;
            registry.wait_until(key, later + left, now);
            if acked {
                registry.await_ack(key);
            }
            if let Some(report) = report.clone() {
                let _ = registry.report(id, report, now);
            }
            let given = registry.give_away_waiting();
            let line = write(&given[0], later);
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{name}: one line");
            let created_wall_ms = now.wall_ms;
            let creator = Some(creator);
            let mut moved =
                Moved { id, created_wall_ms, age, left, creator, headers, report, acked };
            assert_eq!(read(&line), Some(moved.clone()), "{name}");
            moved.age = Duration::ZERO;
            let older = line.replace(r#""age_ms":1234,"#, "");
            assert_eq!(read(&older), Some(moved), "{name}, of an earlier version");
        }
    }

    #[test]
    fn invalid_lines_are_not_read() {
        let id = Uuid::nil();
        for (name, line) in [
            ("empty", String::new()),
            ("no object", "[]".into()),
            ("cut", format!(r#"{{"id":"{id}","created_ms":1,"left_m"#)),
            ("no time", format!(r#"{{"id":"{id}","created_ms":1}}"#)),
            ("no identifier", r#"{"id":"x","created_ms":1,"left_ms":1}"#.into()),
            (
                "a token that is none",
                format!(r#"{{"id":"{id}","created_ms":1,"left_ms":1,"guard":["x","y","z"]}}"#),
            ),
            (
                "a header the wire cannot carry",
                format!(
                    r#"{{"id":"{id}","created_ms":1,"left_ms":1,"upload_headers":{{"a b":1}}}}"#
                ),
            ),
        ] {
            assert_eq!(read(&line), None, "{name}");
        }
    }
}
