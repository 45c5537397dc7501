//! APIs that clients cannot dial: agents open a WebSocket to the relay, and calls of their APIs go
//! through it, or through tunnels that they open.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the service: what the event loop calls, and what the events of agents mean |
//! | `role` | what a connection is to the agents |
//! | `sessions`, `attach` | all agents: reading, sending, leaving; how one connects |
//! | `frame_budget` | how much of one is processed in a turn |
//! | `agent`, `names` | one agent, and the holder of a name |
//! | `departures` | connections that leave for another worker |
//! | `forwarding` | whether an agent can be called, and the head it receives |
//! | `calls`, `answers` | a client's request through the WebSocket, and the answer to it |
//! | `tunnels`, `tunnelled`, `tunnel_endings` | the same through a tunnel, where the kernel moves the bytes |
//! | `upgraded` | a tunnel and its client after both switched to another protocol |
//! | `api_requests`, `api_answers` | an agent's request to the relay's own API |
//! | `list`, `listing` | which agents are connected |
//! | `events`, `event_batches`, `subscribers` | their changes |
//!
//! The parts know the agents below them (`sessions`) and not each other; what concerns two of them
//! is decided here.

mod agent;
mod answers;
mod api_answers;
mod api_requests;
mod attach;
mod calls;
mod departures;
mod event_batches;
mod events;
mod forwarding;
mod frame_budget;
mod list;
mod listing;
mod names;
mod role;
mod sessions;
mod subscribers;
mod tunnel_endings;
mod tunnelled;
mod tunnels;
mod upgraded;

use crate::api::agent_host;
use crate::api::forward::{BodyCarrier, Upgrade};
use crate::api::{Busy, Callee, Failure, ShardKey};
use crate::http::framing::Framing;
use crate::http::reject::Reject;
use crate::mux::frame::CancelReason;
use crate::mux::handshake::Metadata;
use crate::mux::session::{Cancelled, Closed, Event, close};
use crate::ops::metrics::ConnPhase;
use crate::relay::http1::{Request, flush};
use crate::relay::io::{CloseMode, ConnId, Http, Io, OnFlushed, Role, Slot};
use crate::relay::transfers::{Finished, Owner, Transfers};
use crate::rendezvous::Now;
use agent::Waiter;
use api_requests::ApiRequests;
use calls::Calls;
pub use departures::{AgentCargo, AgentDeparture};
use forwarding::Outgoing;
pub use frame_budget::FrameBudget;
use list::Lists;
use role::AgentRole;
pub use sessions::Sessions;
use std::io;
use subscribers::Subscribers;
use tunnels::Tunnels;
#[cfg(feature = "fuzzing")]
pub use {
    agent::Agent, event_batches::EventBatches, listing::AgentListing, tunnelled::HEAD_READ_BYTES,
};

/// Why a relay that shuts down closes its agents' connections.
const STOPS: &str = "the relay is shutting down";

/// All agents, and the connections related to them.
#[derive(Debug)]
pub struct Agents {
    sessions: Sessions,
    calls: Calls,
    tunnels: Tunnels,
    api_requests: ApiRequests,
    lists: Lists,
    subscribers: Subscribers,
    departures: Vec<AgentDeparture>,
}

