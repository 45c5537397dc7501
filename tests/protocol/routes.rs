//! Routes and methods: which exist, which do not, and the responses to both.

use crate::support::{Ask, Ending, Relay, Response, UNKNOWN, ask, assert_error, stream_of};
use serde_json::json;

const BAD_ROUTE: &str = "No endpoint exists for the specified method and/or route";
const NO_SESSION: &str = "The specified session id does not exist";

/// Each path below a stream, and its methods except `OPTIONS`.
fn known_paths(id: &str) -> Vec<(String, Vec<&'static str>)> {
    vec![
        ("/ping".to_owned(), vec!["GET", "HEAD"]),
        ("/version".to_owned(), vec!["GET", "HEAD"]),
        ("/stream".to_owned(), vec!["GET", "HEAD", "POST"]),
        (format!("/stream/{id}"), vec!["DELETE", "GET", "HEAD", "POST", "PUT"]),
        (format!("/stream/{id}/status"), vec!["GET", "HEAD"]),
        (format!("/stream/{id}/events"), vec!["GET", "HEAD"]),
        (format!("/stream/{id}/error"), vec!["POST"]),
    ]
}

/// Whether an upload to this path could be for a file of that name.
fn may_be_a_name(path: &str) -> bool {
    ["/status", "/events", "/error"].iter().any(|end| path.ends_with(end))
}

/// The members of `Allow`, sorted, without `OPTIONS`, and without the `PUT` of a file name.
fn allowed(path: &str, answer: &Response) -> Vec<String> {
    let mut allowed = answer.head.list("Allow");
    allowed.retain(|method| method != "OPTIONS" && !(may_be_a_name(path) && method == "PUT"));
    allowed.sort();
    allowed
}

#[test]
fn ping_answers_pong() {
    let answer = Relay::start(&[]).get("/ping");
    assert_eq!((answer.status(), answer.text().trim_end()), (200, "pong"));
    let kind = answer.head.get("Content-Type").expect("Content-Type");
    assert!(kind.starts_with("text/plain"), "{kind}");
}

#[test]
fn version_returns_the_program_name_and_its_version() {
    let answer = Relay::start(&[]).get("/version");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.get("Content-Type"), Some("application/json"));
    assert_eq!(answer.json()["name"], env!("CARGO_PKG_NAME"));
    assert_eq!(answer.json()["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn head_is_allowed_wherever_get_is() {
    let relay = Relay::start(&crate::support::TRUSTING);
    let id = relay.create();
    let rows = [
        ("/ping".to_owned(), 200),
        ("/version".to_owned(), 200),
        ("/stream".to_owned(), 200),
        (format!("/stream/{id}"), 200),
        (format!("/stream/{id}/status"), 200),
        (format!("/stream/{id}/events"), 200),
        (format!("/stream/{UNKNOWN}"), 404),
        (format!("/stream/{UNKNOWN}/status"), 404),
        ("/nowhere".to_owned(), 404),
    ];
    let mut wire = relay.connect();
    for (path, status) in rows {
        let answer = wire.exchange(&ask("HEAD", &path));
        assert_eq!(answer.status(), status, "HEAD {path}");
        // A body after the head would be read as the next response.
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "after HEAD {path}");
    }
}

#[test]
fn head_describes_what_get_would_send() {
    let relay = Relay::start(&[]);
    let status = format!("/stream/{}/status", relay.create());
    for path in ["/ping", "/version", &status, "/nowhere", "/stream/nothing"] {
        let (head, get) = (relay.exchange(&ask("HEAD", path)), relay.get(path));
        assert_eq!(head.status(), get.status(), "{path}");
        assert_eq!(head.head.get("Content-Type"), get.head.get("Content-Type"), "{path}");
        if let Some(length) = head.head.get("Content-Length") {
            assert_eq!(length, get.body.len().to_string(), "{path}");
        }
    }
}

#[test]
fn head_on_a_stream_never_consumes_it() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let stream = format!("/stream/{id}");
    assert_eq!(relay.exchange(&ask("HEAD", &stream)).status(), 200);
    assert_eq!(relay.status(&id)["state"], "CREATED");

    let mut source = relay.connect();
    source.ask(&ask("PUT", &stream).body("hello"));
    relay.await_state(&id, "SRC_CONNECTED");
    assert_eq!(relay.exchange(&ask("HEAD", &stream)).status(), 200);
    assert_eq!(relay.status(&id)["state"], "SRC_CONNECTED");

    assert_eq!(relay.get(&stream).text(), "hello");
    assert_eq!(source.response().status(), 200);
    relay.await_state(&id, "FINISHED");
    assert_eq!(relay.exchange(&ask("HEAD", &stream)).status(), 404);
}

