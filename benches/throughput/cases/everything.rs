//! All optional features on, compared with the same relay without them: they must not slow down
//! transfers.

use super::comparison::Comparison;
use super::small::{self, VARIANTS};
use super::started;
use super::transfers::MIB;
use crate::Result;
use crate::measure::median;
use crate::options::SinkMode;
use crate::peers::{Bench, Relay};
use crate::result::{Column, Figure};
use crate::table::{self, Report};
use crate::transfer::{Load, Sample};

const OFF: &str = "rdv";
const AGAIN: &str = "rdv, once more";
const ON: &str = "rdv, everything on";

/// Maximum additional cost, relative to the relay without features.
const MARGIN: f64 = 0.03;

/// The flags except the log's path; the limits are enabled, and never reached.
const FLAGS: [&str; 9] = [
    "--admin-listen=127.0.0.1:0",
    "--access-log-streams",
    "--request-id",
    "--early-instrumentation",
    "--max-concurrent=1000000",
    "--max-connections-per-address=1000000",
    "--max-streams-per-address=1000000",
    "--max-stream-bytes=1024GiB",
    "--max-rate=1024GiB",
];

/// Transfers differ by 10 % and more, so a difference of a few per cent needs many of them.
const TURNS: usize = 12;

const COLUMNS: [Column; 2] = [Column::new("exchanges/s", 0), Column::new("CPU µs each", 1)];

/// CPU per GiB of one stream, and small exchanges per second.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let Some(mut all) = relays(bench, report) else { return Ok(()) };
    // The difference of two equal relays shows the noise.
    all.extend(started(bench.rdv_with(AGAIN, &[]), report));
    let mut comparison = Comparison::from(all).with_turns(bench.size(TURNS, 1));
    let length = bench.size(1024, 8) * MIB;
    let load = Load::new(1, length, SinkMode::Read);
    comparison.run(
        bench,
        report,
        &format!("everything-on, {} MiB, reading sink", length / MIB),
        &load,
    );
    let cpu = comparison.ratio(ON, OFF, Sample::cpu_per_gib);
    report.at_most("everything on / off: CPU for each GiB", cpu, 1.0 + MARGIN);
    if let Some(noise) = comparison.ratio(AGAIN, OFF, Sample::cpu_per_gib) {
        table::note(&format!("CPU, off once more / off: {noise:.3}"));
    }

    let count = bench.size(5000, 20);
    let mut rows = Vec::new();
    for variant in VARIANTS.into_iter().filter(|variant| !variant.upload_first) {
        let mut rates = [const { Vec::new() }; 2];
        let mut costs = [const { Vec::new() }; 2];
        for _ in 0..bench.runs() {
            let Some(both) = relays(bench, report) else { return Ok(()) };
            for (index, mut relay) in both.into_iter().enumerate() {
                let cost = small::measure(&mut relay, variant, count)?;
                rates[index].push(cost.per_second);
                costs[index].push(cost.cpu_us);
            }
        }
        let ratio = median(rates[1].iter().copied()) / median(rates[0].iter().copied());
        for ((name, rates), costs) in [OFF, ON].into_iter().zip(rates).zip(costs) {
            let figures = [Figure::of(rates), Figure::of(costs)];
            rows.push((format!("{name}, {}", variant.name), figures));
        }
        let what = format!("everything on / off: exchanges/s, {}", variant.name);
        report.at_least(&what, Some(ratio), 1.0 - MARGIN);
    }
    let title = format!("everything-on, {count} exchanges of 1 KiB in sequence");
    report.table(title, "exchange", &COLUMNS, rows);
    Ok(())
}

/// One relay without features, one with all.
fn relays(bench: &Bench, report: &mut Report) -> Option<Vec<Relay>> {
    let log = format!("--access-log={}", bench.scratch("access.log").display());
    let flags: Vec<String> = FLAGS.iter().map(ToString::to_string).chain([log]).collect();
    let off = started(bench.rdv_with(OFF, &[]), report)?;
    let on = started(bench.rdv_with(ON, &flags), report)?;
    Some(vec![off, on])
}
