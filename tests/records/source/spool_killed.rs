//! `kill -9`, with records waiting and under load: every accepted record is delivered by a later
//! process.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use nix::sys::signal::Signal;

use crate::source::consumer::{accept, acknowledgement};
use crate::source::durability::Numbers;
use crate::source::process::{SourceProcess, body, position, post, record, text};
use crate::source::spool::{Spool, kill, position_of, post_all};
use crate::support::{Ending, TEST_TIMEOUT, Wire, pattern};

const SENDERS: u64 = 20;

/// Processes in sequence; all but the last are killed.
const ROUNDS: u64 = 4;

#[test]
fn undelivered_records_are_delivered_by_the_next_process() {
    let spool = Spool::new();
    let source = spool.start(&[]);
    let mut promised = post_all(&source, &["0", "1", "2"]);
    kill(source);
    let source = spool.start(&[]);
    promised.extend(post_all(&source, &["3"]));
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    let positions: Vec<_> = (0..4).map(|_| position_of(&consumer.line())).collect();
    assert_eq!(positions, promised);
    assert!(promised.is_sorted(), "{promised:?}");
    spool.await_delivered(&promised[3]);
    kill(source);
    let source = spool.start(&[]);
    promised.extend(post_all(&source, &["4"]));
    let line = accept(&listener).line();
    assert_eq!((text(&line), position_of(&line)), ("4".into(), promised[4].clone()));
    assert!(promised.is_sorted(), "{promised:?}");
    source.end();
}

#[test]
fn a_torn_record_at_the_end_is_truncated_and_logged() {
    for (name, tail) in [
        ("the first bytes", &b"{\"posi"[..]),
        ("all but its end", b"{\"position\":\"bm90aGluZw==\",\"operation\":\"create\"}"),
        ("what a file system lost", &[0; 5000]),
    ] {
        let spool = Spool::new();
        let source = spool.start(&[]);
        post_all(&source, &["one", "two"]);
        kill(source);
        let mut segment =
            OpenOptions::new().append(true).open(&spool.segments()[0]).expect("the segment");
        segment.write_all(tail).expect("it grows");
        let source = spool.start_to_stdout(&[]);
        source.post("three");
        let bodies: Vec<_> = source.lines(3).iter().map(|line| text(line)).collect();
        assert_eq!(bodies, ["one", "two", "three"], "{name}");
        let words = format!("never acknowledged; removed {} bytes", tail.len());
        assert!(source.end().stderr.contains(&words), "{name}");
        assert_eq!(spool.lines().len(), 3, "{name}: each is complete");
    }
}

#[test]
fn under_load_every_confirmed_record_survives_kills() {
    for (seed, acknowledging) in [(1, false), (2, true), (3, false), (4, true)] {
        run(seed, acknowledging);
    }
}

/// The accepted records of all processes, and the received ones in their order.
#[derive(Default)]
struct Outcome {
    promised: BTreeMap<String, Vec<u8>>,
    arrived: Vec<String>,
}

/// The load on one process.
struct Round<'l> {
    seed: u64,
    acknowledging: bool,
    listener: &'l UnixListener,
    /// Accepted records before it is terminated.
    promises: u64,
    signal: Signal,
}

fn run(seed: u64, acknowledging: bool) {
    let spool = Spool::new();
    let listener = &spool.place().listen();
    let mut numbers = Numbers(seed * 97);
    let mut outcome = Outcome::default();
    let ack = if acknowledging { &["--ack"][..] } else { &[] };
    let flags = [ack, &["--memory-body", "64KiB"]].concat();
    for round in 0..ROUNDS {
        let signal = if round + 1 == ROUNDS { Signal::SIGTERM } else { Signal::SIGKILL };
        let (promises, seed) = (1 + numbers.below(300), seed * ROUNDS + round);
        let round = Round { seed, acknowledging, listener, promises, signal };
        round.run(spool.start(&flags), &mut outcome);
    }
    compare(seed, &outcome);
}

impl Round<'_> {
    /// Senders and a consumer of one process, until its end.
    fn run(&self, source: SourceProcess, outcome: &mut Outcome) {
        let (promise, promises) = channel();
        let (kept, arrived) = thread::scope(|scope| {
            let consuming = scope.spawn(|| consume(self.listener, self.acknowledging));
            for sender in 0..SENDERS {
                let (wire, promise) = (source.connect(), promise.clone());
                scope.spawn(move || send(wire, self.seed * SENDERS + sender, &promise));
            }
            drop(promise);
            let some = || promises.recv_timeout(TEST_TIMEOUT).ok();
            let kept: Vec<_> = (0..self.promises).map_while(|_| some()).collect();
            source.signal(self.signal);
            let enough = kept.len() as u64 == self.promises;
            let kept: Vec<_> = kept.into_iter().chain(promises.iter()).collect();
            assert!(enough, "seed {}: only {} promises", self.seed, kept.len());
            (kept, consuming.join().expect("the consumer"))
        });
        let finished = source.finish();
        assert_ne!(finished.status.code(), Some(101), "{}", finished.stderr);
        outcome.promised.extend(kept);
        outcome.arrived.extend(arrived);
    }
}

/// Posts in sequence until the source exits.
fn send(mut wire: Wire, seed: u64, promise: &Sender<(String, Vec<u8>)>) {
    let mut numbers = Numbers(seed + 1);
    for request in 0.. {
        let size = [50, 3_000, 90_000][usize::try_from(numbers.below(3)).expect("small")];
        let size = usize::try_from(numbers.below(size)).expect("small");
        let mut sent = format!("{seed} {request} ").into_bytes();
        sent.extend(pattern(seed, size));
        if wire.try_send(post(&sent).bytes()).is_err() {
            return;
        }
        // Anything but a complete 201: it was killed, or is about to exit.
        let Ok(answer) = wire.try_response() else { return };
        if answer.status() != 201 || answer.ending != Ending::Complete {
            return;
        }
        promise.send((position(&answer), sent)).expect("the test receives");
        if answer.head.closes() {
            return;
        }
    }
}

/// Reads the lines of one process; a line that is incomplete when it is killed is ignored.
fn consume(listener: &UnixListener, acknowledging: bool) -> Vec<String> {
    let mut socket: UnixStream = accept(listener).into_socket();
    let mut reader = BufReader::new(socket.try_clone().expect("dup"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        // A process killed with unread acknowledgements resets the connection.
        let read = reader.read_line(&mut line);
        if read.is_err() || line.pop() != Some('\n') {
            return lines;
        }
        if acknowledging {
            // It can have exited; the record is then sent again.
            let _ = socket.write_all(acknowledgement(&line).as_bytes());
        }
        lines.push(line);
    }
}

fn compare(seed: u64, outcome: &Outcome) {
    let mut got = BTreeMap::new();
    let mut firsts = Vec::new();
    for line in &outcome.arrived {
        let position = position_of(line);
        let body = body(&record(line));
        if let Some(before) = got.get(&position) {
            assert!(*before == body, "seed {seed}: {position} is another record");
            continue;
        }
        firsts.push(position.clone());
        got.insert(position, body);
    }
    assert!(firsts.is_sorted(), "seed {seed}: in the order of positions");
    assert!(outcome.promised.len() as u64 >= ROUNDS, "seed {seed}");
    for (position, sent) in &outcome.promised {
        assert!(got.get(position) == Some(sent), "seed {seed}: {position} was promised");
    }
}
