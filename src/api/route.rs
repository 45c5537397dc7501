//! Request head -> what is asked for. The table of routes is docs/protocol.md's.

mod agents;

use crate::http::head::{Method, RequestHead};
use crate::rendezvous::Side;
use uuid::Uuid;

/// What a request asks for. An identifier that is no UUID is `None`: it names no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'h> {
    /// Make a stream.
    Create,
    /// Hand a body over, to become a record.
    Push,
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
    /// Ask which agents are connected.
    Agents,
    /// Become an agent: open a WebSocket (RFC 6455). Whether the head asks for one as it should is
    /// not looked at yet.
    Attach,
    /// Bring a spare connection of an agent.
    Spare,
    /// Ask for what happens to connections of agents, as it happens.
    AgentEvents,
    /// Call the API of an agent.
    Call {
        /// Whose.
        callee: Callee<'h>,
        /// The target behind the prefix that names the agent, its query included, as received:
        /// nothing is decoded, and neither dots nor double slashes are taken away. `/` where there
        /// is nothing; it begins with `?` where there is a query only, else with `/`.
        rest: &'h str,
    },
    /// Ask whether the relay is alive.
    Health,
    /// Ask whether it serves new streams.
    Readiness,
    /// Ask what it is doing.
    State,
    /// Tell it what to do.
    Control(Control),
    /// Ask for all metrics.
    Metrics,
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

impl Route<'_> {
    /// The stream it is about, and as which side of it.
    pub fn stream(&self) -> Option<(Uuid, Option<Side>)> {
        let (Self::Source(stream, _)
        | Self::Destination(stream)
        | Self::Exists(stream)
        | Self::Delete(stream)
        | Self::Report(stream)
        | Self::Status(stream)
        | Self::Events(stream)) = self
        else {
            return None;
        };
        let side = if let Self::Source(..) = self {
            Some(Side::Source)
        } else if let Self::Destination(_) = self {
            Some(Side::Destination)
        } else {
            None
        };
        stream.map(|stream| (stream, side))
    }
}

/// Which agent is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee<'h> {
    /// The one with this connection; an identifier that is no UUID names none.
    Connection(Option<Uuid>),
    /// The one that has this name, as it stands in the path.
    Name(&'h str),
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    Public,
    /// Those who push what becomes records.
    Senders {
        /// The path is one they may push to.
        here: bool,
        /// Another method than `POST` is answered as if there were no such path.
        compat: bool,
    },
    /// Agents, on listeners of their own.
    Agents,
    /// Those who run the relay.
    Operators,
}

/// What operators can tell the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Take no new streams.
    Suspend,
    /// Take new streams again.
    Resume,
    /// Drain, then end.
    Stop,
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
    Health,
    Readiness,
    State,
    Control(Control),
    Metrics,
}

/// Reads what a request of this audience asks for.
pub fn route<'h>(head: &RequestHead<'_, 'h>, audience: Audience) -> Route<'h> {
    if head.method == Method::Connect {
        return Route::Tunnel;
    }
    if let Some(route) = agents::route(head, audience) {
        return route;
    }
    let (resource, allow) = match audience {
        Audience::Public => match resource(head.path) {
            Some(resource) => (resource, allow(resource)),
            None => return Route::Nothing,
        },
        Audience::Senders { here, compat } => return pushed(head, here, compat),
        Audience::Agents => return Route::Nothing,
        Audience::Operators => match operators_resource(head.path) {
            Some(resource) => (resource, operators_allow(resource)),
            None => return Route::Nothing,
        },
    };
    if head.method == Method::Options {
        return Route::Options(allow);
    }
    asked(resource, head, audience).unwrap_or(Route::NotAllowed(allow))
}

/// The methods of a path that can be pushed to.
const PUSHES: &str = "POST, OPTIONS";

fn pushed<'h>(head: &RequestHead<'_, 'h>, here: bool, compat: bool) -> Route<'h> {
    if !here {
        return Route::Nothing;
    }
    if head.method == Method::Post {
        Route::Push
    } else if head.method == Method::Options {
        Route::Options(PUSHES)
    } else if compat {
        Route::Nothing
    } else {
        Route::NotAllowed(PUSHES)
    }
}

fn asked<'h>(
    resource: Resource<'h>,
    head: &RequestHead<'_, 'h>,
    audience: Audience,
) -> Option<Route<'h>> {
    use Method::{Delete, Get, Head, Post, Put};
    let public = audience != Audience::Operators;
    Some(match (resource, head.method) {
        (Resource::Health, Get | Head) => Route::Health,
        (Resource::Readiness, Get | Head) => Route::Readiness,
        (Resource::State, Get | Head) => Route::State,
        (Resource::Control(control), Post) => Route::Control(control),
        (Resource::Metrics, Get | Head) => Route::Metrics,
        (Resource::Ping, Get | Head) => Route::Ping,
        (Resource::Version, Get | Head) => Route::Version,
        (Resource::Streams, Post) if public => Route::Create,
        (Resource::Streams, Get | Head) => Route::List { active_only: wants_active(head.query) },
        (Resource::Stream(id), Put | Post) if public => Route::Source(id, None),
        (Resource::Stream(id), Get) if public => Route::Destination(id),
        (Resource::Stream(id), Head) => Route::Exists(id),
        (Resource::Stream(id), Delete) => Route::Delete(id),
        (Resource::Status(id), Get | Head) => Route::Status(id),
        (Resource::Events(id), Get | Head) => Route::Events(id),
        (Resource::Error(id), Post) => Route::Report(id),
        (Resource::Named(id, name), Put) => Route::Source(id, Some(name)),
        (Resource::Status(id), Put) if public => Route::Source(id, Some("status")),
        (Resource::Events(id), Put) if public => Route::Source(id, Some("events")),
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
        Resource::Health
        | Resource::Readiness
        | Resource::State
        | Resource::Control(_)
        | Resource::Metrics => "",
    }
}

/// Operators look, tell and cancel; they move no bytes.
fn operators_allow(resource: Resource<'_>) -> &'static str {
    match resource {
        Resource::Stream(_) => "HEAD, DELETE, OPTIONS",
        Resource::Control(_) => "POST, OPTIONS",
        Resource::Server => "GET, HEAD, POST, DELETE, OPTIONS",
        Resource::Ping
        | Resource::Version
        | Resource::Streams
        | Resource::Status(_)
        | Resource::Events(_)
        | Resource::Health
        | Resource::Readiness
        | Resource::State
        | Resource::Metrics => "GET, HEAD, OPTIONS",
        Resource::Error(_) | Resource::Named(..) => "",
    }
}

fn operators_resource(path: &str) -> Option<Resource<'_>> {
    match path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path) {
        "/healthz" => Some(Resource::Health),
        "/readyz" => Some(Resource::Readiness),
        "/metrics" => Some(Resource::Metrics),
        "/control" => Some(Resource::State),
        "/control/suspend" => Some(Resource::Control(Control::Suspend)),
        "/control/resume" => Some(Resource::Control(Control::Resume)),
        "/control/stop" => Some(Resource::Control(Control::Stop)),
        _ => resource(path)
            .filter(|resource| !matches!(resource, Resource::Error(_) | Resource::Named(..))),
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
