//! Events of a stream: their contents, their end, and access to them.

use std::process::Command;

use crate::support::{
    DISCONNECTS, Ending, Framing, Process, Relay, UNKNOWN, Wire, ask, assert_error, eventually,
    parse, pattern,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A subscriber to a stream.
struct Subscriber {
    wire: Wire,
    /// Bytes read and not parsed yet.
    read: Vec<u8>,
}

/// One item sent to a subscriber.
#[derive(Debug, PartialEq)]
enum Item {
    Event(Value),
    Comment,
}

/// Reads one item, up to an empty line.
fn read_one(text: &str) -> Item {
    if text.starts_with(':') {
        assert_eq!(text, ": keep-alive");
        return Item::Comment;
    }
    let data = text.strip_prefix("event: status\ndata: ").unwrap_or_else(|| panic!("{text:?}"));
    assert!(!data.contains(['\n', '\r']), "one line: {data:?}");
    Item::Event(parse(data.as_bytes()))
}

/// Reads a complete body, which must contain only events.
fn read_all(body: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(body).expect("UTF-8");
    let text = text.strip_suffix("\n\n").expect("an empty line at the end");
    let event = |text| match read_one(text) {
        Item::Event(status) => status,
        Item::Comment => panic!("a comment: {text:?}"),
    };
    text.split("\n\n").map(event).collect()
}

impl Subscriber {
    fn of(relay: &Relay, id: &str) -> Subscriber {
        Subscriber::over(relay.connect(), id)
    }

    fn over(mut wire: Wire, id: &str) -> Subscriber {
        wire.ask(&ask("GET", &events(id)));
        assert_eq!(wire.head().status, 200);
        Subscriber { wire, read: Vec::new() }
    }

    fn next(&mut self) -> Item {
        loop {
            if let Some(end) = self.read.windows(2).position(|bytes| bytes == b"\n\n") {
                let text: Vec<u8> = self.read.drain(..end + 2).collect();
                return read_one(std::str::from_utf8(&text[..end]).expect("UTF-8"));
            }
            let read_some = self.wire.read_some(usize::MAX);
            assert!(!read_some.is_empty(), "the events ended");
            self.read.extend_from_slice(&read_some);
        }
    }

    /// The next event that satisfies this.
    fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            if let Item::Event(status) = self.next()
                && wanted(&status)
            {
                return status;
            }
        }
    }

    fn until_state(&mut self, state: &str) -> Value {
        self.until(|status| status["state"] == state)
    }

    /// No further event, and this end of the response.
    fn rest(&mut self) -> (Vec<u8>, Ending) {
        let (body, ending) = self.wire.rest();
        (std::mem::take(&mut self.read).into_iter().chain(body).collect(), ending)
    }

    /// The response ends correctly, and the connection stays open.
    fn assert_end(mut self) {
        assert_eq!(self.rest(), (Vec::new(), Ending::Complete));
        assert_eq!(self.wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
}

fn events(id: &str) -> String {
    format!("/stream/{id}/events")
}

fn delete(relay: &Relay, id: &str) {
    assert_eq!(relay.exchange(&ask("DELETE", &format!("/stream/{id}"))).status(), 204);
}

/// A stream with a long status.
fn create_long(relay: &Relay) -> String {
    relay.create_with(&json!({ "download_headers": { "X-Pad": "p".repeat(60_000) } }))
}

#[test]
fn every_state_is_an_event_equal_to_the_status() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut subscriber = Subscriber::of(&relay, &id);
    assert_eq!(subscriber.next(), Item::Event(relay.status(&id)), "at once");
    let destination = relay.waiting_destination(&id);
    assert_eq!(subscriber.next(), Item::Event(relay.status(&id)), "DST_CONNECTED");
    let mut source = relay.connect();
    source.ask(&Framing::Chunked.put(&id));
    subscriber.until_state("STREAMING");
    let mut pair = crate::support::Pair { id, framing: Framing::Chunked, source, destination };
    pair.pass_first(b"hello");
    subscriber.until(|status| status["bytes_transferred"] == 5);
    pair.pass(b", world");
    pair.complete();
    let last = subscriber.until_state("FINISHED");
    assert_eq!(last, relay.status(&pair.id));
    assert_eq!(last["bytes_transferred"], 12);
    subscriber.assert_end();
}

