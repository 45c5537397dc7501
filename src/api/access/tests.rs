use super::*;
use crate::api::{Callee, Control};
use crate::http::head::{FieldSlots, HeadLimits, parse};
use Denied::{Agents, Attach, Host, Origin as Foreign, Streams};

const LIMITS: HeadLimits = HeadLimits { bytes: 4096, target_bytes: 2048 };
const LIST: Route<'_> = Route::List { active_only: false };
const STOP: Route<'_> = Route::Control(Control::Stop);

/// An arrival on a public loopback listener, from an untrusted peer.
fn public() -> Arrival {
    let local = "127.0.0.1:8080".parse().ok();
    Arrival { operators: false, local, trusted: false, lists: false, loopback: true }
}

/// An arrival from a trusted peer.
fn trusted() -> Arrival {
    Arrival { trusted: true, ..public() }
}

/// An arrival on an admin listener with this address.
fn admin(local: &str) -> Arrival {
    Arrival { operators: true, local: local.parse().ok(), ..public() }
}

const CLOSED: Policy<'_> =
    Policy { allowed_origins: &[], cors_origins: &[], admin_hosts: &[], agents: false };

/// Returns the decision on a request with these fields.
fn decide(
    target: &str,
    fields: &str,
    route: Route<'_>,
    arrival: Arrival,
    policy: Policy<'_>,
) -> Option<Denied> {
    let result = with_head(target, fields, |head| check(head, &route, &arrival, &policy));
    assert!(result.is_ok() || is_guarded(&route, arrival.operators), "{target}: {fields}");
    result.err()
}

/// Returns the decision on the head of a request with these fields.
fn with_head<T>(target: &str, fields: &str, decide: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    let fields: String = fields.lines().flat_map(|line| [line, "\r\n"]).collect();
    let version = if fields.contains("Host:") { "1.1" } else { "1.0" };
    let text = format!("GET {target} HTTP/{version}\r\n{fields}\r\n");
    let mut slots = FieldSlots::new();
    decide(&parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap())
}

#[test]
fn lists_are_for_the_admin_listener_and_trusted_networks() {
    for (name, arrival, fields, denied) in [
        ("an operator", admin("127.0.0.1:9090"), "", false),
        ("an operator behind a proxy", admin("127.0.0.1:9090"), "X-Forwarded-For: a", false),
        ("a peer that is not trusted", public(), "", true),
        ("a trusted peer", trusted(), "", false),
        ("Forwarded", trusted(), "Forwarded: for=127.0.0.1", true),
        ("X-Forwarded-For", trusted(), "X-Forwarded-For: 127.0.0.1", true),
        ("an empty one", trusted(), "X-Forwarded-For:", true),
        ("another case", trusted(), "x-forwarded-for: ::1", true),
        ("X-Forwarded-Proto", trusted(), "X-Forwarded-Proto: https", true),
        ("X-Forwarded-Anything", trusted(), "X-Forwarded-Anything: 1", true),
        ("X-Real-IP", trusted(), "X-Real-IP: 127.0.0.1", true),
        ("Via", trusted(), "Via: 1.1 proxy", true),
        ("CF-Connecting-IP", trusted(), "CF-Connecting-IP: 127.0.0.1", true),
        ("a field of almost that name", trusted(), "X-Forward: 1", false),
    ] {
        let fields = format!("Host: localhost\n{fields}");
        for (route, why) in [(LIST, Streams), (Route::Agents, Agents), (Route::AgentEvents, Agents)]
        {
            let found = decide("/", &fields, route, arrival, CLOSED);
            assert_eq!(found, denied.then_some(why), "{name}: {route:?}");
        }
    }
}

