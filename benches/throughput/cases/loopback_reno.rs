//! The relay as it is shipped, which takes reno on loopback, compared with the same relay with the
//! congestion control of the machine, which every other process of this case has.

use super::comparison::Comparison;
use super::started;
use super::transfers::MIB;
use crate::measure::congestion_control;
use crate::options::SinkMode;
use crate::peers::Bench;
use crate::table::{self, Report};
use crate::transfer::{Load, Sample};

const SHIPPED: &str = "rdv as shipped";

/// One stream, and 100 at once.
pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let control = congestion_control();
    if control == "reno" {
        table::note("loopback-reno: reno is the congestion control of all; skipped");
        return;
    }
    let builds = bench.builds();
    let relays = builds.first().map(|build| [bench.rdv_as_shipped(SHIPPED), bench.rdv(build)]);
    let relays = relays.into_iter().flatten().filter_map(|relay| started(relay, report));
    let mut comparison = Comparison::from(relays.collect());
    for (name, streams, length) in [
        ("one stream", 1, bench.size(4096, 8) * MIB),
        ("100 streams", 100, bench.size(64 * MIB, MIB / 8)),
    ] {
        let load = Load::new(streams, length, SinkMode::Discard);
        let title = format!("loopback-reno, {name} of {} KiB, discarding sink", length >> 10);
        comparison.run(bench, report, &title, &load);
        let cpu = comparison.ratio(SHIPPED, "rdv", Sample::cpu_per_gib);
        report.at_most(&format!("loopback-reno, {name}: CPU, reno / {control}"), cpu, 1.0);
    }
}
