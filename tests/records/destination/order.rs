//! Concurrent requests: records of one key stay in order, however slow the responses are.

use std::collections::BTreeMap;
use std::io::Write as _;

use crate::destination::record_server::{RecordServer, Reply, assert_ends, record, run, start};
use crate::support::eventually;

/// Records of this number of keys in rotation; the content is `key number`.
fn turns(keys: usize, each: usize) -> String {
    let turn = |number| {
        (0..keys).map(move |key| {
            let content = format!("{key} {number}");
            record(&content, &key.to_string(), content.as_bytes())
        })
    };
    (0..each).flat_map(turn).collect()
}

/// The numbers received for each key.
fn by_key(bodies: &[String]) -> BTreeMap<String, Vec<usize>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for body in bodies {
        let (key, number) = body.split_once(' ').unwrap();
        found.entry(key.to_owned()).or_default().push(number.parse().unwrap());
    }
    found
}

#[test]
fn a_delayed_key_does_not_block_other_keys() {
    let server = RecordServer::new(|_, request| match &request.body[..] {
        b"0 0" => Reply::Held(201),
        _ => Reply::Status(201),
    });
    let (process, mut input) = start(&["--url", &server.url(), "--parallel", "8"]);
    input.write_all(turns(16, 2).as_bytes()).unwrap();
    let lines = || process.stdout().lines().count();
    eventually("others are acknowledged", || (lines() > 10).then_some(()));
    let before = server.bodies();
    assert!(!before.contains(&"0 1".to_owned()), "the second of a key waits for the first");
    server.inner.release();
    drop(input);
    let finished = process.finish();
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout.lines().count(), 32);
    let all = [before, server.bodies()].concat();
    assert!(by_key(&all).values().all(|numbers| *numbers == [0, 1]), "{all:?}");
    assert!((2..=8).contains(&server.inner.connections()), "one connection a worker");
}

#[test]
fn retries_do_not_change_the_order() {
    let server = RecordServer::new(|at, _| Reply::Status(if at % 3 == 0 { 500 } else { 201 }));
    let flags = ["--url", &server.url(), "--parallel", "4", "--retries", "50"];
    let finished = run(&flags, &turns(5, 8));
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout.lines().count(), 40);
    for (key, mut numbers) in by_key(&server.bodies()) {
        numbers.dedup();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7], "{key}");
    }
}

#[test]
fn no_record_of_a_key_is_sent_after_a_failed_one() {
    let server = RecordServer::new(|_, request| match &request.body[..] {
        b"3 1" => Reply::Status(422),
        _ => Reply::Status(201),
    });
    let finished = run(&["--url", &server.url(), "--parallel", "4"], &turns(6, 6));
    assert_ends(&finished, 5, &["MyAx", "422"]);
    let bodies = server.bodies();
    assert_eq!(by_key(&bodies)["3"], [0, 1]);
    assert_eq!(finished.stdout.lines().count(), bodies.len() - 1, "what arrived is acknowledged");
    assert!(!finished.stdout.contains("MyAx"));
}
