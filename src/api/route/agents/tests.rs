use super::*;
use crate::api::Audience;
use crate::http::head::{FieldSlots, HeadLimits, parse};
use uuid::Uuid;

const ID: &str = "0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0";
const LIMITS: HeadLimits = HeadLimits { bytes: 4096, target_bytes: 2048 };
const PUBLIC: Audience<'_> = Audience::Public { paths: false };

/// Checks the route of a request line followed by these fields.
fn assert_route(name: &str, line: &str, audience: Audience<'_>, expected: Route<'_>) {
    let (line, fields) = line.split_once('\n').unwrap_or((line, ""));
    let version = if line.contains(" HTTP/") { "" } else { " HTTP/1.1" };
    let text = format!("{line}{version}\r\nHost: h\r\n{}\r\n", fields.replace('\n', "\r\n"));
    let mut slots = FieldSlots::new();
    let head = parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
    assert_eq!(super::super::route(&head, audience), expected, "{name}: {line}");
}

fn connection() -> Callee<'static> {
    Callee::Connection(Some(Uuid::parse_str(ID).unwrap()))
}

#[test]
fn an_upgrade_distinguishes_an_agent_from_a_list_request() {
    const UPGRADE: &str = "\nUpgrade: websocket\n";
    for (name, line, fields, expected) in [
        ("an agent", "GET /socket", UPGRADE, Route::Attach),
        ("with a slash and a query", "GET /socket/?x=y", UPGRADE, Route::Attach),
        ("in a list, in another case", "GET /socket", "\nUpgrade: h2c, WebSocket\n", Route::Attach),
        ("no upgrade", "GET /socket", "", Route::Agents),
        ("another upgrade", "GET /socket", "\nUpgrade: websockets\n", Route::Agents),
        ("by HTTP/1.0", "GET /socket HTTP/1.0", UPGRADE, Route::Agents),
        ("head", "HEAD /socket", UPGRADE, Route::Agents),
        ("post", "POST /socket", UPGRADE, Route::NotAllowed("GET, HEAD, OPTIONS")),
        ("options", "OPTIONS /socket", "", Route::Options("GET, HEAD, OPTIONS")),
        ("events", "GET /socket/events", "", Route::AgentEvents),
        ("head of events", "HEAD /socket/events/", "", Route::AgentEvents),
        ("put to events", "PUT /socket/events", "", Route::NotAllowed("GET, HEAD, OPTIONS")),
        ("a spare", "GET /socket/spare", "\nUpgrade: rdv.spare.v1\n", Route::AttachTunnel),
        ("a spare, posted", "POST /socket/spare", "", Route::NotAllowed("GET, OPTIONS")),
        ("elsewhere it changes nothing", "GET /ping", UPGRADE, Route::Ping),
        ("at the root neither", "GET /", UPGRADE, Route::Home),
        ("a name alone", "GET /api", "", Route::Nothing),
        ("an empty name", "GET /api//x", "", Route::Nothing),
        ("an empty identifier", "GET /socket//x", "", Route::Nothing),
        ("another case of the path", "GET /Socket", "", Route::Nothing),
    ] {
        assert_route(name, &format!("{line}{fields}"), PUBLIC, expected);
    }
}

#[test]
fn a_call_is_forwarded_with_its_target_unchanged() {
    let billing = Callee::Name("billing");
    for (name, line, callee, rest) in [
        ("by connection", format!("GET /socket/{ID}/a/b?c=d"), connection(), "/a/b?c=d"),
        ("its root", format!("GET /socket/{ID}/"), connection(), "/"),
        ("nothing", format!("GET /socket/{ID}"), connection(), "/"),
        ("in capitals", format!("GET /socket/{}/a", ID.to_uppercase()), connection(), "/a"),
        ("no identifier", "GET /socket/x/a".into(), Callee::Connection(None), "/a"),
        ("below the events", "GET /socket/events/a".into(), Callee::Connection(None), "/a"),
        ("by name", "GET /api/billing/a".into(), billing, "/a"),
        ("a name and nothing", "GET /api/billing".into(), billing, "/"),
        ("a query alone", "GET /api/billing?a=/b".into(), billing, "?a=/b"),
        ("an empty query", "GET /api/billing/?".into(), billing, "/?"),
        ("dots", "GET /api/billing/../a/./b".into(), billing, "/../a/./b"),
        ("slashes", "GET /api/billing//a//".into(), billing, "//a//"),
        ("escapes", "GET /api/billing/%2e%2F%00?%41".into(), billing, "/%2e%2F%00?%41"),
        ("two question marks", "GET /api/billing/a?b?c".into(), billing, "/a?b?c"),
        ("absolute form", "GET http://h/api/billing/a?b".into(), billing, "/a?b"),
        ("absolute form, bare", "GET http://h/api/billing".into(), billing, "/"),
        ("a name that is none", "GET /api/Not%20one/a".into(), Callee::Name("Not%20one"), "/a"),
        ("a name of ours", "GET /api/ping".into(), Callee::Name("ping"), "/"),
    ] {
        assert_route(name, &line, PUBLIC, Route::Call { callee, rest });
    }
}

