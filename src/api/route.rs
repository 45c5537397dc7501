//! Request head -> what is asked for. The table of routes is docs/protocol.md's.

use crate::http::head::{Method, RequestHead};
use uuid::Uuid;

/// What a request asks for. An identifier that is no UUID is `None`: it names no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'h> {
    /// Make a stream.
    Create,
    /// Upload; the name is a file name for the download, percent-encoded.
    Source(Option<Uuid>, Option<&'h str>),
    /// Download.
    Destination(Option<Uuid>),
    /// Ask whether a stream is there.
    Exists(Option<Uuid>),
    /// End a stream.
    Delete(Option<Uuid>),
    /// Report an error to the other side.
    Report(Option<Uuid>),
    /// Ask for the status object.
    Status(Option<Uuid>),
    /// Ask for the status object again and again.
    Events(Option<Uuid>),
    /// Ask for all status objects, or for those of active streams.
    List {
        /// Leave out the streams that ended.
        active_only: bool,
    },
    /// Ask whether the relay is up.
    Ping,
    /// Ask which relay it is.
    Version,
    /// Ask which methods there are.
    Options(&'static str),
    /// The path is known, the method is not among these.
    NotAllowed(&'static str),
    /// No such path.
    Nothing,
    /// A tunnel, which this relay is not.
    Tunnel,
}

/// The thing a path names.
#[derive(Clone, Copy)]
enum Resource<'h> {
    Server,
    Ping,
    Version,
    Streams,
    Stream(Option<Uuid>),
    Status(Option<Uuid>),
    Events(Option<Uuid>),
    Error(Option<Uuid>),
    Named(Option<Uuid>, &'h str),
}

/// Reads what a request asks for.
pub fn route<'h>(head: &RequestHead<'_, 'h>) -> Route<'h> {
    if head.method == Method::Connect {
        return Route::Tunnel;
    }
    let Some(resource) = resource(head.path) else { return Route::Nothing };
    let allow = allow(resource);
    if head.method == Method::Options {
        return Route::Options(allow);
    }
    asked(resource, head).unwrap_or(Route::NotAllowed(allow))
}

fn asked<'h>(resource: Resource<'h>, head: &RequestHead<'_, 'h>) -> Option<Route<'h>> {
    use Method::{Delete, Get, Head, Post, Put};
    Some(match (resource, head.method) {
        (Resource::Ping, Get | Head) => Route::Ping,
        (Resource::Version, Get | Head) => Route::Version,
        (Resource::Streams, Post) => Route::Create,
        (Resource::Streams, Get | Head) => Route::List { active_only: wants_active(head.query) },
        (Resource::Stream(id), Put | Post) => Route::Source(id, None),
        (Resource::Stream(id), Get) => Route::Destination(id),
        (Resource::Stream(id), Head) => Route::Exists(id),
        (Resource::Stream(id), Delete) => Route::Delete(id),
        (Resource::Status(id), Get | Head) => Route::Status(id),
        (Resource::Events(id), Get | Head) => Route::Events(id),
        (Resource::Error(id), Post) => Route::Report(id),
        (Resource::Named(id, name), Put) => Route::Source(id, Some(name)),
        (Resource::Status(id), Put) => Route::Source(id, Some("status")),
        (Resource::Events(id), Put) => Route::Source(id, Some("events")),
        (Resource::Error(id), Put) => Route::Source(id, Some("error")),
        _ => return None,
    })
}

fn allow(resource: Resource<'_>) -> &'static str {
    match resource {
        Resource::Ping | Resource::Version => "GET, HEAD, OPTIONS",
        Resource::Streams => "GET, HEAD, POST, OPTIONS",
        Resource::Server | Resource::Stream(_) => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
        Resource::Status(_) | Resource::Events(_) => "GET, HEAD, PUT, OPTIONS",
        Resource::Error(_) => "POST, PUT, OPTIONS",
        Resource::Named(..) => "PUT, OPTIONS",
    }
}

fn resource(path: &str) -> Option<Resource<'_>> {
    if path == "*" {
        return Some(Resource::Server);
    }
    let path = path.strip_prefix('/')?;
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/');
    let first = segments.next()?;
    let rest = [segments.next(), segments.next(), segments.next()];
    match (first, rest) {
        ("ping", [None, ..]) => Some(Resource::Ping),
        ("version", [None, ..]) => Some(Resource::Version),
        ("stream", [None, ..]) => Some(Resource::Streams),
        ("stream", [Some(id), None, _]) if !id.is_empty() => Some(Resource::Stream(parse_id(id))),
        ("stream", [Some(id), Some(name), None]) if !name.is_empty() => {
            let id = parse_id(id);
            Some(match name {
                "status" => Resource::Status(id),
                "events" => Resource::Events(id),
                "error" => Resource::Error(id),
                name => Resource::Named(id, name),
            })
        }
        _ => None,
    }
}

/// Only the form the relay hands out, 36 characters with hyphens, in either case.
fn parse_id(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

fn wants_active(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "active=true"))
}
