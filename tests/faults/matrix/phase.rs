//! The parts of a relay's life, each as a scene in which calls fail.

use super::lifecycle::{hand_over, shut_down, start};
use super::scene::Scene;
use super::serving::serve;
use super::table::MayEnd;
use crate::injected::Fault;

/// A part of the relay's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// Until it listens.
    Start,
    /// Transfers, operators' requests, a reload and a reopened log.
    Serving,
    /// A new process takes over.
    HandOver,
    /// The end, by a signal.
    Shutdown,
}

pub(crate) const PHASES: [Phase; 4] =
    [Phase::Start, Phase::Serving, Phase::HandOver, Phase::Shutdown];

impl Phase {
    /// Plays it with this fault; without one, it logs all calls.
    pub(crate) fn play(self, fault: Option<Fault<'_>>, may_end: MayEnd) -> Scene {
        match self {
            Phase::Start => start(fault, may_end),
            Phase::Serving => serve(fault, may_end),
            Phase::HandOver => hand_over(fault, may_end),
            Phase::Shutdown => shut_down(fault, may_end),
        }
    }
}
