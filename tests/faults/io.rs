//! Failures of the calls that transfer bytes, and of those that prepare for it.

use std::io::Write;
use std::thread;

use crate::injected::{Fault, Faulty, calls_before_listening};
use crate::support::{
    ADMIN, Ending, Framing, Observed, Pair, Process, ask, assert_uploaded, eventually, is_pattern,
    pattern,
};
use crate::transfer::{BODIES, Verdict, assert_recovered, attempt};

/// An injected `EAGAIN` from a ready socket is not followed by an event. Then the relay's timeout
/// has to end the transfer, so it is short.
const SHORT_TIMEOUTS: [&str; 10] = [
    "--ttl",
    "1s",
    "--idle-timeout",
    "300ms",
    "--keep-alive-timeout",
    "300ms",
    "--header-timeout",
    "300ms",
    "--linger-timeout",
    "300ms",
];

/// Maximum number of pipes left open by transfers in sequence: two large and two small ones.
const IDLE_PIPES: usize = 4;

/// Every transfer completes although these calls fail.
fn assert_all_complete(call: &str, error: &str, when: &str) {
    let faulty = Fault { call, error, when }.relay(&[]);
    let before = faulty.relay.descriptors();
    for body in BODIES {
        let verdict = attempt(&faulty.relay, body);
        assert_eq!(verdict, Verdict::Complete, "{call} {error} {when}: {body:?}");
    }
    faulty.await_strikes(1);
    faulty.relay.await_turn();
    faulty.relay.await_descriptors(before, IDLE_PIPES);
}

/// Every transfer ends correctly although these calls fail, and later ones complete. Returns the
/// number of failed ones.
fn assert_outcomes_agree(call: &str, error: &str, when: &str) -> usize {
    let faulty = Fault { call, error, when }.relay(&SHORT_TIMEOUTS);
    let before = faulty.relay.descriptors();
    let verdicts = BODIES.map(|body| attempt(&faulty.relay, body));
    faulty.await_strikes(1);
    assert_recovered(&faulty.relay);
    faulty.relay.await_descriptors(before, IDLE_PIPES);
    verdicts.iter().filter(|&&verdict| verdict == Verdict::Broken).count()
}

/// The same for failures of these calls, with one relay for each, several relays at once.
fn sweep(call: &str, error: &str, calls: &[&str]) -> usize {
    thread::scope(|scope| {
        let running: Vec<_> = calls
            .iter()
            .map(|when| scope.spawn(move || assert_outcomes_agree(call, error, when)))
            .collect();
        running.into_iter().map(|row| row.join().unwrap_or_else(|_| panic!("{call} {error}"))).sum()
    })
}

/// Which calls of a kind fail: from the `first` on, as long as the relay runs.
fn from(first: usize) -> String {
    format!("{first}+")
}

#[test]
fn interrupted_system_calls_are_retried() {
    for call in ["splice", "sendto", "sendmsg", "recvfrom", "epoll_wait"] {
        for when in ["1..5", "2+2"] {
            assert_all_complete(call, "EINTR", when);
        }
    }
}

#[test]
fn without_pipes_bytes_are_copied() {
    for error in ["EMFILE", "ENFILE", "ENOMEM"] {
        for when in ["1", "1+"] {
            assert_all_complete("pipe2", error, when);
        }
    }
}