impl Agents {
    /// Creates it without agents.
    ///
    /// # Errors
    /// If the kernel provides no random bytes.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            sessions: Sessions::new()?,
            calls: Calls::default(),
            tunnels: Tunnels::default(),
            api_requests: ApiRequests::default(),
            lists: Lists::default(),
            subscribers: Subscribers::default(),
            departures: Vec::new(),
        })
    }

    /// Returns the number of connected agents, and the objects of at most `max` of them.
    pub fn shown(&self, now: Now, max: usize) -> (usize, Vec<String>) {
        let connected = || self.sessions.starting_at(0).filter(|agent| agent.session.is_open());
        let shown = connected().take(max).map(|agent| events::object(agent, now)).collect();
        (connected().count(), shown)
    }

    /// Handles `GET /socket`: opens a WebSocket; returns how many bytes after the head are
    /// consumed.
    pub fn attach(&mut self, io: &mut Io, id: ConnId, request: Request<'_, '_>) -> usize {
        match self.sessions.attach(io, id, request) {
            Ok(agent) => {
                self.process_agent_events(io, agent);
                request.rest.len()
            }
            Err(failure) => request.refuse(io, id, &failure),
        }
    }

    /// Handles `GET /socket/spare`: an agent attaches a tunnel; returns how many bytes after the
    /// head are consumed.
    pub fn attach_tunnel(&mut self, io: &mut Io, id: ConnId, request: Request<'_, '_>) -> usize {
        self.tunnels.attach(io, &mut self.sessions, id, request)
    }

    /// Handles `/api/:name/...` and `/socket/:id/...`; returns how many bytes after the head are
    /// consumed.
    pub fn call(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        (callee, rest): (Callee<'_>, &str),
        request: Request<'_, '_>,
    ) -> usize {
        let Self { sessions, tunnels, calls, .. } = self;
        let correlation_id = match forwarding::correlate(io, sessions, callee, request) {
            Ok(correlation_id) => correlation_id,
            Err(failure) => return request.refuse(io, id, &failure),
        };
        io.conns[id].extras.set_correlation_id(correlation_id.clone());
        let agent = match forwarding::may_call(io, sessions, callee, request) {
            Ok(agent) => agent,
            Err(failure) => return request.refuse(io, id, &failure),
        };
        let upgrade = Upgrade::offered(request.head);
        let tunnel = if upgrade.is_some() || sessions[agent].has_tunnel_for_calls() {
            tunnels.take(io, sessions, agent)
        } else {
            None
        };
        if upgrade.is_some() && tunnel.is_none() {
            return request.refuse(io, id, &Failure::TooBusy(Busy::AgentTunnels));
        }
        let carrying = if tunnel.is_some() { BodyCarrier::Http1 } else { BodyCarrier::Frames };
        let prefix = forwarding::prefix_of(callee);
        let place = (prefix.as_str(), rest, &*correlation_id);
        let head = forwarding::head(io, id, request, place, (carrying, upgrade.as_ref()));
        let over = request.head.framing == Framing::Length(0);
        // --max-head may exceed what frames can carry.
        if !sessions[agent].session.takes_request(&head, over) {
            if let Some(tunnel) = tunnel {
                tunnels.give_back(io, sessions, tunnel);
            }
            return request.refuse(io, id, &Failure::Rejected(Reject::HeadTooLong));
        }
        sessions[agent].requests += 1;
        let method = request.head.method;
        let hosts = &io.settings.sockets.agent_host;
        let shares_origin = agent_host::audience(hosts, request.head).is_none();
        let prefix = shares_origin.then(|| prefix.into_boxed_str());
        let outgoing = Outgoing { method, correlation_id, prefix, head, upgrade };
        match tunnel {
            Some(tunnel) => tunnels.begin(io, transfers, (id, tunnel), outgoing, request),
            None => calls.begin(io, sessions, (id, agent), outgoing, request),
        }
    }

    /// Handles `GET /socket`, for a client with read access.
    pub fn list(&mut self, io: &mut Io, id: ConnId, read: bool) {
        self.lists.begin(io, &self.sessions, id, read);
    }

    /// Handles `GET /socket/events`, for a client with read access.
    pub fn subscribe(&mut self, io: &mut Io, id: ConnId, read: bool) {
        self.subscribers.begin(io, id, read);
    }

    /// Returns the connections that leave for another worker.
    pub fn take_departures(&mut self) -> Vec<AgentDeparture> {
        let mut departures = std::mem::take(&mut self.departures);
        departures.append(&mut self.lists.departures);
        departures
    }

    /// Continues with a connection of another worker.
    pub fn arrive(&mut self, io: &mut Io, id: ConnId, cargo: AgentCargo) {
        match cargo {
            AgentCargo::Introduction(agent, metadata) => {
                let agent = self.sessions.receive(id, *agent);
                AgentRole::Agent(agent).give(io, id);
                self.introduce(io, agent, metadata);
                // What it sent after its introduction waits in its session.
                io.conns.enqueue(id);
                if self.process_agent_events(io, agent) {
                    self.watch(io, agent);
                }
            }
            AgentCargo::Listing(listing) => {
                self.lists.resume(io, id, listing.arrived(self.sessions.next_sequence()));
            }
        }
    }

    /// Introduces an agent, at the worker to which its name belongs.
    fn introduce(&mut self, io: &mut Io, agent: Slot, metadata: Metadata) {
        if let Some(replaced) = self.sessions.introduce(io, agent, metadata) {
            self.process_agent_events(io, replaced);
        }
    }

    /// Returns the number of agents that introduced themselves.
    pub fn known(&self) -> usize {
        self.sessions.known()
    }

    /// Returns the number of subscribers to the events of agents.
    pub fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// Keeps events for the subscribers at the first worker, if there are some, until
    /// [`Agents::take_events`].
    pub fn collect_events(&mut self, wanted: bool) {
        self.subscribers.collect(wanted);
    }

    /// Returns the events of this worker for those subscribers.
    pub fn take_events(&mut self) -> Vec<Vec<u8>> {
        self.subscribers.take_collected()
    }

    /// Shows events of another worker.
    pub fn relay_events(&mut self, events: &[u8]) {
        self.subscribers.broadcast(events);
    }

    /// Whether [`Agents::show_events`] has something to do.
    pub fn have_events(&self) -> bool {
        self.subscribers.have_events()
    }

    /// Shows subscribers which agents connected or disconnected in this turn.
    pub fn show_events(&mut self, io: &mut Io) {
        self.subscribers.show_events(io);
    }

    /// Handles an event on a connection that the agents own.
    pub fn ready(&mut self, io: &mut Io, transfers: &mut Transfers, id: ConnId, slot: Slot) {
        let Self { sessions, calls, tunnels, api_requests, lists, .. } = self;
        match AgentRole::of(slot) {
            AgentRole::Agent(agent) => self.agent_ready(io, agent),
            AgentRole::Call(call) => calls.ready(io, sessions, call),
            AgentRole::Tunnel(tunnel) => tunnels.ready(io, transfers, sessions, tunnel),
            AgentRole::Caller(tunnel) => {
                tunnels.caller_ready(io, transfers, sessions, (tunnel, id));
            }
            AgentRole::ApiRequest(request) => api_requests.ready(io, sessions, request),
            AgentRole::Listing(reader) => lists.ready(io, sessions, id, reader),
            AgentRole::Subscriber(_) => Subscribers::ready(io, id),
        }
    }

    /// Handles a connection's timeout.
    pub fn timeout(&mut self, io: &mut Io, transfers: &mut Transfers, id: ConnId, slot: Slot) {
        let Self { sessions, calls, tunnels, api_requests, subscribers, .. } = self;
        match AgentRole::of(slot) {
            AgentRole::Agent(agent) => self.agent_timeout(io, agent),
            AgentRole::Call(call) => calls.timeout(io, sessions, call),
            AgentRole::Tunnel(tunnel) => tunnels.timeout(io, transfers, sessions, tunnel),
            // Only its transfers have deadlines.
            AgentRole::Caller(_) => {}
            AgentRole::ApiRequest(request) => api_requests.timeout(io, sessions, request),
            AgentRole::Listing(_) => io.conns.close(id, CloseMode::Orderly),
            AgentRole::Subscriber(subscriber) => subscribers.timeout(io, id, subscriber),
        }
    }

    /// Handles a closed connection.
    pub fn closed(&mut self, io: &mut Io, transfers: &mut Transfers, id: ConnId, slot: Slot) {
        debug_assert!(io.conns[id].is_closing(), "its end is reported after it was closed");
        let Self { sessions, calls, tunnels, api_requests, lists, subscribers, .. } = self;
        match AgentRole::of(slot) {
            AgentRole::Agent(agent) => self.on_closed(io, agent, &Closed::Lost),
            AgentRole::Call(call) => calls.closed(io, sessions, call),
            AgentRole::Tunnel(tunnel) => tunnels.closed(io, transfers, sessions, tunnel),
            AgentRole::Caller(tunnel) => tunnels.caller_closed(io, transfers, sessions, tunnel),
            AgentRole::ApiRequest(request) => api_requests.closed(io, sessions, request),
            AgentRole::Listing(reader) => lists.closed(reader),
            AgentRole::Subscriber(subscriber) => subscribers.closed(subscriber),
        }
    }

    /// Handles the end of a call's transfer.
    pub fn finished(&mut self, io: &mut Io, transfers: &mut Transfers, finished: &Finished) {
        let Self { sessions, tunnels, .. } = self;
        match finished.owner {
            Owner::Request(tunnel) => {
                tunnels.request_finished(io, transfers, sessions, tunnel, finished);
            }
            Owner::Response(tunnel) => {
                tunnels.response_finished(io, transfers, sessions, tunnel, finished);
            }
            Owner::Stream(stream) => unreachable!("{stream:?} is not the agents'"),
        }
    }

    /// Returns the phase of a connection, for the metrics.
    #[allow(clippy::unused_self, reason = "it is polled like every other service")]
    pub fn phase(&self, slot: Slot) -> ConnPhase {
        match AgentRole::of(slot) {
            AgentRole::Agent(_) => ConnPhase::Agent,
            AgentRole::Call(_) | AgentRole::Caller(_) => ConnPhase::Calling,
            AgentRole::Tunnel(_) => ConnPhase::Tunnel,
            AgentRole::ApiRequest(_) => ConnPhase::Asking,
            AgentRole::Listing(_) => ConnPhase::Listing,
            AgentRole::Subscriber(_) => ConnPhase::Following,
        }
    }

    /// Begins to drain: agents receive no new calls, and idle ones are disconnected.
    pub fn drain(&mut self, io: &mut Io) {
        for tunnel in self.tunnels.idle() {
            self.tunnels.remove(io, &mut self.sessions, tunnel);
        }
        self.subscribers.close_all(io);
        for agent in self.sessions.slots() {
            // The events of another agent may have ended it.
            if !self.sessions.has(agent) {
                continue;
            }
            let session = &mut self.sessions[agent].session;
            if session.is_open() {
                session.drain();
            } else {
                session.close(close::GOING_AWAY, STOPS);
            }
            if self.process_agent_events(io, agent) {
                self.watch(io, agent);
            }
        }
    }

    /// Ends everything now: callers are answered that the relay shuts down, or cut off, and so are
    /// agents.
    pub fn abort(&mut self, io: &mut Io, transfers: &mut Transfers) {
        let Self { sessions, calls, tunnels, .. } = self;
        let failure = Failure::TooBusy(Busy::Stopping);
        for call in calls.slots() {
            calls.fail(io, sessions, call, CancelReason::Gone, &failure);
        }
        for tunnel in tunnels.busy() {
            tunnels.fail(io, transfers, sessions, tunnel, &failure);
        }
        for agent in self.sessions.slots() {
            if self.sessions.has(agent) {
                self.sessions[agent].session.close(close::GOING_AWAY, STOPS);
                self.process_agent_events(io, agent);
            }
        }
    }

    /// Handles an event on an agent's socket, or output for it.
    fn agent_ready(&mut self, io: &mut Io, agent: Slot) {
        // Other agents' events may have ended its session, or scheduled the next turn.
        if !self.process_agent_events(io, agent) {
            return;
        }
        let mut budget = FrameBudget::of(io.conns.queue.share());
        while !budget.is_spent() && self.sessions.read(io, agent, &mut budget) {
            if !self.process_agent_events(io, agent) {
                return;
            }
        }
        if budget.is_spent() {
            io.conns.requeue(self.sessions[agent].conn);
        }
        self.watch(io, agent);
    }

    /// Handles an agent's deadline: sends it a ping, or resumes reading from it.
    fn agent_timeout(&mut self, io: &mut Io, agent: Slot) {
        if let Some(slow) = self.sessions.tick(io, agent) {
            let Self { sessions, calls, api_requests, .. } = self;
            let failure = Failure::AgentTimeout;
            match sessions.waiter(agent, slow) {
                Some(Waiter::Call(call)) => {
                    calls.fail(io, sessions, call, CancelReason::Gone, &failure);
                }
                Some(Waiter::ApiRequest(request)) => {
                    api_requests.fail(io, sessions, request, &failure);
                }
                None => sessions.cancel(io, agent, slow, CancelReason::Late),
            }
        }
        if self.process_agent_events(io, agent) {
            self.watch(io, agent);
        }
    }

    /// Sets when to check a silent agent again. A draining relay disconnects an idle one.
    fn watch(&mut self, io: &mut Io, agent: Slot) {
        let its = &mut self.sessions[agent];
        if io.mode.is_ending() && its.is_idle() && its.session.is_open() {
            its.session.close(close::GOING_AWAY, STOPS);
            self.process_agent_events(io, agent);
        } else {
            self.sessions.watch(io, agent);
        }
    }

    /// Processes an agent's session events and sends its output; whether the agent is still
    /// connected. The frames of a turn bound the number of events.
    fn process_agent_events(&mut self, io: &mut Io, agent: Slot) -> bool {
        while let Some(event) = self.sessions.next_event(agent) {
            let Self { sessions, calls, api_requests, subscribers, .. } = self;
            match event {
                Event::Introduced(metadata) => {
                    let name = metadata.name().map(|name| ShardKey::Name(name.as_bytes()));
                    let Some(to) = name.and_then(|name| io.owner(name)) else {
                        self.introduce(io, agent, metadata);
                        continue;
                    };
                    let agent = Box::new(sessions.release(agent));
                    let id = agent.conn;
                    let cargo = AgentCargo::Introduction(agent, metadata);
                    io.conns.depart(id);
                    self.departures.push(AgentDeparture { id, to, cargo });
                    return false;
                }
                Event::Open(_) => {
                    sessions[agent].was_connected = true;
                    subscribers.broadcast(&events::connected(&sessions[agent], io.now));
                }
                Event::Request { number, head, over } => {
                    api_requests.begin(io, sessions, (agent, number), &head, over);
                }
                Event::Response { number, head, over } => match sessions.waiter(agent, number) {
                    Some(Waiter::Call(call)) => calls.answered(io, sessions, call, &head, over),
                    Some(Waiter::ApiRequest(_)) => {
                        unreachable!("an agent does not respond to its own request")
                    }
                    None => {}
                },
                Event::Body { number, bytes, over } => match sessions.waiter(agent, number) {
                    Some(Waiter::Call(call)) => calls.body(io, sessions, call, &bytes, over),
                    Some(Waiter::ApiRequest(request)) => {
                        api_requests.more(io, sessions, request, &bytes, over);
                    }
                    None => {}
                },
                Event::Room(number) => sessions.wake_waiter(io, agent, number),
                Event::Sent(number) => {
                    if let Some(Waiter::Call(call)) = sessions.waiter(agent, number) {
                        calls.await_answer(io, sessions, call);
                    }
                }
                Event::Cancelled(number, why) => self.cancelled(io, agent, number, &why),
                // They are not reported here.
                Event::Ping(_) | Event::Pong(_) => {}
                Event::Draining => sessions[agent].leaving = true,
                Event::Closed(how) => {
                    self.on_closed(io, agent, &how);
                    return false;
                }
            }
        }
        self.sessions.push(io, agent);
        true
    }

    /// Handles an agent's cancellation of an exchange.
    fn cancelled(&mut self, io: &mut Io, agent: Slot, number: u32, why: &Cancelled) {
        let Self { sessions, calls, api_requests, .. } = self;
        let waiter = sessions.waiter(agent, number);
        sessions[agent].waiting.remove(&number);
        match waiter {
            Some(Waiter::Call(call)) => calls.cancelled(io, sessions, call, why),
            Some(Waiter::ApiRequest(request)) => api_requests.drop(io, request),
            None => {}
        }
    }

    /// Handles the end of an agent's WebSocket: its waiters are answered. Pending output is still
    /// sent.
    fn on_closed(&mut self, io: &mut Io, agent: Slot, how: &Closed) {
        let mut agent = self.sessions.remove(io, agent, how);
        for tunnel in std::mem::take(&mut agent.idle) {
            self.tunnels.remove(io, &mut self.sessions, tunnel);
        }
        if *how == Closed::Silent {
            // When its WebSocket is cut off, so are its tunnels, and they have no heartbeat.
            for tunnel in agent.carrying.iter().chain(&agent.upgraded) {
                io.conns.close(self.tunnels.connection(*tunnel), CloseMode::Orderly);
            }
        }
        for (_, waiting) in std::mem::take(&mut agent.waiting) {
            match waiting.waiter {
                Waiter::Call(call) => self.calls.agent_gone(io, call),
                Waiter::ApiRequest(request) => self.api_requests.drop(io, request),
            }
        }
        self.subscribers.broadcast(&events::disconnected(&agent, how, io.now));
        let conn = &mut io.conns[agent.conn];
        if conn.is_closing() {
            return;
        }
        conn.output.buffer().append(agent.session.output());
        conn.role = Role::Http(Http::Answering(OnFlushed::Linger));
        if agent.session.ends_with_reset() {
            conn.reset_on_close(true);
            if !agent.session.has_responded() {
                return io.conns.close(agent.conn, CloseMode::Reset);
            }
        }
        io.set_timeout(agent.conn, io.settings.linger_timeout);
        flush(io, agent.conn);
    }
}
