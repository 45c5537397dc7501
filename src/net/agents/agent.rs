//! One agent: its connection, what it says of itself, and who waits for it.

use crate::mux::frame::Why;
use crate::mux::session::Session;
use crate::net::token::ConnId;
use crate::rendezvous::Now;
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;
use uuid::Uuid;

/// One agent, on the connection of its WebSocket.
#[derive(Debug)]
pub(in crate::net) struct Agent {
    pub id: Uuid,
    pub session: Session,
    /// The token that came with the upgrade, until the agent has introduced itself.
    pub token: Option<String>,
    pub name: Option<String>,
    /// Without secrets.
    pub metadata: Value,
    /// What its spare connections are brought with.
    pub spare_secret: Option<Uuid>,
    /// Who waits for which exchange: clients for its answers, and connections to the relay's API
    /// for its requests.
    pub waiting: HashMap<u32, ConnId>,
    /// Its spare connections that carry nothing.
    pub spares: Vec<ConnId>,
    /// Its spare connections that carry a call.
    pub carrying: Vec<ConnId>,
    /// It was asked for nothing more, or asks for nothing more itself.
    pub leaving: bool,
    /// Somebody found that too much waits to be sent to it.
    pub backlogged: bool,
    /// Since when it is not listened to, because one of its answers is not taken.
    pub held_up_since: Option<Instant>,
    /// Where its WebSocket comes from.
    pub peer: SocketAddr,
    pub connected: Now,
    /// It could be called.
    pub was_here: bool,
    pub requests: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Agent {
    pub fn new(session: Session, token: Option<String>, peer: SocketAddr, now: Now) -> Self {
        Self {
            id: Uuid::new_v4(),
            session,
            token,
            name: None,
            metadata: Value::Null,
            spare_secret: None,
            waiting: HashMap::new(),
            spares: Vec::new(),
            carrying: Vec::new(),
            leaving: false,
            backlogged: false,
            held_up_since: None,
            peer,
            connected: now,
            was_here: false,
            requests: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Calls and requests that are going on.
    pub fn in_flight(&self) -> usize {
        self.session.exchanges() + self.carrying.len()
    }

    /// Whether it can be called.
    pub fn is_here(&self) -> bool {
        self.session.is_open() && !self.leaving
    }

    /// The path its API is found at.
    pub fn path(&self) -> String {
        match &self.name {
            Some(name) => format!("/api/{name}"),
            None => format!("/socket/{}", self.id),
        }
    }

    /// The same for logs: who knows the id of a connection may call it, so not all of it is told.
    pub fn logged_path(&self) -> String {
        let mut path = self.path();
        if self.name.is_none() {
            path.truncate("/socket/01234567".len());
        }
        path
    }

    /// Nobody waits for this exchange any more.
    pub fn cancel(&mut self, number: u32, why: Why) {
        self.waiting.remove(&number);
        self.session.cancel(number, why);
    }
}
