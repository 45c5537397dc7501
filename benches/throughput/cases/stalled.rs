//! Streams that move among streams whose readers read nothing: what these cost while no byte of
//! theirs moves.

use super::comparison::{BEST, Comparison, PLAIN};
use super::parked::SPARE_DESCRIPTORS;
use super::transfers::MIB;
use crate::options::SinkMode;
use crate::peers::Bench;
use crate::result::Column;
use crate::table::{self, Report};
use crate::transfer::{Load, Sample};

/// Streams whose readers read nothing.
const STALLED: usize = 900;
/// Streams that move.
const MOVING: usize = 100;
/// Descriptors of a plain loop for each stream: two sockets and a pipe.
const DESCRIPTORS_EACH: u64 = 4;

const MEMORY: [Column; 2] = [Column::new("relay MiB", 1), Column::new("sockets MiB", 1)];

/// CPU of the moving streams, and memory of the stalled ones.
pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let (wanted, streams) = bench.size((STALLED, MOVING), (20, 10));
    let allowed = bench.descriptors.saturating_sub(SPARE_DESCRIPTORS) / DESCRIPTORS_EACH;
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX).saturating_sub(streams);
    let stalled = wanted.min(allowed);
    if stalled < wanted {
        let text = format!("{stalled} stalled streams instead of {wanted}");
        table::note(&format!("stalled: {text} (limit of descriptors)"));
    }
    let own = [(PLAIN, "plain-splice"), (BEST, "best-splice")];
    let mut comparison = Comparison::new(bench, report, &own);
    let length = bench.size(64 * MIB, MIB / 8);
    let load = Load { stalled, ..Load::new(streams, length, SinkMode::Discard) };
    let title = format!(
        "stalled, {streams} streams of {} KiB among {stalled} that are stalled",
        length >> 10
    );
    comparison.run(bench, report, &title, &load);
    let figures: [fn(&Sample) -> f64; 2] = [Sample::relay_mib, Sample::sockets_mib];
    comparison.table(report, &format!("stalled, memory with {stalled} streams"), &MEMORY, figures);
    comparison.judge(report, "stalled", 0.80);
}
