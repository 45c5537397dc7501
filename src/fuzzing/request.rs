//! What the relay reads in an accepted head: its route, a WebSocket upgrade, a range, and
//! identifiers. No head makes the readers panic, and each result is justified by the head's text.

use crate::api::{Audience, PathRoute, Route, route};
use crate::http::head::{Method, RequestHead};
use crate::http::identity::{is_request_id, is_traceparent};
use crate::http::origin::Origin;
use crate::http::range::asks_for_a_part;
use crate::mux::upgrade;

/// Checks everything that is read from this head.
pub(super) fn check(head: &RequestHead<'_, '_>) {
    for audience in [
        Audience::Public { paths: false },
        Audience::Public { paths: true },
        Audience::Callers,
        Audience::CallersOf("a"),
        Audience::Operators,
        Audience::Agents,
        Audience::Senders { here: true, compat: false },
    ] {
        check_route(head, audience);
    }
    check_upgrade(head);
    if asks_for_a_part(head.fields) {
        assert_eq!(head.fields.all("Range").count(), 1, "one range");
        assert!(head.fields.get("If-Range").is_none(), "nothing is stored to compare with");
    }
    for (_, value) in head.fields.iter() {
        check_identifiers(value);
        check_origin(value);
    }
}

fn check_route(head: &RequestHead<'_, '_>, audience: Audience<'_>) {
    let route = route(head, audience);
    assert_eq!(route == Route::Tunnel, head.method == Method::Connect);
    if let Some((stream, _)) = route.stream() {
        let has_streams = matches!(audience, Audience::Public { .. } | Audience::Operators);
        assert!(has_streams, "{route:?} for {audience:?}");
        let written = head.path.to_ascii_lowercase().replace('-', "");
        assert!(written.contains(&stream.simple().to_string()), "{stream} is not in the path");
    }
    if let Route::Path(
        PathRoute::Upload(path) | PathRoute::Download(path) | PathRoute::Exists(path),
    ) = route
    {
        assert_eq!(audience, Audience::Public { paths: true });
        assert!(!path.is_empty() && head.path.strip_prefix("/p/") == Some(path), "{path}");
    }
    if let Route::Options(allow)
    | Route::NotAllowed(allow)
    | Route::Path(PathRoute::NotAllowed(allow)) = route
    {
        let methods: Vec<&str> = allow.split(", ").collect();
        assert!(methods.contains(&"OPTIONS"), "{allow}");
        let refused = !matches!(route, Route::Options(_));
        assert!(!refused || !methods.contains(&head.method_name), "{allow}: {}", head.method_name);
    }
}

fn check_upgrade(head: &RequestHead<'_, '_>) {
    if let Ok(Some(upgrade)) = upgrade::asked(head) {
        assert_eq!(head.method, Method::Get);
        assert!(head.fields.lists("Connection", "upgrade"));
        assert_eq!(upgrade.v1, head.fields.lists("Sec-WebSocket-Protocol", upgrade::SUBPROTOCOL));
        // 20 bytes in base64 (RFC 6455, section 4.2.2).
        assert_eq!((upgrade.accept.len(), upgrade.accept.ends_with('=')), (28, true));
    }
}

fn check_identifiers(value: &[u8]) {
    assert!(!is_request_id(value) || value.iter().all(u8::is_ascii_graphic));
    assert!(!is_traceparent(value) || is_request_id(value), "it can be logged like an id");
}

fn check_origin(value: &[u8]) {
    let Ok(text) = str::from_utf8(value) else { return };
    if let Some(origin) = Origin::parse(text)
        && let Some((scheme, host)) = text.split_once("://")
        && ["http", "https"].contains(&scheme)
    {
        assert!(origin.is_of_host(host.as_bytes()), "{text:?} is of its own host");
    }
}
