//! The heads of downloads and of upload responses, and `Expect: 100-continue`.

use crate::support::{Ask, Framing, Head, Relay, UNKNOWN, ask, assert_error, assert_uploaded};
use serde_json::json;

/// The download's head and the upload's response of one small exchange.
fn heads(relay: &Relay, id: &str, put: &Ask) -> (Head, Head) {
    let mut destination = relay.waiting_destination(id);
    let uploaded = relay.exchange(put);
    assert_uploaded(&uploaded);
    let download = destination.response();
    assert_eq!((download.status(), download.text()), (200, "hello"));
    (download.head, uploaded.head)
}

fn put(id: &str) -> Ask {
    ask("PUT", &format!("/stream/{id}")).body("hello")
}

#[test]
fn type_and_disposition_of_the_upload_pass_through() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let disposition = "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt";
    let upload = put(&id)
        .field("content-type", "text/csv; charset=utf-8")
        .field("CONTENT-DISPOSITION", disposition);
    let (download, _) = heads(&relay, &id, &upload);
    assert_eq!(download.get("Content-Type"), Some("text/csv; charset=utf-8"));
    assert_eq!(download.get("Content-Disposition"), Some(disposition));
}

#[test]
fn no_other_header_of_the_upload_passes_through() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let secrets = ["Authorization", "Cookie", "X-Secret", "Set-Cookie", "Location", "ETag"];
    let upload = secrets.iter().fold(put(&id), |put, name| put.field(name, "secret"));
    let (download, uploaded) = heads(&relay, &id, &upload);
    for head in [download, uploaded] {
        assert!(head.fields.iter().all(|(_, value)| value != "secret"), "{head:?}");
    }
}

#[test]
fn download_headers_are_sent_and_take_precedence() {
    let relay = Relay::start(&[]);
    let id = relay.create_with(&json!({ "download_headers": {
        "content-type": "text/csv",
        "Content-Disposition": "attachment; filename=\"mine.csv\"",
        "X-Number": 42,
        "X-Fraction": 2.5,
        "X-Truth": true,
        "X-Empty": "",
        "X-Spaces": "a  b\tc",
    }}));
    let upload = put(&id)
        .field("Content-Type", "text/html")
        .field("Content-Disposition", "attachment; filename=\"theirs.html\"");
    let (download, uploaded) = heads(&relay, &id, &upload);
    let rows = [
        ("Content-Type", "text/csv"),
        ("Content-Disposition", "attachment; filename=\"mine.csv\""),
        ("X-Number", "42"),
        ("X-Fraction", "2.5"),
        ("X-Truth", "true"),
        ("X-Empty", ""),
        ("X-Spaces", "a  b\tc"),
    ];
    for (name, value) in rows {
        assert_eq!(download.get(name), Some(value), "{name}");
    }
    assert_eq!((uploaded.get("X-Number"), uploaded.get("X-Truth")), (None, None));
}

#[test]
fn upload_headers_are_sent_to_the_source_only() {
    let relay = Relay::start(&[]);
    let upload_headers = json!({ "Location": "http://new/file.csv", "X-Number": 7 });
    let id = relay.create_with(&json!({ "upload_headers": upload_headers }));
    let (download, uploaded) = heads(&relay, &id, &put(&id));
    assert_eq!(uploaded.get("Location"), Some("http://new/file.csv"));
    assert_eq!(uploaded.get("X-Number"), Some("7"));
    assert_eq!((download.get("Location"), download.get("X-Number")), (None, None));
}

#[test]
fn a_download_can_never_script_a_page() {
    let relay = Relay::start(&[]);
    let custom = json!({ "download_headers": {
        "Content-Security-Policy": "default-src *",
        "X-Content-Type-Options": "sniff",
    }});
    for id in [relay.create(), relay.create_with(&custom)] {
        let upload = put(&id).field("Content-Type", "text/html");
        let (download, _) = heads(&relay, &id, &upload);
        assert!(download.all("Content-Security-Policy").contains(&"sandbox"), "{download:?}");
        assert!(download.all("X-Content-Type-Options").contains(&"nosniff"), "{download:?}");
    }
}

#[test]
fn every_download_carries_the_same_five_headers() {
    let relay = Relay::start(&[]);
    let id = relay.create_with(&json!({ "download_headers": { "X-A": "b" } }));
    let (download, _) = heads(&relay, &id, &put(&id));
    let rows = [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Robots-Tag", "none"),
        ("X-Accel-Buffering", "no"),
        ("Content-Security-Policy", "sandbox"),
    ];
    for (name, value) in rows {
        assert_eq!(download.get(name), Some(value), "{name}");
    }
}

