//! The pages on the wire: previews never use up a stream, errors are pages for browsers only, and
//! no value of a client is more than text. tests/browser shows them to a browser.

use crate::support::{
    Ask, Framing, Observed, Relay, UNKNOWN, Wire, ask, assert_error, assert_uploaded, parse,
    stream_of,
};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read as _;

/// What Chromium sends when it navigates.
const NAVIGATION: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
                          image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";

const HTML: &str = "text/html; charset=utf-8";

/// A request of a browser for a page.
fn browse(target: &str) -> Ask {
    ask("GET", target).field("Accept", NAVIGATION)
}

/// A stream with a source that waits: a text of 5 bytes with this name.
fn waiting(relay: &Relay, name: &str) -> (String, Wire) {
    let id = relay.create();
    let mut source = relay.connect();
    let disposition = format!("attachment; filename=\"{name}\"");
    let put = Framing::Length(5).put(&id).field("Content-Type", "text/plain");
    source.ask(&put.field("Content-Disposition", &disposition));
    source.send(b"hello");
    relay.await_state(&id, "SRC_CONNECTED");
    (id, source)
}

/// Reads the next event of the relay's state.
fn event(watcher: &mut Wire) -> Value {
    let chunk = watcher.chunk();
    parse(chunk.strip_prefix(b"event: watch\ndata: ").expect("an event of the state"))
}

#[test]
fn the_root_is_a_page_for_browsers_and_text_for_others() {
    let relay = Relay::start(&[]);
    let page = relay.exchange(&browse("/"));
    assert_eq!((page.status(), page.head.get("Content-Type")), (200, Some(HTML)));
    assert!(page.head.get("Content-Security-Policy").unwrap().contains("default-src 'none'"));
    let text = relay.get("/");
    assert_eq!(text.head.get("Content-Type"), Some("text/plain; charset=utf-8"));
    let command = "curl -X POST http://relay.test/stream";
    assert!(text.text().contains(command), "{}", text.text());
    for answer in [&page, &text] {
        assert!(answer.head.get("Vary").unwrap().contains("Accept"), "{:?}", answer.head);
    }
}

#[test]
fn commands_to_copy_have_no_characters_that_a_shell_interprets() {
    let relay = Relay::start(&[]);
    let (id, _source) = waiting(&relay, "a.txt");
    for (host, shown) in [
        ("relay.example:8080", "relay.example:8080"),
        ("[::1]:8080", "[::1]:8080"),
        ("a$(id).example", "HOST"),
        ("a;b.example", "HOST"),
        ("b'.example", "HOST"),
    ] {
        for target in ["/", &format!("/s/{id}")] {
            let answer = relay.exchange(&Ask::to_host("GET", target, host));
            let text = answer.text();
            assert!(text.contains(&format!("http://{shown}/stream")), "{target}: {host}: {text}");
        }
    }
}

#[test]
fn files_are_compressed_and_cached() {
    let relay = Relay::start(&[]);
    let plain = relay.get("/web/rdv.css");
    assert_eq!(plain.head.get("Content-Type"), Some("text/css; charset=utf-8"));
    assert_eq!(plain.head.get("Content-Encoding"), None);
    let gzip = relay.exchange(&ask("GET", "/web/rdv.css").field("Accept-Encoding", "br, gzip"));
    assert_eq!(gzip.head.get("Content-Encoding"), Some("gzip"));
    let mut content = Vec::new();
    GzDecoder::new(&gzip.body[..]).read_to_end(&mut content).unwrap();
    assert_eq!(content, plain.body);
    for (answer, coding) in [(&plain, "identity"), (&gzip, "gzip")] {
        let etag = answer.head.get("ETag").unwrap();
        let again = ask("GET", "/web/rdv.css").field("Accept-Encoding", coding);
        for (value, status) in
            [(etag, 304), (&format!("\"x\", W/{etag}"), 304), ("*", 304), ("\"x\"", 200)]
        {
            let answer = relay.exchange(&again.clone().field("If-None-Match", value));
            assert_eq!(answer.status(), status, "{coding}: {value}");
            assert_eq!(answer.head.get("ETag"), Some(etag), "{coding}: {value}");
        }
    }
    assert_ne!(plain.head.get("ETag"), gzip.head.get("ETag"));
    for missing in ["/web/send.html", "/web/receive.html", "/web/", "/web/x.js", "/web/../mod.rs"] {
        assert_error(missing, &relay.get(missing), (404, "BadRouteError", None));
    }
}

