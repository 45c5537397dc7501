//! A command line that bash runs, with all its processes.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};

use crate::support::{Process, eventually, installation, skip};

/// Variables that would configure another source.
const LEADING: [&str; 3] = ["RDV_SOURCE_TOKEN", "RDV_SOURCE_SIGNATURE_SECRET", "RUST_LOG"];

/// What the tests need besides the binary under test.
pub(crate) struct Programs {
    /// The directory of Python's interpreter.
    python: PathBuf,
}

/// The processes of a command line; killed together when dropped.
pub(crate) struct Job(Process);

/// The programs, if these and the installed ones exist; otherwise the test is skipped.
pub(crate) fn installed(names: &[&str]) -> Option<Programs> {
    for name in names {
        let path = env::var_os("PATH").unwrap_or_default();
        if !env::split_paths(&path).any(|folder| folder.join(name).exists()) {
            skip("engines", &format!("{name} is not installed"));
            return None;
        }
    }
    Some(Programs { python: installation("records/engines")?.join("bin") })
}

impl Programs {
    /// Starts a command line in this directory.
    pub(crate) fn start(&self, here: &Path, line: &str, variables: &[(&str, &str)]) -> Job {
        let rdv = Path::new(env!("CARGO_BIN_EXE_rdv")).parent().unwrap().to_owned();
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [rdv, self.python.clone()].into_iter().chain(env::split_paths(&path));
        // The leader of a process group of its own.
        let mut command = Command::new("setsid");
        command.args(["bash", "-c", line]).current_dir(here);
        command.env("PATH", env::join_paths(folders).unwrap());
        for name in LEADING {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        Job(Process::start(command))
    }

    /// Starts a program of Python.
    pub(crate) fn python(&self, program: &str) -> Process {
        let mut command = Command::new(self.python.join("python"));
        command.args(["-c", program]);
        Process::start(command)
    }
}

impl Job {
    /// The address of a source in it, once it listens.
    pub(crate) fn address(&mut self) -> SocketAddr {
        eventually("the source listens", || {
            let ended = self.0.ended();
            let printed = self.0.stderr();
            assert!(!ended, "it ended: {printed}");
            let (_, rest) = printed.split_once("taking requests at http://")?;
            rest.split_once("/\n")?.0.parse().ok()
        })
    }

    /// Kills one of its processes, whose arguments start with this.
    pub(crate) fn kill(&self, arguments: &str) {
        kill(self.find(arguments), Signal::SIGKILL).unwrap();
    }

    /// Stops one of its processes, whose arguments start with this.
    pub(crate) fn stop(&self, arguments: &str) {
        let found = self.find(arguments);
        kill(found, Signal::SIGSTOP).unwrap();
        eventually("it is stopped", || state_of(found).starts_with('T').then_some(()));
    }

    fn find(&self, arguments: &str) -> Pid {
        eventually(arguments, || {
            let mut ours = processes().filter(|id| getpgid(Some(*id)) == Ok(self.group()));
            ours.find(|id| arguments_of(*id).starts_with(arguments))
        })
    }

    /// Waits until the command line ends by itself, and kills what is left of it.
    pub(crate) fn await_end(mut self) {
        eventually("the command line ends", || self.0.ended().then_some(()));
        let _ = killpg(self.group(), Signal::SIGKILL);
        // Until then the port of a source is in use.
        eventually("its processes end", || {
            let mut ours = processes().filter(|id| getpgid(Some(*id)) == Ok(self.group()));
            ours.all(|id| state_of(id).starts_with('Z')).then_some(())
        });
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // It fails if all have ended.
        let _ = killpg(self.group(), Signal::SIGKILL);
    }
}

/// The processes of this machine.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).map(Pid::from_raw)
}

/// The arguments of a process, each with a space after it; empty if it has ended.
fn arguments_of(id: Pid) -> String {
    let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

/// The state of a process (`proc_pid_stat(5)`); `Z` if it has ended.
fn state_of(id: Pid) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").map_or("Z", |(_, rest)| rest).to_owned()
}
