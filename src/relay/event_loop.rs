//! The loop: one thread, one epoll instance, one clock reading per turn. It is the only file that
//! knows all services: it routes each connection and each finished transfer to its owner.
//!
//! A turn: wait; set latches; accept; give each ready task its share; process deadlines; notify the
//! owners of closed connections, and free their slots; show subscribers what changed. Readiness is edge-triggered and remembered
//! in latches, cleared only on proof. A task still ready after its share goes to the back of the
//! run queue, and then the wait is zero.

mod arrivals;
mod dispatch;
mod figures;
mod lifecycle;
mod tokens;
mod watching;
mod workers;

use super::admin::Admin;
use super::agents::Agents;
use super::http1::Http1;
use super::intake::{Intake, Records, Waker};
use super::io::{CloseMode, ConnId, Io, Role, Task, kernel_encrypts};
use super::pages::Documents;
use super::process::{
    AdminListener, Budget, Endpoint, Handover, Inherited, Listeners, Predecessor, Reloader,
    Sharing, ShutdownPhase, Signals, deal,
};
use super::streams::{Notifier, Streams};
use super::transfers::{Finished, Owner, Transfers};
use crate::ops::doctor::{machine::Machine, pipes};
use crate::ops::{AdminAddress, Configuration, ServiceManager, Settings, Sources};
use crate::rendezvous::Now;
use crate::splice::pool::Pool;
use figures::{Figures, Services};
use mio::event::Event;
use mio::{Events, Poll};
use rustix::thread::{ClockId, Timespec, clock_nanosleep_relative};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use tokens::{ADMIN, FIRST_LISTENER, HANDOVER, SIGNALS, WOKEN, no_events};
use workers::{First, Process, Seed, Worker};

/// Maximum events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// How long events are gathered while bulk transfers run; socket buffers hold what arrives
/// meanwhile, and no other connection waits longer than this.
const GATHER_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000 };

/// Maximum connection timeouts processed in one turn: many idle connections opened at once time out
/// at once. The next wait is zero if more are due.
const TIMEOUTS_PER_TURN: usize = 256;

/// A listening relay.
#[derive(Debug)]
pub struct EventLoop {
    poll: Poll,
    // The process. Of several workers the first one has these; the others have nothing in them.
    signals: Option<Signals>,
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
    /// Its part of several workers.
    worker: Option<Worker>,
    /// Of several workers all are done.
    finishes: bool,
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
        let count = settings.workers.get();
        let mut hands = deal([inherited.listeners, inherited.agents, tls], count)?.into_iter();
        let sharing = if count > 1 { Sharing::First } else { Sharing::None };
        let listeners = Listeners::open(
            hands.next().unwrap_or_default(),
            [&settings.listen, &settings.sockets.socket_listen, &settings.tls.tls_listen],
            (settings.congestion_control.as_deref(), sharing),
            (poll.registry(), FIRST_LISTENER),
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
        let registry = poll.registry().try_clone().map_err(no_events)?;
        let mut io = Io::new(settings, budget.max_connections, registry, now);
        io.journal.open(&io.settings)?;
        let process = Process {
            signals: Some(signals),
            reloader,
            admin_listener,
            handover,
            predecessor: inherited.predecessor,
            manager,
        };
        let mut first = Self::assemble(poll, process, (configuration, budget), listeners, io)?;
        if count > 1 {
            let waker = first.reloader.waker();
            let Self { io, streams, listeners, configuration, .. } = &mut first;
            let others = First { io, streams, listeners, waker, configuration, budget };
            first.worker = Some(workers::hire(others, hands)?);
        }
        Ok(first)
    }

