//! `curl`, with the authority of the proxy.

use std::process::{Command, Stdio};

use crate::front::Front;
use crate::support::{Finished, Process};

/// What distinguishes clients for a proxy: the version towards it, and the framing of an upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    version: &'static str,
    framing: &'static [&'static str],
}

/// Without a length. In HTTP/2 `curl` sends neither this field nor a length.
const CHUNKED: &[&str] = &["-H", "Transfer-Encoding: chunked"];

/// HTTP/1.1 and HTTP/2, each with and without a length.
pub(crate) const CLIENTS: [Client; 4] = [
    Client { name: "1.1, length", version: "--http1.1", framing: &[] },
    Client { name: "1.1, chunked", version: "--http1.1", framing: CHUNKED },
    Client { name: "2, length", version: "--http2", framing: &[] },
    Client { name: "2, no length", version: "--http2", framing: CHUNKED },
];

impl Front {
    /// `curl` without a configuration file, that trusts this proxy.
    pub(crate) fn curl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("curl");
        command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60", "--cacert"]);
        command.arg(self.authority()).args(arguments);
        command.current_dir(self.directory()).stdin(Stdio::null());
        command
    }

    /// Starts it.
    pub(crate) fn start_curl(&self, client: Client, arguments: &[&str]) -> Process {
        Process::start(self.curl(&[&[client.version], arguments].concat()))
    }

    /// Starts an upload of this file, which prints the status last.
    pub(crate) fn upload(&self, client: Client, file: &str, id: &str, flags: &[&str]) -> Process {
        let url = self.stream(id);
        let status = ["-w", "\n%{http_code} %{http_version}\n", "-T", file, &url];
        self.start_curl(client, &[client.framing, flags, &status].concat())
    }

    /// Starts a download to this file.
    pub(crate) fn download(&self, client: Client, id: &str, file: &str) -> Process {
        self.start_curl(client, &["-f", "-o", file, &self.stream(id)])
    }
}

/// The status of an upload, and the version of HTTP.
pub(crate) fn status(finished: &Finished) -> (u16, &str) {
    let last = finished.stdout.lines().last().unwrap_or_default();
    let (status, version) = last.split_once(' ').unwrap_or_else(|| panic!("{last:?}"));
    (status.parse().expect("a status"), version)
}

/// Asserts that a process succeeded.
pub(crate) fn assert_success(what: &str, finished: &Finished) {
    assert!(finished.status.success(), "{what}: {}", finished.stderr);
}
