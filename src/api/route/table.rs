//! The table of routes: each path, and for each listener its methods. What a request does, `Allow`
//! and the API document are made from it.

use super::agents::{attach_or_list, call};
use super::find::Target;
use super::{Control, PathRoute, Route};
use crate::api::openapi::about::{self, About};
use crate::http::head::Method;

/// What a path names: the number of its row in [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Server,
    Streams,
    Stream,
    Named,
    Status,
    Events,
    Error,
    Receipt,
    AboutPaths,
    Path,
    Agents,
    AgentEvents,
    Tunnels,
    Api,
    ConnectionApi,
    Home,
    ReceivePage,
    PageFile,
    Watch,
    Ping,
    Version,
    Document,
    Health,
    Readiness,
    Metrics,
    State,
    Suspend,
    Resume,
    Stop,
}

impl Resource {
    /// Whether it is all of the API of an agent.
    pub fn is_api(self) -> bool {
        matches!(self, Self::Api | Self::ConnectionApi)
    }

    /// Whether it is served with `--paths` only.
    pub fn is_of_paths(self) -> bool {
        matches!(self, Self::AboutPaths | Self::Path)
    }
}

/// A path, and what can be done with it.
#[derive(Debug)]
pub struct Row {
    pub resource: Resource,
    /// The path, with its variable parts as in a URI template (RFC 6570).
    pub path: &'static str,
    /// For all clients.
    pub public: Methods,
    /// For operators, which inspect, control and cancel, but transfer no bytes.
    pub operators: Methods,
    /// For agents, on listeners of their own.
    pub agents: Methods,
}

/// The methods of a path; none: the listener does not have the path.
#[derive(Debug)]
pub struct Methods {
    /// The value of `Allow`.
    pub allow: &'static str,
    pub operations: &'static [Operation],
}

/// A method of a path.
#[derive(Debug)]
pub struct Operation {
    pub method: Method,
    /// Its description in the API document.
    pub about: &'static About,
    /// Returns the route of a request.
    pub to: for<'t, 'b> fn(&Target<'t, 'b>) -> Route<'b>,
}

impl Methods {
    /// Returns the operation of a method.
    pub fn get(&self, method: Method) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| operation.method == method)
    }
}

macro_rules! name {
    (Get) => {
        "GET"
    };
    (Head) => {
        "HEAD"
    };
    (Post) => {
        "POST"
    };
    (Put) => {
        "PUT"
    };
    (Delete) => {
        "DELETE"
    };
    (Patch) => {
        "PATCH"
    };
    (Trace) => {
        "TRACE"
    };
}

/// Methods of a path, each with its description and the route of its requests. `OPTIONS` is added.
macro_rules! methods {
    ($($($method:ident)|+ => $about:ident, $to:expr);+ $(;)?) => {
        Methods {
            allow: concat!($($(name!($method), ", ",)+)+ "OPTIONS"),
            operations: &[$($(Operation { method: Method::$method, about: &about::$about, to: $to }),+),+],
        }
    };
}

/// No such path.
pub const NONE: Methods = Methods { allow: "", operations: &[] };

/// The methods of the server, `OPTIONS *` (RFC 9110, section 9.3.7).
const fn server(allow: &'static str) -> Methods {
    Methods { allow, operations: &[] }
}

const fn row(resource: Resource, path: &'static str, public: Methods, operators: Methods) -> Row {
    Row { resource, path, public, operators, agents: NONE }
}

/// A path that is the same for all clients and for operators.
macro_rules! everywhere {
    ($resource:expr, $path:literal, $($methods:tt)+) => {
        row($resource, $path, methods! { $($methods)+ }, methods! { $($methods)+ })
    };
}

macro_rules! operators {
    ($resource:expr, $path:literal, $($methods:tt)+) => {
        row($resource, $path, NONE, methods! { $($methods)+ })
    };
}

macro_rules! public {
    ($resource:expr, $path:literal, $($methods:tt)+) => {
        row($resource, $path, methods! { $($methods)+ }, NONE)
    };
}