    fn assemble(
        poll: Poll,
        process: Process,
        (configuration, budget): (Configuration, Budget),
        listeners: Listeners,
        io: Io,
    ) -> io::Result<Self> {
        let Process { signals, reloader, admin_listener, handover, predecessor, manager } = process;
        Ok(Self {
            poll,
            signals,
            reloader,
            configuration,
            loopback: listeners.loopback(),
            https_port: listeners.addresses(Endpoint::Tls).first().map(SocketAddr::port),
            listeners,
            admin_listener,
            budget,
            stopping: ShutdownPhase::No,
            notify_until: None,
            handover,
            predecessor,
            manager,
            http1: Http1::new(&io.settings),
            transfers: Transfers::new(pool(&io.settings)),
            streams: Streams::new(&io.settings, io.journal.logs())?,
            agents: Agents::new()?,
            intake: Records::default(),
            admin: Admin::new(io.now.monotonic),
            documents: Documents::default(),
            io,
            worker: None,
            finishes: false,
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
        workers::share_notifications(self.worker.as_mut(), &self.streams.notifications);
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
        let others = workers::start(self.worker.as_mut(), Self::serve_from)?;
        self.serve_all()?;
        workers::join(self.worker.as_ref(), others);
        self.log_rest();
        self.handover.finish();
        self.finish_notifications();
        Ok(())
    }

    /// Serves as another worker, until the first one orders its end.
    fn serve_from(seed: Seed) -> io::Result<()> {
        let Seed { poll, process, configuration, listeners, io, worker, .. } = seed;
        let mut event_loop = Self::assemble(poll, process, configuration, listeners, io)?;
        worker.share_streams(&mut event_loop.streams, &seed.creators);
        event_loop.streams.notifications = seed.notifications;
        event_loop.worker = Some(worker);
        event_loop.serve_all()?;
        event_loop.log_rest();
        Ok(())
    }

    /// Returns the services, and its part of several workers.
    fn services(&mut self) -> (Services<'_>, Option<&mut Worker>) {
        let accept_paused = self.listeners.is_paused();
        let Self { io, transfers, streams, agents, admin, worker, .. } = self;
        let services = Services { io, transfers, streams, agents, admin, accept_paused };
        (services, worker.as_mut())
    }

    #[cold]
    fn end_turn_of_worker(&mut self) {
        let stopping = self.stopping;
        if let (mut services, Some(worker)) = self.services() {
            worker.end_turn(&mut services, stopping);
        }
    }

    /// Whether the loop ends: that of another worker once the first one has ordered it.
    fn ends(&self) -> bool {
        let may = self.finishes || self.worker.as_ref().is_none_or(Worker::is_first);
        self.stopping == ShutdownPhase::Stopped && may
    }

    fn serve_all(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.ends() {
            self.gather();
            match self.poll.poll(&mut events, self.poll_timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                result => result.map_err(no_events)?,
            }
            self.turn(&events);
        }
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
        if let Some(worker) = &self.worker {
            // After accepting: what another worker did before a client connected has its effect.
            worker.begin_turn(&self.io, &mut self.streams, &mut self.agents);
            arrivals::receive(self);
        }
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
        let standing = self.services().0.status();
        self.admin.update(&self.io, &standing);
        if self.admin.is_watched() {
            self.show_watchers();
            self.reap();
        }
        self.io.journal.write();
        if self.worker.is_some() {
            self.end_turn_of_worker();
        }
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
            self.worker.as_ref().and_then(Worker::next_deadline),
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
        if let Some(worker) = &mut self.worker {
            worker.send_departing(&mut self.io, &mut self.streams, &mut self.agents);
        }
    }

    /// Shows operators the state of the relay, and their windows of the streams.
    fn show_watchers(&mut self) {
        for (slot, window) in self.admin.watchers_due(self.io.now.monotonic) {
            let (mut services, worker) = self.services();
            if let Some(worker) = worker {
                worker.request_rows(slot, window);
                continue;
            }
            let shown = watching::shown(&mut services, window);
            let figures = services.figures();
            watching::show(&mut services, (slot, window), vec![shown], figures);
        }
    }

    /// Returns the figures of all workers.
    fn figures(&mut self) -> Figures {
        let (services, worker) = self.services();
        let others = worker.map_or_else(Vec::new, |worker| worker.published());
        services.figures().and(&others)
    }
}

/// The pipes of one worker: each has the same share.
fn pool(settings: &Settings) -> Pool {
    let mut limits = pipes::limits(settings, Machine::this().is_exempt_from_pipe_limits());
    limits.max_pipes = limits.max_pipes.div_ceil(settings.workers.get());
    Pool::new(limits)
}

#[allow(clippy::disallowed_methods, reason = "the one reading of the clocks a turn")]
fn now() -> Now {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: Instant::now(), wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
}
