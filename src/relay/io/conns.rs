//! All connections: a slab whose ids carry generations, their timers, and the run queue.
//!
//! Closing marks, and nothing more. Slots are freed in one place after the run queue, where the
//! owner is told once: so no call made inside a turn can invalidate an id that is held elsewhere,
//! and looking up an id whose owner was not told yet cannot miss.

use super::conn::{Conn, Flushed};
use super::id::{ConnId, TransferId};
use super::load::ConnCounts;
use super::mode::ListenerKind;
use super::queue::{RunQueue, Task};
use super::role::{Http, Role};
use super::timers::Timers;
use mio::Interest;
use mio::event::Event;
use mio::unix::SourceFd;
use slab::Slab;
use socket2::Socket;
use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::os::fd::AsRawFd;
use std::time::Instant;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseMode {
    /// With what was written to it, and a FIN.
    Orderly,
    /// With a reset, so that its peer cannot take what it received for all of it.
    Reset,
}

/// All connections.
#[derive(Debug)]
pub struct Conns {
    slab: Slab<Conn>,
    next_generation: u32,
    poll: mio::Registry,
    timers: Timers,
    /// Who waits for a turn.
    pub queue: RunQueue,
    /// What is counted of them.
    load: ConnCounts,
    /// Closed in this turn.
    closed: Vec<ConnId>,
    lingering: usize,
    operators: usize,
}

impl Index<ConnId> for Conns {
    type Output = Conn;

    /// The connection of an id that was not reported closed to its owner.
    fn index(&self, id: ConnId) -> &Conn {
        let conn = self.slab.get(id.index as usize).filter(|conn| conn.id == id);
        conn.unwrap_or_else(|| panic!("{id:?} was freed, and its owner notified"))
    }
}

impl IndexMut<ConnId> for Conns {
    fn index_mut(&mut self, id: ConnId) -> &mut Conn {
        let conn = self.slab.get_mut(id.index as usize).filter(|conn| conn.id == id);
        conn.unwrap_or_else(|| panic!("{id:?} was freed, and its owner notified"))
    }
}

impl Conns {
    /// None yet; they will be watched by this instance of epoll.
    pub fn new(poll: mio::Registry) -> Self {
        Self {
            slab: Slab::new(),
            next_generation: 1,
            poll,
            timers: Timers::default(),
            queue: RunQueue::default(),
            load: ConnCounts::default(),
            closed: Vec::new(),
            lingering: 0,
            operators: 0,
        }
    }

    /// Takes a new connection in, registered once for both directions, edge-triggered.
    ///
    /// # Errors
    /// What `epoll_ctl`(2) says.
    pub fn insert(
        &mut self,
        socket: Socket,
        peer: SocketAddr,
        listener: ListenerKind,
    ) -> std::io::Result<ConnId> {
        let entry = self.slab.vacant_entry();
        let index = u32::try_from(entry.key()).map_err(std::io::Error::other)?;
        let id = ConnId { index, generation: self.next_generation };
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.register(&mut SourceFd(&socket.as_raw_fd()), id.token(), interest)?;
        self.next_generation = self.next_generation.checked_add(1).unwrap_or(1);
        self.operators += usize::from(listener == ListenerKind::Admin);
        entry.insert(Conn::new(id, socket, peer, listener));
        Ok(id)
    }

