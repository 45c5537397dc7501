//! Load limits: what is refused beyond each, how that is said, and that what runs goes on.

mod support;

use std::io::Write;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use support::{
    Ending, Framing, Relay, Response, UNKNOWN, Wire, ask, assert_error, assert_uploaded,
    eventually, is_pattern, pattern, stream_of,
};

/// A refusal for being too busy, with the status and the `Retry-After` asked for.
fn assert_busy(answer: &Response, (status, seconds): (u16, &str), message: &str) {
    assert_error(message, answer, (status, "TooBusyError", Some(message)));
    assert_eq!(answer.head.get("Retry-After"), Some(seconds), "{message}");
}

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
    stopping.signal(nix::sys::signal::Signal::SIGTERM);
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
        let ended = support::Process::rdv(&["serve", flag, value]).finish();
        assert_eq!(ended.status.code(), Some(2), "{flag} {value}: {}", ended.stderr);
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{flag} {value}: {lines:?}");
        assert!(lines[0].contains(flag), "{}", lines[0]);
    }
}

const OF_ADDRESS: &str =
    "As many connections as this relay serves for one address are open from yours";

#[test]
fn connections_of_one_address_are_bounded() {
    let relay = Relay::start(&["--max-connections-per-address", "2"]);
    let mut held: Vec<Wire> = (0..2).map(|_| relay.connect()).collect();
    for wire in &mut held {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
    }
    for _ in 0..5 {
        let mut refused = relay.connect();
        let answer = refused.response();
        assert_busy(&answer, (503, "1"), OF_ADDRESS);
        assert!(answer.head.closes());
        refused.expect_end();
    }
    let mut other = connect_from("127.0.0.2", relay.address());
    assert_eq!(other.exchange(&ask("GET", "/ping")).status(), 200, "another address");
    for wire in &mut held {
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "those before are served");
    }
    for round in 0..20 {
        // One that is lingered with is served no more, and one that closed neither.
        let mut left = held.pop().expect("two are open");
        if round % 2 == 0 {
            left.ask(&ask("PUT", &format!("/stream/{UNKNOWN}")).length(1 << 30));
            assert_eq!(left.response().status(), 404);
        } else {
            drop(left);
        }
        held.push(eventually("a place is free", || {
            let mut next = relay.connect();
            let _ = next.try_send(ask("GET", "/ping").bytes());
            (next.response().status() == 200).then_some(next)
        }));
    }
    assert_busy(&relay.connect().response(), (503, "1"), OF_ADDRESS);
}

#[test]
fn streams_of_one_address_are_bounded_while_they_are_active() {
    let relay = Relay::start(&["--max-streams-per-address", "2"]);
    let refused = "As many streams as one address may have on this relay are active for yours";
    let mut wire = relay.connect();
    let create = ask("POST", "/stream");
    for end in ["deletion", "a report", "completion", "a lost side"] {
        let (id, other) = (relay.create(), relay.create());
        for _ in 0..3 {
            assert_busy(&wire.exchange(&create), (503, "1"), refused);
        }
        let mut elsewhere = connect_from("127.0.0.2", relay.address());
        let theirs = stream_of(&elsewhere.exchange(&create));
        for id in [&other, &theirs] {
            let delete = ask("DELETE", &format!("/stream/{id}"));
            assert_eq!(wire.exchange(&delete).status(), 204, "before {end}");
        }
        match end {
            "deletion" => {
                let delete = ask("DELETE", &format!("/stream/{id}"));
                assert_eq!(wire.exchange(&delete).status(), 204);
            }
            "a report" => {
                let mut waiting = relay.waiting_destination(&id);
                assert_eq!(relay.report(&id).status(), 200);
                assert_eq!(waiting.response().status(), 400);
            }
            "completion" => {
                let mut destination = relay.waiting_destination(&id);
                let put = ask("PUT", &format!("/stream/{id}")).body("whole");
                assert_uploaded(&wire.exchange(&put));
                assert_eq!(destination.response().text(), "whole");
            }
            _ => {
                drop(relay.waiting_source(&id, Framing::Length(5)));
                relay.await_state(&id, "SRC_DISCONNECTED");
            }
        }
        assert_eq!(relay.get("/stream?active=true").json(), serde_json::json!([]), "{end}");
    }
}

