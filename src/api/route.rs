//! Maps a request head to a route, by the table of all of them (`table.rs`).

mod agents;
mod find;
mod paths;
pub(super) mod table;

pub use paths::PathRoute;

use crate::http::head::{Method, RequestHead};
use crate::rendezvous::Side;
use find::Target;
pub(super) use find::parse_id;
use table::{Methods, NONE, Resource, TABLE};
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
    /// Get the API document.
    Document,
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

/// Returns the route of a request from this audience.
pub fn route<'h>(head: &RequestHead<'_, 'h>, audience: Audience<'h>) -> Route<'h> {
    if head.method == Method::Connect {
        return Route::Tunnel;
    }
    if let Audience::Senders { here, compat } = audience {
        return pushed(head, here, compat);
    }
    if let Audience::CallersOf(name) = audience {
        return agents::call_of_host(head, name);
    }
    let Some((resource, target)) = Target::find(head) else { return Route::Nothing };
    let methods = methods(resource, audience);
    if methods.allow.is_empty() {
        return Route::Nothing;
    }
    if resource.is_api() {
        return agents::call(&target);
    }
    if let Some(operation) = methods.get(head.method) {
        return (operation.to)(&target);
    }
    if head.method == Method::Options {
        Route::Options(methods.allow)
    } else if resource.is_of_paths() {
        Route::Path(PathRoute::NotAllowed(methods.allow))
    } else {
        Route::NotAllowed(methods.allow)
    }
}

/// Returns the methods of a resource for an audience.
fn methods(resource: Resource, audience: Audience<'_>) -> &'static Methods {
    let row = &TABLE[resource as usize];
    debug_assert_eq!(row.resource, resource, "the rows are in the order of the resources");
    match audience {
        Audience::Public { paths } if paths || !resource.is_of_paths() => &row.public,
        // A page of an API must not share an origin with what the relay serves.
        Audience::Callers if resource.is_api() => &row.public,
        Audience::Agents => &row.agents,
        Audience::Operators => &row.operators,
        Audience::Public { .. }
        | Audience::Callers
        | Audience::CallersOf(_)
        | Audience::Senders { .. } => &NONE,
    }
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
