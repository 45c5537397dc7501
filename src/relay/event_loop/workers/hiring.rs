//! The beginning and the end of the other workers.

use super::Worker;
use super::figures::Figures;
use super::messages::{Message, Order};
use super::windows::Windows;
use crate::api::Place;
use crate::ops::{Configuration, ServiceManager, cause, stdio, threads};
use crate::relay::event_loop::tokens::{FIRST_LISTENER, WOKEN, no_events};
use crate::relay::io::{Io, ServingMode, SharedCounts, Workers};
use crate::relay::process::{
    AdminListener, Budget, Endpoint, Handover, Listeners, Mailbox, Predecessor, Reloader, Sharing,
    Signals,
};
use crate::relay::streams::{Notifications, Streams};
use crate::rendezvous::SharedCreators;
use mio::{Poll, Waker};
use std::io;
use std::net::TcpListener;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// What a process has once; of several workers the first one has it.
#[derive(Debug)]
pub struct Process {
    pub signals: Option<Signals>,
    pub reloader: Reloader,
    pub admin_listener: AdminListener,
    pub handover: Handover,
    pub predecessor: Predecessor,
    pub manager: ServiceManager,
}

/// What another loop is made of, in its own thread.
#[derive(Debug)]
pub struct Seed {
    pub poll: Poll,
    pub process: Process,
    pub configuration: (Configuration, Budget),
    pub listeners: Listeners,
    pub io: Io,
    pub worker: Worker,
    pub creators: Arc<SharedCreators>,
    pub notifications: Notifications,
}

/// What the others take over from the first worker.
#[derive(Debug)]
pub struct First<'l> {
    pub io: &'l mut Io,
    pub streams: &'l mut Streams,
    pub listeners: &'l Listeners,
    pub waker: Arc<Waker>,
    pub configuration: &'l Configuration,
    pub budget: Budget,
}

/// Prepares the other workers.
pub fn hire(
    first: First<'_>,
    sockets: impl Iterator<Item = [Vec<TcpListener>; 3]>,
) -> io::Result<Worker> {
    let First { io, streams, listeners: own, waker, configuration, budget } = first;
    let count = io.settings.workers.get();
    let mut polls: Vec<(Poll, Process)> = Vec::new();
    for _ in 1..count {
        let poll = Poll::new().map_err(no_events)?;
        let process = process(&poll)?;
        polls.push((poll, process));
    }
    let others = polls.iter().map(|(_, process)| process.reloader.waker());
    let all = std::iter::once(waker).chain(others).map(Mailbox::new).collect();
    let figures = (0..count).map(|_| Mutex::default()).collect();
    let (moving, epoch) = (Arc::default(), io.now.monotonic);
    let shared = Shared { all, figures, moving, epoch, counts: SharedCounts::new() };
    let creators = Arc::new(SharedCreators::default());
    let mut views = Workers::of(count).into_iter();
    io.workers = views.next();
    let mut worker = shared.join(io);
    worker.share_streams(streams, &creators);
    for ((view, (poll, process)), sockets) in views.zip(polls).zip(sockets) {
        let listeners = listen(own, sockets, (&poll, io))?;
        let registry = poll.registry().try_clone().map_err(no_events)?;
        let mut io = io.another(registry, view)?;
        for (socket, name) in listeners.sockets() {
            worker.sockets.push((socket.try_clone_to_owned()?, name));
        }
        worker.counters.push(io.journal.metrics.counters());
        worker.others.push(Seed {
            poll,
            process,
            configuration: (configuration.clone(), budget),
            listeners,
            worker: shared.join(&mut io),
            io,
            creators: Arc::clone(&creators),
            notifications: Notifications::default(),
        });
    }
    Ok(worker)
}

/// What all workers share.
struct Shared {
    all: Arc<[Mailbox<Message>]>,
    figures: Arc<[Mutex<Option<Figures>>]>,
    moving: Arc<AtomicUsize>,
    epoch: Instant,
    counts: SharedCounts,
}

impl Shared {
    /// Makes a loop one of the workers.
    fn join(&self, io: &mut Io) -> Worker {
        let index = io.workers.as_ref().map_or(0, Workers::index);
        io.place = Some(Place { worker: index, ..io.place.unwrap_or_default() });
        io.conns.share_counts(&self.counts);
        Worker {
            index,
            all: Arc::clone(&self.all),
            figures: Arc::clone(&self.figures),
            counters: Vec::new(),
            moving: Arc::clone(&self.moving),
            arrived: 0,
            reported: false,
            epoch: self.epoch,
            published: self.epoch,
            changed: true,
            departing: Vec::new(),
            mode: ServingMode::Serving,
            windows: Windows::default(),
            asked: Vec::new(),
            next_ticket: 0,
            is_current: false,
            sockets: Vec::new(),
            others: Vec::new(),
        }
    }
}

/// Returns what a process has once, without anything in it.
fn process(poll: &Poll) -> io::Result<Process> {
    Ok(Process {
        signals: None,
        reloader: Reloader::new(None, poll.registry(), WOKEN).map_err(no_events)?,
        admin_listener: AdminListener::none(),
        handover: Handover::none(),
        predecessor: Predecessor::default(),
        manager: ServiceManager::default(),
    })
}

/// Listens where the first worker does.
fn listen(
    first: &Listeners,
    sockets: [Vec<TcpListener>; 3],
    (poll, io): (&Poll, &Io),
) -> io::Result<Listeners> {
    let addresses = Endpoint::ALL.map(|endpoint| first.addresses(endpoint));
    let control = io.settings.congestion_control.as_deref();
    Listeners::open(
        sockets,
        addresses.each_ref().map(Vec::as_slice),
        (control, Sharing::Next),
        (poll.registry(), FIRST_LISTENER),
    )
}

/// Starts the threads of the other workers, each of which serves from its seed.
pub fn start(
    worker: Option<&mut Worker>,
    serve: fn(Seed) -> io::Result<()>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let others = worker.map(|worker| std::mem::take(&mut worker.others));
    let threads = (1..).zip(others.into_iter().flatten()).map(|(number, seed)| {
        threads::spawn(&format!("worker-{number}"), move || work(seed, number, serve))
    });
    threads.collect()
}

/// Serves until the loop ends. Without one of its workers a relay would lose streams in silence, so
/// the process ends with it.
fn work(seed: Seed, number: u8, serve: fn(Seed) -> io::Result<()>) {
    let failing = FailsWith(number);
    if let Err(error) = serve(seed) {
        log::error!("worker {number}: {}", cause(&error));
        return;
    }
    std::mem::forget(failing);
}

/// Ends the process when it is dropped: its worker did not end as ordered.
struct FailsWith(u8);

impl Drop for FailsWith {
    fn drop(&mut self) {
        log::logger().flush();
        let number = self.0;
        stdio::error_line(format_args!(
            "rdv: worker {number} has failed, and the relay ends with it"
        ));
        std::process::exit(101);
    }
}

/// Ends the loops of the other workers, and waits for their threads.
pub fn join(worker: Option<&Worker>, threads: Vec<JoinHandle<()>>) {
    if let Some(worker) = worker {
        worker.order(|| Order::Finish);
    }
    for thread in threads {
        // A thread that panics ends the process.
        let _ = thread.join();
    }
}

/// Sends the notifications of all workers through the notifier of the first one.
pub fn share_notifications(worker: Option<&mut Worker>, notifications: &Notifications) {
    for other in worker.into_iter().flat_map(|worker| &mut worker.others) {
        other.notifications = notifications.clone();
    }
}
