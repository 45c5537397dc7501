//! Several workers: a request reaches the worker of its stream whichever worker accepted its
//! connection, and operators see one relay.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use crate::support::{
    Ending, Framing, Lineage, Pair, Process, Relay, Response, Wire, ask, assert_error,
    assert_uploaded, await_end_of, eventually, pattern,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const WORKERS: [&str; 2] = ["--workers", "4"];

fn start(flags: &[&str]) -> Relay {
    Relay::start(&[&WORKERS, flags].concat())
}

/// The worker that an identifier shows.
fn worker_of(id: &str) -> u8 {
    u8::from_str_radix(&id[4..6], 16).expect("hexadecimal digits")
}

/// Streams at all four workers, two of each at least.
fn streams(relay: &Relay) -> Vec<String> {
    let mut all = Vec::new();
    let mut counts = [0; 4];
    eventually("streams at all workers", || {
        let id = relay.create();
        counts[usize::from(worker_of(&id))] += 1;
        all.push(id);
        counts.iter().all(|count| *count >= 2).then_some(())
    });
    all
}

fn upload(relay: &Relay, id: &str, body: &[u8]) -> Response {
    relay.exchange(&ask("PUT", &format!("/stream/{id}")).body(body))
}

#[test]
fn identifiers_show_their_worker_only_if_there_are_several() {
    let relay = start(&[]);
    let ids = streams(&relay);
    let workers: BTreeSet<u8> = ids.iter().map(|id| worker_of(id)).collect();
    assert_eq!(workers, BTreeSet::from([0, 1, 2, 3]));
    for id in ids {
        let digits: Vec<char> = id.chars().collect();
        assert_eq!((&id[..4], digits[14]), ("0000", '8'), "a UUID of version 8: {id}");
    }
    assert_eq!(Relay::start(&["--workers", "1"]).create().chars().nth(14), Some('4'));
}

#[test]
fn both_sides_meet_whichever_worker_accepted_them() {
    let relay = start(&[]);
    for (number, id) in streams(&relay).into_iter().enumerate() {
        let body = pattern(number as u64, 100_000 + number);
        let received = thread::scope(|scope| {
            let source = scope.spawn(|| upload(&relay, &id, &body));
            let received = relay.get(&format!("/stream/{id}"));
            assert_uploaded(&source.join().expect("no panic"));
            received
        });
        assert_eq!((received.status(), received.ending), (200, Ending::Complete), "{id}");
        assert!(received.body == body, "{id}: the same bytes");
        assert_eq!(relay.status(&id)["state"], "FINISHED", "{id}");
        assert_eq!(upload(&relay, &id, b"again").status(), 404, "{id}");
    }
}

