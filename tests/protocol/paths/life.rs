//! A path is in use from its first side to the end of the transfer, and counts like a stream.

use super::{PATHS, assert_refused, await_state, transfer, waiting};
use crate::support::{Framing, Relay, TRUSTING, ask, assert_error, assert_uploaded, eventually};
use nix::sys::signal::Signal;

#[test]
fn without_the_setting_no_path_exists() {
    let relay = Relay::start(&[]);
    for (method, path) in [
        ("GET", "/p"),
        ("GET", "/p/"),
        ("GET", "/p/a"),
        ("PUT", "/p/a"),
        ("POST", "/p/a"),
        ("HEAD", "/p/a"),
        ("OPTIONS", "/p/a"),
    ] {
        let answer = relay.connect().exchange(&ask(method, path));
        assert_eq!(answer.status(), 404, "{method} {path}");
    }
    assert_error("GET /p/a", &relay.get("/p/a"), (404, "BadRouteError", None));
}

#[test]
fn only_paths_below_p_are_paths() {
    let relay = Relay::start(&[PATHS]);
    for path in ["/P/a", "/pa", "/p2/a", "//p/a", "/%70/a"] {
        assert_error(path, &relay.get(path), (404, "BadRouteError", None));
    }
}

#[test]
fn the_text_about_paths_has_commands_for_this_relay() {
    let relay = Relay::start(&[PATHS]);
    for path in ["/p", "/p/"] {
        let answer = relay.get(path);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.head.get("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.head.get("Cache-Control"), Some("no-store"));
        assert!(
            answer.text().contains("curl -T - http://relay.test/p/PATH\n"),
            "{}",
            answer.text()
        );
    }
    let secure = relay.exchange(&ask("GET", "/p").field("X-Forwarded-Proto", "https"));
    assert!(secure.text().contains("curl https://relay.test/p/PATH\n"), "{}", secure.text());
    let old = relay.exchange(&ask("GET", "/p").http10());
    assert!(old.text().contains("http://HOST/p/PATH"), "{}", old.text());
}

#[test]
fn head_shows_a_path_and_consumes_nothing() {
    let relay = Relay::start(&[PATHS]);
    let head = ask("HEAD", "/p/a");
    assert_eq!(relay.exchange(&head).status(), 404, "a free path");
    let put = ask("PUT", "/p/a").field("Content-Type", "a/b").length(5);
    let mut sender = waiting(&relay, &put, "/p/a");
    for _ in 0..2 {
        let shown = relay.exchange(&head).head;
        assert_eq!(shown.get("Content-Length"), Some("5"));
        assert_eq!(shown.get("Content-Type"), Some("a/b"));
    }
    let mut receiver = relay.connect();
    receiver.ask(&ask("GET", "/p/a"));
    sender.send(b"hello");
    assert_eq!(receiver.response().text(), "hello");
    assert_uploaded(&sender.response());
    assert_eq!(relay.exchange(&head).status(), 404, "free again");
}

#[test]
fn a_preview_of_a_path_receives_nothing() {
    let relay = Relay::start(&[PATHS]);
    let preview = ask("GET", "/p/a").field("User-Agent", "Slackbot 1.0");
    let mut sender = waiting(&relay, &ask("PUT", "/p/a").body("hello"), "/p/a");
    let shown = relay.exchange(&preview);
    assert!(shown.text().contains("/p/PATH"), "the text about paths");
    assert_eq!(shown.head.get("Cache-Control"), Some("no-store"));
    assert_eq!(relay.get("/p/a").text(), "hello");
    assert_uploaded(&sender.response());
}

#[test]
fn pages_of_permitted_origins_use_paths() {
    let relay = Relay::start(&[PATHS, "--cors-origin", "*"]);
    let of_page = |request: crate::support::Ask| request.field("Origin", "https://app.example");
    let preflight = of_page(ask("OPTIONS", "/p/a")).field("Access-Control-Request-Method", "PUT");
    let allowed = relay.exchange(&preflight);
    assert!(allowed.head.list("Access-Control-Allow-Methods").contains(&"PUT".to_owned()));
    let (put, get) = (of_page(ask("PUT", "/p/a").body("hello")), of_page(ask("GET", "/p/a")));
    for answer in transfer(&relay, &put, &get, "/p/a") {
        assert_eq!(answer.status(), 200);
        assert!(answer.head.get("Access-Control-Allow-Origin").is_some(), "{:?}", answer.head);
    }
}

#[test]
fn pages_of_other_origins_neither_send_to_a_path_nor_receive_from_it() {
    // Browsers send these without a preflight.
    let of_page = |request: crate::support::Ask| {
        request.field("Origin", "https://app.example").field("Sec-Fetch-Site", "cross-site")
    };
    for allowed in [&[PATHS][..], &[PATHS, "--cors-origin", "https://other.example"]] {
        let relay = Relay::start(allowed);
        let mut sender = waiting(&relay, &ask("PUT", "/p/a").body("hello"), "/p/a");
        let image = ask("GET", "/p/a")
            .field("Sec-Fetch-Site", "cross-site")
            .field("Sec-Fetch-Mode", "no-cors")
            .field("Sec-Fetch-Dest", "image");
        for request in [of_page(ask("GET", "/p/a")), image, of_page(ask("POST", "/p/b").body("x"))]
        {
            assert_refused("a page", &relay.exchange(&request), 403, "ForbiddenError");
        }
        assert_eq!(relay.exchange(&ask("HEAD", "/p/b")).status(), 404, "nothing was sent");
        let link = ask("GET", "/p/a")
            .field("Sec-Fetch-Site", "cross-site")
            .field("Sec-Fetch-Mode", "navigate")
            .field("Sec-Fetch-Dest", "document");
        assert_eq!(relay.exchange(&link).text(), "hello");
        assert_uploaded(&sender.response());
    }
}

#[test]
fn connections_stay_open_for_the_next_transfer_of_the_same_path() {
    let relay = Relay::start(&[PATHS]);
    let (mut sender, mut receiver) = (relay.connect(), relay.connect());
    for round in 0..20 {
        let body = format!("round {round}");
        receiver.ask(&ask("GET", "/p/a"));
        assert_uploaded(&sender.exchange(&ask("PUT", "/p/a").body(&body)));
        assert_eq!(receiver.response().text(), body);
    }
}

#[test]
fn a_sender_that_expects_100_gets_it_with_its_receiver() {
    let relay = Relay::start(&[PATHS]);
    let put = ask("PUT", "/p/a").field("Expect", "100-continue").length(5);
    let mut sender = waiting(&relay, &put, "/p/a");
    let mut receiver = relay.connect();
    receiver.ask(&ask("GET", "/p/a"));
    sender.expect_continue();
    sender.send(b"hello");
    assert_eq!(receiver.response().text(), "hello");
    assert_uploaded(&sender.response());
    let refused = relay.exchange(&put_with_expectation("other"));
    assert_refused("another expectation", &refused, 417, "100-continue");
}

fn put_with_expectation(value: &str) -> crate::support::Ask {
    ask("PUT", "/p/a").field("Expect", value).length(5)
}

#[test]
fn a_side_alone_is_answered_after_its_waiting_time() {
    let relay = Relay::start(&[PATHS, "--ttl", "100ms", "--max-ttl", "3s"]);
    for request in [ask("GET", "/p/a"), ask("PUT", "/p/a").length(5)] {
        let mut side = waiting(&relay, &request, "/p/a");
        relay.await_turn();
        assert_refused("a side alone", &side.response(), 504, "SessionTimeoutError");
        assert_eq!(relay.exchange(&ask("HEAD", "/p/a")).status(), 404, "the path is free");
    }
}

#[test]
fn the_waiting_time_is_the_longest_one() {
    let relay = Relay::start(&[PATHS, "--ttl", "100ms"]);
    let mut receiver = waiting(&relay, &ask("GET", "/p/a"), "/p/a");
    // It was created later, and ends earlier.
    relay.await_state(&relay.create(), "TIMEOUT_NO_SRC_NO_DST");
    assert_uploaded(&relay.exchange(&ask("PUT", "/p/a").body("hello")));
    assert_eq!(receiver.response().text(), "hello");
}

#[test]
fn paths_count_towards_the_limits_of_streams() {
    for limit in ["--max-streams", "--max-streams-per-address"] {
        let relay = Relay::start(&[PATHS, limit, "1"]);
        let side = waiting(&relay, &ask("GET", "/p/a"), "/p/a");
        let refused = relay.get("/p/b");
        assert_refused(limit, &refused, 503, limit.trim_start_matches('-'));
        assert!(refused.head.get("Retry-After").is_some(), "{limit}");
        assert_error(limit, &relay.exchange(&ask("POST", "/stream")), (503, "TooBusyError", None));
        drop(side);
        eventually("a side that left counts no longer", || {
            (relay.exchange(&ask("POST", "/stream")).status() == 201).then_some(())
        });
    }
}

#[test]
fn too_large_an_upload_frees_its_path() {
    let relay = Relay::start(&[PATHS, "--max-stream-bytes", "4"]);
    let mut receiver = waiting(&relay, &ask("GET", "/p/a"), "/p/a");
    let refused = relay.exchange(&ask("PUT", "/p/a").body("hello"));
    assert_refused("the sender", &refused, 413, "4 bytes");
    assert_refused("the receiver", &receiver.response(), 502, "4 bytes");
    let put = ask("PUT", "/p/a").body("hell");
    assert_uploaded(&transfer(&relay, &put, &ask("GET", "/p/a"), "/p/a")[0]);
}

#[test]
fn the_list_shows_paths_and_their_streams() {
    let relay = Relay::start(&[&[PATHS], &TRUSTING[..]].concat());
    let mut receiver = waiting(&relay, &ask("GET", "/p/a/b"), "/p/a/b");
    let list = relay.get("/stream").json();
    let (path, state) = (&list[0]["path"], &list[0]["state"]);
    assert_eq!((path.as_str(), state.as_str()), (Some("/p/a/b"), Some("DST_CONNECTED")));
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    assert_uploaded(&relay.exchange(&ask("PUT", "/p/a/b").body("x")));
    assert_eq!(receiver.response().text(), "x");
    relay.await_state(&id, "FINISHED");
    let mut receiver = waiting(&relay, &ask("GET", "/p/a/b"), "/p/a/b");
    let list = relay.get("/stream?active=true").json();
    let id = list[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(relay.exchange(&ask("DELETE", &format!("/stream/{id}"))).status(), 204);
    assert_refused("a deleted stream", &receiver.response(), 410, "StreamDeletedError");
}

#[test]
fn a_receiver_that_leaves_early_is_replaced() {
    let relay = Relay::start(&[PATHS]);
    let mut sender = waiting(&relay, &ask("PUT", "/p/a").chunked(), "/p/a");
    let mut first = relay.connect();
    first.ask(&ask("GET", "/p/a"));
    await_state(&relay, "STREAMING");
    drop(first);
    await_state(&relay, "SRC_CONNECTED");
    let mut second = relay.connect();
    second.ask(&ask("GET", "/p/a"));
    sender.send([&Framing::Chunked.piece(b"hello")[..], Framing::Chunked.end()].concat());
    assert_eq!(second.response().text(), "hello");
    assert_uploaded(&sender.response());
}

#[test]
fn a_sender_that_ends_before_its_receiver_frees_the_path() {
    let relay = Relay::start(&[PATHS]);
    let put = || ask("PUT", "/p/a");
    let chunk = Framing::Chunked.piece(b"old");
    let whole = [&chunk[..], Framing::Chunked.end()].concat();
    // A closed client and one that half-closes look alike: all of the data can have arrived.
    for (name, old) in [
        ("with a length", put().body("old")),
        ("in chunks", put().chunked().raw_body(&whole)),
        ("in chunks, without the last one", put().chunked().raw_body(&chunk)),
        ("empty", put().length(0)),
        ("a form", put().field("Content-Type", "multipart/form-data; boundary=b").body("--b--")),
    ] {
        let mut sender = waiting(&relay, &old, "/p/a");
        sender.finish_sending();
        assert_eq!(sender.read_to_end().0, b"", "{name}: no response");
        let [upload, download] = transfer(&relay, &put().body("new"), &ask("GET", "/p/a"), "/p/a");
        assert_uploaded(&upload);
        assert_eq!(download.text(), "new", "{name}");
    }
}

#[test]
fn a_draining_relay_answers_the_sides_that_wait() {
    let relay = Relay::start(&[PATHS]);
    let mut receiver = waiting(&relay, &ask("GET", "/p/a"), "/p/a");
    let mut sender = waiting(&relay, &ask("PUT", "/p/b").length(5), "/p/b");
    relay.signal(Signal::SIGTERM);
    for side in [&mut receiver, &mut sender] {
        let answer = side.response();
        assert_refused("a side that waits", &answer, 503, "TooBusyError");
        assert!(answer.head.get("Retry-After").is_some());
    }
    assert!(relay.finish().status.success(), "it exits");
}
