//! Request ids: generated or accepted, in every response, and which ids of an upload are passed to
//! the download.

use std::collections::HashSet;
use std::fs;

use crate::support::{Ask, Framing, Relay, Response, ask, assert_error, eventually};
use serde_json::json;

const HEADER: &str = "X-Request-Id";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn id_of(response: &Response) -> &str {
    response.head.get(HEADER).expect("an id")
}

#[test]
fn request_ids_are_off_by_default() {
    let relay = Relay::start(&[]);
    let answer = relay.exchange(&ask("GET", "/ping").field(HEADER, "abc"));
    assert_eq!(answer.head.get(HEADER), None);
}

#[test]
fn every_response_has_a_unique_id() {
    let flags = ["--request-id", "--max-connections", "3"];
    let relay = Relay::start(&flags);
    let mut seen = HashSet::new();
    let mut see = |what: &str, response: &Response| {
        let id = id_of(response).to_owned();
        assert_eq!(id.len(), 36, "{what}: {id}");
        assert!(seen.insert(id), "{what}: seen before");
    };
    let mut wire = relay.connect();
    for (method, target) in [
        ("GET", "/ping"),
        ("HEAD", "/ping"),
        ("GET", "/version"),
        ("GET", "/stream"),
        ("OPTIONS", "*"),
        ("POST", "/stream"),
        ("GET", "/nope"),
        ("BREW", "/ping"),
    ] {
        see(target, &wire.exchange(&ask(method, target)));
    }
    let mut malformed = relay.connect();
    malformed.send("GET \r\n\r\n");
    see("a malformed request", &malformed.response());
    drop(malformed);

    let id = relay.create();
    let mut destination = relay.connect();
    destination.ask(&ask("GET", &format!("/stream/{id}")));
    eventually("the destination waits", || {
        let status = wire.exchange(&ask("GET", &format!("/stream/{id}/status")));
        (status.json()["state"] == "DST_CONNECTED").then_some(())
    });
    see("the upload", &wire.exchange(&Framing::Length(5).put(&id).raw_body(b"hello")));
    see("the download", &destination.response());

    let _third = eventually("all places are taken", || {
        let mut third = relay.connect();
        third.ask(&ask("GET", "/ping"));
        (third.response().status() == 200).then_some(third)
    });
    see("a refused connection", &relay.connect().response());
}

#[test]
fn a_valid_id_is_kept_and_an_invalid_one_replaced_or_refused() {
    let with = |value: &str| ask("GET", "/ping").field(HEADER, value);
    let twice = with("abc").field("x-request-id", "abc");
    let long = "x".repeat(129);
    let bad = [
        ("twice", twice),
        ("a comma", with("a,b")),
        ("a quote", with("a\"b")),
        ("a space", with("a b")),
        ("too long", with(&long)),
        ("empty", with("")),
    ];

    let lenient = Relay::start(&["--request-id"]);
    let strict = Relay::start(&["--request-id", "--request-id-strict"]);
    for relay in [&lenient, &strict] {
        for plain in ["abc", "Root=1-67891233", &"x".repeat(128)] {
            assert_eq!(id_of(&relay.exchange(&with(plain))), plain);
        }
        assert_eq!(relay.get("/ping").status(), 200, "without one");
    }
    for (name, ask) in &bad {
        let answer = lenient.exchange(ask);
        assert_eq!((answer.status(), id_of(&answer).len()), (200, 36), "{name}");
        let mut wire = strict.connect();
        let answer = wire.exchange(ask);
        assert_error(name, &answer, (400, "BadRequestError", None));
        assert!(answer.text().contains("1 to 128"), "{}", answer.text());
        assert_eq!(id_of(&answer).len(), 36, "{name}");
        assert_eq!(wire.exchange(&with("next")).status(), 200, "{name}: the connection goes on");
    }
}

