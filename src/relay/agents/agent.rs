//! One agent: its connection, what it says of itself, and who waits for it.

use crate::mux::frame::CancelReason;
use crate::mux::session::Session;
use crate::relay::io::{ConnId, Slot};
use crate::rendezvous::Now;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;
use uuid::Uuid;

/// Who waits for an exchange with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiter {
    /// A call, for the agent's answer.
    Call(Slot),
    /// A request of the agent to the relay's API, for its body and for room for the answer.
    ApiRequest(Slot),
}

/// Who waits for an exchange, and on which connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub conn: ConnId,
    pub waiter: Waiter,
}

/// One agent, on the connection of its WebSocket.
#[derive(Debug)]
pub(super) struct Agent {
    /// The connection of its WebSocket.
    pub conn: ConnId,
    /// What others know that connection by.
    pub id: Uuid,
    /// Its place among all, in the order in which they connected.
    pub sequence: u64,
    pub session: Session,
    /// The token that came with the upgrade, until the agent has introduced itself.
    pub token: Option<String>,
    pub name: Option<String>,
    /// Without secrets.
    pub metadata: Value,
    /// What its tunnels are brought with.
    pub tunnel_secret: Option<Uuid>,
    /// Who waits for which exchange.
    pub waiting: HashMap<u32, Waiting>,
    /// Its tunnels that carry nothing.
    pub idle: Vec<Slot>,
    /// Its tunnels that carry a call.
    pub carrying: Vec<Slot>,
    /// It was asked for nothing more, or asks for nothing more itself.
    pub leaving: bool,
    /// Somebody found that too much waits to be sent to it.
    pub backlogged: bool,
    /// Since when nothing is read from it, because one of its answers is not taken.
    pub held_up_since: Option<Instant>,
    /// Where its WebSocket comes from.
    pub peer: SocketAddr,
    pub connected: Now,
    /// It could be called.
    pub was_connected: bool,
    pub requests: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Agent {
    pub fn new(
        conn: ConnId,
        session: Session,
        token: Option<String>,
        peer: SocketAddr,
        now: Now,
    ) -> Self {
        Self {
            conn,
            id: Uuid::new_v4(),
            sequence: 0,
            session,
            token,
            name: None,
            metadata: Value::Null,
            tunnel_secret: None,
            waiting: HashMap::new(),
            idle: Vec::new(),
            carrying: Vec::new(),
            leaving: false,
            backlogged: false,
            held_up_since: None,
            peer,
            connected: now,
            was_connected: false,
            requests: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Calls and requests that are going on.
    pub fn in_flight(&self) -> usize {
        self.session.exchanges() + self.carrying.len()
    }

    /// Its tunnels, whether they carry a call or not.
    pub fn tunnels(&self) -> usize {
        self.idle.len() + self.carrying.len()
    }

    /// Whether it can be called.
    pub fn takes_requests(&self) -> bool {
        self.session.takes_requests() && !self.leaving
    }

    /// The path its API is found at.
    pub fn path(&self) -> String {
        match &self.name {
            Some(name) => format!("/api/{name}"),
            None => format!("/socket/{}", self.id),
        }
    }

    /// The same for logs: who knows the id of a connection may call it, so not all of it is logged.
    pub fn logged_path(&self) -> String {
        let mut path = self.path();
        if self.name.is_none() {
            path.truncate("/socket/01234567".len());
        }
        path
    }

    /// Nobody waits for this exchange any more.
    pub fn cancel(&mut self, number: u32, why: CancelReason) {
        self.waiting.remove(&number);
        self.session.cancel(number, why);
    }

    /// A tunnel of it is gone.
    pub fn forget_tunnel(&mut self, tunnel: Slot) {
        self.idle.retain(|other| *other != tunnel);
        self.carrying.retain(|other| *other != tunnel);
    }
}
