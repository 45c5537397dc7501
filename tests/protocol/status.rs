//! Status objects: every member in every state, and their retention.

use std::thread;

use crate::support::{
    Framing, Relay, UNKNOWN, ask, assert_error, assert_uploaded, eventually, pattern,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The members of every status.
const ALWAYS: [&str; 8] = [
    "id",
    "created_at",
    "state",
    "active",
    "download_headers",
    "upload_headers",
    "bytes_transferred",
    "receipt",
];

/// An ISO 8601 time in UTC with milliseconds.
fn time(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("a time: {value}"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Exactly the members of this state, each with its type.
fn assert_shape(status: &Value, ended: bool, erred: bool) {
    let members = status.as_object().unwrap_or_else(|| panic!("an object: {status}"));
    let mut wanted = ALWAYS.to_vec();
    wanted.extend(ended.then_some("deactivated_at"));
    wanted.extend(erred.then_some("error"));
    wanted.sort_unstable();
    let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
    names.retain(|name| *name != "bottleneck");
    names.sort_unstable();
    assert_eq!(names, wanted, "{status}");
    let created = time(&status["created_at"]);
    if ended {
        assert!(time(&status["deactivated_at"]) >= created, "{status}");
    }
    if erred {
        let error = status["error"].as_object().expect("an error");
        assert!(error.len() == 2 && error["name"].is_string(), "{status}");
        assert!(error["message"].is_string(), "{status}");
    }
    assert_eq!(status["active"], !ended, "{status}");
    assert!(status["bytes_transferred"].is_u64(), "{status}");
}

#[test]
fn the_status_has_every_member_in_every_active_state() {
    let relay = Relay::start(&[]);
    let (download, upload) = (json!({ "X-A": "b", "X-B": 1 }), json!({ "X-C": true }));
    let body = json!({ "download_headers": download, "upload_headers": upload });
    let check = |id: &str, state: &str, bytes: u64| {
        let status = relay.await_state(id, state);
        assert_shape(&status, false, false);
        assert_eq!(status["id"], id);
        assert_eq!(status["download_headers"], download);
        assert_eq!(status["upload_headers"], upload);
        assert_eq!(status["bytes_transferred"], bytes, "{state}");
    };
    let id = relay.create_with(&body);
    check(&id, "CREATED", 0);
    let mut destination = relay.waiting_destination(&id);
    check(&id, "DST_CONNECTED", 0);
    let mut source = relay.connect();
    source.ask(&Framing::Chunked.put(&id));
    check(&id, "STREAMING", 0);
    source.send(Framing::Chunked.piece(b"hello"));
    destination.head();
    assert_eq!(destination.body(5), b"hello");
    check(&id, "STREAMING", 5);

    let id = relay.create_with(&body);
    let _source = relay.waiting_source(&id, Framing::Length(5));
    check(&id, "SRC_CONNECTED", 0);
}

#[test]
fn a_status_without_headers_has_empty_maps() {
    let relay = Relay::start(&[]);
    for id in [relay.create(), relay.create_with(&json!({})), relay.create_with(&Value::Null)] {
        let status = relay.status(&id);
        assert_eq!(status["download_headers"], json!({}));
        assert_eq!(status["upload_headers"], json!({}));
    }
}

#[test]
fn a_finished_stream_has_no_error_and_counts_every_byte() {
    let relay = Relay::start(&[]);
    let data = pattern(8, 70_000);
    for (framing, old) in [(Framing::Length(data.len()), false), (Framing::Chunked, true)] {
        let mut pair = relay.pair_with(framing, |get| if old { get.http10() } else { get });
        pair.pass_first(&data);
        pair.complete();
        let status = relay.await_state(&pair.id, "FINISHED");
        assert_shape(&status, true, false);
        assert_eq!(status["bytes_transferred"], data.len(), "the body's bytes, not its framing");
    }
}

#[test]
fn a_failed_stream_has_an_error() {
    let relay = Relay::start(&["--ttl", "3s"]);
    let check = |id: &str, state: &str, name: &str| {
        let status = relay.await_state(id, state);
        assert_shape(&status, true, true);
        assert_eq!(status["error"]["name"], name, "{state}");
    };
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    drop(pair.source);
    check(&pair.id, "SRC_DISCONNECTED", "StreamSourceError");
    let mut pair = relay.pair(Framing::Chunked);
    pair.source.send("nonsense\r\n");
    check(&pair.id, "SRC_ERROR", "StreamSourceError");
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    drop(pair.destination);
    check(&pair.id, "DST_DISCONNECTED", "StreamDestinationError");
    let id = relay.create();
    check(&id, "TIMEOUT_NO_SRC_NO_DST", "SessionTimeoutError");
    let id = relay.create();
    let _waiting = relay.waiting_destination(&id);
    relay.report(&id);
    check(&id, "CLIENT_ERROR", "Error");
}

#[test]
fn bytes_are_counted_during_the_transfer() {
    let relay = Relay::start(&[]);
    for framing in [Framing::Length(50), Framing::Chunked] {
        let mut pair = relay.pair(framing);
        pair.pass_first(b"01234");
        for passed in 2..=10 {
            pair.pass(b"56789");
            assert_eq!(relay.status(&pair.id)["bytes_transferred"], passed * 5);
        }
        pair.complete();
    }
}

#[test]
fn a_status_is_kept_for_the_retention_time() {
    let relay = Relay::start(&["--retention", "200ms"]);
    let waiting = relay.create();
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    assert_uploaded(&relay.exchange(&Framing::Length(5).put(&id).raw_body(b"hello")));
    assert_eq!(destination.response().text(), "hello");
    let status = ask("GET", &format!("/stream/{id}/status"));
    let forgotten = eventually("it is forgotten", || {
        let answer = relay.exchange(&status);
        (answer.status() != 200).then_some(answer)
    });
    assert_error("forgotten", &forgotten, (404, "SessionNotFoundError", None));
    assert_eq!(relay.status(&waiting)["state"], "CREATED", "what is active is kept");
    let held = relay.admin_get("/stream").json();
    assert_eq!(held.as_array().map(Vec::len), Some(1));
}

#[test]
fn the_status_of_an_unknown_stream_is_not_found() {
    let relay = Relay::start(&[]);
    for id in [UNKNOWN, "nonsense"] {
        let answer = relay.get(&format!("/stream/{id}/status"));
        assert_error(id, &answer, (404, "SessionNotFoundError", None));
    }
}

#[test]
fn a_status_is_json() {
    let relay = Relay::start(&[]);
    let answer = relay.get(&format!("/stream/{}/status", relay.create()));
    assert_eq!(answer.head.get("Content-Type"), Some("application/json"));
}

fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|status| status["id"].as_str().expect("an id")).collect()
}

#[test]
fn the_list_contains_every_stream_oldest_first() {
    let relay = Relay::start(&crate::support::TRUSTING);
    let answer = relay.get("/stream");
    assert_eq!(answer.head.get("Content-Type"), Some("application/json"));
    assert_eq!(answer.json(), json!([]));

    let made: Vec<String> = (0..5).map(|_| relay.create()).collect();
    for gone in [1, 3] {
        let delete = ask("DELETE", &format!("/stream/{}", made[gone]));
        assert_eq!(relay.exchange(&delete).status(), 204);
    }
    let list = relay.get("/stream").json();
    assert_eq!(ids(&list), made);
    for status in list.as_array().expect("a list") {
        let id = status["id"].as_str().expect("an id");
        assert_eq!(*status, relay.status(id), "the same object in the list and alone");
    }
    for query in ["?active=true", "?x=y&active=true", "/?active=true"] {
        let active = relay.get(&format!("/stream{query}")).json();
        assert_eq!(ids(&active), [&made[0], &made[2], &made[4]], "{query}");
    }
}

/// Number of streams in the long list.
const MANY: usize = 4_000;

#[test]
fn a_truncated_close_delimited_list_never_looks_complete() {
    let flags = ["--keep-alive-timeout", "1s", "--max-unjoined-streams-per-address", "0"];
    let relay = Relay::start(&[&crate::support::TRUSTING[..], &flags].concat());
    let before = relay.descriptors();
    let headers = json!({ "download_headers": { "X-Pad": "p".repeat(60_000) } }).to_string();
    for _ in 0..500 {
        let made = relay.exchange(&ask("POST", "/stream").body(&headers));
        assert_eq!(made.status(), 201, "{}", made.text());
    }
    let mut slow = crate::support::Wire::connect_narrow(relay.address());
    slow.ask(&ask("GET", "/stream").http10());
    assert_eq!(slow.head().status, 200);
    relay.await_descriptors(before, 0);
    assert_eq!(slow.read_to_end().1, crate::support::Ending::Reset);
}

#[test]
fn a_long_list_is_streamed_to_a_slow_reader_while_others_are_served() {
    let flags = ["--max-streams", "20000", "--max-unjoined-streams-per-address", "0"];
    let relay = Relay::start(&[&crate::support::TRUSTING[..], &flags].concat());
    let create = |count: usize| {
        let mut wire = relay.connect();
        let headers = json!({ "download_headers": { "X-Pad": "p".repeat(100) } }).to_string();
        let post = ask("POST", "/stream").body(headers).bytes();
        let mut made = Vec::with_capacity(count);
        for _ in 0..count / 100 {
            wire.send(post.repeat(100));
            made.extend((0..100).map(|_| crate::support::stream_of(&wire.response())));
        }
        made
    };
    let made = create(MANY);
    let mut slow = crate::support::Wire::connect_narrow(relay.address());
    slow.ask(&ask("GET", "/stream"));
    assert_eq!(slow.head().status, 200);
    relay.await_turn();

    // The list changes while it is being read, at both ends.
    for id in made.iter().take(50).chain(made.iter().skip(MANY - 50)) {
        assert_eq!(relay.exchange(&ask("DELETE", &format!("/stream/{id}"))).status(), 204);
    }
    let later = create(200);
    let others = thread::scope(|scope| {
        let others = scope.spawn(|| (0..200).all(|_| relay.get("/ping").status() == 200));
        let (body, ending) = slow.rest();
        assert_eq!(ending, crate::support::Ending::Complete);
        let list = crate::support::parse(&body);
        let mut listed = ids(&list);
        listed.retain(|id| !later.iter().any(|new| new == id));
        assert_eq!(listed, made, "every stream once, oldest first");
        others.join().expect("the others")
    });
    assert!(others);
}

#[test]
fn a_late_client_gets_the_outcome_of_the_stream() {
    let relay = Relay::start(&["--ttl", "3s"]);
    let used = {
        let mut pair = relay.pair(Framing::Length(1));
        pair.pass_first(b"x");
        pair.complete();
        pair.id
    };
    let deleted = relay.create();
    assert_eq!(relay.exchange(&ask("DELETE", &format!("/stream/{deleted}"))).status(), 204);
    let broken = {
        let mut pair = relay.pair(Framing::Length(2));
        pair.pass_first(b"x");
        drop(pair.source);
        pair.id
    };
    relay.await_state(&broken, "SRC_DISCONNECTED");
    let expired = relay.create();
    relay.await_state(&expired, "TIMEOUT_NO_SRC_NO_DST");
    let message = "The specified session id does not exist";
    for (id, begin, end) in [
        (&used, "used at ", " UTC"),
        (&deleted, "deleted ", " ago"),
        (&broken, "the sender disconnected ", " ago"),
        (&expired, "expired ", " s ago"),
    ] {
        for method in ["GET", "PUT"] {
            let request = ask(method, &format!("/stream/{id}")).length(0);
            let answer = relay.exchange(&request);
            assert_error(method, &answer, (404, "SessionNotFoundError", None));
            let body = answer.json();
            assert_eq!(body["message"], message);
            let reason = body["reason"].as_str().expect("a reason");
            assert!(reason.starts_with(begin) && reason.ends_with(end), "{reason}");
            let answer = relay.exchange(&request.field("Accept", "text/plain"));
            let text = answer.text().to_owned();
            let wanted = format!("SessionNotFoundError: {message} ({begin}");
            assert!(text.starts_with(&wanted) && text.ends_with(&format!("{end})\n")), "{text}");
        }
    }
    let unknown = relay.get(&format!("/stream/{UNKNOWN}"));
    assert_error("unknown", &unknown, (404, "SessionNotFoundError", Some(message)));
}
