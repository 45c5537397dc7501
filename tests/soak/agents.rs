//! Agents that expose the local service, each a process; one is killed and replaced now and then.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::exchange::AGENTS;
use crate::pauses::Pauses;
use crate::support::Process;

/// Pauses between two kills, in milliseconds.
const PAUSE_MILLIS: (u64, u64) = (4000, 15_000);

/// The running agents.
pub(crate) struct Agents {
    program: PathBuf,
    relay: SocketAddr,
    service: SocketAddr,
    processes: Vec<Process>,
}

impl Agents {
    pub(crate) fn start(program: PathBuf, relay: SocketAddr, service: SocketAddr) -> Agents {
        let mut agents = Agents { program, relay, service, processes: Vec::new() };
        agents.processes = (0..AGENTS).map(|number| agents.agent(number)).collect();
        agents
    }

    fn agent(&self, number: u64) -> Process {
        let mut command = Command::new(&self.program);
        command.args(["expose", "--quiet", "--relay", &format!("ws://{}", self.relay)]);
        command.args([format!("soak-{number}"), format!("http://{}", self.service)]);
        Process::start(command)
    }

    /// Kills one after the other, until the load ends; returns their number.
    pub(crate) fn disturb(&mut self, mut pauses: Pauses) -> u64 {
        let mut killed = 0;
        while pauses.wait(PAUSE_MILLIS) {
            let number = pauses.random.below(AGENTS);
            let at = usize::try_from(number).expect("an index");
            // Dropping a process kills it; its successor can need the name.
            drop(self.processes.remove(at));
            self.processes.insert(at, self.agent(number));
            killed += 1;
        }
        killed
    }
}
