//! Requests of agents and their callers. A call is recognized by its path alone: the agent receives
//! it whatever its method.

use super::find::{Target, parse_id};
use super::{Callee, Route};
use crate::http::head::{Method, RequestHead, Version};

/// Returns the route of a call by the agent's name or connection.
pub(super) fn call<'h>(at: &Target<'_, 'h>) -> Route<'h> {
    called(at.head).unwrap_or(Route::Nothing)
}

/// Returns the route of a request to the host of an agent.
pub(super) fn call_of_host<'h>(head: &RequestHead<'_, 'h>, name: &'h str) -> Route<'h> {
    Route::Call { callee: Callee::Host(name), rest: after_host(head) }
}

/// Becoming an agent, or the list of agents.
pub(super) fn attach_or_list<'h>(at: &Target<'_, 'h>) -> Route<'h> {
    if wants_websocket(at.head) { Route::Attach } else { Route::Agents }
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

fn called<'h>(head: &RequestHead<'_, 'h>) -> Option<Route<'h>> {
    let by_connection = head.path.strip_prefix("/socket/");
    let below = by_connection.or_else(|| head.path.strip_prefix("/api/"))?;
    let named = below.split('/').next()?;
    // Path and query are the end of the target, in every form.
    let rest_bytes = below.len() - named.len() + head.query.map_or(0, |query| query.len() + 1);
    let rest = head.target.get(head.target.len().checked_sub(rest_bytes)?..)?;
    let callee = match by_connection {
        Some(_) => Callee::Connection(parse_id(named)),
        None => Callee::Name(named),
    };
    Some(Route::Call { callee, rest: if rest.is_empty() { "/" } else { rest } })
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
