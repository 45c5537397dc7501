//! Transfers by `rdv send` and `rdv receive`, and by curl.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::{Finished, Process, is_pattern, pattern};
use crate::transfer::{Plan, Trouble};

/// As [`transfer::run`](crate::transfer::run), by two processes.
pub(crate) fn run(front: SocketAddr, id: &str, plan: Plan) -> Vec<Trouble> {
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    fs::write(&from, pattern(plan.seed, plan.bytes)).expect("a file");
    let url = format!("http://{front}/stream/{id}");
    let [sender, receiver] = if plan.seed.is_multiple_of(2) {
        [rdv(&["send", "--stream", &url], &from), rdv(&["receive", &url, "-o"], &to)]
    } else {
        [curl(&[&url, "-T"], &from), curl(&[&url, "-o"], &to)]
    };
    let (sender, receiver) = (Process::start(sender), Process::start(receiver));
    let troubles = [(sender.finish(), None), (receiver.finish(), Some(&*to))];
    troubles.into_iter().filter_map(|(finished, file)| trouble(&finished, file, plan)).collect()
}

fn rdv(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(arguments).arg(file).env("RDV_CLIENT_CONFIG", "/dev/null");
    command
}

/// It follows redirects, and repeats requests that are answered 503.
fn curl(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "-fL", "--noproxy", "*", "--max-time", "50", "--retry", "5"]);
    command.args(arguments).arg(file);
    command
}

/// Why the side of this process failed; a receiver wrote a file.
fn trouble(finished: &Finished, file: Option<&Path>, plan: Plan) -> Option<Trouble> {
    if !finished.status.success() {
        return Some(Trouble::seen(format!("{}: {}", finished.status, finished.stderr.trim())));
    }
    let received = fs::read(file?).unwrap_or_default();
    is_pattern(plan.seed, plan.bytes, &received).err().map(Trouble::hidden)
}
