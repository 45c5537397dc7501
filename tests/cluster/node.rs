//! A node of the cluster: a relay with a number, on a host of its own.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::network::{Host, Network};
use crate::support::{Lineage, Relay, Response, Wire, ask, await_end_of, eventually};

/// Where nodes serve their clients, and where the balancer checks them.
pub(crate) const PORT: u16 = 8080;
pub(crate) const ADMIN_PORT: u16 = 9090;

/// The flags of all nodes. A link that is cut ends no connection, so timeouts do: they are longer
/// than any event here lasts.
const FLAGS: [&str; 11] = [
    "--open-agents",
    "--admin-hosts",
    "relay.test",
    "--ttl",
    "30s",
    "--idle-timeout",
    "25s",
    "--agent-heartbeat",
    "5s",
    "--keep-alive-timeout",
    "5s",
];

/// Series of active streams, by state.
const CREATED: &str = "rdv_streams{state=\"CREATED\"}";
const SRC_CONNECTED: &str = "rdv_streams{state=\"SRC_CONNECTED\"}";
const DST_CONNECTED: &str = "rdv_streams{state=\"DST_CONNECTED\"}";
const STREAMING: &str = "rdv_streams{state=\"STREAMING\"}";

pub(crate) struct Node {
    /// The relay, and the processes that it handed over to; before its host.
    pub(crate) lineage: Lineage,
    pub(crate) host: Host,
}

impl Node {
    /// Starts the node with this number on a new host.
    pub(crate) fn start(network: &Network, number: u8) -> Node {
        let host = network.host(number);
        Node { lineage: begin(&host), host }
    }

    /// Its number, as in identifiers; it is that of its host.
    pub(crate) fn number(&self) -> u8 {
        self.host.number
    }

    /// Starts another process in place of one that has ended.
    pub(crate) fn restart(&mut self) {
        self.lineage = begin(&self.host);
    }

    /// An operator's request.
    pub(crate) fn operate(&self, method: &str, target: &str) -> Response {
        Wire::connect(self.host.address(ADMIN_PORT)).exchange(&ask(method, target))
    }

    /// The names of its agents.
    pub(crate) fn agents(&self) -> Vec<String> {
        let listed = self.operate("GET", "/socket").json();
        let listed = listed.as_array().expect("a list").iter();
        listed.filter_map(|agent| agent["name"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until no stream waits for a side.
    pub(crate) fn await_none_waiting(&self) {
        self.await_zero(&[CREATED, SRC_CONNECTED, DST_CONNECTED]);
    }

    /// Waits until it has neither active streams nor connections of clients.
    pub(crate) fn await_idle(&self) {
        self.await_zero(&[CREATED, SRC_CONNECTED, DST_CONNECTED, STREAMING, "rdv_connections{"]);
    }

    /// Waits until all series that begin like this are 0.
    fn await_zero(&self, starts: &[&str]) {
        let mut left = Vec::new();
        let number = self.number();
        eventually(&format!("{starts:?} of node {number} are 0"), || {
            let text = self.operate("GET", "/metrics").text().to_owned();
            let series = text.lines().filter(|line| starts.iter().any(|it| line.starts_with(it)));
            left = series.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect();
            left.is_empty().then_some(())
        });
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.lineage.order(Signal::SIGKILL);
        self.lineage.await_end_of_first();
    }

    /// Stops it, and waits for the end of its processes.
    pub(crate) fn finish(self) {
        self.lineage.order(Signal::SIGTERM);
        await_end_of(self.lineage.serving());
    }
}

fn begin(host: &Host) -> Lineage {
    let number = host.number.to_string();
    let (listen, admin) = (host.address(PORT).to_string(), host.address(ADMIN_PORT).to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--listen", &listen, "--admin-listen", &admin]);
    command.args(["--node-id", &number, "--node-url", "http://192.0.2.{node}:8080"]).args(FLAGS);
    let first = host.within(|| Relay::from_command(command, 1));
    Lineage { first, successors: Vec::new() }
}
