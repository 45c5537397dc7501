//! A relay that hands over to a new process, and that process to the next.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clock::eventually;
use super::relay::Relay;

/// A relay and all its processes: the first one and its successors.
pub(crate) struct Lineage {
    pub(crate) first: Relay,
    /// The successors, oldest first.
    pub(crate) successors: Vec<Pid>,
}

impl Lineage {
    pub(crate) fn start(flags: &[&str]) -> Lineage {
        Lineage { first: Relay::start(flags), successors: Vec::new() }
    }

    /// With this program instead of the one under test.
    pub(crate) fn of_program(program: &Path, flags: &[&str]) -> Lineage {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
        Lineage { first: Relay::from_command(command, 1), successors: Vec::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.first.address()
    }

    /// The process that serves now.
    pub(crate) fn serving(&self) -> Pid {
        let first = i32::try_from(self.first.process().id()).expect("a process id");
        self.successors.last().copied().unwrap_or(Pid::from_raw(first))
    }

    pub(crate) fn order(&self, signal: Signal) {
        kill(self.serving(), signal).expect("kill");
    }

    /// All processes write to the same standard error.
    pub(crate) fn log(&self) -> String {
        self.first.process().stderr()
    }

    pub(crate) fn await_log(&self, words: &str) {
        eventually(&format!("{words:?} is logged"), || self.log().contains(words).then_some(()));
    }

    /// Starts a hand-over and waits until it is complete.
    pub(crate) fn hand_over(&mut self) {
        self.order(Signal::SIGUSR2);
        self.await_successor();
    }

    pub(crate) fn await_successor(&mut self) {
        let next = self.successors.len();
        let found = || successors(&self.log(), " serves now").get(next).copied();
        self.successors.push(eventually("another process serves", found));
    }

    /// Waits until the first process has exited by itself.
    pub(crate) fn await_end_of_first(&mut self) {
        eventually("the old process ends", || self.first.ended().then_some(()));
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        // The log also includes processes that never served.
        for process in successors(&self.log(), "").into_iter().chain(self.successors.clone()) {
            let _ = kill(process, Signal::SIGKILL);
        }
    }
}

/// The processes in the log that are followed by these words.
pub(crate) fn successors(log: &str, then: &str) -> Vec<Pid> {
    let processes = log.split("process ").skip(1).filter_map(|text| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at(digits);
        rest.starts_with(then).then(|| number.parse().ok().map(Pid::from_raw)).flatten()
    });
    processes.collect()
}

/// Whether a process exists, and is not a zombie.
pub(crate) fn is_alive(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z")))
}

pub(crate) fn await_end_of(process: Pid) {
    eventually("it ends", || (!is_alive(process)).then_some(()));
}