#[test]
fn ipv6_addresses_count_by_their_64_bits() {
    // One host has one loopback address of IPv6, so it can only be shown that it counts.
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let flags = ["--max-connections-per-address", "1"];
    let relay = Relay::listening(&["127.0.0.1:0", "[::1]:0"], &flags);
    let [v4, v6] = [0, 1].map(|at| {
        let mut wire = Wire::connect(relay.addresses()[at]);
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200, "each family counts apart");
        wire
    });
    for address in relay.addresses() {
        assert_busy(&Wire::connect(*address).response(), (503, "1"), OF_ADDRESS);
    }
    drop((v4, v6));
}

/// A connection from another address of this host.
fn connect_from(address: &str, to: SocketAddr) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    let from: SocketAddr = format!("{address}:0").parse().expect("an address");
    socket.bind(&from.into()).expect("all of 127.0.0.0/8 is this host");
    socket.connect(&to.into()).expect("connect to the relay");
    Wire::over(socket.into())
}

/// What the two sides of a stream are told that carries too much.
const TOO_LARGE: [(u16, &str, Option<&str>); 2] = [
    (
        413,
        "ContentTooLargeError",
        Some("The upload is longer than 1000 bytes, the most a stream may carry"),
    ),
    (
        502,
        "StreamSourceError",
        Some("Stream source has more than 1000 bytes, the most a stream may carry"),
    ),
];

/// A relay that lets 1000 bytes through, in each of the ways bytes go.
fn bounded_relays() -> [Relay; 2] {
    [&["--max-stream-bytes", "1000"][..], &["--max-stream-bytes", "1000", "--no-splice"]]
        .map(Relay::start)
}

/// The status of a stream that carried too much.
fn assert_ended_as_too_large(relay: &Relay, id: &str, bytes: usize) {
    let status = relay.status(id);
    assert_eq!(status["state"], "SRC_ERROR", "{status}");
    assert_eq!(status["bytes_transferred"], bytes, "{status}");
    assert_eq!(status["error"]["message"].as_str(), TOO_LARGE[1].2, "{status}");
}

#[test]
fn a_length_beyond_the_bound_is_refused_before_a_byte() {
    for relay in bounded_relays() {
        let id = relay.create();
        let mut destination = relay.waiting_destination(&id);
        let mut source = relay.connect();
        source.ask(&Framing::Length(1001).put(&id).field("Expect", "100-continue"));
        assert_error("source, second", &source.response(), TOO_LARGE[0]);
        assert_error("destination, first", &destination.response(), TOO_LARGE[1]);
        assert_ended_as_too_large(&relay, &id, 0);
        assert_eq!(destination.exchange(&ask("GET", "/ping")).status(), 200, "it goes on");

        let id = relay.create();
        let put = Framing::Length(1001).put(&id);
        assert_error("source, first", &relay.exchange(&put), TOO_LARGE[0]);
        assert_ended_as_too_large(&relay, &id, 0);
        let late = relay.get(&format!("/stream/{id}"));
        assert_error("destination, second", &late, (404, "SessionNotFoundError", None));
    }
}

#[test]
fn a_refused_upload_leaves_those_alone_who_are_there() {
    let [relay, _] = bounded_relays();
    let mut pair = relay.pair(Framing::Length(5));
    let put = Framing::Length(1001).put(&pair.id);
    assert_error("occupied", &relay.exchange(&put), (429, "AlreadyConnectedError", None));
    let put = Framing::Length(1001).put(UNKNOWN);
    assert_error("unknown", &relay.exchange(&put), (404, "SessionNotFoundError", None));
    pair.pass_first(b"hello");
    pair.complete();
}

