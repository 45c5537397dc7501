//! Reported errors and deletions: which side receives them, when, and the resulting state.

use crate::support::{
    Ask, Ending, Framing, Relay, Response, UNKNOWN, ask, assert_error, assert_uploaded,
};
use serde_json::{Value, json};

const VAGUE: (u16, &str, Option<&str>) =
    (400, "Error", Some("The other side encountered an unspecified error"));
const NOT_FOUND: (u16, &str, Option<&str>) =
    (404, "SessionNotFoundError", Some("The specified session id does not exist"));
const STARTED: (u16, &str, Option<&str>) =
    (409, "StreamStartedError", Some("The specified session has already started streaming"));
const LENGTH_5: Framing = Framing::Length(5);

/// How a row changes a request.
type Change = fn(Ask) -> Ask;

fn get(id: &str) -> Ask {
    ask("GET", &format!("/stream/{id}"))
}

fn put(id: &str) -> Ask {
    LENGTH_5.put(id).raw_body(b"hello")
}

fn report(id: &str, body: impl AsRef<[u8]>) -> Ask {
    ask("POST", &format!("/stream/{id}/error")).body(body)
}

fn delete(relay: &Relay, id: &str) -> Response {
    relay.exchange(&ask("DELETE", &format!("/stream/{id}")))
}

/// The stream failed with this error, and every request for it reports so.
fn assert_ended_by(relay: &Relay, id: &str, name: &str, message: &str) {
    let status = relay.await_state(id, "CLIENT_ERROR");
    assert_eq!(status["active"], false);
    assert_eq!(status["error"], json!({ "name": name, "message": message }));
    assert_error("a later source", &relay.exchange(&put(id)), NOT_FOUND);
    assert_error("a later destination", &relay.exchange(&get(id)), NOT_FOUND);
}

#[test]
fn an_early_error_report_is_returned_to_the_next_client() {
    let relay = Relay::start(&[]);
    for (name, next) in [
        ("a destination", get as fn(&str) -> Ask),
        ("a source", put),
        ("an HTTP/1.0 destination", |id| get(id).http10()),
        ("a source that sends much", |id| Framing::Length(1 << 20).put(id).raw_body(&[0; 4096])),
        ("a chunked source", |id| Framing::Chunked.put(id).raw_body(b"5\r\nhello\r\n0\r\n\r\n")),
        ("a source with Expect", |id| LENGTH_5.put(id).field("Expect", "100-continue")),
    ] {
        let id = relay.create();
        assert_eq!(relay.report(&id).status(), 200, "{name}");
        assert_eq!(relay.exchange(&ask("HEAD", &format!("/stream/{id}"))).status(), 200, "{name}");
        assert_error(name, &relay.exchange(&next(&id)), VAGUE);
        assert_ended_by(&relay, &id, VAGUE.1, VAGUE.2.unwrap_or_default());
    }
}

#[test]
fn a_waiting_side_is_answered_at_once() {
    let relay = Relay::start(&[]);
    let body = json!({ "http_status": 404, "name": "FileNotFoundError", "message": "No 'a.txt'" });
    let wanted = (404, "FileNotFoundError", Some("No 'a.txt'"));
    for framing in [LENGTH_5, Framing::Chunked] {
        let id = relay.create();
        let mut source = relay.waiting_source(&id, framing);
        assert_eq!(relay.exchange(&report(&id, body.to_string())).status(), 200);
        assert_error("the source", &source.response(), wanted);
        assert_ended_by(&relay, &id, "FileNotFoundError", "No 'a.txt'");
    }
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    assert_eq!(relay.exchange(&report(&id, body.to_string())).status(), 200);
    assert_error("the destination", &destination.response(), wanted);
    assert_ended_by(&relay, &id, "FileNotFoundError", "No 'a.txt'");
    assert_eq!(destination.exchange(&ask("GET", "/ping")).status(), 200, "it is kept");
}