#[test]
fn every_method_except_connect_is_a_call() {
    let call = Route::Call { callee: Callee::Name("a"), rest: "/b" };
    for method in
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"]
    {
        let upgrade = format!("{method} /api/a/b\nUpgrade: websocket\n");
        assert_route("with an upgrade", &upgrade, PUBLIC, call);
        assert_route("without an upgrade", &format!("{method} /api/a/b"), PUBLIC, call);
    }
    assert_route("connect", "CONNECT h:1", PUBLIC, Route::Tunnel);
}

#[test]
fn each_audience_has_its_own_paths() {
    const BAD: Route<'_> = Route::Nothing;
    const READ_ONLY: Route<'static> = Route::NotAllowed("GET, HEAD, OPTIONS");
    const GET: Route<'_> = Route::NotAllowed("GET, OPTIONS");
    let call = Route::Call { callee: connection(), rest: "/" };
    let senders = Audience::Senders { here: false, compat: false };
    let to_agent = format!("GET /socket/{ID}");
    for (line, public, agents, operators) in [
        ("GET /socket", Route::Agents, Route::Attach, Route::Agents),
        ("HEAD /socket", Route::Agents, GET, Route::Agents),
        ("GET /socket/events", Route::AgentEvents, BAD, Route::AgentEvents),
        ("GET /socket/spare", Route::AttachTunnel, Route::AttachTunnel, BAD),
        (&to_agent, call, BAD, BAD),
        ("GET /api/a", Route::Call { callee: Callee::Name("a"), rest: "/" }, BAD, BAD),
        ("GET /", Route::Home, Route::Attach, Route::Home),
        ("GET /web/a", Route::PageFile("a"), BAD, Route::PageFile("a")),
        ("GET /watch", BAD, BAD, Route::Watch),
        ("POST /", READ_ONLY, GET, READ_ONLY),
        (
            "OPTIONS /",
            Route::Options("GET, HEAD, OPTIONS"),
            Route::Options("GET, OPTIONS"),
            Route::Options("GET, HEAD, OPTIONS"),
        ),
        ("GET /ping", Route::Ping, Route::Ping, Route::Ping),
        ("GET /version", Route::Version, BAD, Route::Version),
        ("POST /stream", Route::Create, BAD, Route::NotAllowed("GET, HEAD, OPTIONS")),
    ] {
        let line = &format!("{line}\n");
        assert_route("everybody", line, PUBLIC, public);
        assert_route("agents", line, Audience::Agents, agents);
        assert_route("operators", line, Audience::Operators, operators);
        assert_route("senders", line, senders, BAD);
    }
    let star = Route::Options("GET, HEAD, OPTIONS");
    assert_route("the whole server", "OPTIONS *", Audience::Agents, star);
}

#[test]
fn a_host_of_apis_serves_nothing_else() {
    let billing = Callee::Name("billing");
    let call = |callee, rest| Route::Call { callee, rest };
    for (name, line, expected) in [
        ("an API", "GET /api/billing/a?b".to_owned(), call(billing, "/a?b")),
        ("by connection", format!("DELETE /socket/{ID}/x"), call(connection(), "/x")),
        ("its options", "OPTIONS /api/billing".into(), call(billing, "/")),
        ("streams", "POST /stream".into(), Route::Nothing),
        ("a stream", format!("GET /stream/{ID}"), Route::Nothing),
        ("a ping", "GET /ping".into(), Route::Nothing),
        ("agents", "GET /socket\nUpgrade: websocket\n".into(), Route::Nothing),
        ("tunnels", "GET /socket/spare".into(), Route::Nothing),
        ("events", "GET /socket/events".into(), Route::Nothing),
        ("the server", "OPTIONS *".into(), Route::Nothing),
        ("a tunnel to a host", "CONNECT h:1".into(), Route::Tunnel),
    ] {
        assert_route(name, &line, Audience::Callers, expected);
    }
}

#[test]
fn the_host_of_an_agent_serves_its_api_at_every_path() {
    for (name, line, rest) in [
        ("the root", "GET /", "/"),
        ("a path", "GET /a/../b//?c=d", "/a/../b//?c=d"),
        ("a path of the relay", "POST /stream", "/stream"),
        ("a path of another agent", "GET /api/x/y", "/api/x/y"),
        ("an upgrade", "GET /socket\nUpgrade: websocket\n", "/socket"),
        ("a URL in the query", "GET /?http://x/y", "/?http://x/y"),
        ("absolute form", "GET http://h/a?b=c", "/a?b=c"),
        ("absolute form without a path", "GET http://h", "/"),
        ("absolute form with a query only", "GET http://h?b=/c", "?b=/c"),
        ("the server", "OPTIONS *", "*"),
    ] {
        let callee = Callee::Host("Billing");
        let expected = Route::Call { callee, rest };
        assert_route(name, line, Audience::CallersOf("Billing"), expected);
    }
}
