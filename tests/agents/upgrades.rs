//! Opening a WebSocket, and the responses to a failed upgrade.

use rdv::mux::handshake::Dialect;

use crate::agent::{Agent, upgrade};
use crate::support::{Ask, Relay, Wire, ask, assert_error, eventually};

/// A relay with a listener for agents, and its address.
fn with_listener(flags: &[&str]) -> (Relay, std::net::SocketAddr) {
    let relay = Relay::start(&[&["--socket-listen", "127.0.0.1:0"], flags].concat());
    let address = eventually("agents are served", || {
        let printed = relay.process().stdout();
        let place =
            printed.lines().find_map(|line| line.strip_prefix("agents are served on ws://"));
        place.and_then(|place| place.parse().ok())
    });
    (relay, address)
}

#[test]
fn the_agent_listener_accepts_upgrades_at_its_root() {
    let (relay, address) = with_listener(&[]);
    for (number, target) in ["/", "/socket", "/socket/"].into_iter().enumerate() {
        let name = format!("a{number}");
        let request = upgrade(target, Dialect::Text);
        let metadata = serde_json::json!({ "name": name });
        let mut agent = Agent::upgraded(address, &request, Dialect::Text, metadata);
        agent.await_open();
        relay.await_turn();
        let mut client = relay.connect();
        client.ask(&ask("GET", &format!("/api/{name}/x")));
        let request = agent.recv_request();
        assert_eq!(request.line(), "GET /x", "{target}");
        agent.respond_ok(request.number, b"");
        assert_eq!(client.response().status(), 200, "{target}");
    }
    let exchange = |ask: &Ask| Wire::connect(address).exchange(ask);
    assert_eq!(exchange(&ask("GET", "/ping")).text(), "pong");
    let answer = exchange(&ask("GET", "/api/a0/x"));
    assert_error("calls are taken elsewhere", &answer, (404, "BadRouteError", None));
    let answer = exchange(&ask("POST", "/stream"));
    assert_error("and so are streams", &answer, (404, "BadRouteError", None));
}

#[test]
fn an_invalid_upgrade_is_refused_with_the_reason() {
    let relay = Relay::start(&[]);
    let (_relay, own) = with_listener(&[]);
    let without = |field: &str| {
        let text = String::from_utf8(upgrade("/socket", Dialect::V1).bytes()).expect("text");
        let lines = text.split_inclusive("\r\n").filter(|line| !line.starts_with(field));
        lines.collect::<String>()
    };
    for (name, request, status, kind) in [
        ("no connection", without("Connection"), 400, "BadRequestError"),
        ("no key", without("Sec-WebSocket-Key"), 400, "BadRequestError"),
        ("no version", without("Sec-WebSocket-Version"), 426, "UpgradeRequiredError"),
        ("no upgrade", without("Upgrade"), 426, "UpgradeRequiredError"),
    ] {
        // Without an upgrade this request is for the list, on listeners that have it.
        let public = (name != "no upgrade").then_some((relay.address(), "/socket"));
        for (address, target) in public.into_iter().chain([(own, "/")]) {
            let mut wire = Wire::connect(address);
            wire.send(request.replace("GET /socket ", &format!("GET {target} ")));
            let answer = wire.response();
            assert_error(name, &answer, (status, kind, None));
            if status == 426 {
                assert_eq!(answer.head.get("Upgrade"), Some("websocket"), "{name}");
                assert_eq!(answer.head.get("Sec-WebSocket-Version"), Some("13"), "{name}");
                assert_eq!(answer.head.list("Connection"), ["UPGRADE"], "{name}");
            }
        }
    }
    let answer = relay.exchange(&ask("POST", "/socket"));
    assert_error("another method", &answer, (405, "BadRouteError", None));
    assert_eq!(answer.head.list("Allow"), ["GET", "HEAD", "OPTIONS"]);
}

#[test]
fn agents_beyond_the_limit_are_refused() {
    let relay = Relay::start(&["--max-agents", "1"]);
    let first = Agent::named(&relay, Dialect::V1, "first");
    let answer = relay.exchange(&upgrade("/socket", Dialect::V1));
    assert_error("one too many", &answer, (503, "TooBusyError", None));
    assert!(answer.text().contains("agents"), "{}", answer.text());
    first.disconnect();
    eventually("its place is free", || {
        let mut wire = relay.connect();
        wire.ask(&upgrade("/socket", Dialect::V1));
        (wire.head().status == 101).then_some(())
    });

    let relay = Relay::start(&["--max-agents", "0"]);
    let answer = relay.exchange(&upgrade("/socket", Dialect::V1));
    assert_error("none may be there", &answer, (503, "TooBusyError", None));
}
