//! Runs of this program under callgrind.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::Pid;

use crate::children::Worker;
use crate::measure::Deadline;
use crate::{Result, failure};

/// Maximum duration of one run; the longest takes some seconds.
const TIMEOUT: Duration = Duration::from_mins(3);

/// The copy of this program that is measured, in the directory of the profiles.
const PROGRAM: &str = "./instructions";

/// A run of this program under callgrind.
pub(crate) struct Counted {
    worker: Worker,
    profile: PathBuf,
}

/// Checks that callgrind exists, and that this program was built like that of the stored figures;
/// copies it to where it is measured.
pub(crate) fn prepare() -> Result<()> {
    let program = env::current_exe()?;
    let profile = program.parent().and_then(Path::parent);
    if profile.is_none_or(|folder| !folder.ends_with("gate")) || cfg!(feature = "client") {
        return Err(failure("the figures are for another profile; run `cargo instructions`"));
    }
    fs::copy(&program, folder().join(PROGRAM))?;
    match Command::new("valgrind").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(failure("valgrind is not installed (Debian package valgrind)")),
    }
}

/// Starts this program with these arguments; its profile is kept for `callgrind_annotate`.
///
/// Arguments and environment are the same on each machine: their lengths decide where the heap
/// begins, and the alignment of a buffer how many instructions a search in it takes.
pub(crate) fn start(name: &str, arguments: &[&str], count: u32) -> Result<Counted> {
    let profile = folder().join(format!("callgrind.{name}.{count}"));
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]);
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(PROGRAM).args(arguments);
    command.current_dir(folder()).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let worker = Worker::start(name, &mut command, "")?;
    Ok(Counted { worker, profile })
}

/// The directory of the profiles and of the program that is measured.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

impl Counted {
    /// The id of the process.
    pub(crate) fn pid(&self) -> Pid {
        self.worker.pid()
    }

    /// Waits for a line that contains `mark` and returns the text after the mark.
    pub(crate) fn expect(&self, mark: &str) -> Result<String> {
        self.worker.expect(mark, Deadline::after(TIMEOUT))
    }

    /// Waits for its end; returns the instructions of all its threads.
    pub(crate) fn finish(self) -> Result<u64> {
        self.worker.finish(Deadline::after(TIMEOUT))?;
        total(&self.profile)
    }

    /// The same after SIGTERM.
    pub(crate) fn terminate(self) -> Result<u64> {
        self.worker.terminate(Deadline::after(TIMEOUT))?;
        total(&self.profile)
    }
}

/// The sum at the end of a profile.
fn total(profile: &Path) -> Result<u64> {
    let text = fs::read_to_string(profile)?;
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or_else(|| failure(format!("{}: no total", profile.display())))?.trim().parse()?)
}