#[test]
fn a_field_that_no_client_can_set_marks_an_error() {
    let relay = Relay::start(&[]);
    for (name, report, field) in [
        ("a success status", json!({ "http_status": 200, "name": "NoFile" }), "NoFile"),
        ("no body", json!({ "http_status": 204, "name": "NoFile" }), "NoFile"),
        ("no token", json!({ "name": "a\r\nb: c" }), "Error"),
        ("too long", json!({ "name": "x".repeat(65) }), "Error"),
    ] {
        let id = relay.create();
        let report = ask("POST", &format!("/stream/{id}/error")).body(report.to_string());
        assert_eq!(relay.exchange(&report).status(), 200, "{name}");
        let answer = relay.get(&format!("/stream/{id}"));
        assert_eq!(answer.head.all("Rdv-Error"), [field], "{name}");
    }
    let id = relay.create();
    let (download, _) = heads(&relay, &id, &put(&id).field("Rdv-Error", "x"));
    assert_eq!(download.get("Rdv-Error"), None);
    for member in ["download_headers", "upload_headers"] {
        let own = json!({ member: { "rdv-error": "x" } });
        let answer = relay.exchange(&ask("POST", "/stream").body(own.to_string()));
        assert_error(member, &answer, (400, "InvalidBodyError", None));
    }
    let answer = relay.exchange(&ask("GET", "/none").field("Accept", "text/plain"));
    assert_eq!(answer.head.get("Rdv-Error"), Some("BadRouteError"));
}

#[test]
fn a_name_in_the_path_becomes_the_file_name() {
    let relay = Relay::start(&[]);
    let named = |id: &str, name: &str| ask("PUT", &format!("/stream/{id}/{name}")).body("hello");
    for end in ["", "/", "?query"] {
        let id = relay.create();
        let (download, _) = heads(&relay, &id, &named(&id, &format!("report.txt{end}")));
        let disposition = download.get("Content-Disposition").expect("Content-Disposition");
        assert!(disposition.contains("filename"), "{disposition}");
        assert!(disposition.contains("report.txt"), "{disposition}");
        assert!(!disposition.contains("query"), "{disposition}");
    }
    let id = relay.create();
    let upload = named(&id, "report.txt").field("Content-Disposition", "inline");
    let (download, _) = heads(&relay, &id, &upload);
    assert_eq!(download.get("Content-Disposition"), Some("inline"), "it is only the default");
    let own = json!({ "download_headers": { "Content-Disposition": "form-data" } });
    let id = relay.create_with(&own);
    let (download, _) = heads(&relay, &id, &named(&id, "report.txt"));
    assert_eq!(download.get("Content-Disposition"), Some("form-data"));
}

#[test]
fn a_name_in_the_path_cannot_inject_a_header() {
    let relay = Relay::start(&[]);
    for name in ["a%0d%0aX-Evil:%20yes", "%22;%20x=%22", "a%00b", "%ff%fe", "a%2fb"] {
        let id = relay.create();
        let upload = ask("PUT", &format!("/stream/{id}/{name}")).body("hello");
        // The client's parser refuses control bytes in a field.
        let (download, _) = heads(&relay, &id, &upload);
        assert_eq!(download.get("X-Evil"), None, "{name}");
        assert!(download.all("Content-Disposition").len() < 2, "{name}");
    }
}

#[test]
fn expect_100_continue_is_answered_once_paired() {
    let relay = Relay::start(&[]);
    for framing in [Framing::Length(5), Framing::Chunked] {
        let id = relay.create();
        let mut source = relay.connect();
        source.ask(&framing.put(&id).field("Expect", "100-continue"));
        relay.await_state(&id, "SRC_CONNECTED");
        source.assert_silent();
        let mut destination = relay.connect();
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        source.expect_continue();
        source.send([framing.piece(b"hello"), framing.end().to_vec()].concat());
        assert_eq!(destination.response().text(), "hello");
        assert_uploaded(&source.response());
    }
}

#[test]
fn expect_100_continue_of_the_second_side_is_answered_at_once() {
    let relay = Relay::start(&[]);
    for expectation in ["100-continue", "100-Continue"] {
        let id = relay.create();
        let mut destination = relay.waiting_destination(&id);
        let mut source = relay.connect();
        source.ask(&Framing::Length(5).put(&id).field("Expect", expectation));
        source.expect_continue();
        source.send("hello");
        assert_eq!(destination.response().text(), "hello");
        assert_uploaded(&source.response());
        assert_eq!(source.exchange(&ask("GET", "/ping")).status(), 200, "the connection is kept");
    }
}

#[test]
fn expect_100_continue_is_refused_with_the_final_status() {
    let relay = Relay::start(&[]);
    let expecting = |id: &str| Framing::Length(5).put(id).field("Expect", "100-continue");
    let taken = relay.create();
    let _source = relay.waiting_source(&taken, Framing::Length(5));
    let deleted = relay.create();
    relay.exchange(&ask("DELETE", &format!("/stream/{deleted}")));
    let reported = relay.create();
    assert_eq!(relay.report(&reported).status(), 200);
    let rows = [
        ("unknown", UNKNOWN, 404, "SessionNotFoundError"),
        ("ended", deleted.as_str(), 404, "SessionNotFoundError"),
        ("taken", taken.as_str(), 429, "AlreadyConnectedError"),
        ("reported", reported.as_str(), 400, "Error"),
    ];
    for (name, id, status, error) in rows {
        assert_error(name, &relay.exchange(&expecting(id)), (status, error, None));
    }
}