#[test]
fn the_encoding_and_the_header_are_configurable() {
    for (encoding, length) in [("rfc4122", 36), ("BASE32", 26), ("base64", 22)] {
        let flags = ["--request-id=true", "--request-id-encoding", encoding];
        let relay = Relay::start(&[&flags[..], &["--request-id-header", "Request-Name"]].concat());
        let answer = relay.exchange(&ask("GET", "/ping").field(HEADER, "abc"));
        assert_eq!(answer.head.get(HEADER), None);
        let id = answer.head.get("Request-Name").expect("an id");
        assert_eq!(id.len(), length, "{encoding}: {id}");
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{id}");
        let taken = relay.exchange(&ask("GET", "/ping").field("request-name", "abc"));
        assert_eq!(taken.head.get("Request-Name"), Some("abc"));
    }
}

#[test]
fn the_log_has_the_id_of_the_response() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let log = path.to_str().expect("ASCII");
    let relay = Relay::start(&[
        "--request-id",
        "--access-log",
        log,
        "--access-log-format",
        "%{request_id}X",
    ]);
    let made = id_of(&relay.get("/ping")).to_owned();
    relay.exchange(&ask("GET", "/ping").field(HEADER, "abc"));
    eventually("both lines", || {
        (fs::read_to_string(&path).ok()? == format!("{made}\nabc\n")).then_some(())
    });
}

#[test]
fn the_creator_of_a_stream_cannot_duplicate_the_id() {
    let relay = Relay::start(&["--request-id"]);
    let headers = json!({ "x-request-id": "mine", "X-Other": "there" });
    let id = relay.create_with(&json!({ "download_headers": headers, "upload_headers": headers }));
    let mut destination = relay.waiting_destination(&id);
    let put = Framing::Length(5).put(&id).field(HEADER, "up").raw_body(b"hello");
    let uploaded = relay.exchange(&put);
    assert_eq!((id_of(&uploaded), uploaded.head.get("X-Other")), ("up", Some("there")));
    let downloaded = destination.response();
    assert_eq!((id_of(&downloaded).len(), downloaded.head.get("X-Other")), (36, Some("there")));
}

#[test]
fn the_trace_of_an_upload_passes_to_the_download() {
    let relay = Relay::start(&[]);
    let download = |body: serde_json::Value, change: &dyn Fn(Ask) -> Ask| {
        let id = relay.create_with(&body);
        let mut destination = relay.waiting_destination(&id);
        let put = change(Framing::Length(5).put(&id)).raw_body(b"hello");
        assert_eq!(relay.exchange(&put).status(), 200);
        let head = destination.response().head;
        let value = |name| head.get(name).map(str::to_owned);
        (value("X-Correlation-Id"), value("traceparent"))
    };
    let both = |ask: Ask| ask.field("x-correlation-id", "order-7").field("Traceparent", TRACE);
    let passed = (Some("order-7".to_owned()), Some(TRACE.to_owned()));
    assert_eq!(download(json!({}), &both), passed);
    assert_eq!(download(json!({}), &|ask| ask), (None, None));
    let bad = |ask: Ask| ask.field("X-Correlation-Id", "a b").field("traceparent", "00-0-0-0");
    assert_eq!(download(json!({}), &bad), (None, None), "neither is plain");
    let twice = |ask: Ask| both(both(ask));
    assert_eq!(download(json!({}), &twice), (None, None), "which of two?");
    let named = json!({ "download_headers": { "x-correlation-ID": "c", "TraceParent": "t" } });
    let creators = (Some("c".to_owned()), Some("t".to_owned()));
    assert_eq!(download(named, &both), creators, "the creator's go first");
}

#[test]
fn an_invalid_setting_is_a_one_line_error() {
    for (flag, part) in [
        ("--request-id=maybe", "--request-id"),
        ("--request-id-encoding=hex", "base32"),
        ("--request-id-header=a b", "X-Request-Id"),
        ("--request-id-header=Content-Length", "another meaning"),
    ] {
        let finished = crate::support::Process::rdv(&["serve", flag]).finish();
        assert_eq!(finished.status.code(), Some(2), "{flag}: {}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{flag}: {}", finished.stderr);
        assert!(finished.stderr.contains(part), "{flag}: {}", finished.stderr);
    }
}