#[test]
fn a_connection_is_used_for_streams_of_several_workers_in_turn() {
    let relay = start(&[]);
    let ids = streams(&relay);
    let (mut source, mut destination) = (relay.connect(), relay.connect());
    for id in ids.iter().chain(&ids) {
        let framed = ask("HEAD", &format!("/stream/{id}"));
        assert!([200, 404].contains(&source.exchange(&framed).status()), "{id}");
    }
    for (number, id) in ids.iter().enumerate() {
        let body = pattern(number as u64, 10_000);
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        source.ask(&ask("PUT", &format!("/stream/{id}")).body(&body));
        assert!(destination.response().body == body, "{id}");
        assert_uploaded(&source.response());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let relay = start(&[]);
    let ids = streams(&relay);
    let mut wire = relay.connect();
    let all: Vec<u8> =
        ids.iter().flat_map(|id| ask("GET", &format!("/stream/{id}/status")).bytes()).collect();
    wire.send(all);
    for id in &ids {
        assert_eq!(wire.response().json()["id"], json!(id));
    }
}

#[test]
fn the_bytes_after_a_head_move_with_it() {
    let relay = start(&[]);
    for (number, id) in streams(&relay).into_iter().enumerate() {
        let framing = if number % 2 == 0 { Framing::Chunked } else { Framing::Length(5) };
        // The complete request at once, and another one after it.
        let mut request = framing.put(&id).bytes();
        request.extend(framing.piece(b"hello"));
        request.extend(framing.end());
        request.extend(ask("GET", "/ping").bytes());
        let mut source = relay.connect();
        source.send(request);
        assert_eq!(relay.get(&format!("/stream/{id}")).text(), "hello", "{id}");
        assert_uploaded(&source.response());
        assert_eq!(source.response().text(), "pong", "{id}");
    }
}

#[test]
fn a_source_that_expects_100_sends_nothing_before_its_destination_is_there() {
    let relay = start(&[]);
    for id in streams(&relay) {
        let mut source = relay.connect();
        let put = ask("PUT", &format!("/stream/{id}")).field("Expect", "100-continue").length(5);
        source.ask(&put);
        relay.await_state(&id, "SRC_CONNECTED");
        source.assert_silent();
        let mut destination = relay.connect();
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        source.expect_continue();
        source.send("hello");
        assert_uploaded(&source.response());
        assert_eq!(destination.response().text(), "hello", "{id}");
    }
}

#[test]
fn a_path_and_a_key_belong_to_one_worker() {
    let relay = start(&["--paths"]);
    for number in 0..12 {
        let path = format!("/p/a/{number}");
        let body = format!("body {number}");
        thread::scope(|scope| {
            let source = scope.spawn(|| relay.exchange(&ask("PUT", &path).body(&body)));
            assert_eq!(relay.get(&path).text(), body);
            assert_eq!(source.join().expect("no panic").status(), 200);
        });
        let create = ask("POST", "/stream").field("Idempotency-Key", &format!("key-{number}"));
        let first = relay.exchange(&create.clone().body("{}")).json()["stream"].clone();
        for _ in 0..4 {
            assert_eq!(relay.exchange(&create.clone().body("{}")).json()["stream"], first);
        }
    }
}

#[test]
fn limits_in_total_hold_for_all_workers_together() {
    let relay = start(&["--max-streams", "10", "--max-unjoined-streams-per-address", "0"]);
    for _ in 0..10 {
        relay.create();
    }
    assert_error("one more", &relay.exchange(&ask("POST", "/stream")), (503, "TooBusyError", None));
    let relay = start(&["--max-unjoined-streams-per-address", "7"]);
    for _ in 0..7 {
        relay.create();
    }
    let refused = relay.exchange(&ask("POST", "/stream"));
    assert!(refused.text().contains("max-unjoined-streams-per-address"), "{}", refused.text());
}

#[test]
fn an_address_has_no_more_connections_than_it_may_at_all_workers_together() {
    let relay = start(&["--max-connections-per-address", "8"]);
    let mut kept = Vec::new();
    for _ in 0..8 {
        let mut wire = relay.connect();
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), 200);
        kept.push(wire);
    }
    let refused = relay.get("/ping");
    assert!(refused.text().contains("max-connections-per-address"), "{}", refused.text());
}

#[test]
fn operators_see_one_relay() {
    let relay = start(&[]);
    let ids = streams(&relay);
    let all = |target: &str| -> BTreeSet<String> {
        let list = relay.admin_get(target).json();
        let ids =
            list.as_array().expect("a list").iter().map(|it| it["id"].as_str().map(str::to_owned));
        ids.map(|id| id.expect("an id")).collect()
    };
    assert_eq!(all("/stream"), ids.iter().cloned().collect());
    relay.exchange(&ask("DELETE", &format!("/stream/{}", ids[0])));
    assert_eq!(all("/stream?active=true"), ids[1..].iter().cloned().collect());
    let state = relay.admin_get("/control").json();
    assert_eq!(
        (&state["streams"]["held"], &state["streams"]["active"]),
        (&json!(ids.len()), &json!(ids.len() - 1))
    );
    let metrics = relay.admin_get("/metrics").text().to_owned();
    let created = format!("rdv_requests_total{{route=\"create\",status=\"201\"}} {}", ids.len());
    assert!(metrics.lines().any(|line| line == created), "{metrics}");
    let families = metrics.lines().filter(|line| line.starts_with("# HELP rdv_requests_total "));
    assert_eq!(families.count(), 1, "{metrics}");
}

#[test]
fn a_connection_of_an_operator_is_used_for_all_requests_in_turn() {
    let relay = start(&[]);
    let mut wire = Wire::connect_unix(&relay.admin_socket());
    for id in streams(&relay) {
        assert_eq!(wire.exchange(&ask("GET", &format!("/stream/{id}/status"))).status(), 200);
        for target in ["/control", "/metrics", "/readyz", "/healthz", "/stream"] {
            assert_eq!(wire.exchange(&ask("GET", target)).status(), 200, "{target} after {id}");
        }
    }
    wire.ask(&ask("GET", "/watch"));
    assert_eq!(wire.head().status, 200);
    let event = String::from_utf8(wire.chunk()).expect("UTF-8");
    assert!(event.starts_with("event: watch\n"), "{event}");
}

#[test]
fn the_list_is_one_array_whatever_its_length() {
    let relay = start(&["--max-unjoined-streams-per-address", "0"]);
    assert_eq!(relay.admin_get("/stream").text(), "[]\n");
    let mut wire = relay.connect();
    let created: BTreeSet<String> = (0..2000)
        .map(|_| {
            let response = wire.exchange(&ask("POST", "/stream").closing());
            wire = relay.connect();
            response.json()["stream"].as_str().expect("an id").to_owned()
        })
        .collect();
    let list = relay.admin_get("/stream");
    assert_eq!(list.ending, Ending::Complete);
    let listed: Vec<Value> = serde_json::from_str(list.text()).expect("JSON");
    let listed: BTreeSet<&str> = listed.iter().filter_map(|it| it["id"].as_str()).collect();
    assert!(listed.into_iter().eq(created.iter().map(String::as_str)));
}

