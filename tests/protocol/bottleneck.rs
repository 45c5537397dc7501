//! The bottleneck in the status object: the side that limits a transfer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Framing, Relay, eventually, pattern};
use serde_json::{Value, json};

/// More than all socket buffers between the sides hold.
const PLENTY: usize = 64 << 20;

/// Waits for this verdict, and returns the status object.
fn await_side(relay: &Relay, id: &str, side: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("the bottleneck is {side}"), || {
        last = relay.status(id);
        assert_eq!(last["state"], "STREAMING", "{last}");
        (last["bottleneck"]["side"] == side).then(|| last.clone())
    })
}

#[test]
fn a_destination_that_stops_reading_is_the_bottleneck() {
    let relay = Relay::start(&[]);
    for framing in [Framing::Length(PLENTY), Framing::Chunked] {
        let mut pair = relay.pair(framing);
        let data = match framing {
            Framing::Length(_) => vec![7; PLENTY],
            Framing::Chunked => framing.piece(&vec![7; PLENTY]),
        };
        relay.fill(&mut pair.source, &data);
        let status = await_side(&relay, &pair.id, "destination");
        let figures = &status["bottleneck"]["destination"];
        assert!(figures["rwnd_limited_us"].as_u64() > Some(0), "{status}");
        assert!(figures["waited_ms"].as_u64() > Some(0), "{status}");

        drop(pair.destination);
        let status = relay.await_state(&pair.id, "DST_DISCONNECTED");
        assert_eq!(status["bottleneck"]["side"], "destination", "kept at the end");
    }
}

#[test]
fn a_source_that_pauses_is_the_bottleneck() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(Framing::Length(150_000));
    assert_eq!(relay.status(&pair.id)["bottleneck"]["side"], "source", "before the first byte");
    pair.pass_first(&pattern(1, 100_000));
    let status = await_side(&relay, &pair.id, "source");
    assert!(status["bottleneck"]["source"]["rtt_us"].is_u64(), "{status}");
    pair.pass(&pattern(2, 50_000));
    pair.complete();
    assert_eq!(relay.await_state(&pair.id, "FINISHED")["bottleneck"]["side"], "source");
}

#[test]
fn the_rate_limit_is_the_bottleneck_of_a_fast_source() {
    let relay = Relay::start(&["--max-rate", "1KiB"]);
    let mut pair = relay.pair(Framing::Length(PLENTY));
    pair.source.send(pattern(3, 60_000));
    let status = await_side(&relay, &pair.id, "rate");
    assert!(status["bottleneck"]["rate_waited_ms"].as_u64() > Some(0), "{status}");
}

#[test]
fn a_destination_that_reads_slowly_is_the_bottleneck() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(Framing::Length(PLENTY));
    let over = AtomicBool::new(false);
    let mut sender = pair.source.handle();
    thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            let piece = vec![7; 1 << 20];
            loop {
                if over.load(Ordering::Relaxed) || sender.write_all(&piece).is_err() {
                    return;
                }
            }
        });
        pair.destination.head();
        let mut verdict = json!(null);
        eventually("the reader is blamed", || {
            pair.destination.body(100);
            verdict = relay.status(&pair.id)["bottleneck"]["side"].clone();
            (verdict == "destination").then_some(())
        });
        over.store(true, Ordering::Relaxed);
        drop(pair.destination);
    });
}

#[test]
fn a_short_transfer_has_no_bottleneck() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    let mut source = relay.connect();
    let put = Framing::Length(5).put(&id).raw_body(b"hello");
    assert_eq!(source.exchange(&put).status(), 200);
    assert_eq!(destination.response().body, b"hello");
    assert!(relay.status(&id).get("bottleneck").is_none());
    let waiting = relay.create();
    assert!(relay.status(&waiting).get("bottleneck").is_none(), "nothing streams");
}
