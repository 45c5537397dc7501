//! The service, a relay, and the agent between them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Process, Relay, eventually, installation};

/// The directory created by `tests/agents/openapi/install`.
pub(crate) struct Installed(PathBuf);

/// Its path; the test is skipped if it is not installed.
pub(crate) fn installed() -> Option<Installed> {
    installation("agents/openapi").map(Installed)
}

/// A file next to this one.
pub(crate) fn sibling_file(name: &str) -> String {
    format!("{}/tests/agents/openapi/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl Installed {
    /// One of its commands, such as `python`.
    pub(crate) fn command_line(&self, program: &str, arguments: &[&str]) -> Vec<String> {
        let program = self.0.join("bin").join(program);
        let program = program.to_str().expect("UTF-8").to_owned();
        std::iter::once(program).chain(arguments.iter().map(|&word| word.to_owned())).collect()
    }

    /// The same, ready to run.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = ready(&self.command_line(program, arguments));
        // The generator of clients finds its formatter there.
        command.env("PATH", self.0.join("bin"));
        command
    }

    /// The command that starts the service, reachable below `/api/store`.
    pub(crate) fn serving(&self) -> Vec<String> {
        let place = sibling_file("");
        let flags = ["-B", "-m", "uvicorn", "service:app", "--port", "0", "--no-access-log"];
        let place = ["--root-path", "/api/store", "--app-dir", place.as_str()];
        self.command_line("python", &[&flags[..], &place[..]].concat())
    }
}

/// A command from its words, without proxies.
pub(crate) fn ready(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("no_proxy", "*").env("NO_PROXY", "*");
    command
}

/// A listening service.
pub(crate) struct Service {
    _process: Process,
    /// The service's data, removed by the test because a killed service does not.
    _folder: TempDir,
    pub(crate) address: SocketAddr,
}

impl Service {
    pub(crate) fn start(installed: &Installed) -> Service {
        Service::from_command(ready(&installed.serving()))
    }

    pub(crate) fn from_command(mut command: Command) -> Service {
        let folder = tempfile::tempdir().expect("a folder");
        command.env("TMPDIR", folder.path());
        let mut process = Process::start(command);
        let address = eventually("the service listens", || {
            let stderr = process.stderr();
            assert!(!process.ended(), "the service ended: {stderr}");
            Some(stderr.split_once("running on http://")?.1.split_once(' ')?.0.to_owned())
        });
        Service {
            _process: process,
            _folder: folder,
            address: address.parse().expect("an address"),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The arguments that expose a service at a relay as `store`.
pub(crate) fn exposing(service: &Service, relay: SocketAddr, flags: &[&str]) -> Vec<String> {
    let (api, relay) = (service.url(""), format!("http://{relay}"));
    let fixed = [env!("CARGO_BIN_EXE_rdv"), "expose", "store", &api, "--relay", &relay];
    fixed.iter().chain(flags).map(|&word| word.to_owned()).collect()
}

/// Exposes a service, and waits until it can be called.
pub(crate) fn expose(service: &Service, relay: &Relay, flags: &[&str]) -> Process {
    let process = Process::start(ready(&exposing(service, relay.address(), flags)));
    let shown = format!("{}\n", relay.url("/api/store"));
    eventually("the URL is printed", || (process.stdout() == shown).then_some(()));
    process
}