#[test]
fn a_body_of_exactly_the_bound_goes_through() {
    for relay in bounded_relays() {
        for framing in [Framing::Length(1000), Framing::Chunked] {
            let data = pattern(21, 1000);
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            let mut destination = relay.connect();
            destination.ask(&ask("GET", &format!("/stream/{id}")));
            for piece in data.chunks(300) {
                source.send(framing.piece(piece));
            }
            source.send(framing.end());
            let download = destination.response();
            assert_eq!((download.ending, download.body), (Ending::Complete, data), "{framing:?}");
            assert_uploaded(&source.response());
        }
    }
}

#[test]
fn chunks_beyond_the_bound_cut_the_stream() {
    for relay in bounded_relays() {
        for (http10, source_first) in [(false, false), (false, true), (true, false), (true, true)] {
            let id = relay.create();
            let mut get = ask("GET", &format!("/stream/{id}"));
            if http10 {
                get = get.http10();
            }
            let (mut source, mut destination);
            if source_first {
                source = relay.waiting_source(&id, Framing::Chunked);
                destination = relay.connect();
                destination.ask(&get);
            } else {
                destination = relay.waiting_with(&get, &id);
                source = relay.connect();
                source.ask(&Framing::Chunked.put(&id));
            }
            relay.await_state(&id, "STREAMING");
            let data = pattern(22, 1000);
            source.send(Framing::Chunked.piece(&data[..600]));
            source.send(Framing::Chunked.piece(&data[600..]));
            assert_eq!(destination.head().status, 200);
            assert_eq!(destination.body(1000), data);
            source.send(Framing::Chunked.piece(b"x"));
            let case = format!("HTTP/1.0: {http10}, source first: {source_first}");
            assert_error(&case, &source.response(), TOO_LARGE[0]);
            let (rest, ending) = destination.rest();
            assert!(rest.is_empty(), "{case}: {rest:?}");
            let cut = if http10 { Ending::Reset } else { Ending::Closed };
            assert_eq!(ending, cut, "{case}");
            assert_ended_as_too_large(&relay, &id, 1000);
        }
    }
}

#[test]
fn a_chunk_that_would_pass_the_bound_is_refused_at_its_head() {
    for relay in bounded_relays() {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send("3e9\r\n");
        assert_error("source", &pair.source.response(), TOO_LARGE[0]);
        assert_error("destination", &pair.destination.response(), TOO_LARGE[1]);
        assert_ended_as_too_large(&relay, &pair.id, 0);

        // The same when it all waits in the socket, and comes with the upload's head.
        let id = relay.create();
        let mut source = relay.connect();
        let body = support::chunks(&pattern(23, 1001), &[100]);
        source.ask(&Framing::Chunked.put(&id).raw_body(&body));
        relay.await_state(&id, "SRC_CONNECTED");
        let mut destination = relay.connect();
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        let download = destination.response();
        assert_eq!((download.status(), download.ending), (200, Ending::Closed));
        assert!(download.body.len() <= 1000, "{}", download.body.len());
        assert_error("source, first", &source.response(), TOO_LARGE[0]);
        assert_ended_as_too_large(&relay, &id, 1000);
    }
}

#[test]
fn large_chunks_are_bounded_as_small_ones_are() {
    for flags in
        [&["--max-stream-bytes", "1MiB"][..], &["--max-stream-bytes", "1MiB", "--no-splice"]]
    {
        let relay = Relay::start(flags);
        let mut pair = relay.pair(Framing::Chunked);
        let data = pattern(24, 5 << 18);
        let mut sender = pair.source.sender();
        let body = support::chunks(&data, &[1 << 18]);
        let sending = std::thread::spawn(move || sender.write_all(&body));
        let download = pair.destination.response();
        assert_eq!((download.status(), download.ending), (200, Ending::Closed));
        is_pattern(24, 1 << 20, &download.body).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(pair.source.response().status(), 413);
        sending.join().expect("the sender").expect("all of it is read or discarded");
    }
}