#[test]
fn options_returns_the_methods_of_a_path() {
    let relay = Relay::start(&[]);
    for (path, methods) in known_paths(&relay.create()) {
        let answer = relay.exchange(&ask("OPTIONS", &path));
        assert_eq!(answer.status(), 204, "{path}");
        assert_eq!(allowed(&path, &answer), methods, "{path}");
        assert_eq!(answer.head.get("Content-Length"), None, "{path}: no length with a 204");
    }
}

#[test]
fn options_asterisk_is_answered() {
    let relay = Relay::start(&[]);
    let mut wire = relay.connect();
    let answer = wire.exchange(&ask("OPTIONS", "*"));
    assert_eq!(answer.status(), 204);
    assert!(allowed("*", &answer).contains(&"GET".to_owned()), "{:?}", answer.head);
    assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
}

#[test]
fn an_unknown_path_is_a_bad_route() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let rows = [
        ("an unknown path", "GET", "/nowhere".to_owned()),
        ("an unknown path, to post to", "POST", "/nowhere".to_owned()),
        ("a path that begins like one", "GET", "/pingpong".to_owned()),
        ("a path below one", "GET", "/ping/pong".to_owned()),
        ("below a status", "GET", format!("/stream/{id}/status/more")),
        ("another case", "GET", "/PING".to_owned()),
    ];
    for (name, method, path) in rows {
        let answer = relay.exchange(&ask(method, &path));
        assert_error(name, &answer, (404, "BadRouteError", Some(BAD_ROUTE)));
    }
}

#[test]
fn another_method_on_a_known_path_is_a_405_with_allow() {
    let relay = Relay::start(&[]);
    for (path, methods) in known_paths(&relay.create()) {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW", "get"] {
            if methods.contains(&method) || (method == "PUT" && may_be_a_name(&path)) {
                continue;
            }
            let name = format!("{method} {path}");
            let answer = relay.exchange(&ask(method, &path).length(0));
            assert_error(&name, &answer, (405, "BadRouteError", Some(BAD_ROUTE)));
            assert_eq!(allowed(&path, &answer), methods, "{name}");
        }
    }
}

#[test]
fn an_unknown_stream_is_not_a_bad_route() {
    let relay = Relay::start(&[]);
    for id in [UNKNOWN, "nonsense", "1", "00000000-0000-4000-8000-00000000000"] {
        let rows = [
            ("GET", format!("/stream/{id}")),
            ("PUT", format!("/stream/{id}")),
            ("POST", format!("/stream/{id}")),
            ("PUT", format!("/stream/{id}/name.txt")),
            ("DELETE", format!("/stream/{id}")),
            ("GET", format!("/stream/{id}/status")),
            ("GET", format!("/stream/{id}/events")),
            ("POST", format!("/stream/{id}/error")),
        ];
        for (method, path) in rows {
            let answer = relay.exchange(&ask(method, &path).length(0));
            let wanted = (404, "SessionNotFoundError", Some(NO_SESSION));
            assert_error(&format!("{method} {path}"), &answer, wanted);
        }
    }
}

#[test]
fn a_trailing_slash_and_a_query_change_nothing() {
    let relay = Relay::start(&crate::support::TRUSTING);
    for end in ["/", "?", "?a=b&c", "/?a=/x", "?active=maybe"] {
        for path in ["/ping", "/version", "/stream"] {
            assert_eq!(relay.get(&format!("{path}{end}")).status(), 200, "{path}{end}");
        }
        let id = stream_of(&relay.exchange(&ask("POST", &format!("/stream{end}"))));
        let stream = format!("/stream/{id}");
        assert_eq!(relay.get(&format!("{stream}/status{end}")).json()["id"], id, "{end}");

        let mut source = relay.connect();
        source.ask(&ask("PUT", &format!("{stream}{end}")).body("hello"));
        relay.await_state(&id, "SRC_CONNECTED");
        assert_eq!(relay.get(&format!("{stream}{end}")).text(), "hello", "{end}");

        let id = relay.create();
        let report = ask("POST", &format!("/stream/{id}/error{end}"));
        assert_eq!(relay.exchange(&report).status(), 200, "{end}");
        let id = relay.create();
        let delete = ask("DELETE", &format!("/stream/{id}{end}"));
        assert_eq!(relay.exchange(&delete).status(), 204, "{end}");
    }
}

#[test]
fn absolute_form_is_reduced_to_its_path() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let rows = [
        ("a host", "http://relay.test/ping".to_owned(), 200),
        ("another host and port", "http://other.example:8080/ping".to_owned(), 200),
        ("another case", "HTTP://relay.test/ping".to_owned(), 200),
        ("a query", "http://relay.test/ping?x=y".to_owned(), 200),
        ("a stream's status", format!("http://relay.test/stream/{id}/status"), 200),
        ("no path", "http://relay.test".to_owned(), 200),
        ("an unknown path", "http://relay.test/nowhere".to_owned(), 404),
    ];
    for (name, target, status) in rows {
        assert_eq!(relay.get(&target).status(), status, "{name}");
    }
}

