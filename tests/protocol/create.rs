//! Creation of a stream: accepted bodies, and refused ones.

use crate::support::{Ask, Relay, ask, assert_error, chunks, stream_of};
use serde_json::{Value, json};

/// Maximum length of a JSON body in bytes.
const JSON_BODY_MAX: usize = 64 * 1024;

fn create(body: impl AsRef<[u8]>) -> Ask {
    ask("POST", "/stream").body(body)
}

#[test]
fn a_stream_is_created_with_a_location() {
    let relay = Relay::start(&[]);
    let answer = relay.exchange(&ask("POST", "/stream"));
    let id = stream_of(&answer);
    assert_eq!(answer.json(), json!({ "stream": id }));
    assert_eq!(answer.head.get("Location"), Some(format!("/stream/{id}").as_str()));
    assert_eq!(answer.head.get("Content-Type"), Some("application/json"));
    assert_eq!(relay.status(&id)["state"], "CREATED");
}

#[test]
fn ids_are_unique_uuids() {
    let relay = Relay::start(&[]);
    let mut ids: Vec<String> = (0..50).map(|_| relay.create()).collect();
    for id in &ids {
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{id}");
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn every_valid_body_is_accepted() {
    let relay = Relay::start(&[]);
    let rows: [(&str, Ask); 16] = [
        ("none", ask("POST", "/stream")),
        ("empty", create("")),
        ("empty, chunked", ask("POST", "/stream").chunked().raw_body(b"0\r\n\r\n")),
        ("null", create("null")),
        ("no member", create("{}")),
        ("space around", create(" \r\n\t{ } \n")),
        ("empty maps", create(r#"{"download_headers":{},"upload_headers":{}}"#)),
        ("a string", create(r#"{"download_headers":{"X-A":"b c\td"}}"#)),
        ("an empty string", create(r#"{"download_headers":{"X-A":""}}"#)),
        ("a number", create(r#"{"upload_headers":{"X-A":1,"X-B":-2.5}}"#)),
        ("a boolean", create(r#"{"upload_headers":{"X-A":true,"X-B":false}}"#)),
        ("every token character", create(r#"{"upload_headers":{"!#$%&'*+-.^_`|~09aZ":"x"}}"#)),
        ("unknown members", create(r#"{"other":[1,{"a":null}],"download_headers":{"X-A":"b"}}"#)),
        ("chunked", ask("POST", "/stream").chunked().raw_body(&chunks(b"{\"a\":[]}", &[1, 3]))),
        ("another content type", create("{}").field("Content-Type", "text/plain")),
        ("escapes", create(r#"{"download_headers":{"X-\u0041":"\u0042"}}"#)),
    ];
    for (name, ask) in rows {
        let answer = relay.exchange(&ask);
        assert_eq!(answer.status(), 201, "{name}: {}", answer.text());
    }
}

#[test]
fn headers_are_kept_as_given() {
    let relay = Relay::start(&[]);
    let download = json!({ "X-Text": "a", "X-Number": 1, "X-Truth": true, "Content-Type": "a/b" });
    let upload = json!({ "Location": "http://new/place" });
    let body = json!({ "download_headers": download, "upload_headers": upload, "else": 1 });
    let status = relay.status(&relay.create_with(&body));
    assert_eq!((&status["download_headers"], &status["upload_headers"]), (&download, &upload));
}

#[test]
fn a_requested_ttl_is_granted_and_returned() {
    let relay = Relay::start(&["--ttl", "100s", "--max-ttl", "1000s"]);
    for (name, requested, reported) in [
        ("the shortest", "1", json!(1)),
        ("shorter than the usual one", "99", json!(99)),
        ("the longest", "1000", json!(1000)),
        ("longer than the longest", "1001", json!(1000)),
        ("with a fraction of zero", "60.0", json!(60)),
        ("longer than anything", "18446744073709551615", json!(1000)),
    ] {
        let answer = relay.exchange(&create(format!(r#"{{"ttl_seconds":{requested}}}"#)));
        let id = stream_of(&answer);
        assert_eq!(answer.json(), json!({ "stream": id, "ttl_seconds": reported }), "{name}");
    }
    let answer = relay.exchange(&create(r#"{"download_headers":{"X-A":"b"}}"#));
    let id = stream_of(&answer);
    assert_eq!(
        answer.text(),
        format!("{{\"stream\":\"{id}\"}}\n"),
        "without a request none is reported"
    );
}

#[test]
fn the_default_ttl_can_always_be_requested() {
    let relay = Relay::start(&["--ttl", "100s", "--max-ttl", "1s"]);
    for (requested, reported) in [(50, 50), (100, 100), (101, 100)] {
        let answer = relay.exchange(&create(format!(r#"{{"ttl_seconds":{requested}}}"#)));
        assert_eq!(answer.json()["ttl_seconds"], reported);
    }
}

#[test]
fn an_invalid_ttl_is_rejected() {
    let relay = Relay::start(&[]);
    for text in ["0", "-1", "1.5", "\"60\"", "\"60s\"", "true", "null", "[60]", "{}"] {
        let answer = relay.exchange(&create(format!(r#"{{"ttl_seconds":{text}}}"#)));
        let message = format!("ttl_seconds must be an integer of at least 1, got {text}");
        assert_error(text, &answer, (400, "InvalidBodyError", Some(&message)));
    }
    assert_eq!(relay.admin_get("/stream").json(), json!([]), "nothing was created");
}

#[test]
fn an_invalid_body_is_rejected() {
    let relay = Relay::start(&[]);
    let rows: [(&str, &[u8]); 20] = [
        ("no JSON", b"hello"),
        ("cut off", br#"{"download_headers":{"#),
        ("bytes after it", b"{} {}"),
        ("a comma too much", b"{\"a\":1,}"),
        ("not UTF-8", b"{\"a\":\"\xff\"}"),
        ("an array", b"[]"),
        ("a string", b"\"download_headers\""),
        ("a number", b"1"),
        ("a boolean", b"true"),
        ("download_headers an array", br#"{"download_headers":[]}"#),
        ("download_headers a string", br#"{"download_headers":"X-A: b"}"#),
        ("upload_headers a number", br#"{"upload_headers":1}"#),
        ("a value null", br#"{"download_headers":{"X-A":null}}"#),
        ("a value an array", br#"{"download_headers":{"X-A":["b"]}}"#),
        ("a value an object", br#"{"upload_headers":{"X-A":{}}}"#),
        ("an empty name", br#"{"upload_headers":{"":"x"}}"#),
        ("a line feed in a value", br#"{"download_headers":{"X-A":"b\r\nX-B: c"}}"#),
        ("a NUL in a value", br#"{"download_headers":{"X-A":"b\u0000"}}"#),
        ("DEL in a value", br#"{"download_headers":{"X-A":"b\u007f"}}"#),
        ("a line feed in a name", br#"{"download_headers":{"X-A\n":"b"}}"#),
    ];
    for (name, body) in rows {
        assert_error(name, &relay.exchange(&create(body)), (400, "InvalidBodyError", None));
    }
    assert_eq!(relay.admin_get("/stream").json(), json!([]), "nothing was created");
}

#[test]
fn an_invalid_header_is_named() {
    let relay = Relay::start(&[]);
    for map in ["download_headers", "upload_headers"] {
        for name in ["a b", "a:b", "a\u{e9}", "(a)", "a/b", "a@b", " a"] {
            let answer = relay.exchange(&create(json!({ map: { name: "x" } }).to_string()));
            let message = format!("Not a valid HTTP header name: {name}");
            assert_error(name, &answer, (400, "InvalidBodyError", Some(&message)));
        }
        for value in ["\u{e9}", "a\u{20ac}b", "\u{1f600}"] {
            let answer = relay.exchange(&create(json!({ map: { "X-A": value } }).to_string()));
            let message = format!("Not a valid HTTP header value: \"{value}\"");
            assert_error(value, &answer, (400, "InvalidBodyError", Some(&message)));
        }
    }
}

#[test]
fn headers_that_the_relay_controls_are_refused() {
    let relay = Relay::start(&[]);
    let names = [
        "Content-Length",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "te",
        "Trailer",
        "Upgrade",
        "Date",
        "Proxy-Authenticate",
        "Proxy-Connection",
        "proxy-anything",
    ];
    for name in names {
        for map in ["download_headers", "upload_headers"] {
            let body = json!({ map: { "X-A": "fine", name: "5" } }).to_string();
            let what = format!("{name} in {map}");
            assert_error(&what, &relay.exchange(&create(body)), (400, "InvalidBodyError", None));
        }
    }
    let near = json!({ "download_headers": { "Proxy": "a", "X-Date": "b", "Trailers": "c" } });
    relay.create_with(&near);
}

#[test]
fn headers_that_act_on_the_origin_are_refused() {
    let relay = Relay::start(&[]);
    for name in
        ["Set-Cookie", "strict-transport-security", "NEL", "Service-Worker-Allowed", "Set-Login"]
    {
        for map in ["download_headers", "upload_headers"] {
            let body = json!({ map: { "X-A": "fine", name: "5" } }).to_string();
            let message = format!(
                "The header {name} acts on the entire origin, which other streams share; remove it"
            );
            let answer = relay.exchange(&create(body));
            assert_error(name, &answer, (400, "InvalidBodyError", Some(&message)));
        }
    }
    assert_eq!(relay.admin_get("/stream").json(), json!([]), "no stream was made");
}

#[test]
fn a_body_may_have_up_to_64_kib() {
    let relay = Relay::start(&[]);
    let spaces = |len: usize| [b"{}".to_vec(), vec![b' '; len - 2]].concat();
    let (most, more) = (spaces(JSON_BODY_MAX), spaces(JSON_BODY_MAX + 1));
    let chunked = |body: &[u8]| ask("POST", "/stream").chunked().raw_body(&chunks(body, &[5000]));
    let rows = [
        ("the largest", create(&most), 201),
        ("the largest, chunked", chunked(&most), 201),
        ("a byte more", create(&more), 413),
        ("a byte more, chunked", chunked(&more), 413),
    ];
    for (name, ask, status) in rows {
        let answer = relay.exchange(&ask);
        assert_eq!(answer.status(), status, "{name}: {}", answer.text());
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let relay = Relay::start(&[]);
    for length in ["65537", "4294967296", "9223372036854775807"] {
        let mut wire = relay.connect();
        let answer = wire.exchange(&ask("POST", "/stream").field("Content-Length", length));
        assert_eq!(answer.status(), 413, "{length}");
        wire.finish_sending();
        wire.expect_end();
    }
}

#[test]
fn the_body_limit_is_configurable() {
    let relay = Relay::start(&["--max-json-body", "1KiB"]);
    let body = |len: usize| format!("{{}}{}", " ".repeat(len - 2));
    assert_eq!(relay.exchange(&create(body(1024))).status(), 201);
    assert_eq!(relay.exchange(&create(body(1025))).status(), 413);
}

#[test]
fn expect_100_continue_is_answered() {
    let relay = Relay::start(&[]);
    let expecting = ask("POST", "/stream").field("Expect", "100-continue");
    for (name, head, body) in [
        ("length", expecting.clone().length(2), &b"{}"[..]),
        ("chunked", expecting.clone().chunked(), b"2\r\n{}\r\n0\r\n\r\n"),
    ] {
        let mut wire = relay.connect();
        wire.ask(&head);
        wire.expect_continue();
        wire.send(body);
        assert_eq!(wire.response().status(), 201, "{name}");
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "{name}: kept");
    }
    let refused = relay.exchange(&expecting.clone().length(JSON_BODY_MAX + 1));
    assert_eq!(refused.status(), 413, "a refusal in its place");
    let unknown = relay.exchange(&ask("POST", "/stream").length(2).field("Expect", "wonders"));
    assert_eq!(unknown.status(), 417);
    let old = relay.exchange(&expecting.http10().body("{}"));
    assert_eq!(old.status(), 201, "HTTP/1.0 gets no 100");
}

#[test]
fn a_body_may_arrive_byte_by_byte() {
    let relay = Relay::start(&[]);
    let body = json!({ "download_headers": { "X-A": "b" } }).to_string();
    let rows = [
        ("length", create(&body)),
        ("chunked", ask("POST", "/stream").chunked().raw_body(&chunks(body.as_bytes(), &[4]))),
    ];
    for (name, ask) in rows {
        let mut wire = relay.connect();
        for byte in ask.bytes() {
            wire.send([byte]);
        }
        let id = stream_of(&wire.response());
        assert_eq!(relay.status(&id)["download_headers"]["X-A"], "b", "{name}");
    }
}

#[test]
fn a_refused_body_does_not_affect_the_next_request() {
    let relay = Relay::start(&[]);
    let mut wire = relay.connect();
    wire.send([create("nonsense").bytes(), create("{}").bytes()].concat());
    assert_error("the first", &wire.response(), (400, "InvalidBodyError", None));
    stream_of(&wire.response());
}

#[test]
fn an_interrupted_creation_creates_nothing() {
    let relay = Relay::start(&[]);
    let mut wire = relay.connect();
    wire.ask(&ask("POST", "/stream").length(3).raw_body(b"{}"));
    drop(wire);
    let mut wire = relay.connect();
    wire.ask(&ask("POST", "/stream").chunked().raw_body(b"2\r\n{}\r\n"));
    wire.finish_sending();
    let (answer, _) = wire.read_to_end();
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(relay.admin_get("/stream").json(), Value::Array(Vec::new()));
}