    /// The connection of an id that may be stale: one from an event, a task or a timer, or from
    /// outside the loop. `None` too if it is closed.
    pub fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slab.get_mut(id.index as usize).filter(|conn| conn.id == id && !conn.closing)
    }

    /// Two connections, both of which are there.
    pub fn pair(&mut self, one: ConnId, other: ConnId) -> (&mut Conn, &mut Conn) {
        let pair = self.slab.get2_mut(one.index as usize, other.index as usize);
        let pair = pair.filter(|(first, second)| first.id == one && second.id == other);
        pair.unwrap_or_else(|| panic!("{one:?} or {other:?} was freed, and its owner notified"))
    }

    /// All that are not closed.
    pub fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.slab.iter().map(|(_, conn)| conn).filter(|conn| !conn.closing)
    }

    /// All, those that wait to be freed included.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.slab.iter_mut().map(|(_, conn)| conn)
    }

    /// Connections of everybody but operators.
    pub fn clients(&self) -> usize {
        self.slab.len() - self.operators
    }

    /// Connections of operators.
    pub fn operators(&self) -> usize {
        self.operators
    }

    /// Connections that are served, not merely lingered with; operators' do not count.
    pub fn served(&self) -> usize {
        self.clients().saturating_sub(self.lingering)
    }

    /// Connections that are lingered with.
    pub fn lingering(&self) -> usize {
        self.lingering
    }

    /// Counts the request of a connection; whether it may be served (`max`: 0 is no limit).
    pub fn begin_request(&mut self, id: ConnId, max: usize) -> bool {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a request is served while its connection is open");
        self.load.begin_request(&mut conn.counted, max)
    }

    /// The response to its request ended, if it was in one.
    pub fn end_request(&mut self, id: ConnId) {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a request is served while its connection is open");
        self.load.end_request(&mut conn.counted);
    }

    /// Counts a connection for its address; whether it may be served (`max`: 0 is no limit).
    pub fn begin_connection(&mut self, id: ConnId, max: usize) -> bool {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a connection is counted when it is accepted");
        self.load.begin_connection(&mut conn.counted, conn.peer.ip(), max)
    }

    /// A connection is answered, and only lingered with from now on.
    pub fn begin_lingering(&mut self, id: ConnId, discard_left: u32) {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "an answered connection exists until it is freed");
        conn.role = Role::Http(Http::Lingering { discard_left });
        conn.carry = Vec::new();
        self.load.end(&mut conn.counted);
        self.lingering += 1;
    }

    /// A connection's socket has news: remembers them, and returns the transfers they concern.
    pub fn notice(&mut self, id: ConnId, event: &Event) -> [Option<TransferId>; 2] {
        // Its owner may have closed it after epoll reported this.
        let Some(conn) = self.get(id) else { return [None, None] };
        conn.latch(event);
        let transfers = [conn.outgoing, conn.incoming];
        if conn.needs_turn() {
            self.enqueue(id);
        }
        transfers
    }

    /// Puts a connection in the run queue.
    pub fn enqueue(&mut self, id: ConnId) {
        let conn = &mut self[id];
        if !conn.queued && !conn.closing {
            conn.queued = true;
            self.queue.push(Task::Conn(id));
        }
    }

    /// Its turn has come: the connection, unless it was closed since.
    pub fn take_turn(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.get(id)?;
        conn.queued = false;
        Some(conn)
    }

    /// Writes what waits to be written to a connection.
    pub fn flush(&mut self, id: ConnId) -> Flushed {
        self[id].flush()
    }

    /// The same; one whose socket fails is closed.
    pub fn flush_or_close(&mut self, id: ConnId) {
        if self.flush(id) == Flushed::Failed {
            self.close(id, CloseMode::Orderly);
        }
    }

    /// When its owner is to look at a connection again, whatever comes before; `None`: never.
    pub fn set_deadline(&mut self, id: ConnId, deadline: Option<Instant>) {
        let conn = &mut self[id];
        conn.deadline = deadline;
        let Some(deadline) = deadline else { return };
        if conn.timer_at.is_none_or(|at| at > deadline) {
            conn.timer_at = Some(deadline);
            self.timers.push(deadline, id);
        }
    }

    /// A turn begins: deadlines set before it may be over in it.
    pub fn begin_turn(&mut self) {
        self.timers.begin_turn();
    }

    /// The next connection whose deadline is over; it is over once.
    pub fn pop_due(&mut self, now: Instant) -> Option<ConnId> {
        while let Some((at, id)) = self.timers.pop(now) {
            // The entry is stale if its connection is gone, or looked at earlier by another entry.
            let Some(conn) = self.get(id).filter(|conn| conn.timer_at == Some(at)) else {
                continue;
            };
            conn.timer_at = None;
            match conn.deadline {
                Some(deadline) if deadline <= now => {
                    conn.deadline = None;
                    return Some(id);
                }
                // It was extended: an assignment, which the timers learn of now.
                extended => self.set_deadline(id, extended),
            }
        }
        let slab = &self.slab;
        self.timers.tidy(slab.len(), |at, id| {
            let conn = slab.get(id.index as usize).filter(|conn| conn.id == id);
            conn.is_some_and(|conn| conn.timer_at == Some(at))
        });
        None
    }

    /// When [`Conns::pop_due`] has something next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Closes a connection: marks it, and nothing more. Its owner is told at the end of the turn.
    pub fn close(&mut self, id: ConnId, how: CloseMode) {
        let conn = &mut self[id];
        if how == CloseMode::Reset {
            conn.reset_on_close(true);
        }
        if !std::mem::replace(&mut conn.closing, true) {
            self.closed.push(id);
        }
    }

    /// The next closed connection whose owner is to be told; then it is to be freed.
    pub fn next_closed(&mut self) -> Option<ConnId> {
        self.closed.pop()
    }

    /// Frees a closed connection's slot; its id will never be used again.
    pub fn free(&mut self, id: ConnId) -> Conn {
        debug_assert!(self[id].closing, "a connection is closed before it is freed");
        let mut conn = self.slab.remove(id.index as usize);
        debug_assert!(
            conn.outgoing.is_none() && conn.incoming.is_none(),
            "its owner ends the transfers of a closed connection"
        );
        self.load.end(&mut conn.counted);
        self.operators -= usize::from(conn.listener == ListenerKind::Admin);
        self.lingering -= usize::from(matches!(conn.role, Role::Http(Http::Lingering { .. })));
        conn
    }
}
