//! Requests that become records: `POST` of 1 KiB to `rdv source`, compared with `GET /ping` to `rdv
//! serve`, with the same client.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use tempfile::TempDir;

use super::clients::in_memory;
use crate::Result;
use crate::measure::median;
use crate::peers::{Bench, Build};
use crate::records::{
    BODY_BYTES, CONNECTIONS, Output, PushResult, Server, Sink, Until, check_lines,
};
use crate::result::{Column, Figure};
use crate::table::{self, Report};

/// Maximum bytes of tmpfs for the records of one measurement.
const DIRECTORY_BYTES: u64 = 2 << 30;

/// A name is used once: figures are found by the name of their column.
const COLUMNS: [Column; 5] = [
    Column::new("requests/s", 0),
    Column::new("rate of ping", 3),
    Column::new("CPU µs each", 2),
    Column::new("CPU of ping", 3),
    Column::new("client CPU µs each", 2),
];

/// Kind of request, and output of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    Ping,
    Pipe,
    Null,
    WithoutIds,
    File,
    Spool,
    SpoolOnDisk,
}

/// One measurement.
struct Sample {
    rate: f64,
    /// CPU microseconds per request, of the server and of the client.
    cost: f64,
    client_cost: f64,
}

/// A build in one setup, and its samples, one per run.
struct Entry {
    build: Build,
    setup: Setup,
    samples: Vec<Sample>,
}

/// Directories for files of records and for spools.
struct Directories {
    memory: TempDir,
    /// None if temporary files are in memory too.
    disk: Option<TempDir>,
}

/// Requests per second of the source, compared with those of a ping.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let directories = Directories::find(bench)?;
    let setups = Setup::ALL.into_iter().filter(|setup| directories.has(*setup));
    let setups: Vec<Setup> = setups.collect();
    let builds = bench.builds();
    let entries = builds.iter().flat_map(|build| setups.iter().map(move |&setup| (build, setup)));
    let mut entries: Vec<Entry> = entries
        .map(|(build, setup)| Entry { build: build.clone(), setup, samples: Vec::new() })
        .collect();
    let count = entries.len();
    for run in 0..bench.runs() {
        // Each is first, between and last equally often.
        for turn in 0..count {
            let entry = &mut entries[(turn + run) % count];
            entry.samples.push(entry.measure(bench, &directories)?);
        }
    }
    let rows = entries.iter().map(|entry| row(entry, &entries)).collect();
    let title = format!("records, {BODY_BYTES} bytes each, {CONNECTIONS} connections");
    report.table(title, "server", &COLUMNS, rows);
    for (setup, what) in [(Setup::Null, "alone"), (Setup::Pipe, "into a pipe")] {
        let source = entries.iter().find(|entry| entry.setup == setup);
        let ratio =
            source.map(|source| median(source.ratios_to_ping(&entries, |sample| sample.rate)));
        report.at_least(&format!("records: requests/s, rdv source {what} / ping"), ratio, 0.8);
    }
    Ok(())
}

fn row(entry: &Entry, entries: &[Entry]) -> (String, [Option<Figure>; 5]) {
    let figure = |figure: fn(&Sample) -> f64| Figure::of(entry.samples.iter().map(figure));
    let ratio = |figure: fn(&Sample) -> f64| Figure::of(entry.ratios_to_ping(entries, figure));
    let figures = [
        figure(|sample| sample.rate),
        ratio(|sample| sample.rate),
        figure(|sample| sample.cost),
        ratio(|sample| sample.cost),
        figure(|sample| sample.client_cost),
    ];
    (format!("{} {}", entry.build.name, entry.setup.name()), figures)
}

impl Entry {
    /// The ratios to the ping of the same build in the same run.
    fn ratios_to_ping(&self, entries: &[Self], figure: fn(&Sample) -> f64) -> Vec<f64> {
        let is_its_ping =
            |other: &&Self| other.setup == Setup::Ping && other.build.name == self.build.name;
        let ping = entries.iter().find(is_its_ping).map_or(&[][..], |ping| &ping.samples);
        self.samples.iter().zip(ping).map(|(own, ping)| figure(own) / figure(ping)).collect()
    }

