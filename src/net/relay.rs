//! The state of a relay, and the life of a connection's slot: filled, timed, queued, freed.

use super::admin::{Admin, Realm};
use super::agents::Agents;
use super::conn::{After, Conn, Phase};
use super::drive::Exchange;
use super::followers::Followers;
use super::intake::Intake;
use super::timers::Timers;
use super::token::ConnId;
use crate::http::date::HttpDate;
use crate::http::head::HeadLimits;
use crate::mux::session::Closed;
use crate::ops::access_log::AccessLog;
use crate::ops::request_id::RequestIds;
use crate::ops::{Metrics, Settings};
use crate::rendezvous::transfer::COPY_MAX;
use crate::rendezvous::{Addresses, Limits, Now, Registry};
use crate::splice::pool::Pool;
use mio::Interest;
use mio::unix::SourceFd;
use slab::Slab;
use socket2::Socket;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Streams whose time is over that are dealt with in one turn, before others have theirs.
const EXPIRE_MAX: usize = 1024;

/// Whose turn it is next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    Conn(ConnId),
    /// A transfer, by its place and its number there.
    Exchange(usize, u64),
}

/// Whether the relay takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Serving,
    /// What there is goes on; no new streams, until an operator resumes.
    Suspended,
    /// What runs may end; nothing new begins.
    Draining,
    /// The same, but a new process serves: whoever connects again is served.
    HandedOver,
}

impl Mode {
    /// Whether this process will not serve again.
    pub fn is_ending(self) -> bool {
        match self {
            Self::Serving | Self::Suspended => false,
            Self::Draining | Self::HandedOver => true,
        }
    }

    /// As operators are told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Suspended => "suspended",
            Self::Draining | Self::HandedOver => "draining",
        }
    }
}

/// Everything one relay holds.
#[derive(Debug)]
pub(super) struct Relay {
    pub settings: Settings,
    pub metrics: Metrics,
    pub head_limits: HeadLimits,
    pub max_connections: usize,
    pub mode: Mode,
    pub admin: Admin,
    /// Descriptors or memory are out, and nobody is accepted for a moment.
    pub accept_paused: bool,
    pub now: Now,
    pub date: HttpDate,
    date_second: i64,
    pub registry: Registry,
    pub conns: Slab<Conn>,
    next_generation: u32,
    pub lingering: usize,
    /// Requests whose response has not ended.
    pub requests: usize,
    /// Connections by address, while that is limited.
    pub addresses: Addresses,
    pub exchanges: Slab<Exchange>,
    pub next_exchange: u64,
    /// Bytes all transfers hold in user memory.
    pub held: usize,
    /// Transfers whose bytes are gathered by the kernel.
    pub bulk: usize,
    pub followers: Followers,
    pub timers: Timers,
    pub run_queue: VecDeque<Task>,
    pub pool: Pool,
    /// What bytes go through that are copied; nothing stays in it from one step to the next.
    pub scratch: Vec<u8>,
    pub pieces: Vec<Range<usize>>,
    /// An empty buffer for the next head, so that most heads cost no allocation.
    pub spare: Vec<u8>,
    pub poll: mio::Registry,
    pub access_log: Option<AccessLog>,
    /// Lines that logs have lost which were replaced since.
    pub dropped_before: u64,
    pub request_ids: Option<RequestIds>,
    /// Who takes in what is pushed; nobody: this is a relay of streams.
    pub intake: Option<Box<dyn Intake>>,
    pub agents: Agents,
}

impl Relay {
    pub fn new(settings: Settings, max_connections: usize, poll: mio::Registry, now: Now) -> Self {
        Self {
            metrics: Metrics::new(now.wall_ms),
            head_limits: Self::head_limits(&settings),
            max_connections,
            mode: Mode::Serving,
            admin: Admin { configured: settings.admin.admin_listen.is_some(), ..Admin::default() },
            accept_paused: false,
            now,
            date: HttpDate::from_unix_seconds(now.wall_ms.div_euclid(1000)),
            date_second: now.wall_ms.div_euclid(1000),
            registry: Registry::new(Self::stream_limits(&settings)),
            conns: Slab::new(),
            next_generation: 1,
            lingering: 0,
            requests: 0,
            addresses: Addresses::default(),
            exchanges: Slab::new(),
            next_exchange: 0,
            held: 0,
            bulk: 0,
            followers: Followers::default(),
            timers: Timers::default(),
            run_queue: VecDeque::new(),
            pool: Pool::new(
                settings.pipe_size,
                if settings.no_splice { 0 } else { settings.max_pipes },
            ),
            scratch: vec![0; COPY_MAX],
            pieces: Vec::new(),
            spare: Vec::new(),
            poll,
            access_log: None,
            dropped_before: 0,
            request_ids: None,
            intake: None,
            agents: Agents::default(),
            settings,
        }
    }

    pub fn head_limits(settings: &Settings) -> HeadLimits {
        HeadLimits { bytes: settings.max_head, target_bytes: settings.max_head / 2 }
    }

    pub fn stream_limits(settings: &Settings) -> Limits {
        Limits {
            streams: settings.max_streams,
            streams_per_address: settings.load.max_streams_per_address,
            unjoined_per_address: settings.unjoined_per_address(),
            ttl: settings.ttl,
            retention: settings.retention,
        }
    }

    /// A new turn begins.
    pub fn tick(&mut self, now: Now) {
        self.now = now;
        let second = now.wall_ms.div_euclid(1000);
        if second != self.date_second {
            self.date_second = second;
            self.date = HttpDate::from_unix_seconds(second);
        }
    }

