//! Which worker of a relay serves a request. All workers come to the same result, without asking
//! another one: an identifier shows its worker, and a name belongs to one by its hash.

use super::{Callee, PathRoute, Route};
use crate::http::head::RequestHead;
use uuid::Uuid;

/// What decides which worker serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardKey<'h> {
    /// The identifier of a stream or of an agent.
    Id(Uuid),
    /// A name that a client chose: that of an agent, a path, an idempotency key.
    Name(&'h [u8]),
    /// What only the first worker has.
    First,
}

impl<'h> ShardKey<'h> {
    /// Returns the key of a request; `None`: any worker can serve it.
    pub fn of(route: &Route<'h>, head: &RequestHead<'_, 'h>) -> Option<Self> {
        if let Some((stream, _)) = route.stream() {
            return Some(Self::Id(stream));
        }
        if let Route::Call { callee, .. } = route {
            return match callee {
                Callee::Connection(agent) => agent.map(Self::Id),
                Callee::Name(name) | Callee::Host(name) => Some(Self::Name(name.as_bytes())),
            };
        }
        if let Route::Path(path) = route {
            return match path {
                PathRoute::Upload(path) | PathRoute::Download(path) | PathRoute::Exists(path) => {
                    Some(Self::Name(path.as_bytes()))
                }
                PathRoute::About | PathRoute::NotAllowed(_) => None,
            };
        }
        if *route == Route::AttachTunnel {
            let agent = str::from_utf8(head.fields.get("Rdv-Connection")?).ok()?;
            return Uuid::try_parse(agent).ok().map(Self::Id);
        }
        if *route == Route::Create {
            return head.fields.get("Idempotency-Key").map(Self::Name);
        }
        matches!(route, Route::AgentEvents | Route::Watch).then_some(Self::First)
    }

    /// Returns the worker that serves it, of this many. Names are compared in any case.
    #[allow(clippy::cast_possible_truncation, reason = "the number of workers fits")]
    pub fn worker(self, workers: usize) -> u8 {
        let hash = match self {
            Self::Id(id) => u64::from(id.as_bytes()[2]),
            Self::Name(name) => hash(name),
            Self::First => 0,
        };
        (hash % workers.max(1) as u64) as u8
    }
}

/// Hashes a name (FNV-1a): an identifier of version 4 and a name that a client chose for one worker
/// only move work there.
fn hash(name: &[u8]) -> u64 {
    let mix = |hash: u64, byte: u8| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    };
    let hash = name.iter().copied().fold(0xcbf2_9ce4_8422_2325, mix);
    // Its low bits alone are weak: the number of workers is often a power of two.
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Audience, Place, route};
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    fn key_of(head: &str) -> Option<String> {
        let head = format!("{head}\r\n\r\n");
        let mut slots = FieldSlots::new();
        let limits = HeadLimits { bytes: 1000, target_bytes: 500 };
        let head = parse(head.as_bytes(), &mut slots, &limits).unwrap().unwrap();
        let route = route(&head, Audience::Public { paths: true });
        ShardKey::of(&route, &head).map(|key| match key {
            ShardKey::Id(id) => format!("id {id}"),
            ShardKey::Name(name) => format!("name {}", name.escape_ascii()),
            ShardKey::First => "first".to_owned(),
        })
    }

    #[test]
    fn both_sides_of_a_stream_and_all_callers_of_an_agent_have_the_same_key() {
        let id = "0000b00b-0000-8000-8000-000000000000";
        for (request, key) in [
            (format!("PUT /stream/{id}"), Some(format!("id {id}"))),
            (format!("GET /stream/{id}"), Some(format!("id {id}"))),
            (format!("HEAD /stream/{id}"), Some(format!("id {id}"))),
            (format!("PUT /stream/{id}/name"), Some(format!("id {id}"))),
            (format!("GET /stream/{id}/status"), Some(format!("id {id}"))),
            (format!("GET /stream/{id}/events"), Some(format!("id {id}"))),
            (format!("POST /stream/{id}/error"), Some(format!("id {id}"))),
            (format!("POST /stream/{id}/receipt"), Some(format!("id {id}"))),
            (format!("DELETE /stream/{id}"), Some(format!("id {id}"))),
            (format!("GET /s/{id}"), Some(format!("id {id}"))),
            ("GET /stream/no-id".into(), None),
            ("PUT /p/a/b".into(), Some("name a/b".into())),
            ("GET /p/a/b".into(), Some("name a/b".into())),
            ("HEAD /p/a/b".into(), Some("name a/b".into())),
            ("GET /p".into(), None),
            ("GET /api/billing/x".into(), Some("name billing".into())),
            ("DELETE /api/billing".into(), Some("name billing".into())),
            (format!("GET /socket/{id}/x"), Some(format!("id {id}"))),
            ("GET /socket/events".into(), Some("first".into())),
            ("POST /stream".into(), None),
            ("GET /ping".into(), None),
            ("GET /nowhere".into(), None),
        ] {
            let head = format!("{request} HTTP/1.1\r\nHost: a");
            assert_eq!(key_of(&head), key, "{request}");
        }
        let tunnel = format!("GET /socket/spare HTTP/1.1\r\nHost: a\r\nRdv-Connection: {id}");
        assert_eq!(key_of(&tunnel), Some(format!("id {id}")));
        let repeated = "POST /stream HTTP/1.1\r\nHost: a\r\nIdempotency-Key: \"k\"";
        assert_eq!(key_of(repeated), Some(r#"name \"k\""#.into()));
    }

    #[test]
    fn an_identifier_belongs_to_the_worker_that_it_shows() {
        for workers in 1..=256 {
            for worker in 0..workers {
                let place = Place { node: 7, worker: u8::try_from(worker).unwrap() };
                let id = place.mark([0xa5; 16]);
                assert_eq!(usize::from(ShardKey::Id(id).worker(workers)), worker);
            }
        }
    }

    #[test]
    fn names_in_any_case_belong_to_one_worker_and_names_to_all() {
        assert_eq!(ShardKey::Name(b"Billing").worker(7), ShardKey::Name(b"billing").worker(7));
        for workers in [2, 3, 4, 64] {
            let mut held = vec![0; workers];
            for number in 0..1000 * workers {
                let name = format!("agent-{number}");
                held[usize::from(ShardKey::Name(name.as_bytes()).worker(workers))] += 1;
            }
            let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
            assert!(*least >= 800 && *most <= 1200, "{workers}: {least} to {most}");
        }
    }
}
