//! `rdv send` to `rdv receive`, compared with curl: from file to file, both in memory.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::transfers::MIB;
use super::{missing, started};
use crate::measure::{GIB, cpu, median, now, since};
use crate::peers::{Bench, Relay, installed};
use crate::result::{Column, Figure};
use crate::table::{self, Report};
use crate::{Result, failure};

/// A sender and a receiver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    Rdv,
    Curl,
}

/// The cost of one transfer.
#[derive(Default)]
struct Sample {
    seconds: f64,
    send_cpu: f64,
    receive_cpu: f64,
}

/// How 4 GiB are divided into files.
struct Layout {
    name: &'static str,
    files: u64,
    bytes: u64,
}

const COLUMNS: [Column; 3] = [
    Column::new("GiB/s", 2),
    Column::new("sender CPU s/GiB", 4),
    Column::new("receiver CPU s/GiB", 4),
];

/// CPU of both ends and throughput, compared with curl's.
///
/// The bytes are the same, but not the memory they are written to: a virtual machine may return
/// memory that was free for a second, and a page that the host has to map again costs more than all
/// the work of a client. Files of 1 GiB go into recently used memory; one of 4 GiB goes into memory
/// that was unused for longer. The last row shows this cost by itself.
pub(crate) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let mut pairs = vec![Pair::Rdv];
    match installed("curl") {
        Some(_) => pairs.push(Pair::Curl),
        None => missing("curl", "curl"),
    }
    let Some(mut relay) =
        bench.builds().first().and_then(|build| started(bench.rdv(build), report))
    else {
        return Ok(());
    };
    let layouts = [
        Layout { name: "files of 1 GiB", files: 4, bytes: bench.size(1024, 2) * MIB },
        Layout { name: "one file", files: 1, bytes: bench.size(4096, 8) * MIB },
    ];
    layouts.iter().try_for_each(|layout| compare(bench, report, &mut relay, (&pairs, layout)))
}

fn compare(
    bench: &Bench,
    report: &mut Report,
    relay: &mut Relay,
    (pairs, layout): (&[Pair], &Layout),
) -> Result<()> {
    let directory = in_memory(layout.bytes)?;
    let (source, copy) = (directory.path().join("source"), directory.path().join("copy"));
    write_source(&source, layout.bytes)?;
    let mut samples: Vec<Vec<Sample>> = pairs.iter().map(|_| Vec::new()).collect();
    let mut baseline = Vec::new();
    // Each is first, between and last equally often.
    let turns = pairs.len() + 1;
    for run in 0..bench.runs() {
        for turn in (0..turns).map(|turn| (turn + run) % turns) {
            let Some(pair) = pairs.get(turn) else {
                baseline.push(
                    (0..layout.files)
                        .map(|_| fill_cpu(&copy, layout.bytes))
                        .sum::<Result<f64>>()?,
                );
                continue;
            };
            let mut sum = Sample::default();
            for _ in 0..layout.files {
                sum.add(&pair.transfer(relay, &source, &copy)?);
                relay.check_alive()?;
                if bench.options.smoke && fs::read(&source)? != fs::read(&copy)? {
                    return Err(failure(format!(
                        "{}: the received file differs from the sent one",
                        pair.name()
                    )));
                }
                fs::remove_file(&copy)?;
            }
            samples[turn].push(sum);
        }
    }
    let gib = (layout.files * layout.bytes) as f64 / GIB;
    let middle = |samples: &[Sample]| {
        let middle = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure));
        [gib / middle(|s| s.seconds), middle(|s| s.send_cpu) / gib, middle(|s| s.receive_cpu) / gib]
    };
    let figures: Vec<[f64; 3]> = samples.iter().map(|samples| middle(samples)).collect();
    let row = |(pair, samples): (&Pair, &Vec<Sample>)| {
        let each = |figure: &dyn Fn(&Sample) -> f64| Figure::of(samples.iter().map(figure));
        let figures = [
            each(&|sample| gib / sample.seconds),
            each(&|sample| sample.send_cpu / gib),
            each(&|sample| sample.receive_cpu / gib),
        ];
        (pair.name().to_owned(), figures)
    };
    let mut rows: Vec<_> = pairs.iter().zip(&samples).map(row).collect();
    let filling = Figure::of(baseline.iter().map(|cpu| cpu / gib));
    let baseline = median(baseline) / gib;
    rows.push(("create and fill a file".into(), [None, None, filling]));
    let title = format!("clients, {:.0} MiB in {}, tmpfs to tmpfs", gib * 1024.0, layout.name);
    report.table(title, "clients", &COLUMNS, rows);
    if let [rdv, curl] = figures.as_slice() {
        let what = |figure: &str| format!("clients, {}: {figure}, rdv / curl", layout.name);
        report.at_least(&what("throughput"), Some(rdv[0] / curl[0]), 1.0);
        report.at_most(&what("CPU of the sender"), Some(rdv[1] / curl[1]), 0.6);
        report.at_most(&what("CPU of the receiver"), Some(rdv[2] / curl[2]), 0.6);
        let beyond = (rdv[2] - baseline) / (curl[2] - baseline);
        table::note(&format!(
            "{}: {beyond:.3} (without the cost of creating and filling the file)",
            what("CPU of the receiver")
        ));
    }
    Ok(())
}

