//! The nodes of one world and what happens to them, drawn from a seed. Times are milliseconds.

use std::fmt;

use super::random::Random;
use super::view::{History, view_changes};

/// How long the world lasts: an hour.
pub(super) const END: u32 = 3_600_000;

/// No stream lives longer, from its creation.
pub(super) const LIFE_MAX: u32 = 600_000;

const NODES: u16 = 1000;
const FAIL: u16 = 20;
const DRAIN: u16 = 50;
const JOIN: u16 = 50;
pub(super) const BALANCERS: usize = 8;

/// How long a node that failed is down; it returns with its number, without its streams.
const DOWN: u32 = 60_000;

/// The life of a node.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) joins: u32,
    /// When it fails; it returns after [`DOWN`].
    pub(super) fails: Option<u32>,
    /// From then on it takes no new streams.
    pub(super) drains: Option<u32>,
}

impl Node {
    pub(super) fn returns(&self) -> Option<u32> {
        self.fails.map(|at| at + DOWN)
    }

    /// When it ends: after its last stream.
    pub(super) fn leaves(&self) -> Option<u32> {
        self.drains.map(|at| at + LIFE_MAX)
    }

    /// Whether it can be reached.
    pub(super) fn serves(&self, at: u32) -> bool {
        let failed = self.fails.is_some_and(|fails| (fails..fails + DOWN).contains(&at));
        self.joins <= at && !failed && self.leaves().is_none_or(|leaves| at < leaves)
    }

    /// Whether it accepts new streams.
    pub(super) fn accepts(&self, at: u32) -> bool {
        self.serves(at) && self.drains.is_none_or(|drains| at < drains)
    }

    /// Whether it serves all the time from one moment to another.
    pub(super) fn serves_through(&self, from: u32, to: u32) -> bool {
        self.serves(from) && self.serves(to) && self.fails.is_none_or(|at| at <= from || to < at)
    }
}

/// The nodes, and what each balancer knows of them at any time.
pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    pub(super) balancers: Vec<History>,
}

impl Cluster {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut moment = || u32::try_from(random.below(u64::from(END))).expect("a time");
        let node = |number: u16, moment: &mut dyn FnMut() -> u32| Node {
            joins: if number < NODES { 0 } else { moment() },
            fails: (number < FAIL).then(&mut *moment),
            drains: (FAIL..FAIL + DRAIN).contains(&number).then(&mut *moment),
        };
        let nodes: Vec<_> = (0..NODES + JOIN).map(|number| node(number, &mut moment)).collect();
        let history = |_| History::new(nodes.len(), view_changes(&nodes, &mut random));
        let balancers = (0..BALANCERS).map(history).collect();
        Self { nodes, balancers }
    }

    pub(super) fn node(&self, number: u16) -> &Node {
        &self.nodes[usize::from(number)]
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = END / 60_000;
        write!(f, "{NODES} nodes, in {minutes} min {FAIL} fail, {DRAIN} drain, {JOIN} join; ")?;
        write!(f, "{BALANCERS} balancers")
    }
}
