//! The latency of small requests while bulk transfers run through the same process: one connection
//! sends `GET /ping`, a millisecond after each response.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::transfers::MIB;
use super::{missing, started};
use crate::client::Client;
use crate::measure::{now, percentile, since};
use crate::options::SinkMode;
use crate::peers::{Bench, Relay};
use crate::result::{Column, Figure};
use crate::table::Report;
use crate::transfer::Load;
use crate::{Result, failure};

/// Time between a response and the next request.
const PAUSE: Duration = Duration::from_millis(1);
/// Maximum 99th percentile of the latency, in milliseconds.
const P99_MAX_MS: f64 = 2.0;

/// Figures of a run.
const FIGURES: usize = 5;

const COLUMNS: [Column; FIGURES] = [
    Column::new("p50 ms", 3),
    Column::with_spread("p99 ms", 3),
    Column::new("longest ms", 3),
    Column::new("pings", 0),
    Column::new("bulk GiB/s", 2),
];

/// A relay and its figures, one for each column and run.
struct Entry {
    relay: Relay,
    runs: Vec<[f64; FIGURES]>,
}

/// Latency of the relay, compared with `HAProxy`.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let mut relays = Vec::new();
    for build in &bench.builds() {
        relays.extend(started(bench.rdv(build), report));
    }
    match bench.haproxy() {
        Ok(Some(relay)) => relays.push(relay),
        Ok(None) => missing("haproxy", "haproxy"),
        Err(error) => report.failed("start", &error),
    }
    let mut entries: Vec<Entry> =
        relays.into_iter().map(|relay| Entry { relay, runs: Vec::new() }).collect();
    let length = bench.size(2048, 8) * MIB;
    let load = Load::new(4, length, SinkMode::Read);
    for _ in 0..bench.runs() {
        for entry in &mut entries {
            let figures = measure(bench, &mut entry.relay, &load)?;
            entry.runs.push(figures);
        }
    }
    let title = format!(
        "ping-under-bulk, GET /ping during {} streams of {} MiB, reading sinks",
        load.streams,
        length / MIB
    );
    report.table(title, "server", &COLUMNS, entries.iter().map(Entry::row).collect());
    let own = entries.iter().find(|entry| entry.relay.name == "rdv");
    let [_, p99, ..] = own.map(|entry| entry.row().1).unwrap_or_default();
    let p99 = p99.map(|figure| figure.median);
    report.at_most("ping-under-bulk: p99 ms", p99, P99_MAX_MS);
    Ok(())
}

impl Entry {
    fn row(&self) -> (String, [Option<Figure>; FIGURES]) {
        let figure = |column: usize| Figure::of(self.runs.iter().map(|run| run[column]));
        (self.relay.name.clone(), std::array::from_fn(figure))
    }
}

/// One run: its figures in the order of the columns.
fn measure(bench: &Bench, relay: &mut Relay, load: &Load) -> Result<[f64; FIGURES]> {
    let (address, is_over) = (relay.ping_address(), AtomicBool::new(false));
    let (sample, pings) = thread::scope(|scope| {
        let pings = scope.spawn(|| ping(address, &is_over));
        let sample = bench.transfer(relay, load);
        is_over.store(true, Ordering::Relaxed);
        (sample, pings.join())
    });
    let (sample, pings) = (sample?, pings.map_err(|_| failure("the client panicked"))??);
    let during = pings.into_iter().filter(|(sent, _)| sample.is_during(*sent));
    let times: Vec<f64> = during.map(|(_, latency)| latency.as_secs_f64() * 1e3).collect();
    if times.is_empty() {
        return Err(failure(format!("{}: no ping during the transfer", relay.name)));
    }
    let [p50, p99, longest] = [50, 99, 100].map(|part| percentile(&times, part));
    Ok([p50, p99, longest, times.len() as f64, sample.gib_per_second()])
}

/// Sends requests over one connection until the transfer is over; the time and the latency of each.
fn ping(address: SocketAddr, is_over: &AtomicBool) -> Result<Vec<(Duration, Duration)>> {
    let mut client = Client::connect(address)?;
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let sent = now();
        client.send("GET /ping", "", b"")?;
        let response = client.read_response()?;
        if response.status != 200 {
            return Err(failure(format!("GET /ping returned {}", response.status)));
        }
        times.push((sent, since(sent)));
        thread::sleep(PAUSE);
    }
    Ok(times)
}
