//! All agents, each with the session of its WebSocket: lookup, reading and sending. What their
//! events mean is decided above.

use super::agent::{Agent, Waiter, Waiting};
use super::frame_budget::FrameBudget;
use super::names::Names;
use crate::api::Callee;
use crate::mux::frame::CancelReason;
use crate::mux::session::{Closed, Event, close};
use crate::ops::random_ids::RandomIds;
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, Quantity, Slot};
use crate::rendezvous::Addresses;
use crate::splice::copy::Read;
use slab::Slab;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::ops::{Index, IndexMut};
use std::time::Duration;
use uuid::Uuid;

/// While more than this waits to be sent to an agent, no more of a body is read for it.
const BACKLOG_MAX_BYTES: usize = 256 << 10;

/// While more than this waits to be sent to an agent, nothing is read from it, because answers such
/// as pongs would be added; and it receives no calls, because each adds a head.
const OUTPUT_MAX_BYTES: usize = 1 << 20;

/// All agents.
#[derive(Debug)]
pub struct Sessions {
    agents: Slab<Agent>,
    /// Agents that have not introduced themselves yet, by address.
    pending: Addresses,
    /// Agents that have introduced themselves.
    connections: HashMap<Uuid, Slot>,
    /// All agents, in the order in which they connected.
    order: BTreeMap<u64, Slot>,
    next_sequence: u64,
    pub(super) names: Names,
    pub(super) ids: RandomIds,
}

impl Index<Slot> for Sessions {
    type Output = Agent;

    fn index(&self, slot: Slot) -> &Agent {
        &self.agents[slot.key()]
    }
}

impl IndexMut<Slot> for Sessions {
    fn index_mut(&mut self, slot: Slot) -> &mut Agent {
        &mut self.agents[slot.key()]
    }
}

