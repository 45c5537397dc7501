//! Finds the row of a path in the table of routes.

use super::table::Resource;
use crate::http::head::RequestHead;
use uuid::Uuid;

/// A request, and the variable parts of its path.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t, 'b> {
    pub head: &'t RequestHead<'t, 'b>,
    /// The identifier of a stream; `None` if it is not a valid UUID: it names no stream.
    pub id: Option<Uuid>,
    /// The name of a file, or the path after `/p/`, as received.
    pub name: &'b str,
}

impl<'t, 'b> Target<'t, 'b> {
    /// Returns what the path of a request names. One `/` at its end is ignored, except below `/p/`
    /// and in the APIs of agents.
    pub fn find(head: &'t RequestHead<'t, 'b>) -> Option<(Resource, Self)> {
        let (resource, id, name) = match head.path {
            "*" => (Resource::Server, None, ""),
            "/" => (Resource::Home, None, ""),
            path => find(path.strip_prefix('/')?)?,
        };
        Some((resource, Self { head, id, name }))
    }
}

fn find(path: &str) -> Option<(Resource, Option<Uuid>, &str)> {
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/');
    let first = segments.next()?;
    let rest = [segments.next(), segments.next(), segments.next()];
    if first == "stream" {
        return find_stream(rest);
    }
    let resource = match (first, rest) {
        ("p", _) => {
            let name = path.strip_prefix("p/").unwrap_or("");
            let resource = if name.is_empty() { Resource::AboutPaths } else { Resource::Path };
            return Some((resource, None, name));
        }
        ("s", [Some(id), None, _]) if !id.is_empty() => {
            return Some((Resource::ReceivePage, parse_id(id), ""));
        }
        ("web", [Some(name), None, _]) => return Some((Resource::PageFile, None, name)),
        ("api", [Some(name), ..]) if !name.is_empty() => Resource::Api,
        ("socket", [None, ..]) => Resource::Agents,
        ("socket", [Some("events"), None, _]) => Resource::AgentEvents,
        ("socket", [Some("spare"), None, _]) => Resource::Tunnels,
        ("socket", [Some(connection), ..]) if !connection.is_empty() => Resource::ConnectionApi,
        ("ping", [None, ..]) => Resource::Ping,
        ("version", [None, ..]) => Resource::Version,
        ("openapi.json", [None, ..]) => Resource::Document,
        ("watch", [None, ..]) => Resource::Watch,
        ("healthz", [None, ..]) => Resource::Health,
        ("readyz", [None, ..]) => Resource::Readiness,
        ("metrics", [None, ..]) => Resource::Metrics,
        ("control", [None, ..]) => Resource::State,
        ("control", [Some("suspend"), None, _]) => Resource::Suspend,
        ("control", [Some("resume"), None, _]) => Resource::Resume,
        ("control", [Some("stop"), None, _]) => Resource::Stop,
        _ => return None,
    };
    Some((resource, None, ""))
}

fn find_stream(rest: [Option<&str>; 3]) -> Option<(Resource, Option<Uuid>, &str)> {
    let (id, name) = match rest {
        [None, ..] => return Some((Resource::Streams, None, "")),
        [Some(id), None, _] if !id.is_empty() => return Some((Resource::Stream, parse_id(id), "")),
        [Some(id), Some(name), None] if !name.is_empty() => (parse_id(id), name),
        [Some(_), ..] => return None,
    };
    let resource = match name {
        "status" => Resource::Status,
        "events" => Resource::Events,
        "error" => Resource::Error,
        "receipt" => Resource::Receipt,
        _ => Resource::Named,
    };
    Some((resource, id, name))
}

/// Accepts only the form that the relay issues: 36 characters with hyphens, in either case.
pub(in crate::api) fn parse_id(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}