/// All routes, in the order of [`Resource`].
pub static TABLE: [Row; 29] = [
    Row {
        agents: server("GET, HEAD, OPTIONS"),
        ..row(
            Resource::Server,
            "*",
            server("GET, HEAD, POST, PUT, DELETE, OPTIONS"),
            server("GET, HEAD, POST, DELETE, OPTIONS"),
        )
    },
    row(
        Resource::Streams,
        "/stream",
        methods! { Get | Head => LIST, list; Post => CREATE, |_| Route::Create },
        methods! { Get | Head => LIST, list },
    ),
    row(
        Resource::Stream,
        "/stream/{id}",
        methods! {
            Get => DOWNLOAD, |at| Route::Destination(at.id);
            Head => EXISTS, |at| Route::Exists(at.id);
            Post | Put => UPLOAD, |at| Route::Source(at.id, None);
            Delete => DELETE, |at| Route::Delete(at.id)
        },
        methods! {
            Head => EXISTS, |at| Route::Exists(at.id);
            Delete => DELETE, |at| Route::Delete(at.id)
        },
    ),
    public!(Resource::Named, "/stream/{id}/{filename}", Put => NAMED, named),
    row(
        Resource::Status,
        "/stream/{id}/status",
        methods! { Get | Head => STATUS, |at| Route::Status(at.id); Put => NAMED, named },
        methods! { Get | Head => STATUS, |at| Route::Status(at.id) },
    ),
    row(
        Resource::Events,
        "/stream/{id}/events",
        methods! { Get | Head => EVENTS, |at| Route::Events(at.id); Put => NAMED, named },
        methods! { Get | Head => EVENTS, |at| Route::Events(at.id) },
    ),
    public!(
        Resource::Error, "/stream/{id}/error",
        Post => REPORT, |at| Route::Report(at.id); Put => NAMED, named
    ),
    public!(
        Resource::Receipt, "/stream/{id}/receipt",
        Post => RECEIPT, |at| Route::Receipt(at.id); Put => NAMED, named
    ),
    public!(
        Resource::AboutPaths, "/p",
        Get | Head => ABOUT_PATHS, |_| Route::Path(PathRoute::About)
    ),
    public!(
        Resource::Path, "/p/{path}",
        Get => PATH_DOWNLOAD, |at| Route::Path(PathRoute::Download(at.name));
        Head => PATH_EXISTS, |at| Route::Path(PathRoute::Exists(at.name));
        Post | Put => PATH_UPLOAD, |at| Route::Path(PathRoute::Upload(at.name))
    ),
    Row {
        agents: methods! { Get => ATTACH, |_| Route::Attach },
        ..row(
            Resource::Agents,
            "/socket",
            methods! { Get | Head => ATTACH_OR_LIST, attach_or_list },
            methods! { Get | Head => AGENTS, |_| Route::Agents },
        )
    },
    everywhere!(
        Resource::AgentEvents, "/socket/events",
        Get | Head => AGENT_EVENTS, |_| Route::AgentEvents
    ),
    Row {
        agents: methods! { Get => TUNNEL, |_| Route::AttachTunnel },
        ..public!(Resource::Tunnels, "/socket/spare", Get => TUNNEL, |_| Route::AttachTunnel)
    },
    public!(
        Resource::Api, "/api/{agent}/{rest}",
        Get | Head | Post | Put | Delete | Patch | Trace => CALL, call
    ),
    public!(
        Resource::ConnectionApi, "/socket/{connection}/{rest}",
        Get | Head | Post | Put | Delete | Patch | Trace => CALL_CONNECTION, call
    ),
    Row {
        agents: methods! { Get => ATTACH, |_| Route::Attach },
        ..row(
            Resource::Home,
            "/",
            methods! { Get | Head => HOME, |_| Route::Home },
            methods! { Get | Head => WATCH, |_| Route::Home },
        )
    },
    public!(
        Resource::ReceivePage, "/s/{id}",
        Get | Head => RECEIVE, |at| Route::ReceivePage(at.id)
    ),
    everywhere!(
        Resource::PageFile, "/web/{file}",
        Get | Head => FILE, |at| Route::PageFile(at.name)
    ),
    operators!(Resource::Watch, "/watch", Get | Head => WATCH_EVENTS, |_| Route::Watch),
    Row {
        agents: methods! { Get | Head => PING, |_| Route::Ping },
        ..everywhere!(Resource::Ping, "/ping", Get | Head => PING, |_| Route::Ping)
    },
    everywhere!(Resource::Version, "/version", Get | Head => VERSION, |_| Route::Version),
    everywhere!(
        Resource::Document, "/openapi.json",
        Get | Head => DOCUMENT, |_| Route::Document
    ),
    operators!(Resource::Health, "/healthz", Get | Head => HEALTH, |_| Route::Health),
    operators!(Resource::Readiness, "/readyz", Get | Head => READINESS, |_| Route::Readiness),
    operators!(Resource::Metrics, "/metrics", Get | Head => METRICS, |_| Route::Metrics),
    operators!(Resource::State, "/control", Get | Head => STATE, |_| Route::State),
    operators!(
        Resource::Suspend, "/control/suspend",
        Post => SUSPEND, |_| Route::Control(Control::Suspend)
    ),
    operators!(
        Resource::Resume, "/control/resume",
        Post => RESUME, |_| Route::Control(Control::Resume)
    ),
    operators!(Resource::Stop, "/control/stop", Post => STOP, |_| Route::Control(Control::Stop)),
];

fn list<'b>(at: &Target<'_, 'b>) -> Route<'b> {
    let query = at.head.query.unwrap_or_default();
    Route::List { active_only: query.split('&').any(|pair| pair == "active=true") }
}

fn named<'b>(at: &Target<'_, 'b>) -> Route<'b> {
    Route::Source(at.id, Some(at.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Audience;
    use crate::api::route::route;
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    const LIMITS: HeadLimits = HeadLimits { bytes: 4096, target_bytes: 2048 };

    /// Returns `Allow` in the response to `OPTIONS`; `None`: the path does not exist.
    fn allow(path: &str, audience: Audience<'_>) -> Option<&'static str> {
        let text = format!("OPTIONS {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut slots = FieldSlots::new();
        let head = parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
        let route = route(&head, audience);
        assert!(matches!(route, Route::Options(_) | Route::Nothing), "{path}: {route:?}");
        if let Route::Options(allow) = route { Some(allow) } else { None }
    }

    #[test]
    fn each_path_finds_its_row() {
        for (number, row) in TABLE.iter().enumerate() {
            assert_eq!(row.resource as usize, number, "{}", row.path);
            if row.resource.is_api() {
                continue; // All methods are those of the agent.
            }
            let path = row.path.replace("{id}", "0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0");
            let path = path.replace(['{', '}'], "");
            let existing = |methods: &Methods| Some(methods.allow).filter(|it| !it.is_empty());
            for (audience, methods) in [
                (Audience::Public { paths: true }, &row.public),
                (Audience::Operators, &row.operators),
                (Audience::Agents, &row.agents),
            ] {
                assert_eq!(allow(&path, audience), existing(methods), "{path} {audience:?}");
            }
        }
    }
}
