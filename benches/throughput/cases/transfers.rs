//! Bulk transfers: one stream, 100 streams, chunked uploads, and 1,000 without privileges.

use super::comparison::Comparison;
use super::{skip, started};
use crate::options::SinkMode;
use crate::peers::Bench;
use crate::table::Report;
use crate::transfer::{Load, Sample};
use crate::wire::Framing;

pub(super) const MIB: u64 = 1 << 20;

/// One stream with Content-Length, to a sink that discards and to one that reads.
pub(crate) fn one_stream(bench: &Bench, report: &mut Report) {
    let mut comparison = Comparison::of_all(bench, report);
    for (name, mode, limit) in
        [("discarding sink", SinkMode::Discard, 0.70), ("reading sink", SinkMode::Read, 0.80)]
    {
        let length = bench.size(4096, 8) * MIB;
        let load = Load::new(1, length, mode);
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
    let load = Load::new(100, length, mode);
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
    let load = Load::new(streams, length, SinkMode::Discard);
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
        let load = Load { framing, ..Load::new(1, length, SinkMode::Discard) };
        let title = format!("chunked, {} MiB in chunks of {name}, discarding sink", length / MIB);
        comparison.run(bench, report, &title, &load);
        let cpu = comparison.ratio("rdv", "copy", Sample::cpu_per_gib);
        report.at_most(&format!("chunked, {name}: CPU, rdv / copy"), cpu, limit);
    }
}

/// 1,000 concurrent transfers through a relay as root and an unprivileged one.
pub(crate) fn unprivileged(bench: &Bench, report: &mut Report) {
    if !nix::unistd::geteuid().is_root() {
        return skip("unprivileged: needs root, to start the relay as root and unprivileged");
    }
    let mut relays = Vec::new();
    for build in bench.builds().iter().take(1) {
        relays.extend(started(bench.rdv(build), report));
        relays.extend(started(bench.rdv_unprivileged(build), report));
    }
    let mut comparison = Comparison::from(relays);
    let (streams, length) = bench.size((1000, 4 * MIB), (50, MIB / 8));
    let load = Load::new(streams, length, SinkMode::Read);
    let title = format!("unprivileged, {streams} streams of {} KiB, reading sinks", length >> 10);
    comparison.run(bench, report, &title, &load);
    let cpu = comparison.ratio("rdv unprivileged", "rdv", Sample::cpu_per_gib);
    report.at_most("unprivileged: CPU, unprivileged / root (none lost)", cpu, 1.2);
}
