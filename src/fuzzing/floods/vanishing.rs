//! Agents that all vanish at once, and connect again, while others subscribe to their events.

use super::super::choices::Choices;
use super::Flooder;
use super::clock::Clock;
use super::lists::now;
use crate::api::agents::{self, AgentChange, AgentEvent};
use crate::relay::EventBatches;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// Agents that vanish at once.
const AGENTS: usize = 1000;

/// Most bytes of events that wait: those of all agents, and of some that connect again.
const HELD_MAX: usize = 1 << 20;

/// All of these agents, and their subscribers.
pub(super) struct Vanishing {
    subscribers: usize,
    connected: usize,
    batches: EventBatches,
    progress: usize,
}

impl Vanishing {
    pub(super) fn new(subscribers: usize) -> Self {
        let batches = EventBatches::default();
        Self { subscribers, connected: AGENTS, batches, progress: 0 }
    }

    fn notice(&mut self, change: AgentChange<'_>) {
        self.batches.push(&agents::event(&AgentEvent {
            change,
            connection_id: Some(Uuid::nil()),
            name: Some("an-agent-with-a-name.example"),
            remote_addr: (Ipv4Addr::LOCALHOST, 1).into(),
            wall_ms: now().wall_ms,
        }));
    }
}

impl Flooder for Vanishing {
    fn turn(&mut self, _: usize, clock: &mut Clock, _: &mut Choices<'_>) -> bool {
        if self.connected == AGENTS {
            for _ in 0..AGENTS {
                clock.event();
                clock.read(0);
                self.notice(AgentChange::Failed("the connection was lost"));
            }
            self.connected = 0;
        }
        while self.connected < AGENTS && clock.accept() {
            self.notice(AgentChange::Received);
            self.connected += 1;
        }
        while let Some((_, batch)) = self.batches.take() {
            for _ in 0..self.subscribers {
                clock.write(batch.len());
            }
            self.progress += batch.len();
            if !self.batches.are_too_many() {
                break;
            }
        }
        false
    }

    fn progress(&self) -> usize {
        self.progress
    }

    fn held_bytes(&self) -> usize {
        self.batches.bytes()
    }

    fn held_max(&self) -> usize {
        HELD_MAX
    }
}