#[test]
fn public_routes_need_no_permission() {
    let fields = "Host: evil.example\nOrigin: http://evil.example:1\nSec-Fetch-Site: cross-site";
    for route in [
        Route::Create,
        Route::Ping,
        Route::Source(None, None),
        Route::Destination(None),
        Route::Report(None),
        Route::Receipt(None),
        Route::Status(None),
        Route::Events(None),
        Route::Push,
    ] {
        assert!(!is_guarded(&route, false), "{route:?}");
        assert_eq!(decide("/", fields, route, public(), CLOSED), None, "{route:?}");
        let found = decide("/", fields, route, admin("127.0.0.1:9090"), CLOSED);
        assert_eq!(found, Some(Host), "{route:?}");
    }
}

#[test]
fn requests_from_other_origins_are_denied() {
    let rows = [
        ("no page", "", None),
        ("its own", "Origin: http://127.0.0.1:8080", None),
        ("its own behind TLS", "Origin: https://127.0.0.1:8080", None),
        ("another port", "Origin: http://127.0.0.1:3000", Some(Foreign)),
        ("another host", "Origin: http://evil.example", Some(Foreign)),
        ("another name of it", "Origin: http://localhost:8080", Some(Foreign)),
        ("null", "Origin: null", Some(Foreign)),
        ("empty", "Origin:", Some(Foreign)),
        ("not an origin", "Origin: 127.0.0.1:8080", Some(Foreign)),
        ("a list", "Origin: http://127.0.0.1:8080 http://evil.example", Some(Foreign)),
        ("two fields", "Origin: http://127.0.0.1:8080\nOrigin: http://evil.example", Some(Foreign)),
        ("typed by the user", "Sec-Fetch-Site: none", None),
        ("the same origin", "Sec-Fetch-Site: same-origin", None),
        ("a link of another site", "Sec-Fetch-Site: cross-site", Some(Foreign)),
        ("another port or subdomain", "Sec-Fetch-Site: same-site", Some(Foreign)),
        ("an unknown value", "Sec-Fetch-Site: elsewhere", Some(Foreign)),
        (
            "its own, which the browser agrees to",
            "Origin: http://127.0.0.1:8080\nSec-Fetch-Site: same-origin",
            None,
        ),
        (
            "its own by a name that the browser does not take for it",
            "Origin: http://127.0.0.1:8080\nSec-Fetch-Site: cross-site",
            Some(Foreign),
        ),
    ];
    let routes = [
        (Route::Attach, public()),
        (Route::AttachTunnel, public()),
        (Route::Delete(None), public()),
        (LIST, trusted()),
        (Route::Agents, trusted()),
        (Route::AgentEvents, trusted()),
        (STOP, admin("127.0.0.1:8080")),
        (STOP, Arrival { local: None, ..admin("127.0.0.1:8080") }),
        (Route::Metrics, admin("127.0.0.1:8080")),
        (Route::Health, admin("127.0.0.1:8080")),
        (Route::Options(""), admin("127.0.0.1:8080")),
        (Route::Nothing, admin("127.0.0.1:8080")),
    ];
    for (name, fields, denied) in rows {
        let fields = format!("Host: 127.0.0.1:8080\n{fields}");
        for (route, arrival) in routes {
            let found = decide("/", &fields, route, arrival, CLOSED);
            assert_eq!(found, denied, "{name}: {route:?}");
        }
    }
}

