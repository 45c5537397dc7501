//! What the threads of a connection share: the protocol's machine, and who waits for what of it.
//! Nothing here waits; [`Link`](super::link::Link) does.

use super::cancellation::Cancellation;
use super::error::Error;
use crate::mux::handshake::{Dialect, Welcome};
use crate::mux::session::{Cancelled, Closed, Event, Session};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar};
use std::time::Instant;
use tungstenite::Bytes;
use uuid::Uuid;

/// Most bytes that wait to be sent before whoever adds more has to wait.
pub(super) const BACKLOG_MAX_BYTES: usize = 256 << 10;

/// Most requests that are served at once, of one connection.
pub(super) const SERVED_MAX: usize = 256;

/// A request that nobody has taken.
#[derive(Debug)]
pub(super) struct Arrived {
    pub number: u32,
    pub head: Bytes,
    pub over: bool,
    pub cancellation: Cancellation,
}

/// What is known of an exchange beyond the protocol.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Rung whenever something below changed, or there is room to send.
    pub changed: Arc<Condvar>,
    pub ours: bool,
    /// The response's head, and whether there is no body.
    pub answer: Option<(Bytes, bool)>,
    /// Body bytes that came and were not read.
    pub chunks: VecDeque<Bytes>,
    /// Whether no more will come.
    pub over: bool,
    pub cancelled: Option<Cancelled>,
    /// Of the other end's request: tells whoever serves it.
    pub cancellation: Option<Cancellation>,
    /// Whether nobody will read what comes.
    pub unwanted: bool,
    /// Since when the other end is waited for; not while this end reads the body it sends.
    pub waits_since: Option<Instant>,
    /// Who still needs this: whoever sends, and whoever reads.
    pub holders: u8,
}

/// The state.
#[derive(Debug)]
pub(super) struct ConnectionState {
    pub session: Session,
    pub exchanges: HashMap<u32, Exchange>,
    pub requests: VecDeque<Arrived>,
    /// Threads that wait for a request.
    pub idle: usize,
    /// What the end that accepted calls the connection.
    pub connection: Option<Uuid>,
    pub metadata: Value,
    pub welcome: Option<Welcome>,
    pub ended: Option<Closed>,
    pub draining: bool,
    /// Requests of the other end that nobody waits for any more, and whose servers are to be told.
    pub unwanted: Vec<Cancellation>,
    /// All was sent that will be, and the wire is not used any more.
    pub parted: bool,
    /// Bytes that the pump has taken and not sent.
    pub in_flight: usize,
    /// Whether the pump has to be woken.
    pub asleep: bool,
    /// Rung when a request came, and at the end.
    pub arrived: Arc<Condvar>,
    /// The same, for whoever sees to it that there are enough threads.
    pub hire: Arc<Condvar>,
    /// Rung when the handshake is complete, and at the end.
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
            in_flight: 0,
            asleep: false,
            arrived: Arc::default(),
            hire: Arc::default(),
            opened: Arc::default(),
        }
    }

    /// Why nothing more can be done on the connection, if that is so.
    pub(super) fn end(&self) -> Option<Error> {
        self.ended.as_ref().map(Error::from)
    }

    /// Bytes that may be sent of an exchange now.
    pub(super) fn room(&mut self, number: u32) -> usize {
        if self.is_full() { 0 } else { self.session.room(number) }
    }

    fn is_full(&mut self) -> bool {
        self.in_flight + self.session.output().len() >= BACKLOG_MAX_BYTES
    }

    /// Whether the pump may read: in the text dialect only that holds the other end back.
    pub(super) fn wants_input(&self) -> bool {
        let crowded = self.session.dialect() == Dialect::Text && self.requests.len() > SERVED_MAX;
        self.session.wants_input() && !crowded
    }

    /// So many bytes of what the pump took are sent: whoever waited for that goes on.
    pub(super) fn sent(&mut self, bytes: usize) {
        let was_full = self.is_full();
        self.in_flight -= bytes;
        if was_full && !self.is_full() {
            self.exchanges.values().for_each(|exchange| exchange.changed.notify_all());
        }
    }

    /// Tells whoever waits for it what happened.
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
                self.session.welcome(&Welcome { connection, path: None, spare: None });
            }
            Event::Open(welcome) => {
                self.welcome = welcome.or_else(|| {
                    self.connection.map(|connection| Welcome {
                        connection,
                        path: None,
                        spare: None,
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
            Event::Cancelled(number, why) => self.cancelled(number, why),
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
        // What came whole stays whole: the rest of what we send is not wanted, no more.
        exchange.cancelled = Some(why);
        exchange.changed.notify_all();
        self.unwanted.extend(exchange.cancellation.take());
    }

    fn body(&mut self, number: u32, bytes: Bytes, over: bool) {
        let text = self.session.dialect() == Dialect::Text;
        let Some(exchange) = self.exchanges.get_mut(&number) else { return };
        exchange.over = over;
        if !exchange.unwanted {
            if !bytes.is_empty() {
                exchange.chunks.push_back(bytes);
            }
            exchange.changed.notify_all();
        } else if text {
            // There the sender cannot be stopped, and what is not used up stops everybody.
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