#[test]
fn an_order_of_an_operator_is_in_effect_at_all_workers_once_it_is_answered() {
    let relay = start(&[]);
    for _ in 0..5 {
        relay.admin_exchange(&ask("POST", "/control/suspend"));
        for _ in 0..8 {
            assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 503);
        }
        relay.admin_exchange(&ask("POST", "/control/resume"));
        for _ in 0..8 {
            assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 201);
        }
    }
}

#[test]
fn a_drain_waits_for_the_transfers_of_all_workers() {
    let relay = start(&[]);
    let mut pairs: BTreeMap<u8, Pair> = BTreeMap::new();
    for id in streams(&relay) {
        let worker = worker_of(&id);
        pairs.entry(worker).or_insert_with(|| {
            let mut pair = relay.join(&id, Framing::Length(10));
            pair.pass_first(b"01234");
            pair
        });
    }
    relay.signal(Signal::SIGTERM);
    eventually("it listens no more", || Wire::try_connect(relay.address()).is_none().then_some(()));
    for mut pair in pairs.into_values() {
        pair.pass(b"56789");
        pair.complete();
    }
    let finished = relay.finish();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let drains = finished.stderr.matches("SIGTERM: draining").count();
    assert_eq!(drains, 1, "one line for all workers: {}", finished.stderr);
}

#[test]
fn waiting_streams_are_handed_over_to_any_number_of_workers() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rdv.toml");
    let set = |workers: &str| {
        fs::write(&file, format!("workers = \"{workers}\"\n")).expect("a configuration");
    };
    set("3");
    let mut line = Lineage::start(&["--config", file.to_str().expect("UTF-8"), "--ttl", "10m"]);
    let address = line.address();
    let ids: Vec<String> = (0..12)
        .map(|_| {
            crate::support::stream_of(&Wire::connect(address).exchange(&ask("POST", "/stream")))
        })
        .collect();
    for workers in ["1", "4", "2"] {
        set(workers);
        line.hand_over();
        for id in &ids {
            let status =
                Wire::connect(address).exchange(&ask("GET", &format!("/stream/{id}/status")));
            assert_eq!(status.json()["state"], "CREATED", "{workers} workers: {id}");
        }
    }
    line.order(Signal::SIGTERM);
    await_end_of(line.serving());
    assert!(!line.log().contains("panicked"), "{}", line.log());
}

#[test]
fn a_port_in_use_is_refused_with_workers_as_well() {
    let relay = start(&[]);
    let address = relay.address().to_string();
    for workers in ["1", "2"] {
        let other = Process::rdv(&["serve", "--listen", &address, "--workers", workers]).finish();
        assert_eq!(other.status.code(), Some(1), "{}", other.stderr);
        assert!(other.stderr.contains("cannot listen on"), "{}", other.stderr);
    }
}

#[test]
fn the_process_ends_with_a_worker_that_fails() {
    let mut relay = start(&[]);
    let id = relay.process().id();
    let task = format!("/proc/{id}/task");
    let thread = eventually("the thread of a worker", || {
        let named = |thread: &fs::DirEntry| {
            let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            name.trim() == "worker-2"
        };
        fs::read_dir(&task).expect("threads").flatten().find(named)
    });
    let thread = thread.file_name().into_string().expect("a number");
    assert!(Path::new("/usr/bin/strace").exists(), "these tests need strace(1)");
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", "trace=epoll_wait"]);
    strace.args(["-e", "inject=epoll_wait:error=EBADF", "-p", &thread]);
    let mut strace = strace.spawn().expect("strace");
    // Any of its connections makes its next wait begin.
    eventually("the process has ended", || {
        let _ = Wire::try_connect(relay.address());
        relay.ended().then_some(())
    });
    let _ = strace.wait();
    let finished = relay.finish();
    assert_eq!(finished.status.code(), Some(101), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("worker 2 has failed, and the relay ends with it"),
        "{}",
        finished.stderr
    );
}

#[test]
fn invalid_numbers_of_workers_are_refused_with_the_range() {
    for workers in ["0", "257", "many", ""] {
        let refused = Process::rdv(&["serve", "--workers", workers]).finish();
        assert_eq!(refused.status.code(), Some(2), "{workers:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("from 1 to 256, or auto"), "{}", refused.stderr);
    }
}
