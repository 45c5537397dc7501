//! What piping-server documents and tests, case by case, and where paths differ on purpose.

use super::{PATHS, assert_refused, await_side, transfer, waiting};
use crate::support::{Ask, Ending, Framing, Relay, ask, assert_uploaded};

const CONTENT: &str = "this is a content";

#[test]
fn a_sender_meets_a_receiver_with_its_fields() {
    const TYPE: &str = "Content-Type";
    const DISPOSITION: &str = "Content-Disposition";
    let relay = Relay::start(&[PATHS]);
    for (name, method, path, sent, received) in [
        ("POST", "POST", "/p/mypath", None, (TYPE, None)),
        ("PUT", "PUT", "/p/mypath", None, (TYPE, None)),
        ("a path of segments", "PUT", "/p/mypath/123/", None, (TYPE, None)),
        ("an escaped path", "PUT", "/p/a%20b//c", None, (TYPE, None)),
        ("one receiver", "PUT", "/p/mypath?n=1", None, (TYPE, None)),
        ("a reserved path there", "PUT", "/p/version", None, (TYPE, None)),
        ("a type", "POST", "/p/mypath", Some((TYPE, "text/plain")), (TYPE, Some("text/plain"))),
        ("HTML", "POST", "/p/mypath", Some((TYPE, "text/html")), (TYPE, Some("text/plain"))),
        (
            "HTML with a parameter",
            "POST",
            "/p/mypath",
            Some((TYPE, "text/html; charset=utf-8")),
            (TYPE, Some("text/plain; charset=utf-8")),
        ),
        (
            "a disposition",
            "POST",
            "/p/mypath",
            Some((DISPOSITION, "attachment; filename=\"myfile.txt\"")),
            (DISPOSITION, Some("attachment; filename=\"myfile.txt\"")),
        ),
        ("metadata", "POST", "/p/mypath", Some(("X-Piping", "x y")), ("X-Piping", Some("x y"))),
        ("another field", "POST", "/p/mypath", Some(("X-Other", "x")), ("X-Other", None)),
    ] {
        let put = ask(method, path);
        let put = sent.map_or(put.clone(), |(field, value)| put.field(field, value));
        let put = put.body(CONTENT);
        let [upload, download] = transfer(&relay, &put, &ask("GET", path), path);
        assert_uploaded(&upload);
        assert_eq!(download.status(), 200, "{name}");
        assert_eq!((download.text(), download.ending), (CONTENT, Ending::Complete), "{name}");
        assert_eq!(download.head.get("Content-Length"), Some("17"), "{name}");
        assert_eq!(download.head.get("X-Robots-Tag"), Some("none"), "{name}");
        assert_eq!(download.head.get(received.0), received.1, "{name}");
    }
}

#[test]
fn every_x_piping_field_passes() {
    let relay = Relay::start(&[PATHS]);
    let put = ask("POST", "/p/a").field("X-Piping", "1").field("x-piping", "2");
    let [_, download] = transfer(&relay, &put.body(CONTENT), &ask("GET", "/p/a"), "/p/a");
    assert_eq!(download.head.all("X-Piping"), ["1", "2"]);
}

#[test]
fn a_chunked_upload_is_passed_on() {
    let relay = Relay::start(&[PATHS]);
    let body = [Framing::Chunked.piece(b"this is"), Framing::Chunked.piece(b" a content")].concat();
    let body = [&body, Framing::Chunked.end()].concat();
    let put = ask("POST", "/p/a").chunked().raw_body(&body);
    let [upload, download] = transfer(&relay, &put, &ask("GET", "/p/a"), "/p/a");
    assert_uploaded(&upload);
    assert_eq!((download.text(), download.head.get("Content-Length")), (CONTENT, None));
}

#[test]
fn http_1_0_works_on_either_side() {
    let relay = Relay::start(&[PATHS]);
    for (put_is_old, get_is_old) in [(true, false), (false, true), (true, true)] {
        let version = |old: bool, ask: Ask| if old { ask.http10() } else { ask };
        let put = version(put_is_old, ask("POST", "/p/a").body(CONTENT));
        let get = version(get_is_old, ask("GET", "/p/a"));
        let [upload, download] = transfer(&relay, &put, &get, "/p/a");
        assert_eq!((upload.status(), upload.head.get("Content-Length")), (200, Some("0")));
        assert_eq!((download.text(), download.head.get("Content-Length")), (CONTENT, Some("17")));
    }
}

#[test]
fn requests_that_cannot_be_served_are_refused() {
    let relay = Relay::start(&[PATHS]);
    let ranged = |method| ask(method, "/p/a").field("Content-Range", "bytes 2-6/100").body("hello");
    let script = ask("GET", "/p/a").field("Service-Worker", "script");
    let part = ask("GET", "/p/a").field("Range", "bytes=5-");
    let form = |kind| ask("POST", "/p/a").field("Content-Type", kind).body("x");
    for (name, request, status, part) in [
        ("POST of a part", ranged("POST"), 400, "Content-Range"),
        ("PUT of a part", ranged("PUT"), 400, "Content-Range"),
        ("GET of a part", part, 416, "Range"),
        ("a service worker", script, 400, "service worker"),
        ("POST to invalid n", ask("POST", "/p/a?n=abc").body("x"), 400, "n must be a number"),
        ("GET of invalid n", ask("GET", "/p/a?n=abc"), 400, "n must be a number"),
        ("POST to n=+1", ask("POST", "/p/a?n=+1").body("x"), 400, "n must be a number"),
        ("POST to n=0", ask("POST", "/p/a?n=0").body("x"), 400, "n=0"),
        ("POST to n=-1", ask("POST", "/p/a?n=-1").body("x"), 400, "n=-1"),
        // Differs: one receiver.
        ("POST to three", ask("POST", "/p/a?n=3").body("x"), 400, "n=3: this relay connects one"),
        ("GET of three", ask("GET", "/p/a?n=3"), 400, "n=3: this relay connects one receiver"),
        ("a form without a boundary", form("multipart/form-data"), 400, "boundary"),
        ("a form with a bad one", form("multipart/form-data; boundary=\"\""), 400, "boundary"),
    ] {
        assert_refused(name, &relay.exchange(&request), status, part);
        let free = relay.exchange(&ask("HEAD", "/p/a"));
        assert_eq!(free.status(), 404, "{name}: the path stays free");
    }
    let json = ask("GET", "/p/a?n=3").field("Accept", "application/json");
    assert_eq!(relay.exchange(&json).json()["name"], "BadRequestError", "JSON on request");
}

