//! Both commands as processes: a listening source, and a destination.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::destination::record_server;
use crate::support::{Process, eventually};

/// Variables that would configure another source.
const LEADING: [&str; 3] = ["RDV_SOURCE_TOKEN", "RDV_SOURCE_SIGNATURE_SECRET", "RUST_LOG"];

/// A listening source.
pub(crate) struct Source {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Source {
    /// On this port (0: any) with these flags.
    pub(crate) fn start(port: u16, flags: &[&str]) -> Source {
        Source::between(port, flags, (Stdio::null(), Stdio::piped()))
    }

    /// With these as its standard input and output.
    pub(crate) fn between(port: u16, flags: &[&str], (input, output): (Stdio, Stdio)) -> Source {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        for name in LEADING {
            command.env_remove(name);
        }
        command.args(["source", "--port", &port.to_string()]).args(flags);
        let mut process = Process::between(command, input, output);
        let address = eventually("the source listens", || {
            let ended = process.ended();
            let printed = process.stderr();
            let rest = printed.split_once("taking requests at http://");
            let address = rest.and_then(|(_, rest)| rest.split_once("/\n")?.0.parse().ok());
            assert!(!ended, "the source ended: {printed}");
            address
        });
        Source { process, address }
    }

    /// `SIGTERM`, after which it must exit with success.
    pub(crate) fn end(self) {
        end("the source", self.process);
    }
}

/// A destination with short backoffs and more retries than the server has failures.
pub(crate) fn destination(flags: &[&str]) -> Process {
    Process::start(record_server::command(&[&["--retries", "30"], flags].concat()))
}

/// `SIGTERM`, after which a process must exit with success.
pub(crate) fn end(what: &str, process: Process) {
    process.signal(Signal::SIGTERM);
    let finished = process.finish();
    assert_eq!(finished.status.code(), Some(0), "{what}: {}", finished.stderr);
}
