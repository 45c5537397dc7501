//! What a balancer knows of the nodes: its map, which changes late, and the results of its checks.

use super::cluster::Node;
use super::random::Random;

/// A new map reaches a balancer within this time.
const MAP_DELAY: u32 = 30_000;

/// Checks notice a change of a node within this time.
const CHECK_DELAY: u32 = 3_000;

/// What a balancer knows of a node.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    /// It is in the map.
    pub(super) mapped: bool,
    /// It responds, by `/healthz`.
    pub(super) alive: bool,
    /// It accepts new streams, by `/readyz`.
    pub(super) ready: bool,
}

/// A change of what a balancer knows.
pub(super) struct Change {
    at: u32,
    node: usize,
    to: Known,
}

/// What a balancer knows from a moment on.
pub(super) struct View {
    from: u32,
    known: Vec<Known>,
    /// The nodes that accept new streams, by number.
    pub(super) ready: Vec<u16>,
    /// The nodes that are alive, by number.
    pub(super) alive: Vec<u16>,
}

impl View {
    pub(super) fn of(&self, node: u16) -> Known {
        self.known[usize::from(node)]
    }
}

/// The views of one balancer, in order.
pub(super) struct History(Vec<View>);

impl History {
    pub(super) fn new(nodes: usize, changes: Vec<Change>) -> Self {
        let mut known = vec![Known::default(); nodes];
        let mut views: Vec<View> = Vec::new();
        for Change { at, node, to } in changes {
            known[node] = to;
            // Each moment has one view.
            views.pop_if(|last| last.from == at);
            let number = |(number, _): (usize, _)| u16::try_from(number).expect("a node");
            let all = known.iter().enumerate().filter(|(_, known)| known.mapped && known.alive);
            let ready = all.clone().filter(|(_, known)| known.ready).map(number).collect();
            let alive = all.map(number).collect();
            views.push(View { from: at, known: known.clone(), ready, alive });
        }
        Self(views)
    }

    pub(super) fn at(&self, at: u32) -> &View {
        &self.0[self.0.partition_point(|view| view.from <= at) - 1]
    }
}

/// All changes as one balancer learns of them, in order. The first nodes are known from the start.
pub(super) fn view_changes(nodes: &[Node], random: &mut Random) -> Vec<Change> {
    let mut within = |delay: u32| u32::try_from(random.below(u64::from(delay))).expect("a time");
    let all = Known { mapped: true, alive: true, ready: true };
    let mut changes = Vec::new();
    for (node, life) in nodes.iter().enumerate() {
        let mut change = |at: u32, to: Known| changes.push(Change { at, node, to });
        change(if life.joins == 0 { 0 } else { life.joins + within(MAP_DELAY) }, all);
        if let (Some(fails), Some(returns)) = (life.fails, life.returns()) {
            let down = Known { mapped: true, ..Known::default() };
            change(fails + within(CHECK_DELAY), down);
            change(returns + within(CHECK_DELAY), all);
        }
        if let (Some(drains), Some(leaves)) = (life.drains, life.leaves()) {
            change(drains + within(CHECK_DELAY), Known { ready: false, ..all });
            let noticed = leaves + within(CHECK_DELAY);
            change(noticed, Known { mapped: true, ..Known::default() });
            change(noticed + within(MAP_DELAY), Known::default());
        }
    }
    changes.sort_by_key(|change| change.at);
    changes
}