#[test]
fn origins_can_be_allowed() {
    let allowed = |texts: &[&str]| -> Vec<AllowedOrigin> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let some = allowed(&["https://app.example", "http://b.example:81"]);
    let any = allowed(&["*"]);
    for (name, allowed, fields, denied) in [
        ("listed", &some, "Origin: https://APP.example:443", None),
        (
            "listed, of another site",
            &some,
            "Origin: http://b.example:81\nSec-Fetch-Site: cross-site",
            None,
        ),
        ("not listed", &some, "Origin: http://app.example", Some(Foreign)),
        ("null is not listed", &some, "Origin: null", Some(Foreign)),
        ("without an origin", &some, "Sec-Fetch-Site: cross-site", Some(Foreign)),
        ("all", &any, "Origin: https://evil.example", None),
        ("all, and null", &any, "Origin: null\nSec-Fetch-Site: cross-site", None),
    ] {
        let policy = Policy { allowed_origins: allowed, ..CLOSED };
        let fields = format!("Host: relay.example\n{fields}");
        assert_eq!(decide("/", &fields, Route::Attach, public(), policy), denied, "{name}");
    }
    for (name, route, arrival, denied) in [
        ("a stream", Route::Delete(None), public(), None),
        ("an agent", Route::Attach, public(), Some(Foreign)),
        ("an operator", Route::Delete(None), admin("127.0.0.1:9090"), Some(Foreign)),
    ] {
        let policy = Policy { cors_origins: &some, ..CLOSED };
        let fields = "Host: localhost\nOrigin: https://app.example\nSec-Fetch-Site: cross-site";
        assert_eq!(decide("/", fields, route, arrival, policy), denied, "CORS for {name}");
    }
    for text in ["app.example", "https://app.example/", "null", ""] {
        assert!(text.parse::<AllowedOrigin>().is_err(), "{text}");
    }
}

#[test]
fn the_admin_listener_accepts_only_its_own_host_names() {
    let hosts = ["relay.example", "[fd00::7]", "fd00::8"].map(|text| text.parse().unwrap());
    let policy = Policy { admin_hosts: &hosts, ..CLOSED };
    for (name, local, target, host, own) in [
        ("localhost", "10.0.0.5:9090", "/", "localhost", true),
        ("in another case, with its port", "10.0.0.5:9090", "/", "LocalHost:9090", true),
        ("a published port", "10.0.0.5:9090", "/", "localhost:19090", true),
        ("loopback", "10.0.0.5:9090", "/", "127.0.0.1:9090", true),
        ("loopback, IPv6", "10.0.0.5:9090", "/", "[::1]:9090", true),
        ("its address", "10.0.0.5:9090", "/", "10.0.0.5", true),
        ("its address, with the port", "10.0.0.5:9090", "/", "10.0.0.5:9090", true),
        ("its IPv6 address", "[fd00::5]:9090", "/", "[fd00:0::5]:9090", true),
        ("its mapped address", "[::ffff:10.0.0.5]:9090", "/", "10.0.0.5", true),
        ("another address", "10.0.0.5:9090", "/", "10.0.0.6", false),
        ("a name", "127.0.0.1:9090", "/", "evil.example", false),
        ("a name that begins like one", "127.0.0.1:9090", "/", "localhost.evil.example", false),
        ("a configured name", "127.0.0.1:9090", "/", "Relay.Example:9090", true),
        ("a configured address", "127.0.0.1:9090", "/", "[fd00::7]:9090", true),
        ("configured without brackets", "127.0.0.1:9090", "/", "[fd00::8]", true),
        ("nothing", "127.0.0.1:9090", "/", "", true),
        ("the target counts", "127.0.0.1:9090", "http://evil.example/", "localhost", false),
        ("a Unix socket", "", "/", "evil.example", true),
    ] {
        let arrival = admin(local);
        let found = decide(target, &format!("Host: {host}"), Route::Health, arrival, policy);
        assert_eq!(found, (!own).then_some(Host), "{name}");
        let elsewhere = Arrival { operators: false, trusted: true, ..arrival };
        let found = decide(target, &format!("Host: {host}"), LIST, elsewhere, policy);
        assert_eq!(found, (!own).then_some(Host), "{name}, the list at a public listener");
    }
    let found = decide("/", "", Route::Health, admin("127.0.0.1:9090"), policy);
    assert_eq!(found, None, "HTTP/1.0 without a Host");
    for text in ["relay.example:80", "", "a/b", "[::1]:80"] {
        assert!(text.parse::<HostName>().is_err(), "{text}");
    }
}

