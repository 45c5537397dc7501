//! An agent that behaves as the client of the original swaggersocket does: it handles one request
//! at a time, dials again only when TCP fails, and exits after a close frame.
//!
//! Needs python3.

mod answers;
mod queue;
mod returning;

use std::io::{PipeWriter, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::support::{Process, eventually};

/// An agent with the name `original`.
pub(crate) struct Original {
    process: Process,
    handlers: PipeWriter,
}

impl Original {
    /// A connected agent.
    pub(crate) fn start(relay: SocketAddr) -> Original {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/original/agent.py");
        let mut command = Command::new("python3");
        command.args([script, &relay.ip().to_string(), &relay.port().to_string(), "original"]);
        let (input, handlers) = std::io::pipe().expect("a pipe");
        let process = Process::reading(command, Stdio::from(input));
        let original = Original { process, handlers };
        original.await_event("connected", 1);
        original
    }

    /// The events so far with this prefix.
    pub(crate) fn events(&self, word: &str) -> Vec<String> {
        let all = self.process.stdout();
        all.lines().filter(|line| line.split(' ').next() == Some(word)).map(str::to_owned).collect()
    }

    /// Waits for this number of these events.
    pub(crate) fn await_event(&self, word: &str, count: usize) {
        let what = format!("'{word}' {count} times");
        eventually(&what, || (self.events(word).len() >= count).then_some(()));
    }

    /// Unblocks a waiting handler.
    pub(crate) fn go_on(&mut self) {
        self.handlers.write_all(b"\n").expect("the agent reads");
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}
