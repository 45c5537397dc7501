//! A separate relay for each test, on a port chosen by the kernel.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::clock::eventually;
use super::encrypted::{self, Certified};
use super::process::{Finished, Process};
use super::request::{Ask, ask};
use super::response::Response;
use super::wire::Wire;

/// The flags of relays with public listeners that show the lists to these tests.
pub(crate) const TRUSTING: [&str; 6] =
    ["--trusted", "127.0.0.0/8", "--trusted", "::1", "--admin-hosts", "relay.test"];

/// A listening relay.
pub(crate) struct Relay {
    /// Where its clients use TLS; dropped while the process still has its addresses.
    certified: Option<Certified>,
    process: Process,
    addresses: Vec<SocketAddr>,
}

impl Relay {
    /// On 127.0.0.1, with these flags.
    pub(crate) fn start(flags: &[&str]) -> Relay {
        Relay::listening(&["127.0.0.1:0"], flags)
    }

    /// On these addresses, with these flags.
    pub(crate) fn listening(addresses: &[&str], flags: &[&str]) -> Relay {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        command.arg("serve");
        for address in addresses {
            command.args(["--listen", address]);
        }
        command.args(flags);
        if !encrypted::is_on() {
            return Relay::from_command(command, addresses.len());
        }
        let certified = Certified::listening(&mut command);
        let mut relay = Relay::from_command(command, addresses.len());
        let front = eventually("the relay listens for HTTPS", || {
            announced(&relay.process.stdout(), "https").first().copied()
        });
        certified.stand_before(&relay.addresses, front);
        relay.certified = Some(certified);
        relay
    }

    /// From a prepared command, with this number of listeners.
    pub(crate) fn from_command(command: Command, listeners: usize) -> Relay {
        Relay::from_process(Process::start(command), listeners)
    }

    /// From a started process, with this number of listeners.
    pub(crate) fn from_process(mut process: Process, listeners: usize) -> Relay {
        let addresses = eventually("the relay listens", || {
            let addresses = announced(&process.stdout(), "http");
            let ended = addresses.len() < listeners && process.ended();
            assert!(!ended, "the relay ended: {}", process.stderr());
            (addresses.len() == listeners).then_some(addresses)
        });
        Relay { process, addresses, certified: None }
    }

    /// From a started process that listens there, whether it announced that or not.
    pub(crate) fn at(process: Process, address: SocketAddr) -> Relay {
        Relay { process, addresses: vec![address], certified: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether its process has exited.
    pub(crate) fn ended(&mut self) -> bool {
        self.process.ended()
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn into_process(self) -> Process {
        self.process
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address())
    }

    /// One request on a new connection, and its response.
    pub(crate) fn exchange(&self, ask: &Ask) -> Response {
        self.connect().exchange(ask)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.exchange(&ask("GET", target))
    }

    /// Its default admin socket.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.process.runtime().join(format!("{}.sock", self.address().port()))
    }

    /// An operator's request, on that socket.
    pub(crate) fn admin_exchange(&self, ask: &Ask) -> Response {
        Wire::connect_unix(&self.admin_socket()).exchange(ask)
    }

    /// The response to an operator's `GET`.
    pub(crate) fn admin_get(&self, target: &str) -> Response {
        self.admin_exchange(&ask("GET", target))
    }

    /// Waits until the relay has processed all earlier input: a ping is answered.
    pub(crate) fn await_turn(&self) {
        assert_eq!(self.get("/ping").status(), 200, "the relay is alive");
    }

    /// A new stream, created without a body.
    pub(crate) fn create(&self) -> String {
        stream_of(&self.exchange(&ask("POST", "/stream")))
    }

    /// A new stream, created with this body.
    pub(crate) fn create_with(&self, body: &Value) -> String {
        stream_of(&self.exchange(&ask("POST", "/stream").body(body.to_string())))
    }

    /// The status object of a retained stream.
    pub(crate) fn status(&self, id: &str) -> Value {
        let answer = self.get(&format!("/stream/{id}/status"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }

    /// Waits until the stream is in this state, and returns its status object.
    pub(crate) fn await_state(&self, id: &str, state: &str) -> Value {
        let mut last = String::new();
        let found = || {
            let status = self.status(id);
            status["state"].as_str().expect("a state").clone_into(&mut last);
            (last == state).then_some(status)
        };
        eventually(&format!("state {state} of {id}"), found)
    }

    /// Reports an error without a body.
    pub(crate) fn report(&self, id: &str) -> Response {
        self.exchange(&ask("POST", &format!("/stream/{id}/error")))
    }

    /// The resident set of the relay, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        resident_bytes_of(self.process.id())
    }

    /// Runs a closure while the relay is stopped, so that it reads all the input in one turn.
    pub(crate) fn while_stopped<T>(&self, act: impl FnOnce() -> T) -> T {
        encrypted::with_begun(self.address(), || self.stop_for(act))
    }

    fn stop_for<T>(&self, act: impl FnOnce() -> T) -> T {
        self.signal(Signal::SIGSTOP);
        let path = format!("/proc/{}/stat", self.process.id());
        eventually("the relay is stopped", || {
            let stat = std::fs::read_to_string(&path).expect("the relay's state");
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T")).then_some(())
        });
        let done = act();
        eventually("it has received each end", || (!self.awaits_an_end()).then_some(()));
        self.signal(Signal::SIGCONT);
        done
    }

    /// Whether the end of a connection to it is still on its way: some algorithms for congestion
    /// control, such as bbr, delay a FIN.
    fn awaits_an_end(&self) -> bool {
        let fronts = self.addresses.iter().filter_map(|address| encrypted::front_of(*address));
        let ports: Vec<u16> = self
            .addresses
            .iter()
            .copied()
            .chain(fronts.map(|(front, _)| front))
            .map(|a| a.port())
            .collect();
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].iter().any(|path| {
            let sockets = std::fs::read_to_string(path).unwrap_or_default();
            sockets.lines().skip(1).any(|socket| is_ending_at(socket, &ports))
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it exits.
    pub(crate) fn finish(self) -> Finished {
        self.process.finish()
    }
}

/// Whether this line of `/proc/net/tcp` (proc(5)) is a socket that waits for the acknowledgement of
/// its FIN by one of these ports.
fn is_ending_at(socket: &str, ports: &[u16]) -> bool {
    const FIN_WAIT1: &str = "04";
    let mut columns = socket.split_whitespace().skip(2);
    let (peer, state) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
    let port = peer.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    state == FIN_WAIT1 && port.is_some_and(|port| ports.contains(&port))
}

/// The resident set of a process, in bytes.
pub(crate) fn resident_bytes_of(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its memory");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// The id in the response to a creation.
pub(crate) fn stream_of(answer: &Response) -> String {
    assert_eq!(answer.status(), 201, "{}", answer.text());
    answer.json()["stream"].as_str().expect("an id").to_owned()
}

fn announced(stdout: &str, scheme: &str) -> Vec<SocketAddr> {
    let complete = stdout.rsplit_once('\n').map_or("", |(complete, _)| complete);
    let mark = format!("listening on {scheme}://");
    let after = |line: &str| line.split_once(&mark).map(|(_, rest)| rest.to_owned());
    let address = |rest: String| {
        let address =
            rest.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        address.parse().unwrap_or_else(|_| panic!("listening on {rest:?}"))
    };
    complete.lines().filter_map(after).map(address).collect()
}
