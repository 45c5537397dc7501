//! Fields of agents, by the origin of the response.

use super::*;

const SHARED: Origin<'_> = Origin::Shared { prefix: "/api/a" };

fn passed(origin: Origin<'_>, name: &str, value: &str) -> Option<String> {
    let value = origin.passed(name, value.as_bytes())?;
    Some(String::from_utf8(value.into_owned()).unwrap())
}

#[test]
fn fields_for_a_complete_origin_pass_only_where_the_agent_has_its_own() {
    for (name, shared) in [
        ("Accept-CH", false),
        ("Alt-Svc", false),
        ("clear-site-data", false),
        ("Expect-CT", false),
        ("NEL", false),
        ("Public-Key-Pins", false),
        ("Public-Key-Pins-Report-Only", false),
        ("Report-To", false),
        ("Reporting-Endpoints", false),
        ("SERVICE-WORKER-ALLOWED", false),
        ("Set-Login", false),
        ("Use-As-Dictionary", false),
        ("Set-Cookie2", false),
        ("Strict-Transport-Security", false),
        ("Refresh", true),
        ("Location", true),
        ("Clear-Site", true),
    ] {
        assert_eq!(passed(SHARED, name, "x; Path=/").is_some(), shared, "{name}");
        for origin in [Origin::AgentHost, Origin::Absent] {
            assert_eq!(passed(origin, name, "x; Path=/").as_deref(), Some("x; Path=/"), "{name}");
        }
    }
}

#[test]
fn a_cookie_in_the_origin_of_the_relay_is_sent_to_one_agent_only() {
    let forced = |cookie: &str| format!("{cookie}; Path=/api/a/");
    for (name, cookie, expected) in [
        ("no path", "a=b", forced("a=b")),
        ("no value", "a", forced("a")),
        ("empty", "", forced("")),
        ("the root", "a=b; Path=/; Secure", forced("a=b; Secure")),
        ("the prefix", "a=b; Path=/api/a", "a=b; Path=/api/a".into()),
        ("below it", "a=b; pAtH = /api/a/b ;HttpOnly", "a=b; pAtH = /api/a/b ;HttpOnly".into()),
        ("a similar agent", "a=b; Path=/api/ab", forced("a=b")),
        ("another agent", "a=b; Path=/api/b/api/a", forced("a=b")),
        ("above it", "a=b; Path=/api", forced("a=b")),
        ("streams", "a=b; Path=/stream/api/a", forced("a=b")),
        ("paths", "a=b; Path=/x/p/api/a", forced("a=b")),
        ("a relay below a path", "a=b; Path=/x/y/api/a/z", "a=b; Path=/x/y/api/a/z".into()),
        ("dots", "a=b; Path=/api/a/../..", forced("a=b")),
        ("encoded dots", "a=b; Path=/api/a/%2E./x", forced("a=b")),
        ("backslashes", "a=b; Path=/api/a\\..\\", forced("a=b")),
        ("hidden files", "a=b; Path=/api/a/.x", "a=b; Path=/api/a/.x".into()),
        ("quoted", "a=b; Path=\"/api/a\"", forced("a=b")),
        ("relative", "a=b; Path=api/a", forced("a=b")),
        ("the last is below", "a=b; Path=/; Path=/api/a", "a=b; Path=/api/a".into()),
        ("the first is below", "a=b; Path=/api/a; Path", "a=b; Path=/api/a".into()),
        ("a domain", "a=b; Domain=relay.example", forced("a=b")),
        ("domains", "a=b;domain;\tDOMAIN = .x;Path=/api/a", "a=b;Path=/api/a".into()),
        ("attributes as names", "Path=/api/a", forced("Path=/api/a")),
        ("a name for hosts", "__Host-a=b; Secure; Path=/", forced("__Host-a=b; Secure")),
    ] {
        assert_eq!(passed(SHARED, "set-cookie", cookie), Some(expected), "{name}");
    }
}

#[test]
fn a_cookie_on_a_host_of_apis_stays_on_this_host() {
    for (cookie, expected) in [
        ("a=b; Path=/; Secure", "a=b; Path=/; Secure"),
        ("a=b; Domain=relay.example; Path=/", "a=b; Path=/"),
        ("Domain=b;dOmain=x", "Domain=b"),
    ] {
        assert_eq!(passed(Origin::AgentHost, "Set-Cookie", cookie).as_deref(), Some(expected));
        assert_eq!(passed(Origin::Absent, "Set-Cookie", cookie).as_deref(), Some(cookie));
    }
}

#[test]
fn cookies_that_are_long_or_ambiguous_are_dropped() {
    let longest = format!("a={}", "x".repeat(COOKIE_MAX_BYTES - 2));
    let longer = format!("{longest}x");
    for (name, cookie, shared, agent_host) in [
        ("the longest", &*longest, true, true),
        ("a longer one", &longer, false, true),
        ("a null character", "a=b; \0Domain=relay.example", false, false),
        ("a tab", "a=b;\tSecure", true, true),
    ] {
        assert_eq!(passed(SHARED, "Set-Cookie", cookie).is_some(), shared, "{name}");
        let kept = passed(Origin::AgentHost, "Set-Cookie", cookie);
        assert_eq!(kept.is_some(), agent_host, "{name}");
    }
}