#[test]
fn the_page_of_a_stream_shows_it_and_never_uses_it_up() {
    let relay = Relay::start(&[]);
    let (id, mut source) = waiting(&relay, "a <b>.txt");
    for request in [browse(&format!("/s/{id}")), ask("GET", &format!("/s/{id}/"))] {
        let page = relay.exchange(&request);
        assert_eq!((page.status(), page.head.get("Content-Type")), (200, Some(HTML)));
        assert_eq!(page.head.get("Cache-Control"), Some("no-store"));
        for part in [
            "<meta property=\"og:title\" content=\"a &lt;b&gt;.txt (5 B)\">",
            &format!("href=\"/stream/{id}?download\" >"),
            "data-state=\"SRC_CONNECTED\"",
            "text/plain",
        ] {
            assert!(page.text().contains(part), "{part} in {}", page.text());
        }
    }
    assert_eq!(relay.exchange(&ask("HEAD", &format!("/s/{id}"))).status(), 200);
    assert_eq!(relay.status(&id)["state"], "SRC_CONNECTED");
    assert_eq!(relay.get(&format!("/stream/{id}")).body, b"hello");
    assert_uploaded(&source.response());
}

#[test]
fn a_link_can_request_that_a_download_is_saved() {
    let relay = Relay::start(&[]);
    let created = |body: &str| {
        let answer = relay.exchange(&ask("POST", "/stream").body(body));
        answer.json()["stream"].as_str().unwrap().to_owned()
    };
    let inline = r#"{"download_headers":{"content-disposition":"inline"}}"#;
    for (name, options, query, own, expected) in [
        ("a plain link", "", "", None, None),
        ("another query", "", "?downloads", None, None),
        ("no name", "", "?download", None, Some("attachment")),
        ("a second pair", "", "?a&download", None, Some("attachment")),
        ("the name of the upload", "", "?download", Some("inline"), Some("inline")),
        ("the field of the creator", inline, "?download", None, Some("inline")),
    ] {
        for destination_first in [true, false] {
            let id = created(options);
            let mut put = ask("PUT", &format!("/stream/{id}"));
            if let Some(own) = own {
                put = put.field("Content-Disposition", own);
            }
            let (mut source, mut destination) = (relay.connect(), relay.connect());
            let get = ask("GET", &format!("/stream/{id}{query}"));
            if destination_first {
                destination.ask(&get);
                relay.await_state(&id, "DST_CONNECTED");
                source.ask(&put.body("content"));
            } else {
                source.ask(&put.body("content"));
                relay.await_state(&id, "SRC_CONNECTED");
                let head = relay.exchange(&ask("HEAD", &format!("/stream/{id}{query}")));
                assert_eq!(head.head.get("Content-Disposition"), expected, "HEAD: {name}");
                destination.ask(&get);
            }
            let answer = destination.response();
            assert_eq!(answer.head.get("Content-Disposition"), expected, "{name}");
            assert_eq!(answer.body, b"content", "{name}");
            assert_uploaded(&source.response());
        }
    }
}

#[test]
fn the_page_of_a_taken_stream_offers_no_download() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let page = || relay.exchange(&browse(&format!("/s/{id}"))).text().to_owned();
    assert!(page().contains("?download\" >"), "{}", page());
    let mut destination = relay.connect();
    destination.ask(&ask("GET", &format!("/stream/{id}")));
    relay.await_state(&id, "DST_CONNECTED");
    assert!(page().contains("?download\" hidden>"), "{}", page());
}

