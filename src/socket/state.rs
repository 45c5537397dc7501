//! State shared by the threads of a connection: the session, and the waiters on its events. Nothing
//! here blocks; [`Link`](super::link::Link) does.

use super::cancellation::Cancellation;
use super::error::Error;
use super::pings::Received;
use crate::client::clock;
use crate::mux::handshake::{Dialect, Welcome};
use crate::mux::session::{Cancelled, Closed, Event, Session};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar};
use std::time::Instant;
use tungstenite::Bytes;
use uuid::Uuid;

/// Maximum bytes queued for sending; a sender blocks above this.
pub(super) const BACKLOG_MAX_BYTES: usize = 256 << 10;

/// Maximum requests served at once on one connection.
pub(super) const SERVED_MAX: usize = 256;

/// A request that no thread serves yet.
#[derive(Debug)]
pub(super) struct Arrived {
    pub number: u32,
    pub head: Bytes,
    pub over: bool,
    pub cancellation: Cancellation,
}

/// State of an exchange beyond that of the session.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Notified when a field below changes, or when there is room to send.
    pub changed: Arc<Condvar>,
    pub ours: bool,
    /// Head of the response, and whether there is no body.
    pub answer: Option<(Bytes, bool)>,
    /// Body bytes received and not read yet.
    pub chunks: VecDeque<Bytes>,
    /// Whether the last byte was received.
    pub over: bool,
    pub cancelled: Option<Cancelled>,
    /// Cancellation passed to the handler of the other end's request.
    pub cancellation: Option<Cancellation>,
    /// Whether the rest of the body is discarded.
    pub unwanted: bool,
    /// Since when the other end, or a turn to send, is waited for; `None` while this end reads the
    /// request body.
    pub waits_since: Option<Instant>,
    /// Holders of this exchange: its sender and its reader.
    pub holders: u8,
}

/// State of a connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    pub session: Session,
    pub exchanges: HashMap<u32, Exchange>,
    pub requests: VecDeque<Arrived>,
    /// Number of threads waiting for a request.
    pub idle: usize,
    /// Id of the connection, at the accepting end.
    pub connection: Option<Uuid>,
    pub metadata: Value,
    pub welcome: Option<Welcome>,
    pub ended: Option<Closed>,
    pub draining: bool,
    /// Cancelled requests of the other end whose handlers must be notified.
    pub unwanted: Vec<Cancellation>,
    /// Pings and pongs whose handlers must be called.
    pub pings: Vec<Received>,
    /// Whether everything was sent and the wire is closed.
    pub parted: bool,
    /// Bytes taken by the pump and not sent yet.
    pub in_flight: usize,
    /// Whether the pump must be woken.
    pub asleep: bool,
    /// Notified when a request is received, and at the end.
    pub arrived: Arc<Condvar>,
    /// The same, for the thread that starts workers.
    pub hire: Arc<Condvar>,
    /// Notified when the handshake is complete, and at the end.
    pub opened: Arc<Condvar>,
}

impl ConnectionState {
    pub(super) fn new(session: Session, connection: Option<Uuid>, metadata: Value) -> Self {
        Self {
            session,
            exchanges: HashMap::new(),
            requests: VecDeque::new(),
            idle: 0,
            parted: false,
            connection,
            metadata,
            welcome: None,
            ended: None,
            draining: false,
            unwanted: Vec::new(),
            pings: Vec::new(),
            in_flight: 0,
            asleep: false,
            arrived: Arc::default(),
            hire: Arc::default(),
            opened: Arc::default(),
        }
    }

    /// Returns why the connection ended, if it has.
    pub(super) fn end(&self) -> Option<Error> {
        self.ended.as_ref().map(Error::from)
    }

    /// Returns how many bytes of an exchange can be sent now.
    pub(super) fn room(&mut self, number: u32) -> usize {
        if self.is_full() { 0 } else { self.session.room(number) }
    }

