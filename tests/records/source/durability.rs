//! Durability: many senders, and a consumer that stalls and continues as determined by a seed.
//! Every 201 is one complete line, every 503 is none, and no line is duplicated.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;
use std::thread::{self, ScopedJoinHandle};

use nix::sys::signal::Signal;

use crate::source::consumer::Lines;
use crate::source::process::{SourceProcess, body, position, post, record};
use crate::support::{ADMIN, eventually, pattern};

const SENDERS: u64 = 24;

/// Requests of each sender.
const REQUESTS: u64 = 40;

/// Numbers generated from a seed (xorshift64, Marsaglia 2003).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// The outcome of one request: its body, and its position if it was accepted.
type Outcome = (Vec<u8>, Option<String>);

fn send(source: &SourceProcess, sender: u64, seed: u64) -> Vec<Outcome> {
    let mut numbers = Numbers(seed * 1_000 + sender + 1);
    let mut wire = source.connect();
    let mut outcomes = Vec::new();
    for request in 0..REQUESTS {
        let sizes = [10, 100, 5_000, 40_000, 150_000];
        let size = sizes[usize::try_from(numbers.below(5)).expect("small")];
        let size = usize::try_from(numbers.below(size)).expect("small");
        let mut sent = format!("{sender} {request} ").into_bytes();
        sent.extend(pattern(sender * REQUESTS + request, size));
        let answer = wire.exchange(&post(&sent));
        let promised = match answer.status() {
            201 => Some(position(&answer)),
            503 => None,
            other => panic!("{other}: {}", answer.text()),
        };
        outcomes.push((sent, promised));
        // A sender refused before its body was read must reconnect.
        if answer.head.closes() {
            wire = source.connect();
        }
    }
    outcomes
}

/// Reads a little, and stalls until a sender was refused; repeats until all have sent.
struct Stalling<'d, R> {
    reader: R,
    source: &'d SourceProcess,
    numbers: Numbers,
    /// Bytes until the next stall.
    left: usize,
    done: &'d Mutex<bool>,
}

impl<R: Read> Read for Stalling<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            self.stall();
            self.left = usize::try_from(self.numbers.below(1 << 20)).expect("small") + 1;
        }
        let most = buffer.len().min(self.left);
        let count = self.reader.read(&mut buffer[..most])?;
        self.left = self.left.saturating_sub(count);
        Ok(count)
    }
}

impl<R> Stalling<'_, R> {
    fn stall(&self) {
        let mut before = None;
        eventually("a sender is refused, or all have sent", || {
            // Locked while the process is signalled: it is not reaped meanwhile.
            let done = self.done.lock().expect("no panic");
            if *done {
                return Some(());
            }
            let scrape = self.source.scrape();
            let refused = scrape.count(r#"rdv_refusals_total{reason="consumer_slow"}"#);
            // The record in progress waits for this reader.
            let few = scrape.count(r#"rdv_connections{phase="pushing"}"#) <= 1.0;
            (few || refused > *before.get_or_insert(refused)).then_some(())
        });
    }
}

fn run(seed: u64) {
    let flags = ["--consumer-timeout", "200ms", "--queue", "20", "--memory-body", "64KiB"];
    let (source, reader) = SourceProcess::piped(&[&ADMIN[..], &flags].concat());
    let done = Mutex::new(false);
    let (outcomes, lines) = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let numbers = Numbers(seed + 77);
            let left = 100_000;
            let reader = Stalling { reader, source: &source, numbers, left, done: &done };
            let mut reader = Lines::of(reader);
            std::iter::from_fn(move || reader.next()).collect::<Vec<_>>()
        });
        let sending: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let source = &source;
                scope.spawn(move || send(source, sender, seed))
            })
            .collect();
        let outcomes: Vec<_> = sending.into_iter().map(ScopedJoinHandle::join).collect();
        // Before anything can panic: the reader would block indefinitely.
        *done.lock().expect("no panic") = true;
        source.signal(Signal::SIGTERM);
        (outcomes, reading.join().expect("the reader"))
    });
    assert_eq!(source.finish().status.code(), Some(0));
    let outcomes = outcomes.into_iter().flat_map(|sender| sender.expect("a sender")).collect();
    compare(seed, outcomes, &lines);
}

fn compare(seed: u64, outcomes: Vec<Outcome>, lines: &[String]) {
    let all = outcomes.len();
    let promised: BTreeMap<Vec<u8>, Vec<u8>> = outcomes
        .into_iter()
        .filter_map(|(body, position)| Some((position?.into_bytes(), body)))
        .collect();
    let records: Vec<_> = lines.iter().map(|line| record(line)).collect();
    assert!(records.is_sorted_by_key(|record| record.position.clone()), "seed {seed}");
    let found: BTreeMap<Vec<u8>, Vec<u8>> =
        records.iter().map(|record| (record.position.clone(), body(record))).collect();
    assert_eq!(found.len(), lines.len(), "seed {seed}: each position occurs once");
    let (found, promised): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), promised.into_iter().collect());
    assert!(found == promised, "seed {seed}: {} lines, {} promised", found.len(), promised.len());
    let enough = (1..all).contains(&found.len());
    assert!(enough, "seed {seed}: {} of {all} were promised; both have to happen", found.len());
}

#[test]
fn confirmed_records_are_delivered_once_and_refused_ones_never() {
    for seed in [1, 2, 3] {
        run(seed);
    }
}