#[test]
fn a_relay_without_pipes_is_degraded_until_one_opens() {
    let faulty = Fault { call: "pipe2", error: "ENFILE", when: "1" }.relay(&ADMIN);
    let relay = Observed::of(faulty.relay);
    let readiness = || relay.admin_exchange(&ask("GET", "/readyz"));
    assert_eq!(readiness().status(), 200);
    let piece = pattern(24, 100_000);
    let rest = pattern(25, 64 << 20);
    let mut pair = relay.pair(Framing::Length(piece.len() + rest.len()));
    pair.pass_first(&piece);
    let degraded = eventually("the relay is degraded", || {
        let answer = readiness();
        assert_eq!(answer.status(), 200, "it serves on");
        Some(answer.json()).filter(|answer| answer.get("degraded").is_some())
    });
    assert_eq!(degraded["ready"], true);
    assert_eq!(degraded["reasons"], serde_json::json!([]));
    assert_eq!(degraded["degraded"], serde_json::json!(["out of pipes"]));
    let metrics = || relay.scrape();
    metrics().assert_counts(&[(r#"rdv_degraded{reason="pipes"}"#, 1)]);
    // The relay tries again after a number of copied reads.
    let mut sender = pair.source.sender();
    thread::scope(|scope| {
        scope.spawn(|| sender.write_all(&rest).expect("the rest"));
        assert!(pair.destination.body(rest.len()) == rest, "every byte in its place");
    });
    pair.complete();
    eventually("a pipe opened", || readiness().json().get("degraded").is_none().then_some(()));
    metrics().assert_counts(&[(r#"rdv_degraded{reason="pipes"}"#, 0)]);
    // The log line follows at the relay's next self-check.
    let logged = |line| relay.process().stderr().matches(line).count();
    eventually("its end is logged", || {
        (logged("no longer degraded: out of pipes") == 1).then_some(())
    });
    assert_eq!(logged("degraded: out of pipes;"), 1);
}

#[test]
fn a_pipe_that_cannot_be_resized_is_used_as_it_is_or_not_at_all() {
    let first = calls_before_listening("fcntl") + 1;
    for error in ["EPERM", "EBUSY", "ENOMEM"] {
        // The first call reads the size, the second sets it; both can fail.
        assert_all_complete("fcntl", error, &first.to_string());
        assert_all_complete("fcntl", error, &from(first));
    }
}

#[test]
fn refused_socket_options_only_cost_speed() {
    let first = from(calls_before_listening("setsockopt") + 1);
    let faulty = Fault { call: "setsockopt", error: "ENOMEM", when: &first }.relay(&[]);
    let before = faulty.relay.descriptors();
    let piece = pattern(23, 500_000);
    for framing in [Framing::Length(10 * piece.len()), Framing::Chunked] {
        let mut pair = faulty.relay.pair(framing);
        pair.pass_first(&piece);
        // Each time the source pauses after a piece, the relay sets a low-water mark again.
        (1..10).for_each(|_| pair.pass(&piece));
        pair.complete();
    }
    faulty.await_strikes(1);
    // A download that its end delimits needs one of them.
    for body in BODIES.into_iter().filter(|body| !body.http10) {
        assert_eq!(attempt(&faulty.relay, body), Verdict::Complete, "{body:?}");
    }
    faulty.relay.await_descriptors(before, IDLE_PIPES);
}

#[test]
fn refused_socket_options_of_a_listener_are_a_one_line_error() {
    for call in 1..=calls_before_listening("setsockopt") {
        let fault = Fault { call: "setsockopt", error: "ENOMEM", when: &call.to_string() };
        let (command, _log, _directory) = fault.command(&[]);
        let mut process = Process::start(command);
        let listens = eventually("it listens or gives up", || {
            let listens = process.stdout().contains("listening on");
            (listens || process.ended()).then_some(listens)
        });
        if !listens {
            let end = process.finish();
            assert_eq!(end.status.code(), Some(1), "{}", end.stderr);
            assert!(
                end.stderr.starts_with("rdv: cannot listen on 127.0.0.1:0: "),
                "{}",
                end.stderr
            );
            assert_eq!(end.stderr.lines().count(), 1, "{}", end.stderr);
        }
    }
}

#[test]
fn a_failed_splice_ends_only_its_own_transfer() {
    for error in ["ENOMEM", "EPIPE", "ECONNRESET"] {
        let broken = sweep("splice", error, &["1", "2", "3", "8", "1..9+4"]);
        assert!(broken >= 5, "{error}: only {broken} broke");
    }
}

#[test]
fn a_spurious_eagain_from_splice_hangs_no_transfer() {
    sweep("splice", "EAGAIN", &["1", "2", "3", "8"]);
}

#[test]
fn a_failed_send_is_reported_to_the_reachable_side() {
    for error in ["EPIPE", "ECONNRESET", "ENOMEM", "ENOBUFS"] {
        sweep("sendto", error, &["1", "2", "3", "4", "5", "2..30+7"]);
        sweep("sendmsg", error, &["1", "2", "1..8+3"]);
    }
}

#[test]
fn a_spurious_eagain_from_send_hangs_no_transfer() {
    sweep("sendto", "EAGAIN", &["1", "2", "3", "4", "5"]);
    sweep("sendmsg", "EAGAIN", &["1", "2"]);
}

#[test]
fn a_failed_read_is_reported_to_the_reachable_side() {
    for error in ["ECONNRESET", "ENOMEM"] {
        sweep("recvfrom", error, &["1", "2", "3", "4", "5", "6", "3..40+9"]);
    }
}

#[test]
fn a_spurious_eagain_from_read_hangs_no_transfer() {
    sweep("recvfrom", "EAGAIN", &["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn more_bytes_end_a_spurious_eagain_of_the_source() {
    let faulty = Fault { call: "splice", error: "EAGAIN", when: "1" }.relay(&[]);
    let data = pattern(21, 200_000);
    let mut pair = faulty.relay.pair(Framing::Length(data.len()));
    pair.source.send(&data[..100_000]);
    faulty.await_strikes(1);
    pair.source.send(&data[100_000..]);
    let download = pair.destination.response();
    assert_eq!(download.ending, Ending::Complete);
    is_pattern(21, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
    assert_uploaded(&pair.source.response());
    faulty.relay.await_state(&pair.id, "FINISHED");
}

#[test]
fn any_event_ends_a_spurious_eagain_of_the_destination() {
    let faulty = Fault { call: "splice", error: "EAGAIN", when: "2" }.relay(&[]);
    let data = pattern(22, 200_000);
    let mut pair = faulty.relay.pair(Framing::Length(data.len()));
    pair.source.send(&data[..100_000]);
    faulty.await_strikes(1);
    pair.source.send(&data[100_000..]);
    // A pipelined request makes the socket readable, and the kernel reports all pending events.
    pair.destination.ask(&ask("GET", "/ping"));
    let download = pair.destination.response();
    assert_eq!(download.ending, Ending::Complete);
    is_pattern(22, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(pair.destination.response().text(), "pong");
    assert_uploaded(&pair.source.response());
}

/// Sends a part of a body while one splice fails, and returns how the stream ended.
fn broken_by(error: &str, when: &str, state: &str) -> (Faulty, Pair) {
    let faulty = Fault { call: "splice", error, when }.relay(&[]);
    let data = pattern(23, 200_000);
    let mut pair = faulty.relay.pair(Framing::Length(data.len()));
    if when == "3" {
        // The first two splices; the third one is for more data.
        pair.pass_first(&data[..1]);
    }
    // The relay can close the connection before everything is sent.
    let _ = pair.source.try_send(&data[..100_000]);
    faulty.relay.await_state(&pair.id, state);
    (faulty, pair)
}

#[test]
fn a_socket_error_is_distinguished_from_a_disconnect() {
    for error in ["ETIMEDOUT", "EHOSTUNREACH", "ENOMEM"] {
        let (_relay, mut pair) = broken_by(error, "1", "DST_CONNECTED");
        assert_eq!(pair.source.response().status(), 400, "{error}: nothing is lost yet");
        let (_relay, mut pair) = broken_by(error, "3", "SRC_ERROR");
        assert_eq!(pair.source.response().status(), 400, "{error}");

        let (_relay, mut pair) = broken_by(error, "2", "DST_ERROR");
        let refusal = pair.source.response();
        assert_eq!(refusal.status(), 502, "{error}");
        assert_eq!(refusal.json()["message"], "Stream destination raised an error", "{error}");
        assert!(pair.destination.try_response().is_err(), "{error}");
    }
    broken_by("ECONNRESET", "3", "SRC_DISCONNECTED");
    broken_by("EPIPE", "2", "DST_DISCONNECTED");
}
