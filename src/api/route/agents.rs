//! The paths of agents and their callers. A call is recognized by its path alone: the agent
//! receives it whatever its method.

use super::{Audience, Callee, Route, parse_id};
use crate::http::head::{Method, RequestHead, Version};

/// A resource for agents or their callers.
enum Resource<'h> {
    Socket,
    AttachTunnel,
    Events,
    Call { callee: Callee<'h>, rest: &'h str },
}

/// Returns the route, if the path is one of these and available to this audience.
pub(super) fn route<'h>(head: &RequestHead<'_, 'h>, audience: Audience<'h>) -> Option<Route<'h>> {
    match audience {
        Audience::Public { .. } => public(head),
        Audience::Senders { .. } => None,
        Audience::Callers => Some(called(head)),
        Audience::CallersOf(name) => {
            Some(Route::Call { callee: Callee::Host(name), rest: after_host(head) })
        }
        Audience::Agents => Some(dialled(head)),
        Audience::Operators => overseen(head),
    }
}

/// Routes for all clients. Access to the lists is decided by [`access`](crate::api::access).
fn public<'h>(head: &RequestHead<'_, 'h>) -> Option<Route<'h>> {
    Some(match resource(head)? {
        Resource::Call { callee, rest } => Route::Call { callee, rest },
        Resource::Socket if !wants_websocket(head) => read_only(head, Route::Agents),
        Resource::Socket => attached(head, "GET, HEAD, OPTIONS"),
        Resource::AttachTunnel => get_only(head, Route::AttachTunnel, "GET, OPTIONS"),
        Resource::Events => read_only(head, Route::AgentEvents),
    })
}

/// Routes on a host that serves APIs only: a page of one of them must not share an origin with what
/// the relay serves.
fn called<'h>(head: &RequestHead<'_, 'h>) -> Route<'h> {
    match resource(head) {
        Some(Resource::Call { callee, rest }) => Route::Call { callee, rest },
        Some(Resource::Socket | Resource::AttachTunnel | Resource::Events) | None => Route::Nothing,
    }
}

/// Returns the target without scheme and host, as in [`Route::Call`].
fn after_host<'h>(head: &RequestHead<'_, 'h>) -> &'h str {
    match head.target.split_once("://") {
        Some((_, rest)) if !head.target.starts_with('/') => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        Some(_) | None => head.target,
    }
}

/// Routes for operators, which inspect agents but call none.
fn overseen<'h>(head: &RequestHead<'_, 'h>) -> Option<Route<'h>> {
    match resource(head)? {
        Resource::Socket => Some(read_only(head, Route::Agents)),
        Resource::Events => Some(read_only(head, Route::AgentEvents)),
        Resource::AttachTunnel | Resource::Call { .. } => None,
    }
}

/// Routes for agents on a listener of their own, which serves nothing else.
fn dialled<'h>(head: &RequestHead<'_, 'h>) -> Route<'h> {
    match head.path {
        "/" | "/socket" | "/socket/" => attached(head, "GET, OPTIONS"),
        "*" => Route::Options("GET, HEAD, OPTIONS"),
        "/socket/spare" | "/socket/spare/" => get_only(head, Route::AttachTunnel, "GET, OPTIONS"),
        "/ping" | "/ping/" => read_only(head, Route::Ping),
        _ => Route::Nothing,
    }
}

fn attached<'h>(head: &RequestHead<'_, 'h>, allow: &'static str) -> Route<'h> {
    get_only(head, Route::Attach, allow)
}

/// Allows `GET` only.
fn get_only<'h>(head: &RequestHead<'_, '_>, route: Route<'h>, allow: &'static str) -> Route<'h> {
    if head.method == Method::Get {
        route
    } else if head.method == Method::Options {
        Route::Options(allow)
    } else {
        Route::NotAllowed(allow)
    }
}

/// Allows `GET` and `HEAD` only.
fn read_only<'h>(head: &RequestHead<'_, '_>, route: Route<'h>) -> Route<'h> {
    if head.method == Method::Head { route } else { get_only(head, route, "GET, HEAD, OPTIONS") }
}

fn resource<'h>(head: &RequestHead<'_, 'h>) -> Option<Resource<'h>> {
    match head.path.strip_suffix('/').unwrap_or(head.path) {
        "/socket" => Some(Resource::Socket),
        "/socket/spare" => Some(Resource::AttachTunnel),
        "/socket/events" => Some(Resource::Events),
        _ => call(head),
    }
}

fn call<'h>(head: &RequestHead<'_, 'h>) -> Option<Resource<'h>> {
    let by_connection = head.path.strip_prefix("/socket/");
    let below = by_connection.or_else(|| head.path.strip_prefix("/api/"))?;
    let named = below.split('/').next().filter(|named| !named.is_empty())?;
    // Path and query are the end of the target, in every form.
    let rest_bytes = below.len() - named.len() + head.query.map_or(0, |query| query.len() + 1);
    let rest = head.target.get(head.target.len().checked_sub(rest_bytes)?..)?;
    let callee = match by_connection {
        Some(_) => Callee::Connection(parse_id(named)),
        None => Callee::Name(named),
    };
    Some(Resource::Call { callee, rest: if rest.is_empty() { "/" } else { rest } })
}

/// Whether the client requests an upgrade to WebSocket, which HTTP/1.0 does not support (RFC 9110,
/// section 7.8).
fn wants_websocket(head: &RequestHead<'_, '_>) -> bool {
    head.version == Version::Http11
        && head.method == Method::Get
        && head.fields.lists("Upgrade", "websocket")
}

#[cfg(test)]
mod tests;
