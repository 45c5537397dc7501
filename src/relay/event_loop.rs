//! The loop: one thread, one epoll instance, one clock reading per turn. It is the only file that
//! knows all services: it routes each connection and each finished transfer to its owner.
//!
//! A turn: wait; set latches; accept; give each ready task its share; process deadlines; notify the
//! owners of closed connections, and free their slots; show subscribers what changed. Readiness is edge-triggered and remembered
//! in latches, cleared only on proof. A task still ready after its share goes to the back of the
//! run queue, and then the wait is zero.

mod dispatch;
mod lifecycle;
mod watching;

use super::admin::{Admin, RelayStatus};
use super::agents::Agents;
use super::http1::{self, Http1};
use super::intake::{Intake, Records, Waker};
use super::io::{CloseMode, ConnId, Io, ListenerKind, Role, Task, kernel_encrypts};
use super::pages::Documents;
use super::process::{
    AdminListener, Budget, Endpoint, Handover, Inherited, Listeners, Predecessor, Reloader,
    ShutdownPhase, Signals,
};
use super::streams::{Notifier, Streams};
use super::transfers::{Finished, Owner, Transfers};
use crate::http::head::RequestHead;
use crate::ops::cause;
use crate::ops::doctor::{machine::Machine, pipes};
use crate::ops::metrics::{ConnPhase, MetricsFormat, RelayStats};
use crate::ops::{AdminAddress, Configuration, ServiceManager, Settings, Sources};
use crate::rendezvous::Now;
use crate::splice::pool::Pool;
use mio::event::Event;
use mio::{Events, Poll, Token};
use rustix::thread::{ClockId, Timespec, clock_nanosleep_relative};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

/// Maximum events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// How long events are gathered while bulk transfers run; socket buffers hold what arrives
/// meanwhile, and no other connection waits longer than this.
const GATHER_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000 };

/// Maximum connection timeouts processed in one turn: many idle connections opened at once time out
/// at once. The next wait is zero if more are due.
const TIMEOUTS_PER_TURN: usize = 256;

const SIGNALS: Token = Token(0);
/// Another thread has something for the loop: a new configuration, or verdicts.
const WOKEN: Token = Token(1);
const ADMIN: Token = Token(2);
const HANDOVER: Token = Token(3);
const FIRST_LISTENER: usize = 4;

/// A listening relay.
#[derive(Debug)]
pub struct EventLoop {
    poll: Poll,
    // The process.
    signals: Signals,
    reloader: Reloader,
    configuration: Configuration,
    listeners: Listeners,
    admin_listener: AdminListener,
    /// Listening addresses that only programs on this machine can reach.
    loopback: Vec<SocketAddr>,
    /// The port of the first listener for HTTPS, also after that was closed.
    https_port: Option<u16>,
    budget: Budget,
    stopping: ShutdownPhase,
    /// Until when notifications are sent after the loop; `None`: no order ended this process.
    notify_until: Option<Instant>,
    handover: Handover,
    predecessor: Predecessor,
    manager: ServiceManager,
    // The floors.
    io: Io,
    http1: Http1,
    transfers: Transfers,
    streams: Streams,
    agents: Agents,
    intake: Records,
    admin: Admin,
    documents: Documents,
}

/// Serves until a signal ends it.
///
/// # Errors
/// When an address cannot be listened on, or the kernel refuses a descriptor the loop needs.
pub fn serve(
    configuration: Configuration,
    sources: Sources,
    announce: impl FnOnce(&mut EventLoop),
) -> io::Result<()> {
    let mut event_loop = EventLoop::new(configuration, Some(sources))?;
    announce(&mut event_loop);
    event_loop.report_ready()?;
    event_loop.run()
}

/// What cannot be done without a descriptor that the loop needs.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_events(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot wait for events: {}", cause(&error)))
}

