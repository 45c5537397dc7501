//! Three nodes, and one of the balancers for their clients.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;

use crate::agents::api;
use crate::proxy::{Kind, Place};
use crate::support::{Authority, Process, Relay, Response, Wire, ask, eventually};

/// The balancers with files in `deploy/scale/`.
const BALANCERS: [Kind; 3] = [Kind::HaProxy, Kind::Nginx, Kind::Traefik];

/// The nodes in these files.
const NODES: [&str; 3] = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"];

/// Starts of a balancer: another process can take a port that was free.
const ATTEMPTS: usize = 5;

/// Three nodes, and a balancer that serves them with TLS.
pub(crate) struct Cluster {
    pub(crate) kind: Kind,
    pub(crate) nodes: Vec<Relay>,
    pub(crate) place: Place,
    /// The admin listener of each node.
    operators: Vec<SocketAddr>,
    authority: Authority,
    balancer: Process,
}

/// Runs a check with each installed balancer.
pub(crate) fn with_each(check: impl Fn(Cluster)) {
    for kind in BALANCERS {
        if let Some(cluster) = Cluster::start(kind) {
            // Shown if the check fails.
            println!("{kind:?}");
            check(cluster);
        }
    }
}

/// A port that is free now.
fn free_port(address: &str) -> u16 {
    let bound = TcpListener::bind((address, 0)).expect("bind");
    bound.local_addr().expect("an address").port()
}

/// Addresses of this machine that no other cluster of tests has, for nodes with the same admin port, as
/// in the files.
fn network() -> String {
    static CLUSTERS: AtomicU32 = AtomicU32::new(0);
    let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{}", 1 + std::process::id() % 254, number % 256)
}

/// The address of a node in its network.
fn host(network: &str, node: usize) -> String {
    format!("{network}.{}", node + 1)
}

fn start_node(node: usize, host: &str, admin_port: u16) -> Relay {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--paths", "--open-agents", "--trusted-proxies", "127.0.0.1"]);
    command.args(["--node-id", &node.to_string(), "--listen", &format!("{host}:0")]);
    command.args(["--admin-listen", &format!("{host}:{admin_port}")]);
    command.args(["--admin-hosts", "relay.test"]);
    Relay::from_command(command, 1)
}

impl Cluster {
    fn start(kind: Kind) -> Option<Cluster> {
        let network = network();
        let admin_port = free_port(&host(&network, 0));
        let start = |node| start_node(node, &host(&network, node), admin_port);
        let mut nodes: Vec<_> = (0..NODES.len()).map(start).collect();
        let operator =
            |node| SocketAddr::new(host(&network, node).parse().expect("an address"), admin_port);
        let operators: Vec<_> = (0..NODES.len()).map(operator).collect();
        let mut authority = Authority::new();
        for _ in 0..ATTEMPTS {
            let directory = tempfile::tempdir().expect("a directory");
            authority.server("localhost").copy_to(directory.path());
            let mut replaced: Vec<_> = NODES
                .iter()
                .zip(&nodes)
                .map(|(name, node)| (*name, node.address().to_string()))
                .collect();
            let folder = format!("{}/", directory.path().display());
            replaced.extend(match kind {
                Kind::HaProxy => vec![
                    ("port 9090", format!("port {admin_port}")),
                    ("127.0.0.1:10000", format!("127.0.0.1:{}", free_port("127.0.0.1"))),
                    ("/run/haproxy/", folder),
                    ("maxconn 100000", "maxconn 16384".into()),
                ],
                Kind::Nginx => vec![
                    // Within the limit on open files of any machine.
                    ("worker_rlimit_nofile 200000;", String::new()),
                    ("worker_connections 65536;", "worker_connections 400;".into()),
                ],
                Kind::Traefik => vec![("port: 9090", format!("port: {admin_port}"))],
                Kind::Caddy => Vec::new(),
            });
            let place = Place::of(directory, "../scale/", replaced);
            let balancer = kind.start(&place)?;
            let mut cluster =
                Cluster { kind, nodes, place, operators: operators.clone(), authority, balancer };
            if cluster.serves() {
                return Some(cluster);
            }
            Cluster { nodes, authority, .. } = cluster;
        }
        panic!("{kind:?} does not start");
    }

    /// Waits until it serves, or ends: then a port was in use.
    fn serves(&mut self) -> bool {
        eventually("the balancer serves", || {
            let serves = self.curl(&["-f", &self.url("/ping")]).finish().status.success();
            if serves { Some(true) } else { self.balancer.ended().then_some(false) }
        })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.place.https)
    }

    /// The URL of a stream.
    pub(crate) fn stream(&self, id: &str) -> String {
        self.url(&format!("/stream/{id}"))
    }

    /// `curl` without a configuration file, that trusts the balancer.
    pub(crate) fn curl(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new("curl");
        command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "50", "--cacert"]);
        command.arg(self.authority.file()).args(arguments).current_dir(self.place.directory.path());
        Process::start(command)
    }

    /// The status of a request.
    pub(crate) fn status(&self, arguments: &[&str]) -> u16 {
        let all = [&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat();
        let finished = self.curl(&all).finish();
        finished.stdout.parse().unwrap_or_else(|_| panic!("{arguments:?}: {}", finished.stderr))
    }

    /// A stream created through the balancer.
    pub(crate) fn create(&self) -> String {
        let answer = self.curl(&["-f", "-X", "POST", &self.url("/stream")]).finish();
        let body: serde_json::Value = serde_json::from_str(&answer.stdout)
            .unwrap_or_else(|_| panic!("{:?}: {}{}", self.kind, answer.stdout, answer.stderr));
        body["stream"].as_str().expect("an id").to_owned()
    }

    /// A stream created through the balancer, at this node.
    pub(crate) fn create_at(&self, node: usize) -> String {
        eventually("a stream at the node", || Some(self.create()).filter(|id| node_of(id) == node))
    }

    /// The response of a node to an operator.
    pub(crate) fn control(&self, node: usize, method: &str, target: &str) -> Response {
        Wire::connect(self.operators[node]).exchange(&ask(method, target))
    }

    /// A connected agent with this name, whose tunnel is open.
    pub(crate) fn agent(&self, name: &str) -> Process {
        let (api, origin, authority) =
            (format!("http://{}", api()), self.url(""), self.authority.file());
        let authority = authority.to_str().expect("a path");
        let fixed = ["expose", name, &api, "--relay", &origin, "--cacert", authority];
        let process = Process::rdv(&[&fixed[..], &["--tunnels", "1"]].concat());
        eventually("the agent is connected", || process.stdout().ends_with('\n').then_some(()));
        process
    }

    /// Ends a node without notice.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].signal(Signal::SIGKILL);
        eventually("the node ends", || self.nodes[node].ended().then_some(()));
    }
}

/// The node of an identifier.
pub(crate) fn node_of(id: &str) -> usize {
    usize::from_str_radix(&id[..4], 16).expect("a node")
}