#[test]
fn the_head_has_the_fields_of_an_event_stream() {
    let relay = Relay::start(&[]);
    let target = events(&relay.create());
    let mut wire = relay.connect();
    wire.ask(&ask("GET", &target));
    let head = wire.head();
    for (name, value) in [
        ("Content-Type", Some("text/event-stream")),
        ("Cache-Control", Some("no-store")),
        ("X-Accel-Buffering", Some("no")),
        ("Transfer-Encoding", Some("chunked")),
        ("Content-Length", None),
    ] {
        assert_eq!(head.get(name), value, "{name}");
    }
    let mut wire = relay.connect();
    let answer = wire.exchange(&ask("HEAD", &target));
    assert_eq!((answer.status(), answer.head.get("Content-Type")), (200, head.get("Content-Type")));
    assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "the head alone");
}

#[test]
fn the_end_of_the_connection_is_the_end_for_http_1_0() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut wire = relay.connect();
    wire.ask(&ask("GET", &events(&id)).http10().field("Connection", "keep-alive"));
    let head = wire.head();
    assert_eq!((head.status, head.get("Transfer-Encoding")), (200, None));
    relay.waiting_destination(&id);
    relay.await_state(&id, "CREATED");
    assert_eq!(relay.exchange(&ask("DELETE", &format!("/stream/{id}"))).status(), 204);
    let (body, ending) = wire.rest();
    let events = read_all(&body);
    let states: Vec<_> = events.iter().map(|status| &status["state"]).collect();
    assert_eq!(states, ["CREATED", "DST_CONNECTED", "CREATED", "CLIENT_ERROR"]);
    assert_eq!(ending, Ending::Complete);
}

#[test]
fn an_ended_stream_has_one_event() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    delete(&relay, &id);
    let mut wire = relay.connect();
    for _ in 0..3 {
        let answer = wire.exchange(&ask("GET", &events(&id)));
        assert_eq!(answer.ending, Ending::Complete);
        assert_eq!(read_all(&answer.body), [relay.status(&id)]);
    }
}

#[test]
fn unknown_streams_and_other_methods_are_refused() {
    let relay = Relay::start(&[]);
    for (method, id) in [("GET", UNKNOWN), ("GET", "nonsense"), ("HEAD", UNKNOWN)] {
        let answer = relay.exchange(&ask(method, &events(id)));
        assert_eq!(answer.status(), 404, "{method} {id}");
        if method == "GET" {
            assert_error(id, &answer, (404, "SessionNotFoundError", None));
        }
    }
    for method in ["POST", "DELETE"] {
        let answer = relay.exchange(&ask(method, &events(&relay.create())));
        assert_error(method, &answer, (405, "BadRouteError", None));
        assert_eq!(answer.head.list("Allow"), ["GET", "HEAD", "PUT", "OPTIONS"], "{method}");
    }
}

#[test]
fn an_upload_may_be_named_events() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    let put = ask("PUT", &events(&id)).body("hello");
    assert_eq!(relay.exchange(&put).status(), 200);
    let answer = destination.response();
    assert_eq!(answer.body, b"hello");
    let disposition = answer.head.get("Content-Disposition");
    assert_eq!(disposition, Some("attachment; filename=\"events\""));
}

#[test]
fn reports_and_timeouts_are_events() {
    let relay = Relay::start(&["--ttl", "3s"]);
    let id = relay.create();
    let mut subscriber = Subscriber::of(&relay, &id);
    subscriber.until_state("CREATED");
    for name in ["One", "Two"] {
        let report = ask("POST", &format!("/stream/{id}/error"));
        let report = report.body(json!({ "name": name }).to_string());
        assert_eq!(relay.exchange(&report).status(), 200);
        assert_eq!(subscriber.until(|_| true)["error"]["name"], name);
    }
    let last = subscriber.until(|_| true);
    assert_eq!((&last["state"], &last["active"]), (&json!("TIMEOUT_NO_SRC_NO_DST"), &json!(false)));
    subscriber.assert_end();
}

#[test]
fn not_every_byte_is_an_event() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(Framing::Chunked);
    let mut subscriber = Subscriber::of(&relay, &pair.id);
    pair.pass_first(b"x");
    for _ in 1..400 {
        pair.pass(b"x");
    }
    pair.complete();
    let (body, ending) = subscriber.rest();
    let events = read_all(&body);
    assert_eq!(ending, Ending::Complete);
    assert!(events.len() < 100, "{} events for 400 pieces", events.len());
    let last = events.last().expect("an event");
    assert_eq!((&last["state"], &last["bytes_transferred"]), (&json!("FINISHED"), &json!(400)));
    let moved: Vec<_> = events.iter().map(|status| status["bytes_transferred"].as_u64()).collect();
    assert!(moved.is_sorted(), "{moved:?}");
}