#[test]
fn every_member_of_a_report_has_its_default() {
    let relay = Relay::start(&[]);
    let vague = VAGUE.2.unwrap_or_default();
    let rows: [(Value, u16, &str, &str); 12] = [
        (json!({}), 400, "Error", vague),
        (json!({ "http_status": 404 }), 404, "Error", vague),
        (json!({ "name": "E" }), 400, "E", vague),
        (json!({ "message": "m" }), 400, "Error", "m"),
        (json!({ "http_status": 200, "name": "N", "message": "m" }), 200, "N", "m"),
        (json!({ "http_status": 299 }), 299, "Error", vague),
        (json!({ "http_status": 418, "message": "tea" }), 418, "Error", "tea"),
        (json!({ "http_status": 500 }), 500, "Error", vague),
        (json!({ "http_status": 599 }), 599, "Error", vague),
        (
            json!({ "message": "\"quoted\" \\ and \u{e9}\u{1f600}" }),
            400,
            "Error",
            "\"quoted\" \\ and \u{e9}\u{1f600}",
        ),
        (json!({ "message": "two\nlines" }), 400, "Error", "two\nlines"),
        (json!({ "else": [1], "name": "", "message": "" }), 400, "", ""),
    ];
    for (body, status, name, message) in rows {
        let id = relay.create();
        let mut destination = relay.waiting_destination(&id);
        assert_eq!(relay.exchange(&report(&id, body.to_string())).status(), 200, "{body}");
        let response = destination.response();
        assert_error(&body.to_string(), &response, (status, name, Some(message)));
    }
}

#[test]
fn a_status_without_content_is_sent_without_a_body() {
    let relay = Relay::start(&[]);
    for status in [204, 205, 304] {
        let id = relay.create();
        let mut destination = relay.waiting_destination(&id);
        let body = json!({ "http_status": status, "message": "quiet" }).to_string();
        assert_eq!(relay.exchange(&report(&id, body)).status(), 200);
        let response = destination.response();
        assert_eq!((response.status(), response.body.len()), (status, 0));
        assert_eq!(destination.exchange(&ask("GET", "/ping")).status(), 200, "after {status}");
        assert_eq!(relay.status(&id)["error"]["message"], "quiet");
    }
}

#[test]
fn a_report_may_be_chunked_or_have_no_body() {
    let relay = Relay::start(&[]);
    let path = |id: &str| format!("/stream/{id}/error");
    let rows: [(&str, Change, &str); 4] = [
        ("none", |ask| ask, "Error"),
        ("empty", |ask| ask.length(0), "Error"),
        ("empty, chunked", |ask| ask.chunked().raw_body(b"0\r\n\r\n"), "Error"),
        ("chunked", |ask| ask.chunked().raw_body(b"c\r\n{\"name\":\"N\"}\r\n0\r\n\r\n"), "N"),
    ];
    for (what, body, name) in rows {
        let id = relay.create();
        let report = body(ask("POST", &path(&id)));
        assert_eq!(relay.exchange(&report).status(), 200, "{what}");
        assert_error(what, &relay.exchange(&get(&id)), (400, name, VAGUE.2));
    }
}

#[test]
fn an_invalid_report_changes_nothing() {
    let relay = Relay::start(&[]);
    let rows: [(&str, &[u8]); 17] = [
        ("no JSON", b"oh no"),
        ("cut off", b"{\"name\":"),
        ("not UTF-8", b"{\"name\":\"\xff\"}"),
        ("an array", b"[]"),
        ("a string", b"\"Error\""),
        ("a number", b"404"),
        ("a boolean", b"true"),
        ("a status below", b"{\"http_status\":199}"),
        ("a status above", b"{\"http_status\":600}"),
        ("an interim status", b"{\"http_status\":100}"),
        ("a negative status", b"{\"http_status\":-404}"),
        ("a status with a fraction", b"{\"http_status\":404.5}"),
        ("a huge status", b"{\"http_status\":4294967696}"),
        ("a status in quotes", b"{\"http_status\":\"404\"}"),
        ("a boolean status", b"{\"http_status\":true}"),
        ("a name that is a number", b"{\"name\":1}"),
        ("a message that is an object", b"{\"message\":{}}"),
    ];
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    for (name, body) in rows {
        let answer = relay.exchange(&report(&id, body));
        assert_error(name, &answer, (400, "InvalidBodyError", None));
        assert_eq!(relay.status(&id)["state"], "DST_CONNECTED", "{name}");
    }
    let huge = relay.exchange(&report(&id, " ".repeat(64 * 1024 + 1)));
    assert_eq!(huge.status(), 413);
    destination.assert_silent();
    assert_uploaded(&relay.exchange(&put(&id)));
    assert_eq!(destination.response().text(), "hello");
}

