//! Memory of the library's upload: 10 GiB from a process whose address space can grow by 20 MiB.

use std::env;
use std::process::Command;
use std::time::Duration;

use crate::children::Worker;
use crate::measure::{Deadline, GIB, median};
use crate::options::Origin;
use crate::peers::Bench;
use crate::result::{Column, Figure};
use crate::table::Report;
use crate::{Result, failure};

const TIMEOUT: Duration = Duration::from_mins(2);

/// Maximum resident memory.
const RESIDENT_MAX_MIB: f64 = 10.0;

const COLUMNS: [Column; 2] = [Column::new("peak resident MiB", 2), Column::new("GiB/s", 2)];

/// Peak memory and rate of `Upload::send`, from each kind of origin.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let bytes: u64 = bench.size(10 << 30, 64 << 20);
    let mut rows = Vec::new();
    for origin in [Origin::File, Origin::Pipe, Origin::Reader] {
        let (mut peaks, mut rates) = (Vec::new(), Vec::new());
        for _ in 0..bench.runs().min(3) {
            let (peak, seconds) = upload(origin, bytes)?;
            peaks.push(peak);
            rates.push(bytes as f64 / GIB / seconds);
        }
        let what = format!("upload-memory, from {}: peak resident MiB", origin.name());
        report.at_most(&what, Some(median(peaks.iter().copied())), RESIDENT_MAX_MIB);
        rows.push((origin.name().to_owned(), [Figure::of(peaks), Figure::of(rates)]));
    }
    let title =
        format!("upload-memory, {:.2} GiB with 20 MiB more address space", bytes as f64 / GIB);
    report.table(title, "from", &COLUMNS, rows);
    Ok(())
}

/// Peak resident MiB, and seconds.
fn upload(origin: Origin, bytes: u64) -> Result<(f64, f64)> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["upload", "--from", origin.name(), "--length", &bytes.to_string()]);
    let worker = Worker::start("upload", &mut command, "")?;
    let lines = worker.finish(Deadline::after(TIMEOUT))?;
    let line = lines.iter().find_map(|line| line.strip_prefix("uploaded "));
    let mut figures = line.unwrap_or_default().split(' ').map(str::parse::<f64>);
    match (figures.next(), figures.next()) {
        (Some(Ok(peak)), Some(Ok(seconds))) => Ok((peak, seconds)),
        _ => Err(failure(format!("upload printed {lines:?}"))),
    }
}
