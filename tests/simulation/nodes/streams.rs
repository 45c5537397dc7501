//! Streams: created where a balancer chooses, then used through any balancer by their identifier.

use super::Failures;
use super::cluster::{BALANCERS, Cluster, END, LIFE_MAX};
use super::random::Random;

const STREAMS: u32 = 1_000_000;

/// Both sides connect within this time of the creation.
const WAIT_MAX: u64 = 30_000;

/// The longest transfer.
const TRANSFER_MAX: u64 = 500_000;

/// Nodes that a balancer tries for a new stream.
const ATTEMPTS: u32 = 3;

/// Steps of the clock after which ended streams are not counted any more.
const STEP: u32 = 1_000;

/// The streams of one world.
#[derive(Default)]
pub(super) struct Outcome {
    /// Another node than that of the stream answers 307, and clients follow.
    pub(super) with_redirects: Failures,
    /// It answers 421.
    pub(super) without_redirects: Failures,
    /// Attempts to create a stream at a node that had failed or drained.
    pub(super) refused: u32,
    /// Streams that were not created in any attempt.
    pub(super) lost: u32,
    /// The largest number of streams of a node, relative to the mean, at the end.
    pub(super) busiest: f64,
}

/// The streams of each node as each balancer counts them.
struct Counts {
    of_balancers: Vec<Vec<u32>>,
    ends: Vec<Vec<(usize, u16)>>,
    now: u32,
}

impl Counts {
    fn new(nodes: usize) -> Self {
        let steps = usize::try_from((END + LIFE_MAX) / STEP + 1).expect("a number");
        Self {
            of_balancers: vec![vec![0; nodes]; BALANCERS],
            ends: vec![Vec::new(); steps],
            now: 0,
        }
    }

    /// Removes what ended until this moment.
    fn advance(&mut self, at: u32) {
        while self.now < at / STEP {
            for (balancer, node) in std::mem::take(&mut self.ends[self.now as usize]) {
                self.of_balancers[balancer][usize::from(node)] -= 1;
            }
            self.now += 1;
        }
    }

    fn add(&mut self, balancer: usize, node: u16, end: u32) {
        self.of_balancers[balancer][usize::from(node)] += 1;
        self.ends[(end / STEP) as usize].push((balancer, node));
    }

    /// The less busy one of two.
    fn lesser(&self, balancer: usize, [one, other]: [u16; 2]) -> u16 {
        let count = |node: u16| self.of_balancers[balancer][usize::from(node)];
        if count(one) <= count(other) { one } else { other }
    }

    /// The largest number of streams of a node that accepts them, relative to the mean.
    fn busiest(&self, cluster: &Cluster) -> f64 {
        let numbers = 0..u16::try_from(cluster.nodes.len()).expect("a number");
        let sums: Vec<u32> = numbers
            .filter(|node| cluster.node(*node).accepts(END))
            .map(|node| self.of_balancers.iter().map(|counts| counts[usize::from(node)]).sum())
            .collect();
        let most = sums.iter().max().copied().unwrap_or_default();
        let mean = f64::from(sums.iter().sum::<u32>())
            / f64::from(u32::try_from(sums.len()).expect("a number"));
        f64::from(most) / mean
    }
}

pub(super) fn run(cluster: &Cluster, seed: u64) -> Outcome {
    let mut random = Random::new(seed ^ 1);
    let mut counts = Counts::new(cluster.nodes.len());
    let mut outcome = Outcome::default();
    for number in 0..STREAMS {
        let created =
            u32::try_from(u64::from(END) * u64::from(number) / u64::from(STREAMS)).expect("a time");
        counts.advance(created);
        let Some(node) = create(cluster, &counts, created, &mut random, &mut outcome) else {
            outcome.lost += 1;
            continue;
        };
        let sides = [(); 2].map(|()| side(created, &mut random));
        // Short ones are more frequent.
        let transfer = random.below(TRANSFER_MAX).min(random.below(TRANSFER_MAX));
        let paired = sides[0].1.max(sides[1].1);
        let end = paired + u32::try_from(transfer).expect("a time");
        counts.add(sides[0].0, node, end);
        let is_late = sides
            .iter()
            .any(|(balancer, at)| !cluster.balancers[*balancer].at(*at).of(node).mapped);
        let survives = cluster.node(node).serves_through(created, end);
        for (failures, misdirected) in
            [(&mut outcome.with_redirects, false), (&mut outcome.without_redirects, is_late)]
        {
            failures.of += 1;
            failures.inevitable += u32::from(!survives);
            failures.avoidable += u32::from(survives && misdirected);
        }
    }
    outcome.busiest = counts.busiest(cluster);
    outcome
}

/// The balancer and the moment at which a side connects.
fn side(created: u32, random: &mut Random) -> (usize, u32) {
    let at = created + u32::try_from(random.below(WAIT_MAX)).expect("a time");
    (balancer(random), at)
}

pub(super) fn balancer(random: &mut Random) -> usize {
    usize::try_from(random.below(BALANCERS as u64)).expect("a balancer")
}

fn create(
    cluster: &Cluster,
    counts: &Counts,
    at: u32,
    random: &mut Random,
    outcome: &mut Outcome,
) -> Option<u16> {
    let balancer = balancer(random);
    let ready = &cluster.balancers[balancer].at(at).ready;
    for _ in 0..ATTEMPTS {
        let node = counts.lesser(balancer, [random.pick(ready), random.pick(ready)]);
        if cluster.node(node).accepts(at) {
            return Some(node);
        }
        outcome.refused += 1;
    }
    None
}