impl Sample {
    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.send_cpu += other.send_cpu;
        self.receive_cpu += other.receive_cpu;
    }
}

impl Pair {
    fn name(self) -> &'static str {
        match self {
            Self::Rdv => "rdv send, rdv receive",
            Self::Curl => "curl -T, curl -o",
        }
    }

    fn transfer(self, relay: &Relay, source: &Path, copy: &Path) -> Result<Sample> {
        let ids = relay.streams(1)?;
        let id = ids.first().ok_or_else(|| failure("no stream"))?;
        let url = format!("http://{}/stream/{id}", relay.address);
        let program = env!("CARGO_BIN_EXE_rdv");
        let (mut send, mut receive) = match self {
            Self::Rdv => (Command::new(program), Command::new(program)),
            Self::Curl => (Command::new("curl"), Command::new("curl")),
        };
        match self {
            Self::Rdv => {
                send.args(["send", "--quiet", "--stream", &url]).arg(source);
                receive.args(["receive", "--quiet", &url, "-o"]).arg(copy);
            }
            Self::Curl => {
                send.args(["-sSf", &url, "-T"]).arg(source);
                receive.args(["-sSf", &url, "-o"]).arg(copy);
            }
        }
        let begin = now();
        let receive = start(&mut receive)?;
        let send = start(&mut send)?;
        let send_cpu = finished(send)?;
        let receive_cpu = finished(receive)?;
        let seconds = since(begin).as_secs_f64();
        let [send_cpu, receive_cpu] = [send_cpu, receive_cpu].map(|time| time.as_secs_f64());
        Ok(Sample { seconds, send_cpu, receive_cpu })
    }
}

/// CPU seconds of a process that only creates a file of this size and fills it once.
fn fill_cpu(path: &Path, bytes: u64) -> Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["fill", "--length", &bytes.to_string(), "--path"]).arg(path);
    let time = finished(start(&mut command)?)?;
    fs::remove_file(path)?;
    Ok(time.as_secs_f64())
}

/// A directory in memory with space for two copies of the file, if available; else any.
pub(super) fn in_memory(bytes: u64) -> Result<tempfile::TempDir> {
    let shared = Path::new("/dev/shm");
    let free = statvfs(shared).map_or(0, |file_system| {
        file_system.blocks_available().saturating_mul(file_system.fragment_size())
    });
    let parent = if free > 2 * bytes + 1024 * MIB {
        shared.to_owned()
    } else {
        table::note(
            "/dev/shm has too little space: the files are in the temporary directory, and the disk is measured too",
        );
        std::env::temp_dir()
    };
    Ok(tempfile::Builder::new().prefix("rdv-bench-").tempdir_in::<PathBuf>(parent)?)
}

/// The blocks differ, so that lost or duplicated ones are detected.
fn write_source(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let mut block: Vec<u8> =
        (0..MIB).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    for number in 0..bytes / MIB {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block)?;
    }
    Ok(())
}

fn start(command: &mut Command) -> Result<Running> {
    Ok(Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
}

/// A client; killed, by its id, when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a successful exit; returns the CPU time, read before the process is reaped.
fn finished(mut running: Running) -> Result<Duration> {
    let pid = Pid::from_raw(i32::try_from(running.0.id())?);
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    let time = cpu(pid)?;
    let status = running.0.wait()?;
    if status.success() { Ok(time) } else { Err(failure(format!("a client exited: {status}"))) }
}