    fn measure(&self, bench: &Bench, directories: &Directories) -> Result<Sample> {
        let sink = bench.size(Sink::Counts, Sink::Verifies);
        let time = Duration::from_millis(bench.size(4000, 200));
        let folder = directories.folder(self.setup)?;
        let file = folder.path().join("records");
        let flags = self.setup.flags(folder.path());
        let (mut server, body) = match self.setup.output() {
            None => (Server::relay(&self.build, &bench.options.with)?, None),
            Some(output) => {
                (Server::source(&self.build, &flags, (output, sink))?, Some(BODY_BYTES))
            }
        };
        let pushed = server.push(body, Until::Time(time))?;
        let ended = server.end()?;
        let lines = match self.setup {
            Setup::File => Some(sink.count_file(&file)?),
            Setup::Ping
            | Setup::Pipe
            | Setup::Null
            | Setup::WithoutIds
            | Setup::Spool
            | Setup::SpoolOnDisk => ended.lines,
        };
        lines.map_or(Ok(()), |lines| check_lines(pushed.requests, lines))?;
        Ok(Sample::of(&pushed, ended.cpu))
    }
}

impl Sample {
    fn of(pushed: &PushResult, cpu_seconds: f64) -> Self {
        let requests = pushed.requests as f64;
        Self {
            rate: requests / pushed.seconds,
            cost: cpu_seconds * 1e6 / requests,
            client_cost: pushed.client_cpu * 1e6 / requests,
        }
    }
}

impl Setup {
    const ALL: [Self; 7] = [
        Self::Ping,
        Self::Pipe,
        Self::Null,
        Self::WithoutIds,
        Self::File,
        Self::Spool,
        Self::SpoolOnDisk,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Ping => "serve, GET /ping",
            Self::Pipe => "source, pipe",
            Self::Null => "source, /dev/null",
            Self::WithoutIds => "source, pipe, no request ids",
            Self::File => "source, file on tmpfs",
            Self::Spool => "source, spool on tmpfs, pipe",
            Self::SpoolOnDisk => "source, spool on disk, pipe",
        }
    }

    /// Where the standard output of the source goes; none without a source.
    fn output(self) -> Option<Output> {
        match self {
            Self::Ping => None,
            Self::Pipe | Self::WithoutIds | Self::Spool | Self::SpoolOnDisk => Some(Output::Pipe),
            Self::Null | Self::File => Some(Output::Null),
        }
    }

    fn flags(self, folder: &Path) -> Vec<String> {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        match self {
            Self::Ping | Self::Pipe | Self::Null => Vec::new(),
            Self::WithoutIds => vec!["--request-id=false".into()],
            Self::File => vec!["--output".into(), path("records")],
            Self::Spool | Self::SpoolOnDisk => vec!["--spool".into(), path("spool")],
        }
    }
}

impl Directories {
    fn find(bench: &Bench) -> Result<Self> {
        let memory = in_memory(DIRECTORY_BYTES)?;
        let folder = bench.scratch("records");
        fs::create_dir_all(&folder)?;
        let on_disk = statfs(&folder)?.filesystem_type() != TMPFS_MAGIC;
        if !on_disk {
            table::note("temporary files are in memory; no spool on disk is measured");
        }
        let disk = on_disk.then(|| tempfile::tempdir_in(&folder)).transpose()?;
        Ok(Self { memory, disk })
    }

    fn has(&self, setup: Setup) -> bool {
        setup != Setup::SpoolOnDisk || self.disk.is_some()
    }

    /// A new directory, removed with its contents after the measurement.
    fn folder(&self, setup: Setup) -> Result<TempDir> {
        let place = match (&self.disk, setup) {
            (Some(disk), Setup::SpoolOnDisk) => disk,
            (Some(_) | None, _) => &self.memory,
        };
        Ok(tempfile::tempdir_in(place.path())?)
    }
}