impl EventLoop {
    /// Listens, but serves no client yet. Without sources its configuration cannot be reloaded.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the kernel refuses a descriptor the loop needs.
    pub fn new(configuration: Configuration, sources: Option<Sources>) -> io::Result<Self> {
        // Created while the program's path still names this program.
        let handover = Handover::new();
        let inherited = Inherited::take()?;
        let settings = configuration.settings.clone();
        let now = now();
        let manager = ServiceManager::from_env(now.monotonic)?;
        let poll = Poll::new().map_err(no_events)?;
        let signals = Signals::new(poll.registry(), SIGNALS).map_err(no_events)?;
        let reloader = Reloader::new(sources, poll.registry(), WOKEN).map_err(no_events)?;
        let budget = Budget::claim(&settings);
        if settings.tls.acceptor().is_none() && !inherited.tls.is_empty() {
            log::warn!("a socket for HTTPS was passed, and is closed: tls-cert is not set");
        }
        // Without a certificate HTTPS would refuse every client: another program may listen.
        let tls = if settings.tls.acceptor().is_some() { inherited.tls } else { Vec::new() };
        let listeners = Listeners::open(
            [
                (Endpoint::Public, inherited.listeners, &settings.listen),
                (Endpoint::Agents, inherited.agents, &settings.sockets.socket_listen),
                (Endpoint::Tls, tls, &settings.tls.tls_listen),
            ],
            settings.congestion_control.as_deref(),
            poll.registry(),
            FIRST_LISTENER,
        )?;
        let https_port = listeners.addresses(Endpoint::Tls).first().map(SocketAddr::port);
        if settings.tls.http_redirect && https_port.is_none() {
            let why = "http-redirect needs tls-listen, or an inherited socket with the name tls";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // Found out before the first client, because it takes a connection.
        if https_port.is_some() && !settings.no_splice && kernel_encrypts() {
            log::info!("the kernel encrypts TLS");
        }
        let port = listeners.addresses(Endpoint::Public).first().map_or(0, SocketAddr::port);
        let place = (settings.admin.admin_listen.as_ref(), port);
        let admin_listener = AdminListener::open(inherited.admin, place, poll.registry(), ADMIN)?;
        let loopback = listeners.loopback();
        let transfers = Transfers::new(pool(&settings));
        let http1 = Http1::new(&settings);
        let registry = poll.registry().try_clone().map_err(no_events)?;
        let mut io = Io::new(settings, budget.max_connections, registry, now);
        io.journal.open(&io.settings)?;
        let streams = Streams::new(&io.settings, io.journal.logs())?;
        Ok(Self {
            poll,
            signals,
            reloader,
            configuration,
            listeners,
            admin_listener,
            loopback,
            https_port,
            budget,
            stopping: ShutdownPhase::No,
            notify_until: None,
            handover,
            predecessor: inherited.predecessor,
            manager,
            io,
            http1,
            transfers,
            streams,
            agents: Agents::new()?,
            intake: Records::default(),
            admin: Admin::new(now.monotonic),
            documents: Documents::default(),
        })
    }

    /// Returns what wakes this loop, so that it polls its [`Intake`] for verdicts.
    pub fn waker(&self) -> Waker {
        Waker::new(self.reloader.waker())
    }

    /// Serves this intake instead of streams.
    pub fn take_in(&mut self, intake: Box<dyn Intake>) {
        // For port 0 the kernel has chosen another port by now, which no client could guess.
        if let Some(operators) = self.admin_address() {
            log::info!("operators are served on {operators}");
        }
        self.http1.expect_records();
        self.intake.take_in(intake);
    }

    /// Notifies URLs of ended streams through this notifier.
    pub fn notify_through(&mut self, notifier: Box<dyn Notifier>) {
        self.streams.notifications.send_through(notifier);
    }

    /// Returns the addresses it listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses(Endpoint::Public)
    }