    /// The connection of this name, if it is still there.
    pub fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.index as usize).filter(|conn| conn.id == id)
    }

    /// Takes a new connection in.
    pub fn admit(&mut self, socket: Socket, peer: SocketAddr, realm: Realm) -> Option<ConnId> {
        let entry = self.conns.vacant_entry();
        let id =
            ConnId { index: u32::try_from(entry.key()).ok()?, generation: self.next_generation };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let watched = self.poll.register(&mut SourceFd(&socket.as_raw_fd()), id.token(), interest);
        if let Err(error) = watched {
            log::warn!("cannot watch a new connection: {error}");
            return None;
        }
        self.next_generation = self.next_generation.checked_add(1).unwrap_or(1);
        self.admin.connections += usize::from(realm == Realm::Admin);
        entry.insert(Conn::new(id, socket, peer, realm));
        Some(id)
    }

    /// Connections that are served, not merely lingered with; operators' do not count.
    pub fn served(&self) -> usize {
        self.clients().saturating_sub(self.lingering)
    }

    /// Connections of everybody but operators.
    pub fn clients(&self) -> usize {
        self.conns.len() - self.admin.connections
    }

    /// Puts a connection in the run queue.
    pub fn enqueue(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id)
            && !conn.queued
        {
            conn.queued = true;
            self.run_queue.push_back(Task::Conn(id));
        }
    }

    /// Gives up on a connection after so long, unless its patience is extended.
    pub fn set_deadline(&mut self, id: ConnId, patience: Duration) {
        let deadline = self.now.monotonic + patience;
        let Some(conn) = self.conn(id) else { return };
        conn.deadline = Some(deadline);
        if conn.timer_at.is_none_or(|at| at > deadline) {
            conn.timer_at = Some(deadline);
            self.timers.push(deadline, id);
        }
    }

    /// Somebody else watches over this connection's patience.
    pub fn clear_deadline(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id) {
            conn.deadline = None;
        }
    }

    /// The connection waits for its next request.
    pub fn await_request(&mut self, id: ConnId) {
        self.end_request(id);
        let patience = self.settings.keep_alive_timeout;
        let draining = self.mode == Mode::Draining;
        let Some(conn) = self.conn(id) else { return };
        conn.phase = Phase::Head;
        conn.correlation_id = None;
        conn.seen = 0;
        if draining && conn.is_idle() {
            return self.close_or_linger(id);
        }
        let more = conn.readable || !conn.carry.is_empty();
        self.set_deadline(id, patience);
        if more {
            self.enqueue(id);
        }
    }

    /// Closes a connection and frees its slot; its name will never be used again.
    pub fn close(&mut self, id: ConnId) {
        if self.conn(id).is_none() {
            return;
        }
        self.stop_serving(id);
        self.log_streams();
        let mut conn = self.conns.remove(id.index as usize);
        self.log_closed(&mut conn);
        if conn.is_lingering() {
            self.lingering -= 1;
        }
        self.admin.connections -= usize::from(conn.realm == Realm::Admin);
        self.phase_is_gone(id, conn.phase);
    }

    /// A connection is closed in this phase: whoever counts on it is told.
    fn phase_is_gone(&mut self, id: ConnId, phase: Phase) {
        match phase {
            Phase::Following(follower) => self.unfollow(follower.stream, id),
            Phase::Agent(agent) => self.agent_is_gone(*agent, &Closed::Lost),
            Phase::Calling(call) => self.call_is_gone(&call),
            Phase::Spare(spare) => self.spare_is_gone(id, spare.agent),
            Phase::Carried(carried) => self.carried_is_gone(id, &carried),
            Phase::Asking(asking) => self.asking_is_gone(&asking),
            Phase::Watching(_) => self.watcher_is_gone(id),
            Phase::Head
            | Phase::Json(_)
            | Phase::Pushing(_)
            | Phase::Handing
            | Phase::Waiting { .. }
            | Phase::Streaming { .. }
            | Phase::Answering(_)
            | Phase::Listing(_)
            | Phase::Lingering { .. } => {}
        }
    }

    /// Closes a connection so that its peer cannot take what it got for the whole: with a reset.
    pub fn reset(&mut self, id: ConnId) {
        if let Some(conn) = self.conn(id) {
            conn.look_broken_until_whole();
        }
        self.close(id);
    }

    /// What follows a response on a connection whose request was read to its end, or was not.
    pub fn after(&self, wanted: After, request_read: bool) -> After {
        match wanted {
            After::NextRequest | After::Close if !request_read => After::Linger,
            After::NextRequest if self.mode.is_ending() => After::Close,
            After::NextRequest | After::Close | After::Linger | After::Whole => wanted,
        }
    }

    /// Looks after connections and streams whose time has come.
    pub fn expire(&mut self) {
        while let Some((at, id)) = self.timers.pop(self.now.monotonic) {
            let now = self.now.monotonic;
            let Some(conn) = self.conn(id).filter(|conn| conn.timer_at == Some(at)) else {
                continue;
            };
            conn.timer_at = None;
            match conn.deadline {
                Some(deadline) if deadline <= now => self.out_of_patience(id),
                Some(deadline) => {
                    conn.timer_at = Some(deadline);
                    self.timers.push(deadline, id);
                }
                None => {}
            }
        }
        let mut budget = EXPIRE_MAX;
        while let Some(client) = self.registry.expire(self.now, &mut budget) {
            self.waited_for_nothing(ConnId::from_client(client));
        }
        let conns = &self.conns;
        self.timers.tidy(conns.len(), |at, id| {
            let conn = conns.get(id.index as usize).filter(|conn| conn.id == id);
            conn.is_some_and(|conn| conn.timer_at == Some(at))
        });
    }
}
