//! Read and write access on each kind of listener.

use std::net::SocketAddr;

use crate::support::{
    Ask, Observed, Relay, Response, TRUSTING, TokenFile, UNKNOWN, Wire, ask, assert_error,
    eventually,
};

/// Routes that show the activity of others.
const LISTS: [&str; 3] = ["/stream", "/socket", "/socket/events"];

/// The status of a response; only the head is read, because events do not end.
fn status(address: SocketAddr, ask: &Ask) -> u16 {
    let mut wire = Wire::connect(address);
    wire.ask(ask);
    wire.head().status
}

fn assert_forbidden(name: &str, answer: &Response, part: &str) {
    assert_error(name, answer, (403, "ForbiddenError", None));
    assert!(answer.text().contains(part), "{name}: {}", answer.text());
}

/// A request to become an agent.
fn upgrade(target: &str) -> Ask {
    ask("GET", target)
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[test]
fn loopback_is_not_trusted_by_default() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    for (target, command) in
        [("/stream", "rdv ctl list"), ("/socket", "rdv ctl agents"), ("/socket/events", "trusted")]
    {
        assert_forbidden(target, &relay.get(target), command);
        let head = relay.exchange(&ask("HEAD", target));
        assert_eq!(head.status(), 403, "HEAD {target}");
    }
    assert_eq!(relay.admin_get("/stream").json()[0]["id"], id.as_str(), "operators see it");
    assert_eq!(relay.status(&id)["state"], "CREATED", "the id is the permission");
}

#[test]
fn lists_are_shown_to_direct_clients_in_trusted_networks_only() {
    let relay = Relay::start(&TRUSTING);
    let other = Relay::start(&["--trusted", "192.0.2.0/24", "--admin-hosts", "relay.test"]);
    for target in LISTS {
        let request = || ask("GET", target);
        assert_eq!(status(relay.address(), &request()), 200, "{target}");
        assert_forbidden("another network", &other.exchange(&request()), "trusted");
        for (name, value) in [
            ("Forwarded", "for=127.0.0.1"),
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Forwarded-For", ""),
            ("x-forwarded-proto", "https"),
            ("X-Forwarded-Host", "relay.test"),
            ("X-Real-IP", "127.0.0.1"),
            ("Via", "1.1 proxy"),
            ("CF-Connecting-IP", "127.0.0.1"),
        ] {
            let answer = relay.exchange(&request().field(name, value));
            assert_forbidden(&format!("{name} {target}"), &answer, "never shown through a proxy");
        }
        let rebound = relay.exchange(&Ask::to_host("GET", target, "evil.example"));
        assert_forbidden("a name that leads here", &rebound, "admin-hosts");
        let foreign = relay.exchange(&request().field("Origin", "http://evil.example"));
        assert_forbidden("a page", &foreign, "allowed-origins");
    }
}

#[test]
fn the_admin_listener_accepts_only_its_own_host_names() {
    let relay = Observed::start(&[]);
    let address = relay.admin_address().to_string();
    for (name, host, served) in [
        ("its address", address.as_str(), true),
        ("loopback", "127.0.0.1", true),
        ("localhost", "localhost:1", true),
        ("a configured name", "relay.test", true),
        ("a name that leads here", "evil.example", false),
        ("another address", "192.0.2.1", false),
    ] {
        for (method, target) in [
            ("GET", "/stream"),
            ("GET", "/metrics"),
            ("POST", "/control/suspend"),
            ("GET", "/nowhere"),
            ("OPTIONS", "/control"),
        ] {
            let answer = relay.admin_exchange(&Ask::to_host(method, target, host));
            if served {
                assert_ne!(answer.status(), 403, "{name}: {method} {target}");
            } else {
                assert_forbidden(name, &answer, "admin-hosts");
            }
        }
    }
    let old = relay.admin_exchange(&ask("GET", "/healthz").http10());
    assert_eq!(old.status(), 200, "without a Host it is not from a page");
    let unix = Relay::start(&[]);
    let answer = unix.admin_exchange(&Ask::to_host("GET", "/stream", "evil.example"));
    assert_eq!(answer.status(), 200, "no page reaches a Unix socket");
}

/// Fields, by name and value.
type Sent = &'static [(&'static str, &'static str)];

/// Fields sent by pages of other origins, and by the relay's own; whether they are foreign.
const PAGES: [(&str, Sent, bool); 7] = [
    ("no page", &[], false),
    (
        "the relay's own",
        &[("Origin", "http://relay.test"), ("Sec-Fetch-Site", "same-origin")],
        false,
    ),
    ("the user", &[("Sec-Fetch-Site", "none")], false),
    ("another origin", &[("Origin", "http://evil.example")], true),
    ("null", &[("Origin", "null")], true),
    ("another site", &[("Sec-Fetch-Site", "cross-site")], true),
    ("another port", &[("Origin", "http://relay.test:1"), ("Sec-Fetch-Site", "same-site")], true),
];

