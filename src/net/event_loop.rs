//! The loop: one thread, one epoll instance, one reading of the clocks a turn.
//!
//! A turn: wait; set latches; accept; give each that is ready its share; look after deadlines.
//! Readiness is edge-triggered and remembered in latches, which only a proof clears. What is still
//! ready after its share goes to the back of the run queue, and then the wait is none.

use super::admin::{AdminListener, Realm};
use super::budget::{self, Budget};
use super::conn::{PeerEnd, Phase};
use super::drive;
use super::handover::Handover;
use super::inherited::{Inherited, Predecessor};
use super::listener::Listeners;
use super::relay::{Relay, Task};
use super::reload::Reloader;
use super::shutdown::{Order, Stopping};
use super::signals::Signals;
use super::token::ConnId;
use crate::api::Failure;
use crate::ops::{AdminAddress, Configuration, ServiceManager, Sources};
use crate::rendezvous::{Now, Outcome, Side};
use mio::event::Event;
use mio::{Events, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// How long events are gathered while there are bulk transfers; socket buffers hold what comes
/// meanwhile, and nobody else waits longer than this.
const GATHER_TIME: Duration = Duration::from_micros(100);

const SIGNALS: Token = Token(0);
/// Another thread has something for the loop: a reading of the configuration, or verdicts.
const WOKEN: Token = Token(1);
const ADMIN: Token = Token(2);
pub(super) const HANDOVER: Token = Token(3);
const FIRST_LISTENER: usize = 4;

/// A relay that listens.
#[derive(Debug)]
pub struct EventLoop {
    pub(super) poll: Poll,
    signals: Signals,
    pub(super) reloader: Reloader,
    pub(super) configuration: Configuration,
    pub(super) listeners: Listeners,
    pub(super) admin: AdminListener,
    pub(super) relay: Relay,
    budget: Budget,
    pub(super) stopping: Stopping,
    pub(super) handover: Handover,
    predecessor: Predecessor,
    pub(super) manager: ServiceManager,
}

/// Serves until a signal ends it.
///
/// # Errors
/// When an address cannot be listened on, or the kernel refuses what the loop stands on.
pub fn serve(
    configuration: Configuration,
    sources: Sources,
    announce: impl FnOnce(&EventLoop),
) -> io::Result<()> {
    let mut event_loop = EventLoop::new(configuration, Some(sources))?;
    announce(&event_loop);
    event_loop.report_ready()?;
    event_loop.run()
}

impl EventLoop {
    /// Listens, and serves nobody yet. Without sources its configuration stays as it is.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the kernel refuses what the loop stands on.
    pub fn new(configuration: Configuration, sources: Option<Sources>) -> io::Result<Self> {
        let handover = Handover::new();
        let inherited = Inherited::take()?;
        let settings = configuration.settings.clone();
        let now = now();
        let manager = ServiceManager::from_env(now.monotonic)?;
        let poll = Poll::new()?;
        let signals = Signals::new(poll.registry(), SIGNALS)?;
        let reloader = Reloader::new(sources, poll.registry(), WOKEN)?;
        let budget = budget::claim(settings.max_connections, budget::others(&settings));
        let listeners = Listeners::open(
            [
                (Realm::Public, inherited.listeners, &settings.listen),
                (Realm::Agents, inherited.agents, &settings.sockets.socket_listen),
            ],
            poll.registry(),
            FIRST_LISTENER,
        )?;
        let port = listeners.addresses(Realm::Public).first().map_or(0, SocketAddr::port);
        let place = (settings.admin.admin_listen.as_ref(), port);
        let admin = AdminListener::open(inherited.admin, place, poll.registry(), ADMIN)?;
        let registry = poll.registry().try_clone()?;
        let mut relay = Relay::new(settings, budget.max_connections, registry, now);
        relay.loopback = listeners.loopback();
        relay.open_logs()?;
        Ok(Self {
            poll,
            signals,
            reloader,
            configuration,
            listeners,
            admin,
            relay,
            budget,
            stopping: Stopping::No,
            handover,
            predecessor: inherited.predecessor,
            manager,
        })
    }

    /// Tells those who wait for it that this process listens. If it takes over from another one,
    /// it serves as soon as that one does not.
    ///
    /// # Errors
    /// When the other one goes on serving.
    pub fn report_ready(&mut self) -> io::Result<()> {
        let successor = self.predecessor.is_there();
        let streams = self.predecessor.take_over()?;
        self.relay.tick(now());
        self.relay.adopt(&streams);
        if successor {
            self.admin.take_charge();
        }
        self.manager.started(&self.status_line());
        Ok(())
    }

    /// What a service manager shows of a relay that serves.
    pub(super) fn status_line(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(SocketAddr::to_string).collect();
        format!("Serving on {}", addresses.join(", "))
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses(Realm::Public)
    }

    /// Where agents have addresses of their own.
    pub fn agent_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses(Realm::Agents)
    }

    /// Where operators are served, if they are.
    pub fn admin_address(&self) -> Option<AdminAddress> {
        self.admin.address()
    }

    /// A sentence for the operator when the limit on open files allows fewer connections than
    /// asked for.
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
        while self.stopping != Stopping::Stopped {
            self.gather();
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                result => result?,
            }
            self.turn(&events);
        }
        self.relay.log_rest();
        self.handover.finish();
        Ok(())
    }

    /// The loop is woken for each batch of each bulk transfer, and going to sleep and waking up costs
    /// more than the batch. So it sleeps a little first, and one wake-up serves many batches, like
    /// the interrupt moderation of a network card.
    fn gather(&self) {
        if self.relay.bulk > 0 && self.relay.run_queue.is_empty() {
            std::thread::sleep(GATHER_TIME);
        }
    }

    fn turn(&mut self, events: &Events) {
        self.relay.tick(now());
        for event in events {
            match ConnId::from_token(event.token()) {
                Some(id) => self.relay.notice(id, event),
                None if event.token() == SIGNALS => self.obey_signals(),
                None if event.token() == WOKEN => {
                    self.finish_reload();
                    self.relay.settle();
                }
                None if event.token() == ADMIN => self.admin.wake(),
                None if event.token() == HANDOVER => self.finish_handover(),
                None => self.listeners.wake(),
            }
        }
        self.listeners.accept(&mut self.relay);
        self.admin.accept(&mut self.relay);
        for _ in 0..self.relay.run_queue.len() {
            match self.relay.run_queue.pop_front() {
                Some(Task::Conn(id)) => self.relay.advance(id),
                Some(Task::Exchange(place, number)) => self.relay.drive(place, number),
                None => break,
            }
        }
        if let Some(intake) = &mut self.relay.intake {
            intake.turned();
            self.relay.settle();
        }
        self.relay.expire();
        self.relay.tell_followers();
        self.relay.write_log();
        self.look_after_stopping();
        self.manager.show_life(self.relay.now.monotonic);
        // The only other look at a clock: nothing but this figure knows of it.
        self.relay.metrics.turned(self.relay.now.monotonic.elapsed());
    }

    /// How long to wait for events; `None`: for ever.
    fn patience(&self) -> Option<Duration> {
        let accepts = self.listeners.is_ready() || self.admin.is_ready(&self.relay);
        if accepts || !self.relay.run_queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [
            self.relay.timers.next(),
            self.relay.registry.next_deadline(),
            self.listeners.next_deadline(),
            self.stopping.deadline(),
            self.manager.next_deadline(),
        ];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(self.relay.now.monotonic))
    }

    fn obey_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            match Order::of(signal) {
                Some(Order::HandOver) => self.begin_handover(),
                Some(Order::Reload) => self.begin_reload(),
                Some(Order::ReopenLogs) => self.relay.reopen_logs(),
                Some(Order::End(how)) => self.end(how, signal.as_str()),
                None => {}
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the one reading of the clocks a turn")]
fn now() -> Now {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: Instant::now(), wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
}

impl Relay {
    /// A connection's socket has news: remember them, and give it a turn.
    fn notice(&mut self, id: ConnId, event: &Event) {
        let Some(conn) = self.conn(id) else { return };
        conn.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        conn.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        if event.is_write_closed() || event.is_error() {
            conn.peer_end = PeerEnd::HungUp;
        } else if event.is_read_closed() {
            conn.peer_end = conn.peer_end.max(PeerEnd::Fin);
        }
        match conn.phase {
            Phase::Streaming { exchange, .. } => {
                if conn.peer_end > PeerEnd::Open || !conn.output.is_empty() {
                    self.enqueue(id);
                }
                self.enqueue_exchange(exchange);
            }
            Phase::Head
            | Phase::Json(_)
            | Phase::Pushing(_)
            | Phase::Handing
            | Phase::Waiting { .. }
            | Phase::Answering(_)
            | Phase::Listing(_)
            | Phase::Following(_)
            | Phase::Agent(_)
            | Phase::Calling(_)
            | Phase::Spare(_)
            | Phase::Asking(_)
            | Phase::Watching(_)
            | Phase::Lingering { .. } => self.enqueue(id),
            Phase::Carried(ref carried) => {
                let transfers = [carried.request, carried.response];
                let awaits_answer = !carried.is_client() && carried.response.is_none();
                if awaits_answer || conn.peer_end > PeerEnd::Open || !conn.output.is_empty() {
                    self.enqueue(id);
                }
                for place in transfers.into_iter().flatten() {
                    self.enqueue_exchange(place);
                }
            }
        }
    }

    /// Gives a connection its share of a turn.
    fn advance(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        conn.queued = false;
        match conn.phase {
            Phase::Head => self.read_requests(id),
            Phase::Json(_) => self.read_json_body(id),
            Phase::Pushing(_) => self.read_push(id),
            Phase::Handing if conn.peer_end == PeerEnd::HungUp => self.close(id),
            Phase::Waiting { .. } => self.look_after_waiting(id),
            Phase::Streaming { side: Side::Destination, exchange }
                if conn.peer_end > PeerEnd::Open =>
            {
                let loss = drive::loss_of(conn);
                self.conclude(exchange, Outcome::DestinationGone(loss));
            }
            Phase::Streaming { .. } | Phase::Answering(_) | Phase::Handing => self.flush(id),
            Phase::Listing(_) => self.list_more(id),
            Phase::Following(_) => self.look_after_follower(id),
            Phase::Agent(_) => self.turn_agent(id),
            Phase::Calling(_) => self.turn_call(id),
            Phase::Spare(_) => self.turn_spare(id),
            Phase::Carried(_) => self.turn_carried(id),
            Phase::Asking(_) => self.turn_asking(id),
            Phase::Watching(_) => self.turn_watcher(id),
            Phase::Lingering { .. } => self.discard(id),
        }
    }

    /// A connection's deadline is over.
    pub(super) fn out_of_patience(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        conn.deadline = None;
        match conn.phase {
            Phase::Head => self.head_timed_out(id),
            Phase::Json(_) => {
                let failure = Failure::RequestTimeout("The request body did not come in time");
                self.answer_failure(id, &failure, false);
            }
            Phase::Pushing(_) => {
                let failure = Failure::RequestTimeout("The request body did not come in time");
                self.break_push(id, &failure, false);
            }
            Phase::Streaming { exchange, .. } => self.transfer_out_of_patience(exchange),
            Phase::Answering(_) | Phase::Listing(_) | Phase::Lingering { .. } => self.close(id),
            Phase::Following(_) => self.follower_wakes(id),
            Phase::Agent(_) => self.agent_out_of_patience(id),
            Phase::Calling(_) => self.call_out_of_patience(id),
            Phase::Carried(_) => self.carried_out_of_patience(id),
            Phase::Asking(_) => self.asking_out_of_patience(id),
            Phase::Watching(_) => self.watcher_wakes(id),
            Phase::Spare(_) | Phase::Handing | Phase::Waiting { .. } => {}
        }
    }
}
