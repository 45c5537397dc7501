//! Relays that transfer the same load in turns.

use super::{missing, started};
use crate::measure::median;
use crate::peers::{Bench, Relay};
use crate::result::{Column, Figure};
use crate::table::{self, Report};
use crate::transfer::{Load, Sample};

const COLUMNS: [Column; 5] = [
    Column::new("GiB/s", 2),
    Column::with_spread("CPU s/GiB", 4),
    Column::with_spread("machine s/GiB", 3),
    Column::new("calls/GiB", 0),
    Column::new("first/last end", 3),
];

/// The loop that splices, and the one for which the kernel also gathers bytes.
pub(super) const PLAIN: &str = "plain splice";
pub(super) const BEST: &str = "best splice";

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

impl Comparison {
    pub(super) fn from(relays: Vec<Relay>) -> Self {
        let entry = |relay| Entry { relay, samples: Vec::new(), calls: None, failed: false };
        Self { entries: relays.into_iter().map(entry).collect(), turns: 1 }
    }

    /// The builds of rdv, these comparison relays (name, role), and relays that are already
    /// running.
    pub(super) fn new(bench: &Bench, report: &mut Report, own: &[(&str, &str)]) -> Self {
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
    pub(super) fn of_all(bench: &Bench, report: &mut Report) -> Self {
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
    pub(super) fn judge(&self, report: &mut Report, what: &str, limit: f64) {
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

    /// Prints other figures of the same runs.
    pub(super) fn table<const COLUMNS: usize>(
        &self,
        report: &mut Report,
        title: &str,
        columns: &[Column; COLUMNS],
        figures: [fn(&Sample) -> f64; COLUMNS],
    ) {
        let row = |entry: &Entry| {
            let figures = figures.map(|figure| Figure::of(entry.samples.iter().map(figure)));
            (entry.relay.name.clone(), figures)
        };
        report.table(title, "relay", columns, self.entries.iter().map(row).collect());
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

    pub(super) fn figure(&self, relay: &str, figure: impl Fn(&Sample) -> f64) -> Option<f64> {
        let samples = self.samples(relay);
        (!samples.is_empty()).then(|| median(samples.iter().map(figure)))
    }
}

impl Entry {
    fn row(&self) -> (String, [Option<Figure>; 5]) {
        let figure = |figure: fn(&Sample) -> f64| Figure::of(self.samples.iter().map(figure));
        let figures = [
            figure(Sample::gib_per_second),
            figure(Sample::cpu_per_gib),
            figure(Sample::machine_cpu_per_gib),
            Figure::of(self.calls),
            figure(Sample::evenness),
        ];
        (self.relay.name.clone(), figures)
    }
}