#[test]
fn other_methods_are_refused_with_those_that_are_allowed() {
    let relay = Relay::start(&[PATHS]);
    for (method, path, allow) in [
        ("DELETE", "/p/a", "GET, HEAD, POST, PUT, OPTIONS"),
        ("PATCH", "/p/a", "GET, HEAD, POST, PUT, OPTIONS"),
        ("BREW", "/p/a", "GET, HEAD, POST, PUT, OPTIONS"),
        ("POST", "/p", "GET, HEAD, OPTIONS"),
        ("PUT", "/p/", "GET, HEAD, OPTIONS"),
    ] {
        let answer = relay.exchange(&ask(method, path));
        assert_refused(method, &answer, 405, "BadRouteError");
        assert_eq!(answer.head.get("Allow"), Some(allow), "{method}");
        // Differs: 204, and fields for other origins only with --cors-origin.
        let options = relay.exchange(&ask("OPTIONS", path));
        assert_eq!((options.status(), options.head.get("Allow")), (204, Some(allow)));
        assert_eq!(options.head.get("Access-Control-Allow-Origin"), None);
    }
}

#[test]
fn a_second_client_on_a_side_is_refused() {
    let relay = Relay::start(&[PATHS]);
    let (put, get) = (ask("PUT", "/p/a").length(5), ask("GET", "/p/a"));
    let mut sender = waiting(&relay, &put, "/p/a");
    let second = relay.exchange(&put.clone().raw_body(b"other"));
    assert_refused("a second sender", &second, 400, "Another sender");
    let mut receiver = relay.connect();
    receiver.ask(&get);
    sender.send(b"he");
    assert_eq!(receiver.head().status, 200);
    assert_refused("a third sender", &relay.exchange(&put), 400, "Another sender");
    assert_refused("a second receiver", &relay.exchange(&get), 400, "Another receiver");
    sender.send(b"llo");
    assert_eq!(receiver.rest(), (b"hello".to_vec(), Ending::Complete));
    assert_uploaded(&sender.response());

    let mut receiver = waiting(&relay, &get, "/p/a");
    assert_refused("a receiver more", &relay.exchange(&get), 400, "Another receiver");
    assert_uploaded(&relay.exchange(&put.raw_body(b"hello")));
    assert_eq!(receiver.response().text(), "hello");
}

#[test]
fn a_side_that_leaves_before_the_other_one_gives_its_place_back() {
    let relay = Relay::start(&[PATHS]);
    for request in [ask("PUT", "/p/a").length(5), ask("GET", "/p/a")] {
        drop(waiting(&relay, &request, "/p/a"));
        crate::support::eventually("the path is free", || {
            (relay.exchange(&ask("HEAD", "/p/a")).status() == 404).then_some(())
        });
        let [upload, download] =
            transfer(&relay, &ask("PUT", "/p/a").body("hello"), &ask("GET", "/p/a"), "/p/a");
        assert_uploaded(&upload);
        assert_eq!(download.text(), "hello");
    }
}

#[test]
fn the_sender_is_answered_at_the_end_only() {
    // Differs: no messages before the end, and a status by how it ended.
    let relay = Relay::start(&[PATHS]);
    for (rest, status) in [(&b"llo"[..], 200), (b"", 502)] {
        let mut receiver = waiting(&relay, &ask("GET", "/p/a"), "/p/a");
        let mut sender = relay.connect();
        sender.ask(&ask("PUT", "/p/a").length(5).raw_body(b"he"));
        assert_eq!(receiver.head().status, 200);
        assert_eq!(receiver.body(2), b"he");
        await_side(&relay, "/p/a");
        if rest.is_empty() {
            drop(receiver);
        } else {
            sender.send(rest);
        }
        let answer = sender.response();
        assert_eq!(answer.status(), status, "{}", answer.text());
    }
}

#[test]
fn a_receiver_of_a_lost_sender_sees_no_complete_download() {
    let relay = Relay::start(&[PATHS]);
    for framing in [Framing::Length(5), Framing::Chunked] {
        let mut receiver = waiting(&relay, &ask("GET", "/p/a"), "/p/a");
        let mut sender = relay.connect();
        let put = ask("PUT", "/p/a");
        sender.ask(&if framing == Framing::Chunked { put.chunked() } else { put.length(5) });
        sender.send(framing.piece(b"he"));
        assert_eq!(receiver.head().status, 200);
        drop(sender);
        let (body, ending) = receiver.rest();
        assert_eq!((body.as_slice(), ending), (&b"he"[..], Ending::Closed), "{framing:?}");
    }
}