#[test]
fn every_response_has_a_date() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let rows: [(&str, Ask); 11] = [
        ("ping", ask("GET", "/ping")),
        ("head", ask("HEAD", "/ping")),
        ("version", ask("GET", "/version")),
        ("created", ask("POST", "/stream")),
        ("options", ask("OPTIONS", "/ping")),
        ("status", ask("GET", &format!("/stream/{id}/status"))),
        ("list", ask("GET", "/stream")),
        ("bad route", ask("GET", "/nowhere")),
        ("not allowed", ask("DELETE", "/ping")),
        ("bad request", ask("GET", "/ping").field("Bad name", "x")),
        ("bad version", ask("GET", "/ping HTTP/2.0\r\nX: y")),
    ];
    for (name, ask) in rows {
        assert_date(name, &relay.exchange(&ask));
    }
    let paired = relay.create();
    let mut destination = relay.waiting_destination(&paired);
    let put = crate::support::Framing::Length(5).put(&paired).raw_body(b"hello");
    assert_date("upload", &relay.exchange(&put));
    assert_date("download", &destination.response());
    assert_date("deleted", &relay.exchange(&ask("DELETE", &format!("/stream/{id}"))));
}

/// An IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn assert_date(name: &str, answer: &Response) {
    let date = answer.head.get("Date").unwrap_or_else(|| panic!("{name}: no Date"));
    let shape: String = date
        .chars()
        .map(|c| match c {
            '0'..='9' => '0',
            'A'..='Z' => 'A',
            'a'..='z' => 'a',
            other => other,
        })
        .collect();
    assert_eq!(shape, "Aaa, 00 Aaa 0000 00:00:00 AAA", "{name}: {date}");
    assert!(date.ends_with(" GMT"), "{name}: {date}");
}

#[test]
fn errors_are_plain_text_if_preferred() {
    let relay = Relay::start(&[]);
    let rows = [
        ("text", "text/plain", true),
        ("any text", "text/*", true),
        ("text preferred", "application/json;q=0.5, text/plain", true),
        ("json", "application/json", false),
        ("anything", "*/*", false),
        ("json preferred", "text/plain;q=0.5, application/json", false),
        ("text unwanted", "text/plain;q=0, application/json", false),
    ];
    for (name, accept, text) in rows {
        let answer = relay.exchange(&ask("GET", "/nowhere").field("Accept", accept));
        if !text {
            assert_error(name, &answer, (404, "BadRouteError", Some(BAD_ROUTE)));
            continue;
        }
        assert_eq!((answer.status(), answer.ending), (404, Ending::Complete), "{name}");
        let kind = answer.head.get("Content-Type").unwrap_or_default();
        assert!(kind.starts_with("text/plain"), "{name}: {kind}");
        let line = answer.text().strip_suffix('\n').expect("a newline at the end");
        assert!(line.contains(BAD_ROUTE) && !line.contains('\n'), "{name}: {line:?}");
    }
}

#[test]
fn http_1_0_is_served_and_closed() {
    let relay = Relay::start(&[]);
    let created = ask("POST", "/stream").http10().body(json!({}).to_string());
    for (name, ask, status) in [
        ("ping", ask("GET", "/ping").http10(), 200),
        ("creation", created, 201),
        ("bad route", ask("GET", "/nowhere").http10(), 404),
    ] {
        let mut wire = relay.connect();
        let answer = wire.exchange(&ask);
        assert_eq!((answer.status(), answer.ending), (status, Ending::Complete), "{name}");
        wire.expect_end();
    }
}

#[test]
fn a_connection_stays_open_until_close_is_requested() {
    let relay = Relay::start(&[]);
    let mut wire = relay.connect();
    for _ in 0..3 {
        assert!(!wire.exchange(&ask("GET", "/ping")).head.closes());
        assert!(!wire.exchange(&ask("GET", "/nowhere")).head.closes());
    }
    let last = wire.exchange(&ask("GET", "/ping").closing());
    assert!(last.head.closes() && last.status() == 200, "{:?}", last.head);
    wire.expect_end();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let relay = Relay::start(&[]);
    let asks = [
        ask("GET", "/ping"),
        ask("GET", "/nowhere"),
        ask("POST", "/stream").body("{}"),
        ask("OPTIONS", "/ping"),
        ask("POST", "/stream").chunked().raw_body(b"2\r\n{}\r\n0\r\n\r\n"),
        ask("GET", "/version"),
    ];
    let mut wire = relay.connect();
    wire.send(asks.iter().flat_map(Ask::bytes).collect::<Vec<u8>>());
    let statuses: Vec<u16> = asks.iter().map(|_| wire.response().status()).collect();
    assert_eq!(statuses, [200, 404, 201, 204, 201, 200]);
    wire.assert_silent();
}
