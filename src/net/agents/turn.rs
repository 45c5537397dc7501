//! What comes from an agent, and what goes to it.

use super::Agent;
use crate::api::{Busy, Failure};
use crate::mux::frame::Why;
use crate::mux::session::{Cancelled, Closed, Event, close};
use crate::net::conn::{After, Conn, Phase};
use crate::net::relay::Relay;
use crate::net::token::ConnId;
use crate::splice::copy::{self, Read};
use std::time::Duration;

/// One read, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Bytes of one agent that are read in one turn before others have theirs.
const TURN_BYTES: usize = 256 << 10;

/// While more than this waits to be sent to an agent, nothing more of a body is taken for it.
pub(super) const BACKLOG_MAX_BYTES: usize = 256 << 10;

/// While more than this waits to be sent to an agent, it is not listened to: what it says may have to
/// be answered, as pings have.
const OUTPUT_MAX_BYTES: usize = 1 << 20;

/// Why agents are left by a relay that ends.
const STOPS: &str = "the relay is about to stop";

impl Relay {
    /// An agent's socket has news.
    pub(in crate::net) fn turn_agent(&mut self, id: ConnId) {
        // What others said or cancelled may have ended its session, or given the next one its turn.
        self.heed_agent(id);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut budget = TURN_BYTES;
        while budget > 0
            && let Some(conn) = self.conn(id)
            && conn.readable
            && let Phase::Agent(agent) = &mut conn.phase
            && agent.session.wants_input()
            && conn.output.rest().len() < OUTPUT_MAX_BYTES
            && !agent.session.is_closed()
        {
            match copy::read(&conn.socket, &mut scratch[..READ_BYTES]) {
                Ok(Read::Moved(count)) => {
                    agent.bytes_in += count as u64;
                    if count < READ_BYTES {
                        conn.drained_of_input();
                    }
                    budget = budget.saturating_sub(count);
                    self.hear_agent(id, &scratch[..count]);
                }
                Ok(Read::Blocked) => conn.readable = false,
                Ok(Read::Eof) | Err(_) => {
                    agent.session.eof();
                    self.heed_agent(id);
                }
            }
        }
        self.scratch = scratch;
        if budget == 0 {
            self.enqueue(id);
        }
        self.watch_agent(id);
    }

    /// Bytes came from an agent.
    pub(super) fn hear_agent(&mut self, id: ConnId, bytes: &[u8]) {
        let now = self.now.monotonic;
        if let Some(agent) = self.agent(id).filter(|_| !bytes.is_empty()) {
            agent.session.received(bytes, now);
        }
        self.heed_agent(id);
    }

    /// Acts upon what an agent's session has to tell, and sends what it has to say.
    pub(super) fn heed_agent(&mut self, id: ConnId) {
        while let Some(event) = self.agent(id).and_then(|agent| agent.session.next_event()) {
            match event {
                Event::Introduced(metadata) => self.introduce(id, metadata),
                Event::Open(_) => self.agent_is_here(id),
                Event::Request { number, head, over } => self.ask(id, number, &head, over),
                Event::Response { number, head, over } => {
                    self.call_answered(id, number, &head, over);
                }
                Event::Body { number, bytes, over } => self.pass_body(id, number, &bytes, over),
                Event::Room(number) => {
                    let waiting = self.agent(id).and_then(|agent| agent.waiting.get(&number));
                    if let Some(waiting) = waiting.copied() {
                        self.enqueue(waiting);
                    }
                }
                Event::Cancelled(number, why) => self.agent_cancelled(id, number, &why),
                Event::Draining => {
                    if let Some(agent) = self.agent(id) {
                        agent.leaving = true;
                    }
                }
                Event::Closed(how) => return self.agent_has_left(id, &how),
            }
        }
        self.push(id);
        self.watch_agent(id);
    }

    /// A part of a body came from an agent: of an answer, or of a request of its own.
    fn pass_body(&mut self, id: ConnId, number: u32, bytes: &[u8], over: bool) {
        let Some(agent) = self.agent(id) else { return };
        let Some(waiting) = agent.waiting.get(&number).copied() else { return };
        if matches!(self.conn(waiting).map(|conn| &conn.phase), Some(Phase::Asking(_))) {
            self.ask_more(waiting, bytes, over);
        } else {
            self.call_body(waiting, bytes, over);
        }
    }

    fn agent_cancelled(&mut self, id: ConnId, number: u32, why: &Cancelled) {
        let Some(agent) = self.agent(id) else { return };
        let Some(waiting) = agent.waiting.remove(&number) else { return };
        if matches!(self.conn(waiting).map(|conn| &conn.phase), Some(Phase::Asking(_))) {
            self.close(waiting);
        } else {
            self.call_cancelled(waiting, why);
        }
    }

    /// Sends what an agent's session has to say.
    pub(super) fn push(&mut self, id: ConnId) {
        let Some(Conn { phase: Phase::Agent(agent), output, .. }) = self.conn(id) else { return };
        let said = agent.session.output();
        if !said.is_empty() {
            let count = said.len() as u64;
            output.buffer().append(said);
            agent.bytes_out += count;
        }
        self.flush(id);
        let Some(Conn { phase: Phase::Agent(agent), output, .. }) = self.conn(id) else { return };
        if agent.backlogged && output.rest().len() < BACKLOG_MAX_BYTES / 2 {
            agent.backlogged = false;
            let waiting: Vec<ConnId> = agent.waiting.values().copied().collect();
            for one in waiting {
                self.enqueue(one);
            }
        }
    }

    /// How many bytes of a body can be taken for this exchange now.
    pub(super) fn room(&mut self, id: ConnId, number: u32) -> usize {
        let Some(Conn { phase: Phase::Agent(agent), output, .. }) = self.conn(id) else { return 0 };
        if output.rest().len() >= BACKLOG_MAX_BYTES {
            agent.backlogged = true;
            return 0;
        }
        agent.session.room(number)
    }