fn with(ask: Ask, fields: &[(&str, &str)]) -> Ask {
    fields.iter().fold(ask, |ask, (name, value)| ask.field(name, value))
}

#[test]
fn requests_from_other_origins_are_rejected() {
    let relay = Observed::start(&[]);
    let delete = format!("/stream/{UNKNOWN}");
    for (name, fields, foreign) in PAGES {
        let public: [(Ask, u16); 3] = [
            (upgrade("/socket"), 101),
            (ask("DELETE", &delete), 404),
            // From a client that does not know the secret.
            (ask("GET", "/socket/spare").field("Upgrade", "rdv.spare.v1"), 403),
        ];
        for (request, otherwise) in public {
            let request = with(request, fields);
            if foreign {
                assert_forbidden(name, &relay.exchange(&request), "allowed-origins");
            } else {
                assert_eq!(status(relay.address(), &request), otherwise, "{name}");
            }
        }
        for (method, target) in [
            ("POST", "/control/resume"),
            ("GET", "/control"),
            ("GET", "/stream"),
            ("GET", "/metrics"),
        ] {
            let answer = relay.admin_exchange(&with(ask(method, target), fields));
            if foreign {
                assert_forbidden(name, &answer, "allowed-origins");
            } else {
                assert_eq!(answer.status(), 200, "{name}: {method} {target}");
            }
        }
        let created = relay.exchange(&with(ask("POST", "/stream"), fields));
        assert_eq!(created.status(), 201, "{name}: any client can create a stream");
    }
    let unix = Relay::start(&[]);
    let stop = ask("POST", "/control/stop").field("Origin", "http://evil.example");
    assert_forbidden("a proxy before the socket", &unix.admin_exchange(&stop), "allowed-origins");
}

#[test]
fn origins_can_be_allowed() {
    let foreign = |origin: &str| {
        upgrade("/socket").field("Origin", origin).field("Sec-Fetch-Site", "cross-site")
    };
    let some = ["--allowed-origins", "https://app.example", "--allowed-origins", "http://b:81"];
    let some = Relay::start(&some);
    let all = Relay::start(&["--allowed-origins", "*"]);
    for (name, relay, origin, code) in [
        ("listed", &some, "https://app.example", 101),
        ("the other one", &some, "http://b:81", 101),
        ("not listed", &some, "https://other.example", 403),
        ("all", &all, "https://other.example", 101),
        ("null, too", &all, "null", 101),
    ] {
        assert_eq!(status(relay.address(), &foreign(origin)), code, "{name}");
    }
}

#[test]
fn agents_need_tokens_on_public_listeners() {
    let here = ["127.0.0.1:0", "0.0.0.0:0"];
    let closed = Relay::listening(&here, &[]);
    let open = Relay::listening(&here, &["--open-agents"]);
    let tokens = TokenFile::new(&[("any", "agent", "0123456789abcdef")]);
    let guarded = Relay::listening(&here, &["--tokens", tokens.path()]);
    // By its loopback address, although the listener is reachable from other machines too.
    let public = |relay: &Relay| SocketAddr::from(([127, 0, 0, 1], relay.addresses()[1].port()));
    let authorized = || upgrade("/socket").field("Authorization", "Bearer 0123456789abcdef");
    for (name, address, request, code) in [
        ("loopback", closed.address(), upgrade("/socket"), 101),
        ("elsewhere", public(&closed), upgrade("/socket"), 403),
        ("on another listener, with an unexpected token", public(&closed), authorized(), 403),
        ("open to all", public(&open), upgrade("/socket"), 101),
        ("with its token", public(&guarded), authorized(), 101),
    ] {
        assert_eq!(status(address, &request), code, "{name}");
    }
    let answer = Wire::connect(public(&closed)).exchange(&upgrade("/socket"));
    assert_forbidden("it names the setting", &answer, "(tokens)");
    let address = closed.addresses()[1];
    for (relay, line) in [
        (&closed, Some(format!("agents are refused on {address}: no token is required"))),
        (&open, Some("agents need no token on 0.0.0.0:".to_owned())),
        (&guarded, None),
    ] {
        let Some(line) = line else {
            relay.await_turn();
            assert!(!relay.process().stderr().contains("agents"), "nothing to say");
            continue;
        };
        eventually(&line, || relay.process().stderr().contains(&line).then_some(()));
    }
}

#[test]
fn agents_need_tokens_on_a_public_agent_listener() {
    let relay = Relay::start(&["--socket-listen", "0.0.0.0:0"]);
    let place: SocketAddr = eventually("agents are served", || {
        let printed = relay.process().stdout();
        let place =
            printed.lines().find_map(|line| line.strip_prefix("agents are served on ws://"));
        place.and_then(|place| place.parse().ok())
    });
    let address = SocketAddr::from(([127, 0, 0, 1], place.port()));
    assert_eq!(status(address, &upgrade("/")), 403);
}
