//! Several workers: each is the event loop in a thread of its own, and they share nothing but
//! settings and counts. What belongs to another worker is sent to its mailbox: a connection whose
//! request names a stream or an agent there, and the orders of the first worker, which alone
//! receives signals and operators. With one worker nothing here does anything.
//!
//! | file | holds |
//! |---|---|
//! | `hiring` | their beginning and their end |
//! | `messages` | what they send to each other |
//! | `moves` | connections that move to the worker of their request |
//! | `orders` | what concerns the process |
//! | `windows` | the operators' page |

mod hiring;
mod messages;
mod moves;
mod orders;
mod windows;

use super::figures::{self, Figures, Services};
use super::watching::Shown;
use crate::api::watch::Window;
use crate::http::head::KeptHead;
use crate::ops::metrics::Counters;
use crate::relay::agents::Agents;
use crate::relay::io::{ConnId, Io, Quantity, ServingMode, Slot};
use crate::relay::process::{Mailbox, ShutdownPhase};
use crate::relay::streams::Streams;
use crate::rendezvous::SharedCreators;
pub(super) use hiring::{First, Process, Seed, hire, join, share_notifications, start};
pub(super) use messages::{Cargo, Message, Order};
pub(super) use moves::Asked;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use windows::Windows;

/// How often a worker publishes its figures at most. They are complete when it is idle, too: if
/// something changed, it wakes up once more.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// Numbers of streams that a millisecond of the common clock has at each worker. One that creates
/// more is ahead of the clock for a moment.
const NUMBERS_PER_MS: u64 = 64;

/// One of several workers, as its loop has it.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its number.
    index: u8,
    /// The mailboxes of all workers, its own included.
    all: Arc<[Mailbox<Message>]>,
    /// The figures of all workers.
    figures: Arc<[Mutex<Option<Figures>>]>,
    /// The counters of the others; only the first worker reads them.
    counters: Vec<Counters>,
    /// Connections on their way between workers, which none of them counts.
    moving: Arc<AtomicUsize>,
    /// Those that arrived in this turn.
    arrived: usize,
    /// The first worker knows that it is done.
    reported: bool,
    /// The common clock of all workers begins here.
    epoch: Instant,
    published: Instant,
    /// Whether there was a turn since.
    changed: bool,
    /// Connections that leave in this turn, their next workers, and the heads of their requests.
    departing: Vec<(ConnId, u8, KeptHead)>,
    /// The mode that was sent to the others.
    mode: ServingMode,
    /// The windows that wait for what the others have.
    windows: Windows,
    /// Requests of operators that wait for current figures.
    asked: Vec<Asked>,
    /// The number of the next one.
    next_ticket: u64,
    /// The request that is served now has waited for them.
    is_current: bool,
    /// The listening sockets of the others, and their names, for the process that takes over; only
    /// the first worker has them.
    sockets: Vec<(OwnedFd, &'static str)>,
    /// The other workers, until their threads begin.
    others: Vec<Seed>,
}

impl Worker {
    /// Whether it is the first one, which has the process.
    pub fn is_first(&self) -> bool {
        self.index == 0
    }

    fn send(&self, to: u8, message: Message) {
        self.all[usize::from(to)].send(message);
    }

    /// Sends a message of the first worker to all others.
    fn send_all(&self, message: impl Fn() -> Message) {
        for mailbox in &self.all[1..] {
            mailbox.send(message());
        }
    }

    /// Answers the first worker.
    pub fn answer(&self, message: Message) {
        self.send(0, message);
    }

    /// Shares the counts and the numbers of streams.
    pub fn share_streams(&self, streams: &mut Streams, creators: &SharedCreators) {
        streams.share(creators, (u64::from(self.index), self.all.len() as u64));
    }

    /// Takes what other workers have sent.
    pub fn take_messages(&mut self) -> impl Iterator<Item = Message> + use<> {
        let messages = self.all[usize::from(self.index)].take();
        let arrives = |message: &&Message| matches!(message, Message::Connection(..));
        self.arrived += messages.iter().filter(arrives).count();
        messages.into_iter()
    }