#[test]
fn a_report_on_a_paired_stream_is_refused() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(LENGTH_5);
    assert_error("paired", &relay.report(&pair.id), STARTED);
    pair.pass_first(b"he");
    assert_error("streaming", &relay.report(&pair.id), STARTED);
    pair.pass(b"llo");
    pair.complete();
    relay.await_state(&pair.id, "FINISHED");
    assert_error("ended", &relay.report(&pair.id), STARTED);
    assert_eq!(relay.status(&pair.id)["state"], "FINISHED");
    assert_error("unknown", &relay.report(UNKNOWN), NOT_FOUND);
}

#[test]
fn a_report_beyond_the_retention_is_not_found() {
    let relay = Relay::start(&["--retention", "100ms"]);
    let id = relay.create();
    assert_eq!(delete(&relay, &id).status(), 204);
    let status = ask("GET", &format!("/stream/{id}/status"));
    crate::support::eventually("it is forgotten", || {
        (relay.exchange(&status).status() == 404).then_some(())
    });
    assert_error("forgotten", &relay.report(&id), NOT_FOUND);
}

#[test]
fn a_deleted_stream_is_not_found() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let answer = delete(&relay, &id);
    assert_eq!((answer.status(), answer.body.len()), (204, 0));
    assert_eq!(answer.head.get("Content-Length"), None);
    let status = relay.status(&id);
    assert_eq!((&status["state"], &status["active"]), (&"CLIENT_ERROR".into(), &false.into()));
    assert_eq!(status["error"]["name"], "StreamDeletedError");
    assert_error("a source", &relay.exchange(&put(&id)), NOT_FOUND);
    assert_error("a destination", &relay.exchange(&get(&id)), NOT_FOUND);
    assert_error("again", &delete(&relay, &id), NOT_FOUND);
    assert_error("unknown", &delete(&relay, UNKNOWN), NOT_FOUND);
}

#[test]
fn a_waiting_side_is_answered_410_on_deletion() {
    let relay = Relay::start(&[]);
    let deleted = (410, "StreamDeletedError", None);
    let id = relay.create();
    let mut source = relay.waiting_source(&id, LENGTH_5);
    assert_eq!(delete(&relay, &id).status(), 204);
    assert_error("the source", &source.response(), deleted);
    relay.await_state(&id, "CLIENT_ERROR");

    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    assert_eq!(delete(&relay, &id).status(), 204);
    assert_error("the destination", &destination.response(), deleted);
    relay.await_state(&id, "CLIENT_ERROR");
    assert_eq!(destination.exchange(&ask("GET", "/ping")).status(), 200, "it is kept");
}

#[test]
fn both_sides_of_a_pair_are_answered_410_on_deletion() {
    let relay = Relay::start(&[]);
    let deleted = (410, "StreamDeletedError", None);
    for framing in [LENGTH_5, Framing::Chunked] {
        let mut pair = relay.pair(framing);
        assert_eq!(delete(&relay, &pair.id).status(), 204);
        assert_error("the source", &pair.source.response(), deleted);
        assert_error("the destination", &pair.destination.response(), deleted);
        relay.await_state(&pair.id, "CLIENT_ERROR");
    }
}

#[test]
fn a_deleted_transfer_never_looks_complete() {
    let relay = Relay::start(&[]);
    for framing in [LENGTH_5, Framing::Chunked] {
        for old in [false, true] {
            let mut pair = relay.pair_with(framing, |get| if old { get.http10() } else { get });
            pair.pass_first(b"he");
            assert_eq!(delete(&relay, &pair.id).status(), 204);
            let (rest, ending) = pair.destination.rest();
            assert!(rest.is_empty() && ending != Ending::Complete, "{framing:?}: {ending:?}");
            if old && framing == Framing::Chunked {
                assert_eq!(ending, Ending::Reset);
            }
            assert_error("the source", &pair.source.response(), (410, "StreamDeletedError", None));
            let status = relay.await_state(&pair.id, "CLIENT_ERROR");
            assert_eq!(status["bytes_transferred"], 2);
        }
    }
}

#[test]
fn a_finished_stream_cannot_be_deleted() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(LENGTH_5);
    pair.pass_first(b"hello");
    pair.complete();
    relay.await_state(&pair.id, "FINISHED");
    assert_error("ended", &delete(&relay, &pair.id), NOT_FOUND);
    assert_eq!(relay.status(&pair.id)["state"], "FINISHED");
}