    /// How long a client may hold up all others of an agent of the text dialect: no longer than an
    /// agent may be silent before it is asked whether it lives, since it is not heard meanwhile.
    fn hold_up_max(&self) -> Duration {
        self.settings.sockets.agent_heartbeat / 2
    }

    /// When to look at an agent again that says nothing.
    fn watch_agent(&mut self, id: ConnId) {
        let (now, ending) = (self.now.monotonic, self.mode.is_ending());
        let hold_up_max = self.hold_up_max();
        let Some(agent) = self.agent(id) else { return };
        if ending && agent.in_flight() == 0 && agent.session.is_open() {
            agent.session.close(close::GOING_AWAY, STOPS);
            return self.heed_agent(id);
        }
        let held_up = !agent.session.wants_input();
        agent.held_up_since = held_up.then(|| agent.held_up_since.unwrap_or(now));
        let patience = agent.held_up_since.map(|since| since + hold_up_max);
        let next = agent.session.next_deadline().into_iter().chain(patience).min();
        if let Some(next) = next {
            self.set_deadline(id, next.saturating_duration_since(now));
        }
    }

    /// An agent's time has come: to be asked whether it lives, or to be listened to again.
    pub(in crate::net) fn agent_out_of_patience(&mut self, id: ConnId) {
        let (now, hold_up_max) = (self.now.monotonic, self.hold_up_max());
        let Some(agent) = self.agent(id) else { return };
        if let Some(since) = agent.held_up_since {
            agent.session.was_held_up(now);
            if since + hold_up_max <= now
                && let Some(slow) = agent.session.hold_up()
            {
                self.end_hold_up(id, slow);
            }
        } else {
            agent.session.tick(now);
        }
        self.heed_agent(id);
    }

    /// Somebody does not take what an agent says, and so nobody hears it any more.
    fn end_hold_up(&mut self, id: ConnId, slow: u32) {
        let Some(agent) = self.agent(id) else { return };
        let Some(waiting) = agent.waiting.get(&slow).copied() else {
            return agent.session.cancel(slow, Why::Late);
        };
        log::warn!("{} is held up: who does not take what it says is cut off", agent.logged_path());
        if matches!(self.conn(waiting).map(|conn| &conn.phase), Some(Phase::Asking(_))) {
            self.api_failed(waiting, &Failure::AgentTimeout);
        } else {
            self.cut_call(waiting);
        }
        self.enqueue(id);
    }

    /// An agent's connection is over; what is left to be said to it still goes out.
    fn agent_has_left(&mut self, id: ConnId, how: &Closed) {
        let patience = self.settings.linger_timeout;
        let Some(conn) = self.conn(id) else { return };
        let phase = std::mem::replace(&mut conn.phase, Phase::Answering(After::Linger));
        let Phase::Agent(mut agent) = phase else {
            conn.phase = phase;
            return;
        };
        conn.output.buffer().append(agent.session.output());
        self.agent_is_gone(*agent, how);
        self.set_deadline(id, patience);
        self.flush(id);
    }

    /// An agent is no more: whoever waits for it is told.
    pub(in crate::net) fn agent_is_gone(&mut self, mut agent: Agent, how: &Closed) {
        self.agents.open -= 1;
        self.agents.connections.remove(&agent.id);
        if let Some(name) = &agent.name {
            // Who says goodbye needs no lease: what it was called is free.
            let goodbye = matches!(how, Closed::There(close::NORMAL | close::GOING_AWAY, _));
            let lease = if goodbye { Duration::ZERO } else { self.settings.sockets.name_lease };
            self.agents.names.leave(name, agent.id, self.now.monotonic + lease);
        }
        let mut lost = std::mem::take(&mut agent.spares);
        if *how == Closed::Silent {
            // Where its WebSocket is cut off its spare connections are, and they have no heartbeat.
            lost.append(&mut agent.carrying);
        }
        for spare in lost {
            self.close(spare);
        }
        for (_, waiting) in std::mem::take(&mut agent.waiting) {
            self.agent_gone_for(waiting);
        }
        self.agent_is_away(&agent, how);
    }

    /// Agents are asked for nothing new; those with nothing to do go.
    pub(in crate::net) fn dismiss_agents(&mut self) {
        for id in self.all_in(|phase| matches!(phase, Phase::Agent(_))) {
            if let Some(agent) = self.agent(id) {
                if agent.session.is_open() {
                    agent.session.drain();
                } else {
                    agent.session.close(close::GOING_AWAY, STOPS);
                }
            }
            self.heed_agent(id);
        }
    }

    /// No more time: callers are told that the relay stops, or cut off, and so are agents.
    pub(in crate::net) fn break_off_calls(&mut self) {
        let failure = Failure::TooBusy(Busy::Stopping);
        for id in self.all_in(|phase| matches!(phase, Phase::Calling(_))) {
            self.fail_call(id, Why::Gone, &failure);
        }
        for id in self.all_in(|phase| matches!(phase, Phase::Carried(one) if !one.is_client())) {
            self.fail_carried(id, &failure);
        }
        for id in self.all_in(|phase| matches!(phase, Phase::Agent(_))) {
            if let Some(agent) = self.agent(id) {
                agent.session.close(close::GOING_AWAY, STOPS);
            }
            self.heed_agent(id);
        }
    }

    fn all_in(&self, wanted: impl Fn(&Phase) -> bool) -> Vec<ConnId> {
        let all = self.conns.iter().filter(|(_, conn)| wanted(&conn.phase));
        all.map(|(_, conn)| conn.id).collect()
    }
}
