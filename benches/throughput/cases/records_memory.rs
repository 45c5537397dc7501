//! Memory of the processes that handle records, after some records and after ten times as many.

use std::path::Path;

use nix::unistd::Pid;

use super::clients::in_memory;
use crate::Result;
use crate::measure::{peak_bytes, resident_bytes};
use crate::peers::{Bench, Build};
use crate::records::{BODY_BYTES, Output, Server, Sink, Until, check_lines};
use crate::result::{Column, Figure};
use crate::table::Report;

/// Maximum bytes of tmpfs for a spool: its limit, and the same again for its last file.
const SPOOL_BYTES: u64 = 2 << 30;

/// Maximum growth of the peak between the two readings, in MiB.
const GROWTH_MAX_MIB: f64 = 4.0;

/// A process whose memory is measured.
struct Subject {
    name: &'static str,
    flags: Vec<String>,
}

/// Its memory at one time, in bytes.
#[derive(Clone, Copy)]
struct Reading {
    resident: u64,
    peak: u64,
}

/// Records before the first and before the second reading.
#[derive(Clone, Copy)]
struct Counts {
    some: u64,
    many: u64,
}

/// Growth of the resident set with the number of records.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let counts = Counts { some: bench.size(100_000, 500), many: bench.size(1_000_000, 5_000) };
    let directory = in_memory(SPOOL_BYTES)?;
    let mut rows = Vec::new();
    for build in &bench.builds() {
        for subject in subjects(&directory.path().join(build.name)) {
            let [first, second] = readings(bench, build, &subject, counts)?;
            let name = format!("{} {}", build.name, subject.name);
            rows.push(row(name, [first, second], report));
        }
        let name = format!("{} destination", build.name);
        let readings = destination_readings(build, counts)?;
        rows.push(row(name, readings, report));
    }
    let title = format!("records-memory, memory after N records of {BODY_BYTES} bytes");
    report.table(title, "process", &columns(counts), rows);
    Ok(())
}

/// The processes, one per row of the table.
fn subjects(spool: &Path) -> [Subject; 2] {
    let spool = spool.to_string_lossy().into_owned();
    [
        Subject { name: "source, pipe", flags: Vec::new() },
        Subject { name: "source, spool on tmpfs, pipe", flags: vec!["--spool".into(), spool] },
    ]
}

/// Memory of a source after some and after many records.
fn readings(
    bench: &Bench,
    build: &Build,
    subject: &Subject,
    counts: Counts,
) -> Result<[Reading; 2]> {
    let sink = bench.size(Sink::Counts, Sink::Verifies);
    let mut server = Server::source(build, &subject.flags, (Output::Pipe, sink))?;
    let before = server.push(Some(BODY_BYTES), Until::Requests(counts.some))?;
    let first = Reading::at(server.pid())?;
    let rest = Until::Requests(counts.many - counts.some);
    let after = server.push(Some(BODY_BYTES), rest)?;
    let second = Reading::at(server.pid())?;
    let lines = server.end()?.lines.unwrap_or_default();
    check_lines(before.requests + after.requests, lines)?;
    Ok([first, second])
}

/// Memory of a destination that sends the records of a source to another source.
fn destination_readings(build: &Build, counts: Counts) -> Result<[Reading; 2]> {
    let far = Server::source(build, &[], (Output::Null, Sink::Counts))?;
    let (mut near, destination) = Server::chain(build, &far)?;
    let before = near.push(Some(BODY_BYTES), Until::Requests(counts.some))?;
    let first = Reading::at(destination.pid())?;
    let after = near.push(Some(BODY_BYTES), Until::Requests(counts.many - counts.some))?;
    let second = Reading::at(destination.pid())?;
    near.end()?;
    check_lines(before.requests + after.requests, destination.end()?)?;
    far.end()?;
    Ok([first, second])
}

/// A row of the table; checks the target.
fn row(
    name: String,
    [first, second]: [Reading; 2],
    report: &mut Report,
) -> (String, [Option<Figure>; 5]) {
    let growth = mib(second.peak) - mib(first.peak);
    let what = format!("records-memory, {name}: growth of the peak, MiB");
    report.at_most(&what, Some(growth), GROWTH_MAX_MIB);
    let [first_resident, second_resident] = [first, second].map(|reading| mib(reading.resident));
    let figures = [first_resident, second_resident, mib(first.peak), mib(second.peak), growth];
    (name, figures.map(|figure| Figure::of([figure])))
}

/// The columns of the table.
fn columns(counts: Counts) -> [Column; 5] {
    let column = |name: &str, count: u64| Column {
        name: format!("{name} MiB, {count}").into(),
        ..Column::new("", 2)
    };
    [
        column("VmRSS", counts.some),
        column("VmRSS", counts.many),
        column("VmHWM", counts.some),
        column("VmHWM", counts.many),
        Column::new("growth of VmHWM", 2),
    ]
}

impl Reading {
    fn at(pid: Pid) -> Result<Self> {
        Ok(Self { resident: resident_bytes(pid)?, peak: peak_bytes(pid)? })
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