#[test]
fn previews_and_prefetches_never_use_up_a_stream() {
    for flags in [&[][..], &["--no-pages"]] {
        let relay = Relay::start(flags);
        let (id, mut source) = waiting(&relay, "a.txt");
        let get = || ask("GET", &format!("/stream/{id}"));
        for (name, request) in [
            ("HEAD", ask("HEAD", &format!("/stream/{id}"))),
            ("a prefetch", get().field("Sec-Purpose", "prefetch")),
            ("a prerender", get().field("Sec-Purpose", "prefetch;prerender")),
            ("an older prefetch", get().field("Purpose", "prefetch")),
            ("one of Firefox", get().field("X-Moz", "prefetch")),
            ("Slack", get().field("User-Agent", "Slackbot-LinkExpanding 1.0")),
            (
                "a bot that accepts pages",
                browse(&format!("/stream/{id}")).field("User-Agent", "WhatsApp/2.23"),
            ),
        ] {
            let answer = relay.exchange(&request);
            assert_eq!(answer.status(), 200, "{name}");
            assert_ne!(answer.body, b"hello", "{name}");
            if flags.is_empty() && request.method() == "GET" {
                assert!(answer.text().contains("og:title"), "{name}: {}", answer.text());
            }
            assert_eq!(relay.status(&id)["state"], "SRC_CONNECTED", "{name}");
        }
        let app = get().field("User-Agent", "WhatsApp/2.23").field("Sec-Fetch-Site", "same-origin");
        assert_eq!(relay.exchange(&app).body, b"hello", "a button of a page, {flags:?}");
        assert_uploaded(&source.response());
        let late = relay.exchange(&get().field("Sec-Purpose", "prefetch"));
        assert_eq!(late.status(), if flags.is_empty() { 410 } else { 404 }, "{flags:?}");
        let kind = if flags.is_empty() { HTML } else { "application/json" };
        assert_eq!(late.head.get("Content-Type"), Some(kind), "{flags:?}");
    }
}

#[test]
fn the_page_of_an_ended_stream_reports_how_it_ended() {
    let relay = Relay::start(&["--ttl", "100ms"]);
    let expired = relay.create();
    relay.await_state(&expired, "TIMEOUT_NO_SRC_NO_DST");
    let relay_2 = Relay::start(&[]);
    let (used, mut source) = waiting(&relay_2, "a");
    relay_2.get(&format!("/stream/{used}"));
    assert_uploaded(&source.response());
    let deleted = relay_2.create();
    relay_2.exchange(&ask("DELETE", &format!("/stream/{deleted}")));
    let reported = relay_2.create();
    relay_2.report(&reported);
    relay_2.get(&format!("/stream/{reported}"));
    let mut broken = relay_2.pair(Framing::Length(10));
    broken.pass_first(b"hello");
    let interrupted = broken.id.clone();
    broken.source.reset();
    relay_2.await_state(&interrupted, "SRC_DISCONNECTED");
    for (relay, id, status, part) in [
        (&relay, expired.as_str(), 410, "expired"),
        (&relay_2, &used, 410, "The file was received at"),
        (&relay_2, &deleted, 410, "It was cancelled"),
        (&relay_2, &reported, 410, "The other side reported"),
        (&relay_2, &interrupted, 410, "incomplete: delete it"),
        (&relay_2, UNKNOWN, 404, "No stream has this identifier"),
        (&relay_2, "x", 404, "No stream has this identifier"),
    ] {
        let page = relay.exchange(&browse(&format!("/s/{id}")));
        assert_eq!(page.status(), status, "{part}");
        assert_eq!(page.head.get("Content-Type"), Some(HTML), "{part}");
        assert!(page.text().contains(part), "{part} in {}", page.text());
        assert_eq!(page.head.get("Rdv-Error"), Some("SessionNotFoundError"), "{part}");
        assert_eq!(page.head.get("Cache-Control"), Some("no-store"), "{part}");
        assert_eq!(page.head.get("Vary"), Some("Accept"), "{part}");
    }
}

#[test]
fn a_failed_navigation_is_a_page_and_everything_else_as_before() {
    let relay = Relay::start(&[]);
    let target = format!("/stream/{UNKNOWN}");
    let page = relay.exchange(&browse(&target));
    assert_eq!((page.status(), page.head.get("Content-Type")), (404, Some(HTML)));
    assert_eq!(page.head.get("Rdv-Error"), Some("SessionNotFoundError"));
    assert!(page.head.get("Content-Security-Policy").unwrap().contains("script-src 'self'"));
    for accept in ["*/*", "application/json", "application/json, text/html;q=0.5"] {
        let answer = relay.exchange(&ask("GET", &target).field("Accept", accept));
        assert_error(accept, &answer, (404, "SessionNotFoundError", None));
    }
    let text = relay.exchange(&ask("GET", &target).field("Accept", "text/plain"));
    assert_eq!(text.text(), "SessionNotFoundError: The specified session id does not exist\n");
}