    fn is_full(&mut self) -> bool {
        self.in_flight + self.session.output().len() >= BACKLOG_MAX_BYTES
    }

    /// Whether the pump should read: in the text dialect, not reading is the only flow control.
    pub(super) fn wants_input(&self) -> bool {
        let crowded = self.session.dialect() == Dialect::Text && self.requests.len() > SERVED_MAX;
        self.session.wants_input() && !crowded
    }

    /// Subtracts `bytes` sent by the pump, and wakes the blocked senders.
    pub(super) fn sent(&mut self, bytes: usize) {
        let was_full = self.is_full();
        self.in_flight -= bytes;
        if was_full && !self.is_full() {
            self.exchanges.values().for_each(|exchange| exchange.changed.notify_all());
        }
    }

    /// Processes pending events and notifies their waiters.
    pub(super) fn update(&mut self) {
        while let Some(event) = self.session.next_event() {
            self.happened(event);
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Introduced(metadata) => {
                self.metadata = metadata.0;
                let connection = self.connection.unwrap_or_default();
                self.session.welcome(&Welcome { connection, path: None, tunnel_secret: None });
            }
            Event::Open(welcome) => {
                self.welcome = welcome.or_else(|| {
                    self.connection.map(|connection| Welcome {
                        connection,
                        path: None,
                        tunnel_secret: None,
                    })
                });
                self.opened.notify_all();
            }
            Event::Request { number, head, over } => {
                let cancellation = Cancellation::new();
                let exchange = Exchange {
                    over,
                    holders: 2,
                    cancellation: Some(cancellation.clone()),
                    ..Exchange::default()
                };
                self.exchanges.insert(number, exchange);
                self.requests.push_back(Arrived { number, head, over, cancellation });
                self.arrived.notify_one();
                self.hire.notify_all();
            }
            Event::Response { number, head, over } => self.notify(number, |exchange| {
                exchange.over = over;
                exchange.answer = Some((head, over));
            }),
            Event::Body { number, bytes, over } => self.body(number, bytes, over),
            Event::Room(number) => self.notify(number, |_| ()),
            Event::Sent(number) => {
                let now = Some(clock::now());
                self.notify(number, |exchange| exchange.waits_since = now);
            }
            Event::Cancelled(number, why) => self.cancelled(number, why),
            Event::Ping(payload) => self.pings.push(Received::Ping(payload)),
            Event::Pong(payload) => self.pings.push(Received::Pong(payload)),
            Event::Draining => self.draining = true,
            Event::Closed(how) => self.closed(how),
        }
    }

    pub(super) fn notify(&mut self, number: u32, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.exchanges.get_mut(&number) {
            change(exchange);
            exchange.changed.notify_all();
        }
    }

    fn cancelled(&mut self, number: u32, why: Cancelled) {
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        // What was received completely stays valid: only the rest of what this end sends is
        // unwanted.
        exchange.cancelled = Some(why);
        exchange.changed.notify_all();
        self.unwanted.extend(exchange.cancellation.take());
    }

    fn body(&mut self, number: u32, bytes: Bytes, over: bool) {
        let text = self.session.dialect() == Dialect::Text;
        let Some(exchange) = self.exchanges.get_mut(&number) else {
            // Its response is complete; the rest of the request would block every exchange.
            return self.session.used(number, bytes.len());
        };
        exchange.over = over;
        if !exchange.unwanted {
            if !bytes.is_empty() {
                exchange.chunks.push_back(bytes);
            }
            exchange.changed.notify_all();
        } else if text {
            // The sender cannot be stopped there, and unused bytes would block every exchange.
            self.session.used(number, bytes.len());
        }
    }

    fn closed(&mut self, how: Closed) {
        self.ended.get_or_insert(how);
        self.requests.clear();
        for exchange in self.exchanges.values_mut() {
            exchange.changed.notify_all();
            self.unwanted.extend(exchange.cancellation.take());
        }
        self.opened.notify_all();
        self.arrived.notify_all();
        self.hire.notify_all();
    }
}
