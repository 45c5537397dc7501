//! Maximum concurrent requests, and the response to those beyond the limit.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::load::assert_busy;
use crate::support::{Framing, Process, Relay, ask, assert_uploaded, eventually};

const REQUESTS: &str = "Request limit reached (max-concurrent)";

#[test]
fn concurrent_requests_are_bounded() {
    let relay = Relay::start(&["--max-concurrent", "2"]);
    let id = relay.create();
    let mut idle = relay.connect();
    assert_eq!(idle.exchange(&ask("GET", "/ping")).status(), 200);

    let mut source = relay.waiting_source(&id, Framing::Length(5));
    let other = relay.create();
    let mut waiting = relay.connect();
    waiting.ask(&ask("GET", &format!("/stream/{other}")));
    eventually("two requests are being served", || {
        (relay.get("/ping").status() == 503).then_some(())
    });
    for target in ["/ping", "/version", "/stream", &format!("/stream/{id}/status")] {
        assert_busy(&idle.exchange(&ask("GET", target)), (503, "1"), REQUESTS);
    }
    let create = ask("POST", "/stream").body("{}");
    assert_busy(&idle.exchange(&create), (503, "1"), REQUESTS);
    let put = ask("PUT", &format!("/stream/{other}")).body("late");
    assert_busy(&idle.exchange(&put), (503, "1"), REQUESTS);

    drop(waiting);
    let mut destination = relay.connect();
    eventually("a place is free", || {
        (idle.exchange(&ask("GET", "/ping")).status() == 200).then_some(())
    });
    destination.ask(&ask("GET", &format!("/stream/{id}")));
    source.send("hello");
    assert_eq!(destination.response().text(), "hello", "what waited is served to its end");
    assert_uploaded(&source.response());
    for wire in [&mut source, &mut destination, &mut idle] {
        // All of them are idle now, and none of them counts.
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
}

#[test]
fn requests_stop_counting_after_every_kind_of_end() {
    let flags = ["--max-concurrent", "2", "--ttl", "2s", "--header-timeout", "2s"];
    let relay = Relay::start(&flags);
    // One of the two slots is always in use.
    let waits_long = relay.create_with(&json!({ "ttl_seconds": 3600 }));
    let _waiting = relay.waiting_source(&waits_long, Framing::Length(5));
    let served = |what: &str| {
        eventually(what, || (relay.get("/ping").status() == 200).then_some(()));
    };
    let id = relay.create();
    let waiting = relay.connect().exchange(&ask("GET", &format!("/stream/{id}")));
    assert_eq!(waiting.status(), 504);
    served("one that timed out");
    let mut lost = relay.connect();
    lost.ask(&ask("POST", "/stream").length(10).raw_body(b"{"));
    drop(lost);
    served("one that left amid its body");
    let mut late = relay.connect();
    late.ask(&ask("POST", "/stream").length(10).raw_body(b"{"));
    assert_eq!(late.response().status(), 408);
    served("one whose body did not come");
    let mut early = relay.connect();
    early.ask(&ask("PUT", &format!("/stream/{id}")).length(1 << 30));
    assert_eq!(early.response().status(), 404);
    served("one that is lingered with");
    drop(early);
    let mut many = relay.connect();
    many.send(ask("GET", "/ping").bytes().repeat(40));
    for _ in 0..40 {
        assert_eq!(many.response().status(), 200, "pipelined requests are served in turn");
    }
    assert_eq!(relay.connect().exchange(&ask("BREW", "/ping")).status(), 405);
    let mut malformed = relay.connect();
    malformed.send("GET\r\n\r\n");
    assert_eq!(malformed.response().status(), 400);
    served("after all that");
}

#[test]
fn the_too_busy_status_is_configurable() {
    let busy = ["--too-busy-status", "529", "--retry-after", "1500ms"];
    let requests = Relay::start(&[&busy[..], &["--max-concurrent", "2"]].concat());
    let ids = [requests.create(), requests.create()];
    let _sources = ids.map(|id| {
        let mut source = requests.connect();
        source.ask(&Framing::Length(5).put(&id));
        source
    });
    let refused = eventually("both sources are served", || {
        let answer = requests.get("/ping");
        (answer.status() != 200).then_some(answer)
    });
    assert_busy(&refused, (529, "2"), REQUESTS);

    let streams = Relay::start(&[&busy[..], &["--max-streams", "1"]].concat());
    streams.create();
    let refused = streams.exchange(&ask("POST", "/stream"));
    let message = "Stream limit reached (max-streams, or 256 MiB of headers and reports)";
    assert_busy(&refused, (529, "2"), message);

    let connections = Relay::start(&[&busy[..], &["--max-connections", "2"]].concat());
    let mut held = [connections.connect(), connections.connect()];
    for held in &mut held {
        assert_eq!(held.exchange(&ask("GET", "/ping")).status(), 200);
    }
    let message = "Connection limit reached (max-connections)";
    assert_busy(&connections.connect().response(), (529, "2"), message);

    let stopping = Relay::start(&busy);
    let id = stopping.create();
    let mut waiting = stopping.waiting_destination(&id);
    stopping.signal(Signal::SIGTERM);
    assert_busy(&waiting.response(), (529, "2"), "The relay is shutting down");
}

#[test]
fn invalid_limits_are_a_one_line_error() {
    for (flag, value) in [
        ("--max-concurrent", "many"),
        ("--too-busy-status", "200"),
        ("--too-busy-status", "600"),
        ("--retry-after", "1"),
    ] {
        let ended = Process::rdv(&["serve", flag, value]).finish();
        assert_eq!(ended.status.code(), Some(2), "{flag} {value}: {}", ended.stderr);
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{flag} {value}: {lines:?}");
        assert!(lines[0].contains(flag), "{}", lines[0]);
    }
}

/// Exactly three requests are served at once, no more and no fewer.
fn assert_three(relay: &Relay, after: &str) {
    let streams: Vec<String> = (0..3).map(|_| relay.create()).collect();
    let get = |at: usize| ask("GET", &format!("/stream/{}", streams[at]));
    // The request for the state is the third one here.
    let first = relay.waiting_with(&get(0), &streams[0]);
    let second = relay.waiting_with(&get(1), &streams[1]);
    let mut third = relay.connect();
    third.ask(&get(2));
    eventually(&format!("three count after {after}"), || {
        (relay.get("/ping").status() == 503).then_some(())
    });
    drop((first, second, third));
    eventually(&format!("none counts after {after}"), || {
        let list = relay.admin_get("/stream?active=true");
        let all_left = || {
            let list = list.json();
            let mut streams = list.as_array().expect("a list").iter();
            streams.all(|stream| stream["state"] == "CREATED")
        };
        (list.status() == 200 && all_left()).then_some(())
    });
    for id in streams {
        assert_eq!(relay.exchange(&ask("DELETE", &format!("/stream/{id}"))).status(), 204);
    }
}

#[test]
fn the_request_count_is_exact_after_every_kind_of_stream_end() {
    let relay = Relay::start(&["--max-concurrent", "3"]);
    assert_three(&relay, "the start");
    for framing in [Framing::Length(5), Framing::Chunked] {
        for old in [false, true] {
            let pair = || relay.pair_with(framing, |get| if old { get.http10() } else { get });
            let mut complete = pair();
            complete.pass_first(b"hello");
            complete.complete();
            assert_three(&relay, "completion");

            let mut cut = pair();
            cut.pass_first(b"hel");
            drop(cut.source);
            cut.destination.rest();
            assert_three(&relay, "a source that left");

            let mut alone = pair();
            alone.pass_first(b"hel");
            drop(alone.destination);
            assert_eq!(alone.source.response().status(), 502);
            assert_three(&relay, "a destination that left");

            let mut deleted = pair();
            let delete = ask("DELETE", &format!("/stream/{}", deleted.id));
            assert_eq!(relay.exchange(&delete).status(), 204);
            assert_eq!(deleted.destination.response().status(), 410);
            assert_eq!(deleted.source.response().status(), 410);
            assert_three(&relay, "deletion");
        }
    }
    let mut broken = relay.pair(Framing::Chunked);
    broken.source.send("no size\r\n");
    assert_eq!(broken.source.response().status(), 400);
    assert_eq!(broken.destination.response().status(), 502);
    assert_three(&relay, "broken framing");
}