#[test]
fn an_unknown_expectation_fails_and_changes_nothing() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    for expectation in ["200-ok", "100-continue, miracles", "100"] {
        let put = Framing::Length(5).put(&id).field("Expect", expectation);
        assert_eq!(relay.exchange(&put).status(), 417, "{expectation}");
        assert_eq!(relay.status(&id)["state"], "CREATED", "{expectation}");
    }
}

#[test]
fn continue_is_not_sent_to_clients_that_do_not_wait() {
    let relay = Relay::start(&[]);
    let expecting = |id: &str| put(id).field("Expect", "100-continue");
    // `heads` takes the first response as final: a 100 would fail it.
    let id = relay.create();
    heads(&relay, &id, &expecting(&id).http10());
    let id = relay.create();
    heads(&relay, &id, &expecting(&id));

    let id = relay.create();
    let mut source = relay.connect();
    source.ask(&expecting(&id));
    relay.await_state(&id, "SRC_CONNECTED");
    assert_eq!(relay.get(&format!("/stream/{id}")).text(), "hello");
    assert_uploaded(&source.response());
}

#[test]
fn a_refused_download_keeps_the_connection() {
    let relay = Relay::start(&[]);
    let mut wire = relay.connect();
    for _ in 0..3 {
        let answer = wire.exchange(&ask("GET", &format!("/stream/{UNKNOWN}")));
        assert_error("a download of nothing", &answer, (404, "SessionNotFoundError", None));
    }
    assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
}

#[test]
fn a_range_request_is_refused_before_it_joins() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let path = format!("/stream/{id}");
    let mut source = relay.connect();
    source.ask(&put(&id));
    relay.await_state(&id, "SRC_CONNECTED");
    let mut destination = relay.connect();
    for range in ["bytes=100-", "bytes=0-499", "Bytes= -5", "bytes=0-,5-"] {
        let refused = destination.exchange(&ask("GET", &path).field("Range", range));
        let message =
            "A stream cannot resume, and was not joined; retry without Range to receive all of it";
        assert_error(range, &refused, (416, "RangeNotSupportedError", Some(message)));
        assert_eq!(refused.head.get("Accept-Ranges"), Some("none"), "{range}");
        assert_eq!(relay.status(&id)["state"], "SRC_CONNECTED", "{range}");
    }
    let asked = destination.exchange(&ask("HEAD", &path).field("Range", "bytes=100-"));
    assert_eq!(asked.status(), 200, "no range is defined for HEAD");
    assert_eq!(destination.exchange(&ask("GET", &path)).text(), "hello", "on the same connection");
    assert_uploaded(&source.response());
    let over = relay.exchange(&ask("GET", &path).field("Range", "bytes=100-"));
    assert_error("a stream that is over", &over, (404, "SessionNotFoundError", None));
}

#[test]
fn a_complete_or_ignored_range_joins() {
    let relay = Relay::start(&[]);
    for fields in [
        &[("Range", "bytes=0-")][..],
        &[("range", "Bytes= 0- ")],
        &[("Range", "lines=5-")],
        &[("Range", "bytes=5")],
        &[("Range", "bytes=5-"), ("If-Range", "\"a\"")],
    ] {
        let id = relay.create();
        let get = ask("GET", &format!("/stream/{id}"));
        let get = fields.iter().fold(get, |get, (name, value)| get.field(name, value));
        let mut destination = relay.connect();
        destination.ask(&get);
        relay.await_state(&id, "DST_CONNECTED");
        assert_uploaded(&relay.exchange(&put(&id)));
        let download = destination.response();
        assert_eq!((download.status(), download.text()), (200, "hello"), "{fields:?}");
    }
}

#[test]
fn a_head_shows_the_download_of_a_waiting_source_without_joining() {
    let relay = Relay::start(&[]);
    let head = |id: &str| relay.exchange(&ask("HEAD", &format!("/stream/{id}")));
    for framing in [Framing::Length(5), Framing::Chunked] {
        let id = relay.create_with(&json!({ "download_headers": { "X-A": "b" } }));
        assert_eq!(head(&id).head.get("Content-Disposition"), None);
        let mut source = relay.connect();
        source.ask(&framing.put(&id).field("Content-Disposition", "attachment; filename=\"a\""));
        relay.await_state(&id, "SRC_CONNECTED");
        let shown = head(&id).head;
        for (name, value) in [("X-A", "b"), ("Content-Disposition", "attachment; filename=\"a\"")] {
            assert_eq!(shown.get(name), Some(value), "{name}");
        }
        let is_sized = framing == Framing::Length(5);
        assert_eq!(shown.get("Content-Length"), Some("5").filter(|_| is_sized));
        assert_eq!(relay.await_state(&id, "SRC_CONNECTED")["active"], true);
    }
}
