//! The paths that agents and their callers use. A call is told from everything else by its path
//! alone: whatever its method, the agent is to see it.

use super::{Audience, Callee, Route, parse_id};
use crate::http::head::{Method, RequestHead, Version};

/// What a path of agents names.
enum Resource<'h> {
    Socket,
    Spare,
    Events,
    Call { callee: Callee<'h>, rest: &'h str },
}

/// What is asked for, if the path is one of these and this audience may use it.
pub(super) fn route<'h>(head: &RequestHead<'_, 'h>, audience: Audience) -> Option<Route<'h>> {
    match audience {
        Audience::Public => public(head),
        Audience::Senders { .. } => None,
        Audience::Agents => Some(dialled(head)),
        Audience::Operators => overseen(head),
    }
}

/// For everybody. Who may look is decided by [`access`](crate::api::access).
fn public<'h>(head: &RequestHead<'_, 'h>) -> Option<Route<'h>> {
    Some(match resource(head)? {
        Resource::Call { callee, rest } => Route::Call { callee, rest },
        Resource::Socket if !wants_websocket(head) => read_only(head, Route::Agents),
        Resource::Socket => attached(head, "GET, HEAD, OPTIONS"),
        Resource::Spare => get_only(head, Route::Spare, "GET, OPTIONS"),
        Resource::Events => read_only(head, Route::AgentEvents),
    })
}

/// For operators, who look and call nobody.
fn overseen<'h>(head: &RequestHead<'_, 'h>) -> Option<Route<'h>> {
    match resource(head)? {
        Resource::Socket => Some(read_only(head, Route::Agents)),
        Resource::Events => Some(read_only(head, Route::AgentEvents)),
        Resource::Spare | Resource::Call { .. } => None,
    }
}

/// For agents on a listener of their own, which knows nothing else.
fn dialled<'h>(head: &RequestHead<'_, 'h>) -> Route<'h> {
    match head.path {
        "/" | "/socket" | "/socket/" => attached(head, "GET, OPTIONS"),
        "*" => Route::Options("GET, HEAD, OPTIONS"),
        "/socket/spare" | "/socket/spare/" => get_only(head, Route::Spare, "GET, OPTIONS"),
        "/ping" | "/ping/" => read_only(head, Route::Ping),
        _ => Route::Nothing,
    }
}

fn attached<'h>(head: &RequestHead<'_, 'h>, allow: &'static str) -> Route<'h> {
    get_only(head, Route::Attach, allow)
}

/// What `GET` alone asks for.
fn get_only<'h>(head: &RequestHead<'_, '_>, route: Route<'h>, allow: &'static str) -> Route<'h> {
    if head.method == Method::Get {
        route
    } else if head.method == Method::Options {
        Route::Options(allow)
    } else {
        Route::NotAllowed(allow)
    }
}

/// What `GET` and `HEAD` ask for.
fn read_only<'h>(head: &RequestHead<'_, '_>, route: Route<'h>) -> Route<'h> {
    if head.method == Method::Head { route } else { get_only(head, route, "GET, HEAD, OPTIONS") }
}

fn resource<'h>(head: &RequestHead<'_, 'h>) -> Option<Resource<'h>> {
    match head.path.strip_suffix('/').unwrap_or(head.path) {
        "/socket" => Some(Resource::Socket),
        "/socket/spare" => Some(Resource::Spare),
        "/socket/events" => Some(Resource::Events),
        _ => call(head),
    }
}

fn call<'h>(head: &RequestHead<'_, 'h>) -> Option<Resource<'h>> {
    let by_connection = head.path.strip_prefix("/socket/");
    let below = by_connection.or_else(|| head.path.strip_prefix("/api/"))?;
    let named = below.split('/').next().filter(|named| !named.is_empty())?;
    // Path and query are the end of the target, in whichever form that is.
    let rest_bytes = below.len() - named.len() + head.query.map_or(0, |query| query.len() + 1);
    let rest = head.target.get(head.target.len().checked_sub(rest_bytes)?..)?;
    let callee = match by_connection {
        Some(_) => Callee::Connection(parse_id(named)),
        None => Callee::Name(named),
    };
    Some(Resource::Call { callee, rest: if rest.is_empty() { "/" } else { rest } })
}

/// Whether the client would switch to WebSocket. HTTP/1.0 knows no such wish (RFC 9110, section
/// 7.8).
fn wants_websocket(head: &RequestHead<'_, '_>) -> bool {
    head.version == Version::Http11
        && head.method == Method::Get
        && head.fields.lists("Upgrade", "websocket")
}

#[cfg(test)]
mod tests;
