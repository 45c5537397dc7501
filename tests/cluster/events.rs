//! What happens to the nodes, and what is expected then.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::agents::Agents;
use crate::balancer::Balancer;
use crate::held::{Ended, Held};
use crate::load::Load;
use crate::losses::Losses;
use crate::network::Network;
use crate::node::Node;
use crate::support::now;
use crate::transfer::{assert_complete, create_at};

/// Transfers in all, at least.
const TRANSFERS: usize = 2_000;
/// Agents of a lost node are back within this time.
const BACK: Duration = Duration::from_secs(10);
const ADDED: u8 = 14;

/// The nodes, and what uses them.
pub(crate) struct Cluster<'a> {
    pub(crate) balancer: Balancer,
    pub(crate) nodes: Vec<Node>,
    pub(crate) world: World<'a>,
}

/// What uses the nodes.
pub(crate) struct World<'a> {
    pub(crate) network: &'a Network,
    pub(crate) losses: &'a Losses,
    pub(crate) load: &'a Load<'a>,
    pub(crate) agents: &'a Agents,
}

/// One event.
struct Event {
    name: &'static str,
    node: u8,
    held: Ended,
    agents: usize,
    back: Duration,
}

impl Cluster<'_> {
    pub(crate) fn await_serving(&mut self) {
        self.balancer.await_serving();
        (0..self.nodes.len()).for_each(|at| self.await_status(at, "UP"));
    }

    /// All events, one after the other, while the load goes on; returns a line for each.
    pub(crate) fn run_events(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        let steps = [Self::kill, Self::cut, Self::drain, Self::hand_over, Self::add];
        for (number, step) in (1..).zip(steps) {
            let begun = now();
            let event = step(self);
            assert!(event.back <= BACK, "{event}");
            let seconds = now().duration_since(begun).as_secs_f64();
            events.push(format!("{event}, {seconds:.1} s in all"));
            self.world.load.await_transfers(number * TRANSFERS / steps.len());
        }
        events
    }

    /// The first node is killed, and started again.
    fn kill(&mut self) -> Event {
        let (node, names, held) = self.prepare(0);
        self.world.losses.begin(node);
        self.world.agents.lose(&names);
        self.nodes[0].kill();
        let back = self.world.agents.await_back(&names, &self.all_but(node));
        let held = held.finish(self.world.losses);
        assert!(held.cut > 0, "its transfers cannot continue");
        self.nodes[0].restart();
        self.await_status(0, "UP");
        self.world.losses.end(node);
        Event { name: "killed", node, held, agents: names.len(), back }
    }

    /// The second node cannot be reached, then it can again.
    fn cut(&mut self) -> Event {
        let (node, names, held) = self.prepare(1);
        self.world.losses.begin(node);
        self.world.agents.lose(&names);
        self.world.network.set_link(&self.nodes[1].host, "down");
        let back = self.world.agents.await_back(&names, &self.all_but(node));
        self.await_status(1, "DOWN");
        let held = held.finish(self.world.losses);
        self.world.network.set_link(&self.nodes[1].host, "up");
        self.await_status(1, "UP");
        self.world.losses.end(node);
        Event { name: "cut off", node, held, agents: names.len(), back }
    }

    /// The third node is drained as `docs/operations.md` describes, and started again.
    fn drain(&mut self) -> Event {
        let (node, names, held) = self.prepare(2);
        let created = create_at(self.balancer.address(), node);
        assert_eq!(self.nodes[2].operate("POST", "/control/suspend").status(), 200);
        self.balancer.await_status("nodes", &self.nodes[2], "DOWN");
        // What was created before still works.
        assert_complete(self.balancer.address(), &created, 0);
        self.nodes[2].await_none_waiting();
        self.world.agents.lose(&names);
        self.nodes[2].lineage.order(Signal::SIGTERM);
        let back = self.world.agents.await_back(&names, &self.all_but(node));
        let held = held.finish(self.world.losses);
        self.nodes[2].lineage.await_end_of_first();
        self.nodes[2].restart();
        self.await_status(2, "UP");
        Event { name: "drained", node, held, agents: names.len(), back }
    }

    /// The first node hands over to a new process.
    fn hand_over(&mut self) -> Event {
        let (node, names, held) = self.prepare(0);
        let created = create_at(self.balancer.address(), node);
        self.world.agents.lose(&names);
        self.nodes[0].lineage.hand_over();
        // The new process has what was created before.
        assert_complete(self.balancer.address(), &created, 0);
        let back = self.world.agents.await_back(&names, &self.all_but(0));
        let held = held.finish(self.world.losses);
        self.nodes[0].lineage.await_end_of_first();
        Event { name: "handed over", node, held, agents: names.len(), back }
    }

    /// A node is added; it gets new streams.
    fn add(&mut self) -> Event {
        let added = Node::start(self.world.network, ADDED);
        self.balancer.add(&added);
        self.nodes.push(added);
        self.await_status(3, "UP");
        let (node, names, held) = self.prepare(3);
        self.world.agents.await_back(&self.world.agents.names, &self.all_but(0));
        let held = held.finish(self.world.losses);
        Event { name: "added", node, held, agents: names.len(), back: Duration::ZERO }
    }

    /// The number of a node, the names of its agents, and transfers in their middle.
    fn prepare(&self, at: usize) -> (u8, Vec<String>, Held) {
        let node = self.nodes[at].number();
        let held = Held::begin(self.balancer.address(), node);
        let names = self.nodes[at].agents();
        (node, names, held)
    }

    /// The nodes with other numbers; 0 is the number of none.
    pub(crate) fn all_but(&self, node: u8) -> Vec<&Node> {
        self.nodes.iter().filter(|other| other.number() != node).collect()
    }

    fn await_status(&self, at: usize, wanted: &str) {
        for backend in ["nodes", "names", "keys"] {
            self.balancer.await_status(backend, &self.nodes[at], wanted);
        }
    }

    /// Nothing is left on any node, and all processes end.
    pub(crate) fn finish(self) {
        for node in &self.nodes {
            node.await_idle();
        }
        self.balancer.finish();
        self.nodes.into_iter().for_each(Node::finish);
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Event { name, node, held, agents, back } = self;
        write!(
            f,
            "node {node} {name:<12} running transfers: {:>2} complete, {:>2} cut; \
             {agents:>2} agents back after {:.1} s",
            held.complete,
            held.cut,
            back.as_secs_f64()
        )
    }
}