#[test]
fn comments_keep_a_follower_connected_beyond_the_keep_alive_timeout() {
    let relay = Relay::start(&["--event-keep-alive", "300ms", "--keep-alive-timeout", "1s"]);
    let id = relay.create();
    let mut subscriber = Subscriber::of(&relay, &id);
    subscriber.until_state("CREATED");
    for _ in 0..6 {
        assert_eq!(subscriber.next(), Item::Comment);
    }
    delete(&relay, &id);
    subscriber.until_state("CLIENT_ERROR");
    assert_eq!(subscriber.rest(), (Vec::new(), Ending::Complete));
}

#[test]
fn a_new_bottleneck_is_an_event_even_without_progress() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(Framing::Length(64 << 20));
    let mut subscriber = Subscriber::of(&relay, &pair.id);
    relay.fill(&mut pair.source, &pattern(3, 64 << 20));
    let status = subscriber.until(|status| status["bottleneck"]["side"] == "destination");
    assert_eq!(status["state"], "STREAMING");
}

#[test]
fn a_side_that_leaves_is_an_event_at_once() {
    // Nothing else wakes the relay.
    let timeouts =
        ["--event-keep-alive", "--header-timeout", "--keep-alive-timeout", "--retention"];
    let relay = Relay::start(&timeouts.map(|timeout| [timeout, "1h"]).concat());
    let id = relay.create_with(&json!({ "ttl_seconds": 3600 }));
    let mut follower = Subscriber::of(&relay, &id);
    let source = relay.waiting_source(&id, Framing::Length(5));
    follower.until_state("SRC_CONNECTED");
    // By the end of another stream, nothing is due for the follower of this one.
    let short = relay.create_with(&json!({ "ttl_seconds": 2 }));
    Subscriber::of(&relay, &short).until_state("TIMEOUT_NO_SRC_NO_DST");
    drop(source);
    follower.until_state("CREATED");
}

#[test]
fn a_follower_disconnect_changes_nothing() {
    for way in DISCONNECTS {
        let relay = Relay::start(&[]);
        let before = relay.descriptors();
        let mut pair = relay.pair(Framing::Length(10));
        let mut subscribers: Vec<_> = (0..3).map(|_| Subscriber::of(&relay, &pair.id)).collect();
        for subscriber in &mut subscribers {
            subscriber.until_state("STREAMING");
        }
        let mut stays = subscribers.pop().expect("one");
        let half_closed = subscribers.pop().expect("one");
        subscribers.pop().expect("one").wire.leave(way);
        let mut wire = half_closed.wire;
        wire.finish_sending();
        assert_eq!(wire.rest().1, Ending::Closed, "a FIN ends it");
        eventually("the pair and one subscriber are left", || {
            (relay.descriptors().others == before.others + 3).then_some(())
        });
        pair.pass_first(b"0123456789");
        pair.complete();
        stays.until_state("FINISHED");
        stays.assert_end();
    }
}

#[test]
fn followers_above_the_limit_are_refused_until_one_disconnects() {
    let busy = |relay: &Relay, id: &str| {
        let answer = relay.connect().exchange(&ask("GET", &events(id)));
        assert_error("one too many", &answer, (503, "TooBusyError", None));
        let head = relay.exchange(&ask("HEAD", &events(id)));
        assert_eq!(head.status(), 503, "HEAD returns the status of GET");
    };
    let relay = Relay::start(&[]);
    let (id, other) = (relay.create(), relay.create());
    let mut subscribers: Vec<_> = (0..16).map(|_| Subscriber::of(&relay, &id)).collect();
    busy(&relay, &id);
    subscribers.push(Subscriber::of(&relay, &other));
    subscribers.swap_remove(3);
    eventually("there is room again", || {
        let mut wire = relay.connect();
        wire.ask(&ask("GET", &events(&id)));
        (wire.head().status == 200).then(|| subscribers.push(Subscriber { wire, read: Vec::new() }))
    });
    busy(&relay, &id);

    let relay = Relay::start(&["--max-followers", "2"]);
    let ids: Vec<_> = (0..3).map(|_| relay.create()).collect();
    let _followers: Vec<_> = ids[..2].iter().map(|id| Subscriber::of(&relay, id)).collect();
    busy(&relay, &ids[2]);
    delete(&relay, &ids[0]);
    eventually("the end of a stream makes room", || {
        let mut wire = relay.connect();
        wire.ask(&ask("GET", &events(&ids[2])));
        (wire.head().status == 200).then_some(())
    });
}

