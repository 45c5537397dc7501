//! Names of agents, and paths: the node is chosen by a hash, of the nodes that a balancer knows.

use super::Failures;
use super::cluster::{Cluster, END};
use super::random::{Random, mix};
use super::streams::balancer;
use super::view::{Known, View};

const PATHS: u32 = 300_000;
const AGENTS: u64 = 10_000;
const CALLS: u32 = 300_000;

/// The second side of a path connects within this time of the first.
const WAIT_MAX: u64 = 30_000;

/// An agent whose node ended connects again within this time.
const BACKOFF_MAX: u64 = 1_000;

/// Points of each node on the ring.
const POINTS: u64 = 40;

/// How a balancer chooses the node of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// The next point on a ring with points of all nodes.
    Consistent,
    /// The hash modulo the number of nodes.
    Modulo,
    /// The node at which the agent connected, else as `Consistent`.
    Remembered,
}

/// The points of all nodes that ever are.
struct Ring(Vec<(u64, u16)>);

impl Ring {
    fn new(cluster: &Cluster) -> Self {
        let numbers = 0..u16::try_from(cluster.nodes.len()).expect("a number");
        let points = numbers.flat_map(|node| {
            (0..POINTS).map(move |point| (mix(mix(point, 7), u64::from(node) + 1), node))
        });
        let mut points: Vec<_> = points.collect();
        points.sort_unstable();
        Self(points)
    }

    /// The node of a key among those that the balancer knows to be usable, and that can be reached:
    /// a refused connection is retried at the next.
    fn find(&self, key: u64, usable: impl Fn(u16) -> bool) -> Option<u16> {
        let from = self.0.partition_point(|(point, _)| *point < key);
        let (before, after) = self.0.split_at(from);
        after.iter().chain(before).map(|(_, node)| *node).find(|node| usable(*node))
    }
}

/// Chooses the nodes of keys.
struct Chooser<'c> {
    cluster: &'c Cluster,
    ring: Ring,
    placement: Placement,
}

impl Chooser<'_> {
    /// The node of a key, as a balancer chooses it at this moment; `usable` is the result of a check.
    fn choose(&self, key: u64, (view, at): (&View, u32), check: Check) -> Option<u16> {
        if self.placement == Placement::Modulo {
            let nodes = check.nodes(view);
            let index = usize::try_from(key % nodes.len() as u64).expect("an index");
            return Some(nodes[index]);
        }
        let usable = |node: u16| {
            let known = view.of(node);
            known.mapped && check.passed(known) && self.cluster.node(node).serves(at)
        };
        self.ring.find(key, usable)
    }
}

/// The check that decides about a node.
#[derive(Clone, Copy)]
enum Check {
    /// `/readyz`
    Ready,
    /// `/healthz`
    Alive,
}

impl Check {
    fn passed(self, known: Known) -> bool {
        match self {
            Self::Ready => known.ready,
            Self::Alive => known.alive,
        }
    }

    fn nodes(self, view: &View) -> &[u16] {
        match self {
            Self::Ready => &view.ready,
            Self::Alive => &view.alive,
        }
    }
}

/// Pairs of requests for paths, through any balancers.
pub(super) fn paths(cluster: &Cluster, seed: u64, placement: Placement) -> Failures {
    let chooser = Chooser { cluster, ring: Ring::new(cluster), placement };
    let mut random = Random::new(seed ^ 2);
    let mut failures = Failures { of: PATHS, ..Failures::default() };
    for _ in 0..PATHS {
        let key = random.next();
        let first = moment(u64::from(END), &mut random);
        let second = first + moment(WAIT_MAX, &mut random);
        let [one, other] = [first, second].map(|at| {
            let view = cluster.balancers[balancer(&mut random)].at(at);
            chooser.choose(key, (view, at), Check::Ready)
        });
        let survives = one.is_some_and(|node| cluster.node(node).serves_through(first, second));
        failures.inevitable += u32::from(!survives);
        failures.avoidable += u32::from(survives && one != other);
    }
    failures
}

/// Calls of agents, through any balancers.
pub(super) fn calls(cluster: &Cluster, seed: u64, placement: Placement) -> Failures {
    let chooser = Chooser { cluster, ring: Ring::new(cluster), placement };
    let mut random = Random::new(seed ^ 3);
    let agents: Vec<_> = (0..AGENTS).map(|_| Agent::new(&chooser, &mut random)).collect();
    let mut failures = Failures { of: CALLS, ..Failures::default() };
    for _ in 0..CALLS {
        let agent = &agents[usize::try_from(random.below(AGENTS)).expect("an agent")];
        let at = moment(u64::from(END), &mut random);
        let view = cluster.balancers[balancer(&mut random)].at(at);
        let Some(node) = agent.node(cluster, at) else {
            failures.inevitable += 1;
            continue;
        };
        let is_remembered = placement == Placement::Remembered && view.of(node).alive;
        let chosen = if is_remembered {
            Some(node)
        } else {
            chooser.choose(agent.name, (view, at), Check::Alive)
        };
        failures.avoidable += u32::from(chosen != Some(node));
    }
    failures
}

/// An agent, and where it was connected from which moment on.
struct Agent {
    name: u64,
    connections: Vec<(u32, u16)>,
}

impl Agent {
    /// It stays where it is until the node fails or leaves, then connects again.
    fn new(chooser: &Chooser<'_>, random: &mut Random) -> Self {
        let (name, mut connections, mut at) = (random.next(), Vec::new(), 0);
        while at < END {
            let view = chooser.cluster.balancers[balancer(random)].at(at);
            let chosen = chooser.choose(name, (view, at), Check::Alive);
            let node = chosen.map(|node| (node, chooser.cluster.node(node)));
            let Some((number, node)) = node.filter(|(_, node)| node.serves(at)) else {
                at += moment(BACKOFF_MAX, random).max(1);
                continue;
            };
            connections.push((at, number));
            let fails = node.fails.filter(|fails| *fails > at);
            let ends = [fails, node.leaves()].into_iter().flatten().min().unwrap_or(END);
            at = ends + moment(BACKOFF_MAX, random).max(1);
        }
        Self { name, connections }
    }

    /// Its node; none while it is not connected.
    fn node(&self, cluster: &Cluster, at: u32) -> Option<u16> {
        let (from, node) = self.connections.iter().rfind(|(from, _)| *from <= at)?;
        cluster.node(*node).serves_through(*from, at).then_some(*node)
    }
}

fn moment(end: u64, random: &mut Random) -> u32 {
    u32::try_from(random.below(end)).expect("a time")
}