#[test]
fn agents_need_a_token_except_on_loopback() {
    let open = Policy { agents: true, ..CLOSED };
    let elsewhere = Arrival { loopback: false, ..public() };
    for (name, arrival, policy, denied) in [
        ("loopback", public(), CLOSED, None),
        ("elsewhere", elsewhere, CLOSED, Some(Attach)),
        (
            "elsewhere, for trusted peers too",
            Arrival { trusted: true, ..elsewhere },
            CLOSED,
            Some(Attach),
        ),
        ("elsewhere, with tokens or open", elsewhere, open, None),
    ] {
        let found = decide("/", "Host: a", Route::Attach, arrival, policy);
        assert_eq!(found, denied, "{name}");
        let spare = decide("/", "Host: a", Route::AttachTunnel, arrival, policy);
        assert_eq!(spare, None, "{name}: a tunnel has the secret of an agent");
    }
}

#[test]
fn scripts_of_service_workers_are_refused_in_a_shared_origin() {
    let call = |callee| Route::Call { callee, rest: "/sw.js" };
    let (named, hosted) = (call(Callee::Name("a")), call(Callee::Host("a")));
    let (public, own) = (Audience::Public { paths: false }, Audience::CallersOf("a"));
    for (name, value, route, audience, refused) in [
        ("an API", "Service-Worker: script", named, public, true),
        ("in another case", "service-worker: Script", named, public, true),
        ("a download", "Service-Worker: script", Route::Destination(None), public, true),
        ("no worker", "Accept: */*", named, public, false),
        ("another value", "Service-Worker: x", named, public, false),
        ("a status", "Service-Worker: script", Route::Status(None), public, false),
        ("on a host of APIs", "Service-Worker: script", named, Audience::Callers, false),
        ("on its own host", "Service-Worker: script", hosted, own, false),
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{value}\r\n\r\n");
        let mut slots = FieldSlots::new();
        let head = parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
        let denied = check_worker(&head, &route, audience).err();
        assert_eq!(denied, refused.then_some(Denied::ServiceWorker), "{name}");
    }
}

#[test]
fn paths_are_refused_to_pages_of_other_origins() {
    const LISTED: &str = "Origin: https://app.example\nSec-Fetch-Site: cross-site";
    const LINK: &str =
        "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document";
    const FRAME: &str =
        "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe";
    const IMAGE: &str =
        "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: image";
    const FORM: &str = "Origin: https://evil.example\nSec-Fetch-Site: cross-site\n\
        Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document";
    let origins = ["https://app.example".parse().unwrap()];
    // Whether an upload and a download are refused.
    for (name, fields, refused) in [
        ("no page", "", [false, false]),
        ("typed by the user", "Sec-Fetch-Site: none", [false, false]),
        ("its own page", "Origin: http://relay\nSec-Fetch-Site: same-origin", [false, false]),
        ("a page of a listed origin", LISTED, [false, false]),
        ("a page of another origin", "Origin: https://evil.example", [true, true]),
        ("a page without an origin", "Origin: null", [true, true]),
        ("a page of another port", "Sec-Fetch-Site: same-site", [true, true]),
        ("an image", IMAGE, [true, true]),
        ("a frame", FRAME, [true, true]),
        ("a form", FORM, [true, false]),
        ("a link", LINK, [true, false]),
    ] {
        let routes = [PathRoute::Upload("a"), PathRoute::Download("a")].map(Route::Path);
        for (route, refused) in routes.into_iter().zip(refused) {
            let fields = format!("Host: relay\n{fields}");
            let decide = |origins: &[AllowedOrigin]| {
                with_head("/p/a", &fields, |head| check_path(head, &route, origins))
            };
            let expected = if refused { Err(Denied::PathOrigin) } else { Ok(()) };
            assert_eq!(decide(&origins), expected, "{name}: {route:?}");
            assert_eq!(decide(&[AllowedOrigin::Any]), Ok(()), "{name}: any origin");
        }
        let about = Route::Path(PathRoute::About);
        let fields = format!("Host: relay\n{fields}");
        let free = with_head("/p", &fields, |head| check_path(head, &about, &origins));
        assert_eq!(free, Ok(()), "{name}: the text about paths");
    }
}
