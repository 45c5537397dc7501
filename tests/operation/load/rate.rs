//! Maximum rate of one stream. Only the minimum time is checked: a stream cannot end before its
//! rate allows it, however slow the machine is.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Ending, Framing, Pair, Relay, Response, ask, assert_error, assert_uploaded, chunks, eventually,
    is_pattern, pattern,
};

/// 1 MiB/s, with a burst of a tenth of it.
const RATE: usize = 1 << 20;
const BURST: usize = RATE / 10;

/// The minimum burst at every rate.
const BURST_MIN: usize = 1 << 10;

/// Body bytes that can be read together with chunk framing before they are counted.
const FRAMING: usize = 512;

#[allow(clippy::disallowed_methods, reason = "a lower bound, which no load can break")]
fn now() -> Instant {
    Instant::now()
}

/// The minimum time to transfer this number of bytes.
fn least_time(bytes: usize) -> Duration {
    let paced = (bytes - BURST - FRAMING) as u64;
    Duration::from_micros(paced * 1_000_000 / RATE as u64)
}

/// A relay with a limit of 1 MiB/s, for each way of transferring bytes.
fn slow_relays() -> [Relay; 2] {
    [&["--max-rate", "1MiB"][..], &["--max-rate", "1MiB", "--no-splice"]].map(Relay::start)
}

/// Sends an upload while its download is read.
fn transfer(pair: &mut Pair, body: &[u8]) -> Response {
    let mut sender = pair.source.sender();
    thread::scope(|scope| {
        scope.spawn(move || sender.write_all(body).expect("the upload"));
        pair.destination.response()
    })
}

#[test]
fn each_stream_has_its_own_rate_limit() {
    let data = pattern(31, 600 << 10);
    let small = chunks(&data, &[1000]);
    let large = chunks(&data, &[200 << 10, 7]);
    let bodies = [
        (Framing::Length(data.len()), &data),
        (Framing::Chunked, &small),
        (Framing::Chunked, &large),
    ];
    for relay in &slow_relays() {
        let began = now();
        thread::scope(|scope| {
            for (framing, body) in bodies {
                for source_first in [false, true] {
                    scope.spawn(move || {
                        let mut pair = if source_first {
                            pair_that_sent(relay, framing, b"")
                        } else {
                            relay.pair(framing)
                        };
                        let download = transfer(&mut pair, body);
                        assert_eq!(download.ending, Ending::Complete, "{framing:?}");
                        is_pattern(31, 600 << 10, &download.body)
                            .unwrap_or_else(|why| panic!("{framing:?}: {why}"));
                        assert!(began.elapsed() >= least_time(600 << 10), "{framing:?}");
                        assert_uploaded(&pair.source.response());
                    });
                }
            }
        });
    }
}