    /// Returns the addresses reserved for agents.
    pub fn agent_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses(Endpoint::Agents)
    }

    /// Returns the addresses it serves HTTPS on.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses(Endpoint::Tls)
    }

    /// Returns the admin address, if operators are served.
    pub fn admin_address(&self) -> Option<AdminAddress> {
        self.admin_listener.address()
    }

    /// Returns a warning for the operator when the limit on open files allows fewer connections
    /// than configured.
    pub fn warning(&self) -> Option<String> {
        self.budget.capped.then(|| {
            format!(
                "the limit of {} open files caps connections at {}; raise it (ulimit -n) for more",
                self.budget.descriptors, self.budget.max_connections
            )
        })
    }

    /// Serves until a signal ends it.
    ///
    /// # Errors
    /// When waiting for events fails.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while self.stopping != ShutdownPhase::Stopped {
            self.gather();
            match self.poll.poll(&mut events, self.poll_timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                result => result.map_err(no_events)?,
            }
            self.turn(&events);
        }
        self.log_rest();
        self.handover.finish();
        self.finish_notifications();
        Ok(())
    }

    /// Sleeps briefly while bulk transfers run. The loop is woken for each batch of each bulk
    /// transfer, and sleeping and waking cost more than the batch. After a short sleep one wake-up
    /// serves many batches, like the interrupt moderation of a network card.
    fn gather(&self) {
        if self.transfers.any_bulk() && self.io.conns.queue.is_empty() {
            // That of the standard library panics if the call fails. A signal may end it early.
            let _ = clock_nanosleep_relative(ClockId::Monotonic, &GATHER_TIME);
        }
    }

    fn turn(&mut self, events: &Events) {
        self.io.begin_turn(now());
        for event in events {
            self.notice(event);
        }
        self.accept();
        self.io.conns.queue.begin_turn();
        while let Some(task) = self.io.conns.queue.pop() {
            match task {
                Task::Conn(id) => self.advance(id),
                Task::Transfer(id) => self.drive(id),
            }
        }
        while let Some(id) = self.io.conns.queue.pop_begun() {
            self.drive(id);
        }
        self.intake.turned(&mut self.io);
        self.expire();
        // First: closed connections change streams and agents, too.
        self.reap();
        self.streams.show_changes(&mut self.io, &mut self.transfers);
        self.agents.show_events(&mut self.io);
        self.reap();
        self.look_after_stopping();
        self.reap();
        self.admin.update(&self.io, &self.status());
        if self.admin.is_watched() {
            watching::show(self);
            self.reap();
        }
        self.io.journal.write();
        self.manager.show_life(self.io.now.monotonic);
        // The only other clock reading: used for this metric alone.
        self.io.journal.metrics.turned(self.io.now.monotonic.elapsed());
    }

    /// Returns how long to wait for events; `None`: indefinitely.
    fn poll_timeout(&self) -> Option<Duration> {
        let accepts = self.listeners.is_ready() || self.admin_listener.is_ready(&self.io);
        if accepts || !self.io.conns.queue.is_empty() || self.agents.have_events() {
            return Some(Duration::ZERO);
        }
        let next = [
            self.io.conns.next_deadline(),
            self.streams.next_deadline(),
            self.listeners.next_deadline(),
            self.admin_listener.next_deadline(),
            self.admin.next_deadline(),
            self.stopping.deadline(),
            self.manager.next_deadline(),
        ];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(self.io.now.monotonic))
    }

    fn notice(&mut self, event: &Event) {
        match ConnId::from_token(event.token()) {
            Some(id) => {
                for transfer in self.io.conns.notice(id, event).into_iter().flatten() {
                    self.transfers.enqueue(&mut self.io, transfer);
                }
            }
            None if event.token() == SIGNALS => self.obey_signals(),
            None if event.token() == WOKEN => {
                self.finish_reload();
                self.intake.settle(&mut self.io);
            }
            None if event.token() == ADMIN => self.admin_listener.wake(),
            None if event.token() == HANDOVER => self.finish_handover(),
            None => self.listeners.wake(),
        }
    }

    fn accept(&mut self) {
        // First, so that a descriptor freed by an operator is kept for the next one.
        let admin = self.admin_listener.accept(&mut self.io);
        let public = self.listeners.accept(&mut self.io);
        if public.is_short() || admin.is_short() {
            // Connections need their descriptors more.
            self.transfers.pool.close_idle();
        }
    }

    /// Gives a connection its share of a turn.
    fn advance(&mut self, id: ConnId) {
        // It may have been closed since it was queued.
        let Some(conn) = self.io.conns.take_turn(id) else { return };
        let role = conn.role;
        let Self { io, http1, transfers, streams, agents, intake, .. } = self;
        match role {
            Role::Http(state) => {
                let step = http1.ready(io, id, state);
                self.step(id, step);
            }
            Role::Streams(slot) => streams.ready(io, transfers, id, slot),
            Role::Agents(slot) => agents.ready(io, transfers, id, slot),
            Role::Intake(slot) => intake.ready(io, id, slot),
            Role::Admin(_) => Admin::ready(io, id),
        }
    }

    /// Gives a transfer its share of a turn.
    fn drive(&mut self, id: super::io::TransferId) {
        // It may have ended since it was queued.
        let Some(mut driven) = self.transfers.drive(&mut self.io, id) else { return };
        if let Owner::Stream(stream) = driven.owner {
            self.streams.driven(stream, &mut driven);
        }
        if let Some(finished) = driven.finished {
            self.finished(finished);
        }
    }

    /// Notifies the owner of a finished transfer.
    fn finished(&mut self, finished: Finished) {
        match finished.owner {
            Owner::Stream(_) => self.streams.finished(&mut self.io, finished),
            Owner::Request(_) | Owner::Response(_) => {
                self.agents.finished(&mut self.io, &mut self.transfers, &finished);
            }
        }
    }

    /// Processes connections and streams whose deadlines have passed.
    fn expire(&mut self) {
        for _ in 0..TIMEOUTS_PER_TURN {
            match self.io.conns.pop_due(self.io.now.monotonic) {
                Some(id) => self.timeout(id),
                None => break,
            }
        }
        self.streams.expire(&mut self.io);
    }

    /// Handles a connection's timeout.
    fn timeout(&mut self, id: ConnId) {
        let Self { io, http1, transfers, streams, agents, intake, .. } = self;
        if let Some(transfer) = io.conns[id].outgoing {
            if let Some(finished) = transfers.timeout(io, transfer) {
                self.finished(finished);
            }
            return;
        }
        match io.conns[id].role {
            Role::Http(state) => http1.timeout(io, id, state),
            Role::Streams(slot) => streams.timeout(io, transfers, id, slot),
            Role::Agents(slot) => agents.timeout(io, transfers, id, slot),
            Role::Intake(slot) => intake.timeout(io, id, slot),
            Role::Admin(_) => io.conns.close(id, CloseMode::Orderly),
        }
    }

    /// Notifies the owners of closed connections, once each, and frees their slots.
    fn reap(&mut self) {
        let Self { io, http1, transfers, streams, agents, intake, admin, .. } = self;
        while let Some(id) = io.conns.next_closed() {
            match io.conns[id].role {
                Role::Http(state) => http1.closed(state),
                Role::Streams(slot) => streams.closed(io, transfers, id, slot),
                Role::Agents(slot) => agents.closed(io, transfers, id, slot),
                Role::Intake(slot) => intake.closed(io, id, slot),
                Role::Admin(slot) => admin.closed(slot),
            }
            let mut conn = io.conns.free(id);
            io.journal.ended(&mut conn, io.now);
        }
    }

    /// Returns the phase of a connection, for the metrics.
    fn phase(&self, id: ConnId) -> ConnPhase {
        match self.io.conns[id].role {
            Role::Http(state) => http1::phase(state),
            Role::Streams(slot) => self.streams.phase(&self.io, id, slot),
            Role::Agents(slot) => self.agents.phase(slot),
            Role::Intake(_) => ConnPhase::Pushing,
            Role::Admin(_) => ConnPhase::Following,
        }
    }

    /// Returns the relay's status for operators.
    fn status(&self) -> RelayStatus {
        let streams = self.streams.counts();
        RelayStatus {
            streams_active: streams.active,
            streams_streaming: self.transfers.len(),
            streams_held: streams.held,
            accept_paused: self.listeners.is_paused(),
            pipes_exhausted: !self.io.settings.no_splice && self.transfers.is_out_of_pipes(),
        }
    }

    fn with_standing(&mut self, answer: impl FnOnce(&mut Admin, &mut Io, &RelayStatus)) {
        let standing = self.status();
        answer(&mut self.admin, &mut self.io, &standing);
    }

    /// Answers `GET /metrics`. Its only growing cost is one look at each connection: 0.1 ms for
    /// 10,000.
    fn metrics(&mut self, id: ConnId, head: &RequestHead<'_, '_>, read: bool) {
        let mut connections = [0; ConnPhase::ALL.len()];
        for conn in self.io.conns.iter().filter(|conn| conn.listener != ListenerKind::Admin) {
            connections[self.phase(conn.id) as usize] += 1;
        }
        let figures = RelayStats {
            streams: self.streams.counts().tally,
            connections,
            pipes: self.transfers.pool.stock(),
            run_queue: self.io.conns.queue.len(),
            held_bytes: self.transfers.held_bytes(),
            max_connections: self.io.max_connections,
            max_streams: self.io.settings.max_streams,
            dropped_lines: self.io.journal.dropped_lines(),
            notifications: self.streams.notifications.counts(),
            out_of_pipes: self.admin.is_out_of_pipes(),
            certificate_seconds: self.io.settings.tls.seconds_left(self.io.now.wall_ms / 1000),
        };
        let text = self.io.journal.metrics.render(&figures);
        let form = MetricsFormat::accepted(head.fields.all("Accept"));
        let text = form.of(text);
        super::http1::answer::text(&mut self.io, id, form.content_type(), &text, read);
    }
}

fn pool(settings: &Settings) -> Pool {
    Pool::new(pipes::limits(settings, Machine::this().is_exempt_from_pipe_limits()))
}

#[allow(clippy::disallowed_methods, reason = "the one reading of the clocks a turn")]
fn now() -> Now {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: Instant::now(), wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
}