#[test]
fn a_slow_follower_skips_to_the_newest_and_the_last_event() {
    let relay = Relay::start(&[]);
    let id = create_long(&relay);
    let mut slow = Subscriber::over(Wire::connect_narrow(relay.address()), &id);
    let report = |number: usize| {
        let report = ask("POST", &format!("/stream/{id}/error"));
        let report = report.body(json!({ "name": number.to_string() }).to_string());
        assert_eq!(relay.exchange(&report).status(), 200);
    };
    report(0);
    let before = relay.resident_bytes();
    for number in 1..=300 {
        report(number);
    }
    let grown = relay.resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more for 300 events of 60 kB");
    let mut events = 0;
    slow.until(|status| {
        events += 1;
        status["error"]["name"] == "300"
    });
    assert!(events < 100, "{events} events");

    for number in 301..=400 {
        report(number);
    }
    delete(&relay, &id);
    relay.await_turn();
    slow.until_state("CLIENT_ERROR");
    slow.assert_end();
}

#[test]
fn the_last_event_outlives_its_stream() {
    let relay = Relay::start(&["--retention", "100ms"]);
    let id = create_long(&relay);
    let mut slow = Subscriber::over(Wire::connect_narrow(relay.address()), &id);
    for _ in 0..50 {
        assert_eq!(relay.report(&id).status(), 200);
    }
    delete(&relay, &id);
    eventually("the stream is forgotten", || {
        (relay.get(&format!("/stream/{id}/status")).status() == 404).then_some(())
    });
    slow.until_state("CLIENT_ERROR");
    slow.assert_end();

    let relay = Relay::start(&["--max-streams", "1"]);
    let id = relay.create();
    let mut subscriber = Subscriber::of(&relay, &id);
    subscriber.until_state("CREATED");
    let both = [ask("DELETE", &format!("/stream/{id}")).bytes(), ask("POST", "/stream").bytes()];
    let mut wire = relay.connect();
    wire.send(both.concat());
    assert_eq!((wire.response().status(), wire.response().status()), (204, 201));
    subscriber.until_state("CLIENT_ERROR");
    subscriber.assert_end();
}

#[test]
fn a_follower_that_does_not_read_is_closed() {
    let relay = Relay::start(&["--keep-alive-timeout", "3s", "--event-keep-alive", "100ms"]);
    let before = relay.descriptors();
    let id = create_long(&relay);
    let mut silent = Wire::connect_narrow(relay.address());
    silent.ask(&ask("GET", &events(&id)));
    let mut reads = Subscriber::of(&relay, &id);
    reads.until_state("CREATED");
    for _ in 0..10 {
        assert_eq!(relay.report(&id).status(), 200);
    }
    eventually("one subscriber is left", || {
        assert!(matches!(reads.next(), Item::Comment | Item::Event(_)));
        (relay.descriptors().others == before.others + 1).then_some(())
    });
    assert_ne!(silent.read_to_end().1, Ending::Complete);
    delete(&relay, &id);
    reads.until_state("CLIENT_ERROR");
}

#[test]
fn followers_receive_the_last_event_while_draining() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(Framing::Length(10));
    let mut subscriber = Subscriber::of(&relay, &pair.id);
    subscriber.until_state("STREAMING");
    relay.signal(Signal::SIGTERM);
    eventually("the relay drains", || relay.process().stderr().contains("draining").then_some(()));
    pair.pass_first(b"0123456789");
    pair.complete();
    subscriber.until_state("FINISHED");
    assert_eq!(subscriber.rest(), (Vec::new(), Ending::Complete));
    assert!(relay.finish().status.success());
}

#[test]
fn the_end_of_draining_disconnects_followers() {
    let relay = Relay::start(&["--drain-timeout", "200ms"]);
    let pair = relay.pair(Framing::Length(10));
    let mut streaming = Subscriber::of(&relay, &pair.id);
    let mut created = Subscriber::of(&relay, &relay.create());
    created.until_state("CREATED");
    relay.signal(Signal::SIGTERM);
    streaming.until_state("CLIENT_ERROR");
    assert_eq!(streaming.rest(), (Vec::new(), Ending::Complete));
    assert_eq!(created.rest().1, Ending::Closed, "its stream did not end");
    assert!(relay.finish().status.success());
}

#[test]
fn curl_follows_a_stream() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sSN", "--noproxy", "*", "--max-time", "60", &relay.url(&events(&id))]);
    let curl = Process::start(curl);
    eventually("the first event", || curl.stdout().ends_with("\n\n").then_some(()));
    let _source = relay.waiting_source(&id, Framing::Length(5));
    eventually("the second event", || curl.stdout().contains("SRC_CONNECTED").then_some(()));
    delete(&relay, &id);
    let finished = curl.finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    let events = read_all(finished.stdout.as_bytes());
    let states: Vec<_> = events.iter().map(|status| &status["state"]).collect();
    assert_eq!(states, ["CREATED", "SRC_CONNECTED", "CLIENT_ERROR"]);
}
