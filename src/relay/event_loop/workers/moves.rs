//! Connections that move to the worker of their request, and requests of operators that wait for the
//! figures of all workers.

use super::Worker;
use super::messages::{Cargo, Message};
use crate::api::{Route, ShardKey};
use crate::http::head::{KeptHead, RequestHead};
use crate::relay::agents::{AgentDeparture, Agents};
use crate::relay::io::{Conn, ConnId, Io};
use crate::relay::streams::{StreamDeparture, Streams};
use std::sync::atomic::Ordering;

/// A request of an operator, and how many workers have not published their figures for it.
#[derive(Debug)]
pub(in crate::relay::event_loop) struct Asked {
    ticket: u64,
    pub conn: Box<Conn>,
    pub head: KeptHead,
    left: usize,
}

impl Worker {
    /// Returns the worker to which a request departs: another one; or, at the first one, itself once
    /// the figures of all are current.
    pub fn destination(
        &self,
        io: &Io,
        route: &Route<'_>,
        head: &RequestHead<'_, '_>,
    ) -> Option<u8> {
        let needs_figures =
            matches!(route, Route::Metrics | Route::State | Route::Readiness | Route::Control(_));
        if needs_figures {
            return (!self.is_current).then_some(0);
        }
        io.owner(ShardKey::of(route, head)?)
    }

    /// Sends a connection to the worker that serves its request, at the end of this turn; `bytes`:
    /// the head and what follows it.
    ///
    /// # Errors
    /// Returns the bytes if too many connections are on their way there.
    pub fn depart(
        &mut self,
        io: &mut Io,
        (id, to): (ConnId, u8),
        (head, bytes): (KeptHead, Vec<u8>),
    ) -> Result<(), Vec<u8>> {
        if !self.all[usize::from(to)].has_room() {
            return Err(bytes);
        }
        io.conns[id].carry = bytes;
        io.conns.depart(id);
        self.departing.push((id, to, head));
        Ok(())
    }

    /// Sends the connections that leave in this turn.
    #[cold]
    pub fn send_departing(&mut self, io: &mut Io, streams: &mut Streams, agents: &mut Agents) {
        for (id, to, head) in std::mem::take(&mut self.departing) {
            let conn = io.conns.take_departing(id);
            if to == self.index {
                self.ask(conn, head);
            } else {
                self.move_to(to, conn, Cargo::Request(head));
            }
        }
        for StreamDeparture { id, to, cargo } in streams.take_departures() {
            self.move_to(to, io.conns.take_departing(id), Cargo::Streams(cargo));
        }
        for AgentDeparture { id, to, cargo } in agents.take_departures() {
            self.move_to(to, io.conns.take_departing(id), Cargo::Agents(cargo));
        }
    }

    fn move_to(&self, to: u8, conn: Box<Conn>, cargo: Cargo) {
        self.moving.fetch_add(1, Ordering::Release);
        self.send(to, Message::Connection(conn, cargo));
    }

    /// Keeps a request of an operator until all other workers have published their figures.
    fn ask(&mut self, conn: Box<Conn>, head: KeptHead) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.asked.push(Asked { ticket, conn, head, left: self.all.len() - 1 });
        self.send_all(|| Message::Publish(ticket));
    }

    /// Returns the request for which the last worker has published its figures.
    pub fn answered(&mut self, ticket: u64) -> Option<Asked> {
        let index = self.asked.iter().position(|asked| asked.ticket == ticket)?;
        self.asked[index].left -= 1;
        (self.asked[index].left == 0).then(|| self.asked.swap_remove(index))
    }
}
