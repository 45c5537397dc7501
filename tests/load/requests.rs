//! How many requests are served at once, and how a refusal for being too busy is worded.

use nix::sys::signal::Signal;

use crate::assert_busy;
use crate::support::{Framing, Process, Relay, ask, assert_uploaded, eventually};

const REQUESTS: &str = "As many requests as this relay may serve at once are being served";

#[test]
fn requests_served_at_once_are_bounded() {
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
        // All of them idle now, and none of them counts.
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
}

#[test]
fn requests_stop_counting_however_they_end() {
    let flags = ["--max-concurrent", "1", "--ttl", "300ms", "--header-timeout", "300ms"];
    let relay = Relay::start(&flags);
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
fn the_status_of_being_too_busy_can_be_chosen() {
    let busy = ["--too-busy-status", "529", "--retry-after", "1500ms"];
    let requests = Relay::start(&[&busy[..], &["--max-concurrent", "1"]].concat());
    let id = requests.create();
    let mut source = requests.connect();
    source.ask(&Framing::Length(5).put(&id));
    let refused = eventually("the source is served", || {
        let answer = requests.get("/ping");
        (answer.status() != 200).then_some(answer)
    });
    assert_busy(&refused, (529, "2"), REQUESTS);

    let streams = Relay::start(&[&busy[..], &["--max-streams", "1"]].concat());
    streams.create();
    let refused = streams.exchange(&ask("POST", "/stream"));
    let message = "The active streams are as many, or hold as much, as this relay allows";
    assert_busy(&refused, (529, "2"), message);

    let connections = Relay::start(&[&busy[..], &["--max-connections", "1"]].concat());
    let mut held = connections.connect();
    assert_eq!(held.exchange(&ask("GET", "/ping")).status(), 200);
    let message = "As many connections as this relay may serve are open";
    assert_busy(&connections.connect().response(), (529, "2"), message);

    let stopping = Relay::start(&busy);
    let id = stopping.create();
    let mut waiting = stopping.waiting_destination(&id);
    stopping.signal(Signal::SIGTERM);
    assert_busy(&waiting.response(), (529, "2"), "The relay is about to stop");
}

#[test]
fn wrong_limits_are_refused_with_one_line() {
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
