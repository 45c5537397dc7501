//! Memory does not grow with the number of requests.

use std::thread;

use crate::source::process::{SourceProcess, post};
use crate::support::ask;

/// Maximum growth of the process from the first requests to ten times as many.
const GROWTH_MAX_BYTES: u64 = 4 << 20;

const CONNECTIONS: usize = 8;

/// This number of requests over each of a few kept-alive connections.
fn send(source: &SourceProcess, requests: usize) {
    let batch = 25;
    let small = post("a body like many others").bytes().repeat(batch);
    let chunked = ask("POST", "/").chunked().raw_body(b"3\r\nabc\r\n0\r\n\r\n").bytes();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut wire = source.connect();
                for _ in 0..requests / CONNECTIONS / (batch + 1) {
                    wire.send([&small[..], &chunked].concat());
                    for _ in 0..=batch {
                        assert_eq!(wire.response().status(), 201);
                    }
                }
            });
        }
    });
}

#[test]
fn tens_of_thousands_of_requests_do_not_grow_memory() {
    let place = crate::source::consumer::Place::new();
    place.make_fifo();
    let reader = place.read_fifo();
    let source = SourceProcess::start(&["--output", &place.output()]);
    let drain = thread::spawn(move || reader.count());
    send(&source, 5_000);
    let before = source.memory_bytes("VmRSS");
    send(&source, 50_000);
    let after = source.memory_bytes("VmRSS");
    source.end();
    let per_connection = |requests: usize| requests / CONNECTIONS / 26 * 26;
    let sent = (per_connection(5_000) + per_connection(50_000)) * CONNECTIONS;
    assert_eq!(drain.join().expect("a reader"), sent, "each is a line");
    assert!(after < before + GROWTH_MAX_BYTES, "from {before} to {after} bytes");
}
