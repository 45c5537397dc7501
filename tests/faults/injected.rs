//! A relay with failing system calls: `strace -e inject=CALL:error=ERROR:when=WHEN`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Finished, Process, Relay, eventually};

/// A system call, its error, and which of its calls fail: `3`, `3..5`, `3+` (from the third on),
/// `3..9+2` (every second of these).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault<'f> {
    pub(crate) call: &'f str,
    pub(crate) error: &'f str,
    pub(crate) when: &'f str,
}

/// A relay under strace, and the log of strace.
pub(crate) struct Faulty {
    pub(crate) relay: Relay,
    log: PathBuf,
    _directory: TempDir,
}

/// The relay as a command traced by strace; the process id is the relay's own.
pub(crate) fn traced(call: &str, inject: Option<Fault<'_>>, log: &Path, flags: &[&str]) -> Command {
    let mut command = strace(call, inject, log);
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
    command
}

/// The program traced by strace, without arguments.
fn strace(call: &str, inject: Option<Fault<'_>>, log: &Path) -> Command {
    let installed = Command::new("strace").arg("--version").output().is_ok();
    assert!(installed, "these tests need strace(1): install the package `strace`");
    let mut command = Command::new("strace");
    // -D: strace runs in the background, so that signals reach the relay. -I 2: it can be ended.
    command.args(["-D", "-I", "2", "-f", "-qq", "-o"]).arg(log).arg(format!("--trace={call}"));
    if let Some(Fault { call, error, when }) = inject {
        command.arg(format!("--inject={call}:error={error}:when={when}"));
    }
    command.arg(env!("CARGO_BIN_EXE_rdv"));
    command
}

impl Fault<'_> {
    /// A relay with these flags whose calls fail like this.
    pub(crate) fn relay(self, flags: &[&str]) -> Faulty {
        let (command, log, directory) = self.command(flags);
        Faulty { relay: Relay::from_command(command, 1), log, _directory: directory }
    }

    /// The same before the start; the directory must be kept while it runs.
    pub(crate) fn command(self, flags: &[&str]) -> (Command, PathBuf, TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("strace.log");
        (traced(self.call, Some(self), &log, flags), log, directory)
    }

    /// Runs the program with these arguments until it exits.
    pub(crate) fn run(self, arguments: &[&str]) -> Finished {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("strace.log");
        let mut command = strace(self.call, Some(self), &log);
        command.args(arguments);
        Process::start(command).finish()
    }
}

impl Faulty {
    /// Calls that strace has failed so far.
    pub(crate) fn strikes(&self) -> usize {
        let log = fs::read_to_string(&self.log).expect("the log of strace");
        log.matches("(INJECTED)").count()
    }

    /// Waits until this number of calls failed.
    pub(crate) fn await_strikes(&self, count: usize) {
        eventually(&format!("{count} calls fail"), || (self.strikes() >= count).then_some(()));
    }
}

/// The number of these calls before a relay listens.
pub(crate) fn calls_before_listening(call: &str) -> usize {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("strace.log");
    let relay = Relay::from_command(traced(call, None, &log, &[]), 1);
    let calls = fs::read_to_string(&log).expect("the log of strace");
    drop(relay);
    calls.matches(&format!(" {call}(")).count()
}