    /// Requests what the other workers have for a window; it is shown once all have answered.
    pub fn request_rows(&mut self, slot: Slot, window: Window) {
        self.windows.begin(slot, window);
        self.send_all(|| Message::ShowRows(slot, window));
    }

    /// Adds what another worker has for a window; returns the window with what all others have.
    pub fn add_rows(&mut self, slot: Slot, shown: Shown) -> Option<(Window, Vec<Shown>)> {
        self.windows.add(slot, shown, self.all.len() - 1)
    }

    /// Sets whether the request served now has waited for current figures.
    pub fn set_current(&mut self, is_current: bool) {
        self.is_current = is_current;
    }

    /// Takes into account what the other workers have.
    pub fn begin_turn(&self, io: &Io, streams: &mut Streams, agents: &mut Agents) {
        let elapsed = io.now.monotonic.saturating_duration_since(self.epoch);
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        streams.keep_up(io.elsewhere(Quantity::Streams), ms.saturating_mul(NUMBERS_PER_MS));
        let subscribed = io.elsewhere(Quantity::AgentSubscribers) > 0;
        agents.collect_events(!self.is_first() && subscribed);
    }

    /// Publishes what this worker has.
    pub fn end_turn(&mut self, services: &mut Services<'_>, stopping: ShutdownPhase) {
        for events in services.agents.take_events() {
            self.answer(Message::AgentEvents(events));
        }
        if let Some(view) = &services.io.workers {
            view.publish(numbers(services));
        }
        // Only now, so that each is always counted somewhere.
        self.moving.fetch_sub(std::mem::take(&mut self.arrived), Ordering::Release);
        let is_done = stopping == ShutdownPhase::Stopped;
        if is_done && !std::mem::replace(&mut self.reported, is_done) {
            self.answer(Message::Done);
        }
        self.changed = true;
        if self.is_first() {
            // A hand-over may have changed it.
            self.announce_mode(services.io.mode);
        } else if is_done || self.published + PUBLISH_EVERY <= services.io.now.monotonic {
            self.publish(services);
        }
    }

    /// Publishes the figures of this worker.
    pub fn publish(&mut self, services: &Services<'_>) {
        (self.published, self.changed) = (services.io.now.monotonic, false);
        let published = &self.figures[usize::from(self.index)];
        *published.lock().unwrap_or_else(PoisonError::into_inner) = Some(services.figures());
    }

    /// Returns when figures are to be published without another event.
    pub fn next_deadline(&self) -> Option<Instant> {
        (self.changed && !self.is_first()).then(|| self.published + PUBLISH_EVERY)
    }

    /// Returns the figures of the others, for the first worker.
    pub fn published(&self) -> Vec<Figures> {
        let read = |figures: &Mutex<Option<Figures>>| {
            figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.figures[1..].iter().filter_map(read).collect()
    }

    /// Returns the counters of the others, for the first worker.
    pub fn counters(&self) -> &[Counters] {
        &self.counters
    }

    /// Returns how many clients the other workers have, or are on their way; only the first worker,
    /// which serves operators until the last one has ended, waits for them.
    pub fn clients_elsewhere(&self, io: &Io) -> usize {
        if !self.is_first() {
            return 0;
        }
        self.moving.load(Ordering::Acquire) + io.elsewhere(Quantity::Clients)
    }
}

/// Returns what is limited in total, as this worker has it.
fn numbers(services: &Services<'_>) -> [usize; Quantity::COUNT] {
    let Services { io, streams, agents, transfers, .. } = services;
    let mut numbers = [0; Quantity::COUNT];
    for (quantity, number) in [
        (Quantity::Clients, io.conns.clients()),
        (Quantity::Lingering, io.conns.lingering()),
        (Quantity::Requests, io.conns.requests()),
        (Quantity::Handshakes, io.conns.handshaking()),
        (Quantity::Streams, streams.counts().active),
        (Quantity::Agents, agents.known()),
        (Quantity::Transfers, transfers.len()),
        (Quantity::AgentSubscribers, agents.subscribers()),
        (Quantity::Followers, streams.followers()),
    ] {
        numbers[quantity as usize] = number;
    }
    numbers
}