impl Sessions {
    /// Creates it without agents.
    ///
    /// # Errors
    /// If the kernel provides no random bytes.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            agents: Slab::new(),
            pending: Addresses::default(),
            connections: HashMap::new(),
            order: BTreeMap::new(),
            next_sequence: 0,
            names: Names::default(),
            ids: RandomIds::new()?,
        })
    }

    /// Adds an agent that has not introduced itself yet.
    pub fn insert(&mut self, mut agent: Agent) -> Slot {
        agent.sequence = self.next_sequence;
        agent.pending = Some(self.pending.add(agent.peer.ip()));
        self.next_sequence += 1;
        let sequence = agent.sequence;
        let slot = Slot::new(self.agents.insert(agent));
        self.order.insert(sequence, slot);
        slot
    }

    /// Removes an agent that leaves for another worker, where it introduces itself.
    pub fn release(&mut self, slot: Slot) -> Agent {
        let mut agent = self.agents.remove(slot.key());
        if let Some(pending) = agent.pending.take() {
            self.pending.remove(pending);
        }
        self.order.remove(&agent.sequence);
        agent
    }

    /// Adds an agent of another worker, on this connection.
    pub fn receive(&mut self, conn: ConnId, agent: Agent) -> Slot {
        self.insert(Agent { conn, ..agent })
    }

    /// Records that an agent has introduced itself.
    pub fn introduced(&mut self, io: &Io, slot: Slot) {
        self.connections.insert(self[slot].id, slot);
        if let Some(pending) = self[slot].pending.take() {
            self.pending.remove(pending);
        }
        io.publish(Quantity::Agents, self.known());
    }

    /// Returns how many agents have introduced themselves.
    pub fn known(&self) -> usize {
        self.connections.len()
    }

    /// Whether one more agent of this address may be connected before it introduces itself: as many
    /// of them as remain free of these places, so that one address cannot have all.
    pub fn may_be_pending(&self, address: IpAddr, places: usize) -> bool {
        let all = self.agents.len() - self.connections.len();
        self.pending.count(address) < places.saturating_sub(all)
    }

    /// Whether this slot holds an agent.
    pub fn has(&self, slot: Slot) -> bool {
        self.agents.contains(slot.key())
    }

    /// Returns the slots of all agents.
    pub fn slots(&self) -> Vec<Slot> {
        self.order.values().copied().collect()
    }

    /// Returns the agents from this position on, in the order in which they connected.
    pub fn starting_at(&self, sequence: u64) -> impl Iterator<Item = &Agent> {
        self.order.range(sequence..).map(|(_, slot)| &self[*slot])
    }

    /// Returns the position of the next agent to connect.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Returns the agent of this connection, if it is still connected.
    pub fn find(&self, connection: Uuid) -> Option<Slot> {
        self.connections.get(&connection).copied()
    }

    /// Returns the agent that is called, if it can be.
    pub fn callee(&self, io: &Io, callee: Callee<'_>) -> Option<Slot> {
        let connection = match callee {
            Callee::Connection(connection) => connection?,
            Callee::Name(name) => self.names.holder(name)?,
            Callee::Host(name) => self.names.holder(&name.to_ascii_lowercase())?,
        };
        let slot = self.find(connection)?;
        let agent = &self[slot];
        (agent.takes_requests() && !io.conns[agent.conn].is_closing()).then_some(slot)
    }

    /// Whether an agent's send backlog is too large for new calls.
    pub fn is_backlogged(&self, io: &Io, slot: Slot) -> bool {
        let agent = &self[slot];
        let waiting = io.conns[agent.conn].output.rest().len();
        waiting + agent.session.queued_bytes() >= OUTPUT_MAX_BYTES
    }

    /// Registers the waiter of an exchange.
    pub fn await_exchange(&mut self, slot: Slot, number: u32, conn: ConnId, waiter: Waiter) {
        self[slot].waiting.insert(number, Waiting { conn, waiter });
    }

    /// Returns the waiter of an exchange; `None` if it was cancelled before the agent knew.
    pub fn waiter(&self, slot: Slot, number: u32) -> Option<Waiter> {
        self[slot].waiting.get(&number).map(|waiting| waiting.waiter)
    }

    /// Schedules the waiter of an exchange that has more room.
    pub fn wake_waiter(&self, io: &mut Io, slot: Slot, number: u32) {
        if let Some(waiting) = self[slot].waiting.get(&number) {
            io.conns.enqueue(waiting.conn);
        }
    }

    /// Cancels an exchange that has no waiter any more; the agent is notified if it would continue.
    pub fn cancel(&mut self, io: &mut Io, slot: Slot, number: u32, why: CancelReason) {
        self[slot].cancel(number, why);
        io.conns.enqueue(self[slot].conn);
    }

    /// Removes an exchange that is complete.
    pub fn finish(&mut self, io: &mut Io, slot: Slot, number: u32) {
        self[slot].waiting.remove(&number);
        io.conns.enqueue(self[slot].conn);
    }

    /// Grants the agent as many more bytes of an exchange as were consumed.
    pub fn used(&mut self, io: &mut Io, slot: Slot, number: u32, bytes: usize) {
        self[slot].session.used(number, bytes);
        io.conns.enqueue(self[slot].conn);
    }

    /// Returns the next event of an agent's session.
    pub fn next_event(&mut self, slot: Slot) -> Option<Event> {
        self[slot].session.next_event()
    }

    /// Returns how many body bytes this exchange can take now.
    pub fn room(&mut self, io: &Io, slot: Slot, number: u32) -> usize {
        let agent = &mut self[slot];
        if io.conns[agent.conn].output.rest().len() >= BACKLOG_MAX_BYTES {
            agent.backlogged = true;
            return 0;
        }
        agent.session.room(number)
    }

    /// Reads from an agent once, or continues with what was read before; `false` if nothing is
    /// readable or it has to wait.
    pub fn read(&mut self, io: &mut Io, slot: Slot, budget: &mut FrameBudget) -> bool {
        let agent = &mut self[slot];
        let conn = &mut io.conns[agent.conn];
        let may_answer = conn.output.rest().len() < OUTPUT_MAX_BYTES;
        let hears = agent.session.wants_input() && !agent.session.is_closed();
        if !hears || !may_answer || conn.is_closing() {
            return false;
        }
        let resumes = agent.session.has_more();
        if !resumes && !conn.readable {
            return false;
        }
        if resumes {
            budget.resume(&mut agent.session);
            return true;
        }
        let conn = &mut io.conns[agent.conn];
        let now = io.now.monotonic;
        let mut scratch = io.scratch.lend();
        let asked = budget.read_bytes();
        let read = match conn.read(&mut scratch[..asked]) {
            Ok(Read::Moved(count)) => {
                agent.bytes_in += count as u64;
                if count < asked {
                    conn.drained_of_input();
                }
                budget.receive(&mut agent.session, &scratch[..count], now);
                true
            }
            Ok(Read::Blocked) => {
                conn.readable = false;
                false
            }
            Ok(Read::Eof) | Err(_) => {
                agent.session.eof();
                true
            }
        };
        io.scratch.put_back(scratch);
        read
    }

    /// Sends the output of an agent's session. If that produced events, or made room for others,
    /// schedules their turns.
    pub fn push(&mut self, io: &mut Io, slot: Slot) {
        let agent = &mut self[slot];
        let id = agent.conn;
        let said = agent.session.output();
        if !said.is_empty() {
            agent.bytes_out += said.len() as u64;
            io.conns[id].output.buffer().append(said);
        }
        if io.conns.flush(id) == Flushed::Failed {
            return io.conns.close(id, CloseMode::Orderly);
        }
        if agent.session.has_events() {
            io.conns.enqueue(id);
        }
        if agent.backlogged && io.conns[id].output.rest().len() < BACKLOG_MAX_BYTES / 2 {
            agent.backlogged = false;
            for waiting in agent.waiting.values() {
                io.conns.enqueue(waiting.conn);
            }
        }
    }

    /// Sets when to check a silent agent again.
    pub fn watch(&mut self, io: &mut Io, slot: Slot) {
        let now = io.now.monotonic;
        let agent = &mut self[slot];
        let held_up = !agent.session.wants_input();
        agent.held_up_since = held_up.then(|| agent.held_up_since.unwrap_or(now));
        let until = agent.held_up_since.and_then(|since| since.checked_add(hold_up_max(io)));
        let next = agent.session.next_deadline().into_iter().chain(until).min();
        if next.is_some() {
            io.conns.set_deadline(agent.conn, next);
        }
    }

    /// Handles an agent's deadline: sends a ping, or resumes reading from it. Returns the exchange
    /// that has blocked it for too long.
    pub fn tick(&mut self, io: &Io, slot: Slot) -> Option<u32> {
        let now = io.now.monotonic;
        let agent = &mut self[slot];
        let Some(since) = agent.held_up_since else {
            agent.session.tick(now);
            return None;
        };
        agent.session.was_held_up(now);
        let over = now.saturating_duration_since(since) >= hold_up_max(io);
        let culprit = agent.session.hold_up().filter(|_| over)?;
        log::warn!("{} is blocked: disconnecting the client that blocks it", agent.logged_path());
        Some(culprit)
    }

    /// Removes an agent; the caller deals with its waiters and its tunnels.
    pub fn remove(&mut self, io: &Io, slot: Slot, how: &Closed) -> Agent {
        let mut agent = self.agents.remove(slot.key());
        if let Some(pending) = agent.pending.take() {
            self.pending.remove(pending);
        }
        self.order.remove(&agent.sequence);
        self.connections.remove(&agent.id);
        if let Some(name) = &agent.name {
            // An agent that closes normally needs no lease: its name is free.
            let goodbye = matches!(how, Closed::There(close::NORMAL | close::GOING_AWAY, _));
            let lease = if goodbye { Duration::ZERO } else { io.settings.sockets.name_lease };
            let now = io.now.monotonic;
            // A lease beyond the clock's range is limited to its maximum.
            let until = now.checked_add(lease).unwrap_or(now + LEASE_MAX);
            self.names.leave(name, agent.id, until);
        }
        agent
    }
}

/// The longest lease of a name, where the setting exceeds the clock's range: a century.
const LEASE_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// Returns how long a client may block all others of an agent of the text dialect: no longer than
/// an agent may be silent before a ping, since nothing is read from it meanwhile.
fn hold_up_max(io: &Io) -> Duration {
    io.settings.sockets.agent_heartbeat / 2
}
