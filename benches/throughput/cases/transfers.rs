//! Bulk transfers: one stream, 100 streams, chunked uploads, and 1,000 without privileges.

use super::{missing, started};
use crate::measure::median;
use crate::options::SinkMode;
use crate::peers::{Bench, Relay};
use crate::result::{Column, Figure};
use crate::table::{self, Report};
use crate::transfer::{Load, Sample};
use crate::wire::Framing;

pub(super) const MIB: u64 = 1 << 20;
const COLUMNS: [Column; 4] = [
    Column::new("GiB/s", 2),
    Column::with_spread("CPU s/GiB", 4),
    Column::new("calls/GiB", 0),
    Column::new("first/last end", 3),
];

/// The loop that splices, and the one that also lets the kernel gather bytes.
const PLAIN: &str = "plain splice";
const BEST: &str = "best splice";

/// One relay and its samples, one per run.
struct Entry {
    relay: Relay,
    samples: Vec<Sample>,
    calls: Option<f64>,
    failed: bool,
}

/// Relays that transfer the same load in turns.
pub(super) struct Comparison {
    entries: Vec<Entry>,
    /// Turns of each relay in one run.
    turns: usize,
}

/// One stream with Content-Length, to a sink that discards and to one that reads.
pub(crate) fn one_stream(bench: &Bench, report: &mut Report) {
    let mut comparison = Comparison::of_all(bench, report);
    for (name, mode, limit) in
        [("discarding sink", SinkMode::Discard, 0.70), ("reading sink", SinkMode::Read, 0.80)]
    {
        let length = bench.size(4096, 8) * MIB;
        let load = Load { streams: 1, length, framing: Framing::Length, mode };
        let title = format!("one-stream, {} MiB, {name}", length / MIB);
        comparison.run(bench, report, &title, &load);
        comparison.judge(report, &format!("one-stream, {name}"), limit);
    }
}

/// 100 streams at once.
pub(crate) fn hundred_streams(bench: &Bench, report: &mut Report) {
    let mut comparison = Comparison::of_all(bench, report);
    let length = bench.size(64 * MIB, MIB / 8);
    let mode = SinkMode::Discard;
    let load = Load { streams: 100, length, framing: Framing::Length, mode };
    let title = format!("hundred-streams, {} KiB each, discarding sink", length >> 10);
    comparison.run(bench, report, &title, &load);
    comparison.judge(report, "hundred-streams", 0.70);
    let evenness = comparison.figure("rdv", Sample::evenness);
    report.at_least("hundred-streams: first end / last end", evenness, 0.95);
}

/// 1,000 streams at once.
pub(crate) fn thousand_streams(bench: &Bench, report: &mut Report) {
    let mut comparison = Comparison::of_all(bench, report);
    let (streams, length) = bench.size((1000, 8 * MIB), (50, MIB / 8));
    let load = Load { streams, length, framing: Framing::Length, mode: SinkMode::Discard };
    let title = format!("thousand-streams, {streams} of {} KiB, discarding sink", length >> 10);
    comparison.run(bench, report, &title, &load);
    comparison.judge(report, "thousand-streams", 0.95);
}

/// Chunked uploads, with the chunks of `curl -T -` and with small ones.
pub(crate) fn chunked(bench: &Bench, report: &mut Report) {
    let mut comparison = Comparison::new(bench, report, &[("copy", "copy")]);
    // curl sends 65,524 bytes per chunk, 64 KiB with its framing.
    for (name, chunk_bytes, limit) in [("64 KiB", 65_524, 0.45), ("2 KiB", 2048, 1.00)] {
        let length = bench.size(2048, 4) * MIB;
        let framing = Framing::Chunks(chunk_bytes);
        let load = Load { streams: 1, length, framing, mode: SinkMode::Discard };
        let title = format!("chunked, {} MiB in chunks of {name}, discarding sink", length / MIB);
        comparison.run(bench, report, &title, &load);
        let cpu = comparison.ratio("rdv", "copy", Sample::cpu_per_gib);
        report.at_most(&format!("chunked, {name}: CPU, rdv / copy"), cpu, limit);
    }
}

/// 1,000 concurrent transfers through a relay as root and an unprivileged one.
pub(crate) fn unprivileged(bench: &Bench, report: &mut Report) {
    if !nix::unistd::geteuid().is_root() {
        table::note(
            "unprivileged: needs root, to start the relay as root and unprivileged; skipped",
        );
        return;
    }
    let mut relays = Vec::new();
    for build in bench.builds().iter().take(1) {
        relays.extend(started(bench.rdv(build), report));
        relays.extend(started(bench.rdv_unprivileged(build), report));
    }
    let mut comparison = Comparison::from(relays);
    let (streams, length) = bench.size((1000, 4 * MIB), (50, MIB / 8));
    let load = Load { streams, length, framing: Framing::Length, mode: SinkMode::Read };
    let title = format!("unprivileged, {streams} streams of {} KiB, reading sinks", length >> 10);
    comparison.run(bench, report, &title, &load);
    let cpu = comparison.ratio("rdv unprivileged", "rdv", Sample::cpu_per_gib);
    report.at_most("unprivileged: CPU, unprivileged / root (none lost)", cpu, 1.2);
}

