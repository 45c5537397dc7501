//! Agents of the library and of `rdv expose`, and clients that call them throughout.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use nix::sys::signal::Signal;
use rdv::socket::{Body, SocketClient, SocketConnection, Stop};
use serde_json::json;

use crate::node::Node;
use crate::server::Server;
use crate::support::{Ending, Process, Wire, ask, eventually, is_pattern, now, pattern};

const OF_LIBRARY: usize = 46;
const OF_COMMAND: usize = 4;

/// All agents.
pub(crate) struct Agents {
    front: SocketAddr,
    pub(crate) names: Vec<String>,
    stop: Stop,
    enough: AtomicBool,
    next: AtomicUsize,
    state: Mutex<State>,
}

/// What is known about them.
#[derive(Default)]
struct State {
    /// Those whose node is lost, until they are back.
    away: BTreeSet<String>,
    connections: Vec<SocketConnection>,
    calls: Calls,
}

/// What became of the calls.
#[derive(Clone, Default)]
pub(crate) struct Calls {
    pub(crate) answered: usize,
    /// Of agents that were away.
    pub(crate) failed: usize,
    pub(crate) faults: Vec<String>,
}

impl Agents {
    pub(crate) fn new(front: SocketAddr) -> Agents {
        let names = (0..OF_LIBRARY + OF_COMMAND).map(|number| format!("agent-{number}")).collect();
        let (stop, enough, next) = (Stop::new(), AtomicBool::new(false), AtomicUsize::new(0));
        Agents { front, names, stop, enough, next, state: Mutex::default() }
    }

    /// The names of the library's agents; [`serve`](Self::serve) is one.
    pub(crate) fn of_library(&self) -> &[String] {
        &self.names[..OF_LIBRARY]
    }

    /// Is an agent until the end.
    pub(crate) fn serve(&self, name: &str) {
        let client = SocketClient::new(&format!("ws://{}", self.front)).expect("a URL");
        let client = client.with_metadata(json!({ "name": name, "secret": name }));
        while !self.stop.is_set() {
            match client.connect_with_backoff(&self.stop) {
                Ok(connection) => {
                    self.state().connections.push(connection.clone());
                    if self.stop.is_set() {
                        // Made while the others were closed.
                        connection.close();
                    }
                    // An end is followed by the next connection.
                    let _ = connection.serve(echo);
                }
                Err(_) if self.stop.is_set() => {}
                Err(error) => return self.fault(format!("{name} gives up: {error}")),
            }
        }
    }

    /// Starts the agents that are processes, for this API.
    pub(crate) fn start_commands(&self, api: &Server) -> Vec<Process> {
        let api = format!("http://{}", api.address());
        let relay = format!("ws://{}", self.front);
        let start = |name: &String| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
            command.args(["expose", name, &api, "--relay", &relay]);
            Process::start(command)
        };
        self.names[OF_LIBRARY..].iter().map(start).collect()
    }

    /// Calls one agent after the other until the end.
    pub(crate) fn call(&self) {
        while !self.enough.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let name = &self.names[number % self.names.len()];
            let was_away = self.state().away.contains(name);
            let called = call(self.front, name, number);
            let mut state = self.state();
            let is_away = was_away || state.away.contains(name);
            match called {
                Ok(()) => state.calls.answered += 1,
                Err(_) if is_away => state.calls.failed += 1,
                Err(why) => {
                    drop(state);
                    self.fault(format!("{name}: {why}"));
                }
            }
        }
    }

    /// Expects that these lose their connections.
    pub(crate) fn lose(&self, names: &[String]) {
        self.state().away.extend(names.iter().cloned());
    }

    /// Waits until these are connected to some of these nodes and answer; returns how long it took.
    pub(crate) fn await_back(&self, names: &[String], nodes: &[&Node]) -> Duration {
        let begun = now();
        let mut missing = Vec::new();
        eventually("the agents are back", || {
            let connected: Vec<_> = nodes.iter().flat_map(|node| node.agents()).collect();
            missing = names.iter().filter(|name| !connected.contains(name)).collect();
            missing.is_empty().then_some(())
        });
        for name in names {
            eventually(&format!("{name} answers"), || call(self.front, name, 0).ok());
        }
        let took = now().duration_since(begun);
        self.state().away.retain(|name| !names.contains(name));
        took
    }

    pub(crate) fn calls(&self) -> Calls {
        self.state().calls.clone()
    }

    /// Ends the callers after their calls.
    pub(crate) fn stop_calls(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    /// Ends the callers and the agents of the library.
    pub(crate) fn stop(&self) {
        self.stop_calls();
        self.stop.set();
        let connections = std::mem::take(&mut self.state().connections);
        connections.iter().for_each(SocketConnection::close);
    }

    fn fault(&self, why: String) {
        self.state().calls.faults.push(why);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the agents that are processes.
pub(crate) fn end(commands: Vec<Process>) {
    for command in &commands {
        command.signal(Signal::SIGTERM);
    }
    for command in commands {
        let finished = command.finish();
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    }
}

/// One call through the balancer.
fn call(front: SocketAddr, name: &str, number: usize) -> Result<(), String> {
    let (seed, bytes) = (number as u64, 1 + number % 40 * 200);
    let body = pattern(seed, bytes);
    let mut wire = Wire::try_connect(front).ok_or("the balancer cannot be reached")?;
    let _ = wire.try_send(ask("PUT", &format!("/api/{name}/echo")).closing().body(&body).bytes());
    let answer = wire.try_response().map_err(|ending| format!("{ending:?} without a response"))?;
    if answer.status() != 200 || answer.ending != Ending::Complete {
        return Err(format!("{} {:?} {}", answer.status(), answer.ending, answer.text()));
    }
    is_pattern(seed, bytes, &answer.body)
}

fn echo(request: Request<Body>) -> Response<Body> {
    // Without the complete body its connection is lost, and so is the response.
    let body = request.into_body().into_bytes(1 << 20).unwrap_or_default();
    Response::new(Body::from(body))
}

/// An API for the agents that are processes.
pub(crate) fn api() -> Server {
    Server::start(|connection| {
        loop {
            let request = connection.request()?;
            if !request.is_complete {
                return Ok(Some(request));
            }
            let length = request.body.len();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
            connection.send(&request.body)?;
        }
    })
}

impl Display for Calls {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Calls { answered, failed, faults } = self;
        write!(f, "{answered} answered, {failed} failed while away, {} faults", faults.len())
    }
}
