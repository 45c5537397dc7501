//! One agent: its connection, its metadata, and the exchanges that wait for it.

use crate::mux::frame::CancelReason;
use crate::mux::session::Session;
use crate::relay::io::{ConnId, Slot};
use crate::rendezvous::Now;
use crate::rendezvous::addresses::AddressCount;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;
use uuid::Uuid;

/// What waits for an exchange with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// A call that waits for the agent's answer.
    Call(Slot),
    /// An agent's request to the relay's API that waits for its body and for room for the answer.
    ApiRequest(Slot),
}

/// A waiter and its connection.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub conn: ConnId,
    pub waiter: Waiter,
}

/// One agent, on the connection of its WebSocket.
#[derive(Debug)]
pub struct Agent {
    /// The connection of its WebSocket.
    pub conn: ConnId,
    /// The public id of that connection.
    pub id: Uuid,
    /// Its position among all agents, in the order in which they connected.
    pub sequence: u64,
    pub session: Session,
    pub name: Option<String>,
    /// Its metadata, as they are shown.
    pub metadata: String,
    /// The secret that its tunnels are attached with.
    pub tunnel_secret: Option<Uuid>,
    /// The waiter of each exchange.
    pub waiting: HashMap<u32, Waiting>,
    /// Its idle tunnels.
    pub idle: Vec<Slot>,
    /// Its tunnels that carry a call.
    pub carrying: Vec<Slot>,
    /// Its tunnels that switched to another protocol, and count as tunnels no more.
    pub upgraded: Vec<Slot>,
    /// It was sent, or sent itself, the notice that no new requests follow.
    pub leaving: bool,
    /// A waiter found its send backlog too large.
    pub backlogged: bool,
    /// Since when reading from it is blocked because a client does not take one of its answers.
    pub held_up_since: Option<Instant>,
    /// The peer address of its WebSocket.
    pub peer: SocketAddr,
    /// It has not introduced itself, and counts so for its address.
    pub pending: Option<AddressCount>,
    pub connected: Now,
    /// It has been callable.
    pub was_connected: bool,
    pub requests: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Agent {
    pub fn new((conn, id): (ConnId, Uuid), session: Session, peer: SocketAddr, now: Now) -> Self {
        Self {
            conn,
            id,
            sequence: 0,
            session,
            name: None,
            metadata: "null".to_owned(),
            tunnel_secret: None,
            waiting: HashMap::new(),
            idle: Vec::new(),
            carrying: Vec::new(),
            upgraded: Vec::new(),
            leaving: false,
            backlogged: false,
            held_up_since: None,
            peer,
            pending: None,
            connected: now,
            was_connected: false,
            requests: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Returns the number of calls and requests in progress.
    pub fn in_flight(&self) -> usize {
        self.session.exchanges() + self.carrying.len() + self.upgraded.len()
    }

    /// Whether nothing in progress needs its WebSocket: a draining relay disconnects it, and it connects
    /// to the successor. Upgraded connections may last for months, and continue without it.
    pub fn is_idle(&self) -> bool {
        self.session.exchanges() == 0 && self.carrying.is_empty()
    }

    /// Returns the number of its tunnels, idle or in use.
    pub fn tunnels(&self) -> usize {
        self.idle.len() + self.carrying.len()
    }

    /// Whether an ordinary call may take a tunnel. The last idle one is kept for upgrades, which
    /// cannot go over the WebSocket, unless the agent has only one.
    pub fn has_tunnel_for_calls(&self) -> bool {
        self.idle.len() > 1 || self.carrying.is_empty()
    }

    /// Whether it can be called.
    pub fn takes_requests(&self) -> bool {
        self.session.takes_requests() && !self.leaving
    }

    /// Returns the path of its API.
    pub fn path(&self) -> String {
        match &self.name {
            Some(name) => format!("/api/{name}"),
            None => format!("/socket/{}", self.id),
        }
    }

    /// Returns the same path for logs. A connection id is enough to call an agent, so it is
    /// truncated.
    pub fn logged_path(&self) -> String {
        let mut path = self.path();
        if self.name.is_none() {
            path.truncate("/socket/01234567".len());
        }
        path
    }

    /// Cancels an exchange that has no waiter any more.
    pub fn cancel(&mut self, number: u32, why: CancelReason) {
        self.waiting.remove(&number);
        self.session.cancel(number, why);
    }

    /// Removes one of its tunnels.
    pub fn forget_tunnel(&mut self, tunnel: Slot) {
        self.idle.retain(|other| *other != tunnel);
        self.carrying.retain(|other| *other != tunnel);
        self.upgraded.retain(|other| *other != tunnel);
    }
}