#[test]
fn a_client_that_shows_pages_is_given_the_page_of_its_stream() {
    let relay = Relay::start(&[]);
    for (accept, path) in [
        ("*/*", "/stream/"),
        ("application/json", "/stream/"),
        ("application/json, text/html;q=0.5", "/s/"),
        (NAVIGATION, "/s/"),
        ("text/html;q=0", "/stream/"),
    ] {
        let answer = relay.exchange(&ask("POST", "/stream").length(0).field("Accept", accept));
        let id = answer.json()["stream"].as_str().unwrap().to_owned();
        assert_eq!(answer.head.get("Location"), Some(format!("{path}{id}").as_str()), "{accept}");
    }
}

#[test]
fn without_pages_there_are_none() {
    let relay = Relay::start(&["--no-pages"]);
    let id = relay.create();
    for target in ["/", "/web/rdv.css", &format!("/s/{id}")] {
        assert_error(target, &relay.exchange(&browse(target)), (404, "BadRouteError", None));
    }
    let answer = relay.exchange(&ask("POST", "/stream").length(0).field("Accept", NAVIGATION));
    assert!(answer.head.get("Location").unwrap().starts_with("/stream/"));
}

#[test]
fn operators_watch_the_relay_with_one_connection() {
    let relay = Observed::start(&["--max-streams", "1000"]);
    let ids: Vec<String> = (0..60).map(|_| relay.create()).collect();
    let page = relay.admin_exchange(&browse("/"));
    assert_eq!((page.status(), page.head.get("Content-Type")), (200, Some(HTML)));
    let mut watcher = Wire::connect(relay.admin_address());
    watcher.ask(&ask("GET", "/watch?rows=50"));
    assert_eq!(watcher.head().get("Content-Type"), Some("text/event-stream"));
    let shown = event(&mut watcher);
    assert_eq!(shown["streams"], json!({"active": 60, "streaming": 0, "held": 60, "max": 1000}));
    assert_eq!(shown["state"], "serving");
    let rows = shown["rows"]["streams"].as_array().unwrap();
    assert_eq!(rows.len(), 50);
    assert_eq!(rows[0]["id"], *ids.last().unwrap(), "the newest first");
    let next = shown["rows"]["next"].as_u64().unwrap();
    let mut older = Wire::connect(relay.admin_address());
    older.ask(&ask("GET", &format!("/watch?rows=50&before={next}&active=true")));
    older.head();
    let shown = event(&mut older);
    assert_eq!(shown["rows"]["streams"].as_array().unwrap().len(), 10);
    assert_eq!(shown["rows"]["next"], json!(null));
    assert_eq!(event(&mut watcher)["state"], "serving", "again, a second later");
}

#[test]
fn active_streams_are_shown_however_many_ended_since() {
    const ENDED: usize = 5000;
    let relay = Observed::start(&["--max-streams", "100000"]);
    let created = relay.create();
    let waiting = relay.create();
    let _source = relay.waiting_source(&waiting, Framing::Length(5));
    let pair = relay.pair(Framing::Chunked);
    let mut wire = relay.connect();
    for _ in 0..ENDED {
        let id = stream_of(&wire.exchange(&ask("POST", "/stream").length(0)));
        assert_eq!(wire.exchange(&ask("DELETE", &format!("/stream/{id}"))).status(), 204);
    }
    for (rows, next) in [(2, true), (3, false)] {
        let mut watcher = Wire::connect(relay.admin_address());
        watcher.ask(&ask("GET", &format!("/watch?active=true&rows={rows}")));
        watcher.head();
        let shown = event(&mut watcher)["rows"].clone();
        let ids: Vec<_> =
            shown["streams"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
        assert_eq!(
            ids,
            [&pair.id, &waiting, &created]
                .map(|id| json!(id))
                .iter()
                .take(rows)
                .collect::<Vec<_>>()
        );
        assert_eq!(shown["next"].is_u64(), next, "{shown}");
    }
}

#[test]
fn the_watch_page_is_for_operators_of_the_same_origin_only() {
    let relay = Observed::start(&[]);
    for target in ["/", "/watch"] {
        for (name, field, value) in [
            ("another site", "Sec-Fetch-Site", "cross-site"),
            ("another origin", "Origin", "http://evil.example"),
        ] {
            let answer = relay.admin_exchange(&ask("GET", target).field(field, value));
            assert_error(name, &answer, (403, "ForbiddenError", None));
        }
    }
    assert_error("public", &relay.get("/watch"), (404, "BadRouteError", None));
    let page = relay.admin_exchange(&browse("/other"));
    assert_eq!((page.status(), page.head.get("Content-Type")), (404, Some(HTML)));
    assert!(!page.text().contains("Send a file"), "it has no page that sends: {}", page.text());
}
