//! Maps a request head to a route. See docs/protocol.md for the table of routes.

mod agents;
mod paths;

pub use paths::PathRoute;

use crate::http::head::{Method, RequestHead};
use crate::rendezvous::Side;
use uuid::Uuid;

/// The route of a request. An identifier that is not a valid UUID is `None`: it names no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'h> {
    /// Create a stream.
    Create,
    /// Push a body, which becomes a record.
    Push,
    /// Upload; the name is a file name for the download, percent-encoded.
    Source(Option<Uuid>, Option<&'h str>),
    /// Download.
    Destination(Option<Uuid>),
    /// Check whether a stream exists.
    Exists(Option<Uuid>),
    /// Delete a stream.
    Delete(Option<Uuid>),
    /// Report an error to the other side.
    Report(Option<Uuid>),
    /// Take the receipt of the receiver.
    Receipt(Option<Uuid>),
    /// Get the status object.
    Status(Option<Uuid>),
    /// Subscribe to the status object.
    Events(Option<Uuid>),
    /// Show the page that sends, or to operators that of the relay.
    Home,
    /// Show a stream as a page, without joining it.
    ReceivePage(Option<Uuid>),
    /// Get a file of the pages.
    PageFile(&'h str),
    /// Subscribe to the state of the relay.
    Watch,
    /// List all status objects, or those of active streams.
    List {
        /// Omit the streams that ended.
        active_only: bool,
    },
    /// List the connected agents.
    Agents,
    /// Become an agent: open a WebSocket (RFC 6455). The handshake is not validated yet.
    Attach,
    /// Attach a tunnel of an agent.
    AttachTunnel,
    /// Subscribe to connection events of agents.
    AgentEvents,
    /// Call the API of an agent.
    Call {
        /// The called agent.
        callee: Callee<'h>,
        /// The target after the prefix that names the agent, including its query, as received:
        /// nothing is decoded, and dots and double slashes are kept. `/` if it is empty; it begins
        /// with `?` if it is only a query, else with `/`. `*` on the host of an agent only.
        rest: &'h str,
    },
    /// Meet another client at a path.
    Path(PathRoute<'h>),
    /// Check whether the relay is alive.
    Health,
    /// Check whether it serves new streams.
    Readiness,
    /// Get the state of the relay.
    State,
    /// Control the relay.
    Control(Control),
    /// Get all metrics.
    Metrics,
    /// Check whether the relay is up.
    Ping,
    /// Get the relay's version.
    Version,
    /// Get the allowed methods.
    Options(&'static str),
    /// The path is known, but only these methods are allowed.
    NotAllowed(&'static str),
    /// No such path.
    Nothing,
    /// A tunnel (`CONNECT`), which this relay does not provide.
    Tunnel,
}

impl Route<'_> {
    /// Whether it is a page, a part of one, or serves only one.
    pub fn is_page(&self) -> bool {
        matches!(self, Self::Home | Self::ReceivePage(_) | Self::PageFile(_) | Self::Watch)
    }

    /// Returns the stream of the route, and the side the client takes in it.
    pub fn stream(&self) -> Option<(Uuid, Option<Side>)> {
        let (Self::Source(stream, _)
        | Self::Destination(stream)
        | Self::ReceivePage(stream)
        | Self::Exists(stream)
        | Self::Delete(stream)
        | Self::Report(stream)
        | Self::Receipt(stream)
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

/// The agent being called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee<'h> {
    /// The agent with this connection; `None` for an invalid UUID, which names none.
    Connection(Option<Uuid>),
    /// The agent with this name, as written in the path.
    Name(&'h str),
    /// The agent that the host names, in any case.
    Host(&'h str),
}

/// The clients that a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience<'h> {
    /// All clients.
    Public {
        /// Whether paths are served.
        paths: bool,
    },
    /// Clients that push records.
    Senders {
        /// Whether the path accepts pushes.
        here: bool,
        /// Whether methods other than `POST` are answered as if the path did not exist.
        compat: bool,
    },
    /// Callers of APIs, on a host that serves nothing else.
    Callers,
    /// Callers of the agent with this name, in any case, on a host of its own.
    CallersOf(&'h str),
    /// Agents, on listeners of their own.
    Agents,
    /// Operators of the relay.
    Operators,
}

impl Audience<'_> {
    /// Whether the pages and their files are served to it: others share no origin with them.
    pub fn has_pages(&self) -> bool {
        matches!(self, Self::Public { .. } | Self::Operators)
    }
}

/// Control commands of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Take no new streams.
    Suspend,
    /// Take new streams again.
    Resume,
    /// Drain, then exit.
    Stop,
}

/// The resource named by a path.
#[derive(Clone, Copy)]
enum Resource<'h> {
    Server,
    Home,
    ReceivePage(Option<Uuid>),
    PageFile(&'h str),
    Watch,
    Ping,
    Version,
    Streams,
    Stream(Option<Uuid>),
    Status(Option<Uuid>),
    Events(Option<Uuid>),
    Error(Option<Uuid>),
    Receipt(Option<Uuid>),
    Named(Option<Uuid>, &'h str),
    Health,
    Readiness,
    State,
    Control(Control),
    Metrics,
}

/// Returns the route of a request from this audience.
pub fn route<'h>(head: &RequestHead<'_, 'h>, audience: Audience<'h>) -> Route<'h> {
    if head.method == Method::Connect {
        return Route::Tunnel;
    }
    if let Some(route) = agents::route(head, audience) {
        return route;
    }
    if let Audience::Public { paths: true } = audience
        && let Some(route) = paths::route(head)
    {
        return route;
    }
    let (resource, allow) = match audience {
        Audience::Public { .. } => match resource(head.path) {
            Some(resource) => (resource, allow(resource)),
            None => return Route::Nothing,
        },
        Audience::Senders { here, compat } => return pushed(head, here, compat),
        Audience::Callers | Audience::CallersOf(_) | Audience::Agents => return Route::Nothing,
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

/// The methods of a path that accepts pushes.
const PUSHES: &str = "POST, OPTIONS";

fn pushed<'h>(head: &RequestHead<'_, 'h>, here: bool, compat: bool) -> Route<'h> {
    if !here {
        return Route::Nothing;
    }
    if head.method == Method::Post {
        Route::Push
    } else if compat {
        Route::Nothing
    } else if head.method == Method::Options {
        Route::Options(PUSHES)
    } else {
        Route::NotAllowed(PUSHES)
    }
}

fn asked<'h>(
    resource: Resource<'h>,
    head: &RequestHead<'_, 'h>,
    audience: Audience<'_>,
) -> Option<Route<'h>> {
    use Method::{Delete, Get, Head, Post, Put};
    let public = audience != Audience::Operators;
    Some(match (resource, head.method) {
        (Resource::Health, Get | Head) => Route::Health,
        (Resource::Readiness, Get | Head) => Route::Readiness,
        (Resource::State, Get | Head) => Route::State,
        (Resource::Control(control), Post) => Route::Control(control),
        (Resource::Metrics, Get | Head) => Route::Metrics,
        (Resource::Home, Get | Head) => Route::Home,
        (Resource::ReceivePage(id), Get | Head) => Route::ReceivePage(id),
        (Resource::PageFile(name), Get | Head) => Route::PageFile(name),
        (Resource::Watch, Get | Head) => Route::Watch,
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
        (Resource::Receipt(id), Post) => Route::Receipt(id),
        (Resource::Named(id, name), Put) => Route::Source(id, Some(name)),
        (Resource::Status(id), Put) if public => Route::Source(id, Some("status")),
        (Resource::Events(id), Put) if public => Route::Source(id, Some("events")),
        (Resource::Error(id), Put) => Route::Source(id, Some("error")),
        (Resource::Receipt(id), Put) => Route::Source(id, Some("receipt")),
        _ => return None,
    })
}

fn allow(resource: Resource<'_>) -> &'static str {
    match resource {
        Resource::Home
        | Resource::ReceivePage(_)
        | Resource::PageFile(_)
        | Resource::Ping
        | Resource::Version => "GET, HEAD, OPTIONS",
        Resource::Streams => "GET, HEAD, POST, OPTIONS",
        Resource::Server | Resource::Stream(_) => "GET, HEAD, POST, PUT, DELETE, OPTIONS",
        Resource::Status(_) | Resource::Events(_) => "GET, HEAD, PUT, OPTIONS",
        Resource::Error(_) | Resource::Receipt(_) => "POST, PUT, OPTIONS",
        Resource::Named(..) => "PUT, OPTIONS",
        Resource::Watch
        | Resource::Health
        | Resource::Readiness
        | Resource::State
        | Resource::Control(_)
        | Resource::Metrics => "",
    }
}

/// Returns the methods for operators: they inspect, control and cancel, but transfer no bytes.
fn operators_allow(resource: Resource<'_>) -> &'static str {
    match resource {
        Resource::Stream(_) => "HEAD, DELETE, OPTIONS",
        Resource::Control(_) => "POST, OPTIONS",
        Resource::Server => "GET, HEAD, POST, DELETE, OPTIONS",
        Resource::Home
        | Resource::PageFile(_)
        | Resource::Watch
        | Resource::Ping
        | Resource::Version
        | Resource::Streams
        | Resource::Status(_)
        | Resource::Events(_)
        | Resource::Health
        | Resource::Readiness
        | Resource::State
        | Resource::Metrics => "GET, HEAD, OPTIONS",
        Resource::ReceivePage(_)
        | Resource::Error(_)
        | Resource::Receipt(_)
        | Resource::Named(..) => "",
    }
}

fn operators_resource(path: &str) -> Option<Resource<'_>> {
    match path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path) {
        "/healthz" => Some(Resource::Health),
        "/readyz" => Some(Resource::Readiness),
        "/metrics" => Some(Resource::Metrics),
        "/watch" => Some(Resource::Watch),
        "/control" => Some(Resource::State),
        "/control/suspend" => Some(Resource::Control(Control::Suspend)),
        "/control/resume" => Some(Resource::Control(Control::Resume)),
        "/control/stop" => Some(Resource::Control(Control::Stop)),
        _ => resource(path).filter(|resource| !operators_allow(*resource).is_empty()),
    }
}

fn resource(path: &str) -> Option<Resource<'_>> {
    match path {
        "*" => return Some(Resource::Server),
        "/" => return Some(Resource::Home),
        _ => {}
    }
    let path = path.strip_prefix('/')?;
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/');
    let first = segments.next()?;
    let rest = [segments.next(), segments.next(), segments.next()];
    match (first, rest) {
        ("ping", [None, ..]) => Some(Resource::Ping),
        ("version", [None, ..]) => Some(Resource::Version),
        ("s", [Some(id), None, _]) if !id.is_empty() => Some(Resource::ReceivePage(parse_id(id))),
        ("web", [Some(name), None, _]) => Some(Resource::PageFile(name)),
        ("stream", [None, ..]) => Some(Resource::Streams),
        ("stream", [Some(id), None, _]) if !id.is_empty() => Some(Resource::Stream(parse_id(id))),
        ("stream", [Some(id), Some(name), None]) if !name.is_empty() => {
            let id = parse_id(id);
            Some(match name {
                "status" => Resource::Status(id),
                "events" => Resource::Events(id),
                "error" => Resource::Error(id),
                "receipt" => Resource::Receipt(id),
                name => Resource::Named(id, name),
            })
        }
        _ => None,
    }
}

/// Accepts only the form that the relay issues: 36 characters with hyphens, in either case.
pub(super) fn parse_id(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

fn wants_active(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "active=true"))
}