impl Comparison {
    pub(super) fn from(relays: Vec<Relay>) -> Self {
        let entry = |relay| Entry { relay, samples: Vec::new(), calls: None, failed: false };
        Self { entries: relays.into_iter().map(entry).collect(), turns: 1 }
    }

    /// The builds of rdv, these comparison relays (name, role), and relays that are already
    /// running.
    fn new(bench: &Bench, report: &mut Report, own: &[(&str, &str)]) -> Self {
        let mut relays = Vec::new();
        for build in &bench.builds() {
            relays.extend(started(bench.rdv(build), report));
        }
        for (name, role) in own {
            relays.extend(started(bench.own(name, role), report));
        }
        relays.extend(bench.running());
        Self::from(relays)
    }

    /// All relays.
    fn of_all(bench: &Bench, report: &mut Report) -> Self {
        let own = [(PLAIN, "plain-splice"), (BEST, "best-splice"), ("copy", "copy")];
        let mut comparison = Self::new(bench, report, &own);
        match bench.haproxy() {
            Ok(Some(relay)) => comparison.entries.extend(Self::from(vec![relay]).entries),
            Ok(None) => missing("haproxy", "haproxy"),
            Err(error) => report.failed("start", &error),
        }
        comparison
    }

    /// Judges the cost by that of the plain loop, at most `limit`, and of the best one, and the rate.
    fn judge(&self, report: &mut Report, what: &str, limit: f64) {
        for (other, limit) in [(PLAIN, limit), (BEST, 1.10)] {
            let cpu = self.ratio("rdv", other, Sample::cpu_per_gib);
            report.at_most(&format!("{what}: CPU, rdv / {other}"), cpu, limit);
        }
        let rate = self.ratio("rdv", PLAIN, Sample::gib_per_second);
        report.at_least(&format!("{what}: throughput, rdv / {PLAIN}"), rate, 0.97);
    }

    /// The same with this number of turns per relay and run.
    pub(super) fn with_turns(self, turns: usize) -> Self {
        Self { turns, ..self }
    }

    /// Transfers one load through each relay, in turns, and prints the medians.
    pub(super) fn run(&mut self, bench: &Bench, report: &mut Report, title: &str, load: &Load) {
        for entry in &mut self.entries {
            entry.samples.clear();
        }
        for _ in 0..self.turns * bench.runs() {
            for entry in self.entries.iter_mut().filter(|entry| !entry.failed) {
                match bench.transfer(&mut entry.relay, load) {
                    Ok(sample) => entry.samples.push(sample),
                    Err(error) => {
                        entry.failed = true;
                        report.failed(title, &error);
                    }
                }
            }
        }
        for entry in self.entries.iter_mut().filter(|entry| !entry.failed) {
            entry.calls = bench.calls_per_gib(&mut entry.relay, load);
        }
        let rows = self.entries.iter().map(Entry::row).collect();
        report.table(title, "relay", &COLUMNS, rows);
        if let Some(ratio) = self.ratio("rdv", "other build", Sample::cpu_per_gib) {
            table::note(&format!("CPU, rdv / other build: {ratio:.3}"));
        }
    }

    fn samples(&self, relay: &str) -> &[Sample] {
        let entry = self.entries.iter().find(|entry| entry.relay.name == relay);
        entry.map_or(&[], |entry| &entry.samples)
    }

    /// The median of the ratios of the runs; none if one relay has no samples.
    pub(super) fn ratio(
        &self,
        above: &str,
        below: &str,
        figure: impl Fn(&Sample) -> f64,
    ) -> Option<f64> {
        let pairs = self.samples(above).iter().zip(self.samples(below));
        let ratios: Vec<f64> = pairs.map(|(above, below)| figure(above) / figure(below)).collect();
        (!ratios.is_empty()).then(|| median(ratios))
    }

    fn figure(&self, relay: &str, figure: impl Fn(&Sample) -> f64) -> Option<f64> {
        let samples = self.samples(relay);
        (!samples.is_empty()).then(|| median(samples.iter().map(figure)))
    }
}

impl Entry {
    fn row(&self) -> (String, [Option<Figure>; 4]) {
        let figure = |figure: fn(&Sample) -> f64| Figure::of(self.samples.iter().map(figure));
        let figures = [
            figure(Sample::gib_per_second),
            figure(Sample::cpu_per_gib),
            Figure::of(self.calls),
            figure(Sample::evenness),
        ];
        (self.relay.name.clone(), figures)
    }
}