#[test]
fn a_body_sent_before_pairing_is_not_faster() {
    for relay in slow_relays() {
        let data = pattern(32, 400 << 10);
        let id = relay.create();
        let mut source = relay.waiting_source(&id, Framing::Length(data.len()));
        let mut sender = source.sender();
        let began = now();
        let download = thread::scope(|scope| {
            scope.spawn(|| sender.write_all(&data).expect("the upload"));
            relay.get(&format!("/stream/{id}"))
        });
        is_pattern(32, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
        assert!(began.elapsed() >= least_time(data.len()));
        assert_uploaded(&source.response());
    }
}

#[test]
fn a_message_below_the_rate_is_not_delayed() {
    // At one byte per second any pause would exceed the timeout of these tests.
    for flags in [&["--max-rate", "1"][..], &["--max-rate", "1", "--no-splice"]] {
        let relay = Relay::start(flags);
        for framing in [Framing::Length(1000), Framing::Chunked] {
            let mut pair = relay.pair(framing);
            pair.pass_first(&[b'm'; 100]);
            for _ in 1..10 {
                pair.pass(&[b'm'; 100]);
            }
            pair.complete();
        }
    }
}

/// A pair whose source has sent all its data before they are joined, so that a slow test causes no
/// idle time.
fn pair_that_sent(relay: &Relay, framing: Framing, body: &[u8]) -> Pair {
    let id = relay.create();
    let mut source = relay.waiting_source(&id, framing);
    source.send(body);
    let mut destination = relay.connect();
    destination.ask(&ask("GET", &format!("/stream/{id}")));
    Pair { id, framing, source, destination }
}

#[test]
fn a_rate_limit_pause_is_not_idle_time() {
    let relay = Relay::start(&["--max-rate", "1", "--idle-timeout", "700ms"]);
    let data = pattern(33, BURST_MIN + 1);
    let began = now();
    let mut pair = pair_that_sent(&relay, Framing::Length(data.len()), &data);
    let download = pair.destination.response();
    assert_eq!((download.ending, download.body), (Ending::Complete, data));
    assert!(began.elapsed() >= Duration::from_secs(1), "it paused for longer than is idle");
    assert_uploaded(&pair.source.response());

    let mut silent = pair_that_sent(&relay, Framing::Length(10), b"hello");
    let download = silent.destination.response();
    assert_eq!((download.text(), download.ending), ("hello", Ending::Closed), "that is idle");
    assert_error("the source", &silent.source.response(), (408, "RequestTimeoutError", None));
}

#[test]
fn the_idle_timeout_starts_when_a_pause_ends() {
    for flags in [&[][..], &["--no-splice"]] {
        let slow = ["--max-rate", "1", "--idle-timeout", "700ms"];
        let relay = Relay::start(&[&slow[..], flags].concat());
        let data = pattern(36, BURST_MIN);
        // An incomplete size line follows: it is read after the pause of a second, and completes no
        // chunk.
        let body = [&Framing::Chunked.piece(&data), &b"1"[..]].concat();
        let began = now();
        let mut pair = pair_that_sent(&relay, Framing::Chunked, &body);
        let download = pair.destination.response();
        assert_eq!((download.ending, download.body), (Ending::Closed, data));
        assert_error("the source", &pair.source.response(), (408, "RequestTimeoutError", None));
        assert!(began.elapsed() >= Duration::from_millis(1700), "{:?}", began.elapsed());
    }
}

#[test]
fn a_paused_stream_can_end_in_every_way() {
    let relay = Relay::start(&["--max-rate", "1"]);
    let paused = |framing: Framing| {
        let mut pair = relay.pair(framing);
        pair.source.send(framing.piece(&vec![b'p'; BURST_MIN + 100]));
        assert_eq!(pair.destination.head().status, 200);
        let body = pair.destination.body(BURST_MIN - 100);
        assert!(body.iter().all(|&byte| byte == b'p'));
        pair
    };
    for framing in [Framing::Length(1 << 20), Framing::Chunked] {
        let mut deleted = paused(framing);
        let delete = ask("DELETE", &format!("/stream/{}", deleted.id));
        assert_eq!(relay.exchange(&delete).status(), 204);
        assert_error("source", &deleted.source.response(), (410, "StreamDeletedError", None));
        assert_eq!(deleted.destination.rest().1, Ending::Closed);

        let mut left = paused(framing);
        drop(left.destination);
        let gone = (502, "StreamDestinationError", None);
        assert_error("the destination left", &left.source.response(), gone);

        let lost = paused(framing);
        drop(lost.source);
        // Bytes sent and not read yet are lost with the source, or are read at the limited rate.
        let bytes = relay.status(&lost.id)["bytes_transferred"].as_u64();
        assert!(bytes >= Some(924), "{bytes:?}");
    }
    relay.await_turn();
}

#[test]
fn a_rate_above_the_throughput_changes_nothing() {
    let relay = Relay::start(&["--max-rate", "64GiB"]);
    let data = pattern(34, 8 << 20);
    let coded = chunks(&data, &[300 << 10]);
    for (framing, body) in [(Framing::Length(data.len()), &data), (Framing::Chunked, &coded)] {
        let mut pair = relay.pair(framing);
        let download = transfer(&mut pair, body);
        is_pattern(34, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
        assert_uploaded(&pair.source.response());
    }
}

#[test]
fn a_slow_stream_costs_few_system_calls() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("strace.log");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o"]).arg(&log);
    command.args([env!("CARGO_BIN_EXE_rdv"), "serve", "--listen", "127.0.0.1:0"]);
    command.args(["--max-rate", "1MiB"]);
    let relay = Relay::from_command(command, 1);
    let data = pattern(35, 600 << 10);
    let mut pair = relay.pair(Framing::Length(data.len()));
    let calls = || fs::read_to_string(&log).expect("the log of strace").lines().count();
    let before = calls();
    let download = transfer(&mut pair, &data);
    assert_uploaded(&pair.source.response());
    is_pattern(35, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
    relay.await_turn();
    eventually("strace has written all", || {
        let text = fs::read_to_string(&log).expect("the log of strace");
        text.lines().rev().take(5).any(|line| line.contains("epoll_wait")).then_some(())
    });
    // About ten pauses with a few calls each, and as many pieces as the sender's kernel makes.
    let made = calls() - before;
    assert!(made < 1000, "{made} calls for {} bytes", data.len());
}
