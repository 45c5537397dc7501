//! All connections: a slab whose ids carry generations, their timers, and the run queue.
//!
//! Closing only marks a connection. Slots are freed in one place after the run queue, where the
//! owner is notified once: so no call made inside a turn can invalidate an id held elsewhere, and
//! looking up an id cannot fail before its owner was notified.

use super::conn::{Conn, Flushed};
use super::id::{ConnId, TransferId};
use super::load::{ConnCounts, SharedCounts};
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

/// Maximum steps of TLS handshakes in one turn, before others have theirs: a signature takes up to a
/// millisecond.
const HANDSHAKES_PER_TURN: usize = 8;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseMode {
    /// After sending its output, with a FIN.
    Orderly,
    /// With a reset, so that its peer cannot mistake what it received for a complete response.
    Reset,
}

/// All connections.
#[derive(Debug)]
pub struct Conns {
    slab: Slab<Conn>,
    next_generation: u32,
    poll: mio::Registry,
    timers: Timers,
    /// The connections and transfers that wait for a turn.
    pub queue: RunQueue,
    /// Counts for the load limits.
    load: ConnCounts,
    /// Connections closed in this turn.
    closed: Vec<ConnId>,
    lingering: usize,
    /// How many TLS handshakes may still take a step in this turn.
    handshakes_left: usize,
    operators: usize,
}

impl Index<ConnId> for Conns {
    type Output = Conn;

    /// Returns the connection of an id that was not reported closed to its owner.
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
    /// Creates an empty set, watched by this instance of epoll.
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
            handshakes_left: HANDSHAKES_PER_TURN,
            operators: 0,
        }
    }

    /// Adds a new connection, registered once for both directions, edge-triggered.
    ///
    /// # Errors
    /// Returns the error of `epoll_ctl`(2).
    pub fn insert(
        &mut self,
        socket: Socket,
        peer: SocketAddr,
        listener: ListenerKind,
    ) -> std::io::Result<ConnId> {
        let id = self.register(&socket, listener)?;
        self.slab.insert(Conn::new(id, socket, peer, listener));
        Ok(id)
    }

    /// Registers the socket of the next connection; returns its id.
    fn register(&mut self, socket: &Socket, listener: ListenerKind) -> std::io::Result<ConnId> {
        let index = u32::try_from(self.slab.vacant_key()).map_err(std::io::Error::other)?;
        let id = ConnId { index, generation: self.next_generation };
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.register(&mut SourceFd(&socket.as_raw_fd()), id.token(), interest)?;
        self.next_generation = self.next_generation.checked_add(1).unwrap_or(1);
        self.operators += usize::from(listener == ListenerKind::Admin);
        Ok(id)
    }

    /// Marks a connection that leaves for another worker: its owner is not notified, and
    /// [`Conns::take_departing`] follows in this turn.
    pub fn depart(&mut self, id: ConnId) {
        let conn = &mut self[id];
        debug_assert!(!conn.closing, "a closed connection does not leave");
        debug_assert!(
            conn.outgoing.is_none() && conn.incoming.is_none(),
            "nor one that moves bytes"
        );
        conn.closing = true;
    }

    /// Removes a connection that departs.
    pub fn take_departing(&mut self, id: ConnId) -> Box<Conn> {
        let mut conn = Box::new(self.slab.remove(id.index as usize));
        debug_assert!(conn.id == id && conn.closing, "it was marked in this turn");
        // It fails only if it was not registered.
        let _ = self.poll.deregister(&mut SourceFd(&conn.socket.as_raw_fd()));
        self.load.end(&mut conn.counted);
        self.operators -= usize::from(conn.listener == ListenerKind::Admin);
        conn
    }

    /// Adds a connection that another worker accepted.
    ///
    /// # Errors
    /// Returns the error of `epoll_ctl`(2).
    pub fn arrive(&mut self, conn: Conn) -> std::io::Result<ConnId> {
        let id = self.register(&conn.socket, conn.listener)?;
        self.slab.insert(conn.renamed(id));
        Ok(id)
    }

    /// Returns the connection of an id that may be stale: one from an event, a task or a timer, or
    /// from outside the loop. `None` too if it is closed.
    pub fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slab.get_mut(id.index as usize).filter(|conn| conn.id == id && !conn.closing)
    }

    /// Returns two open connections.
    pub fn pair(&mut self, one: ConnId, other: ConnId) -> (&mut Conn, &mut Conn) {
        let pair = self.slab.get2_mut(one.index as usize, other.index as usize);
        let pair = pair.filter(|(first, second)| first.id == one && second.id == other);
        pair.unwrap_or_else(|| panic!("{one:?} or {other:?} was freed, and its owner notified"))
    }

    /// Iterates over all that are not closed.
    pub fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.slab.iter().map(|(_, conn)| conn).filter(|conn| !conn.closing)
    }

    /// Iterates over all, including those that wait to be freed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.slab.iter_mut().map(|(_, conn)| conn)
    }

    /// Returns the number of connections, operators' excepted.
    pub fn clients(&self) -> usize {
        self.slab.len() - self.operators
    }

    /// Returns the number of operators' connections.
    pub fn operators(&self) -> usize {
        self.operators
    }

    /// Returns the number of connections served, excluding lingering and operators' ones.
    pub fn served(&self) -> usize {
        self.clients().saturating_sub(self.lingering)
    }

    /// Returns the number of lingering connections.
    pub fn lingering(&self) -> usize {
        self.lingering
    }

    /// Returns the number of requests whose response has not ended.
    pub fn requests(&self) -> usize {
        self.load.requests()
    }

    /// Returns the number of TLS handshakes.
    pub fn handshaking(&self) -> usize {
        self.load.handshaking()
    }

    /// Shares the counts by address with all workers.
    pub fn share_counts(&mut self, counts: &SharedCounts) {
        self.load.share(counts);
    }

    /// Counts the request of a connection; whether it may be served (`max`: 0 = no limit).
    pub fn begin_request(&mut self, id: ConnId, max: usize) -> bool {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a request is served while its connection is open");
        self.load.begin_request(&mut conn.counted, max)
    }

    /// Ends the request of a connection, if one was counted.
    pub fn end_request(&mut self, id: ConnId) {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a request is served while its connection is open");
        self.load.end_request(&mut conn.counted);
    }

    /// Counts a connection for its client's address; whether it may be served (`max`: 0 = no limit).
    pub fn begin_connection(&mut self, id: ConnId, max: usize) -> bool {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a connection is counted when its client is known");
        let client = conn.client().ip();
        self.load.begin_connection(&mut conn.counted, client, max)
    }

    /// Ends the request of a connection; another client may send the next one through the same
    /// proxy.
    pub fn end_forwarded(&mut self, id: ConnId) {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a request is served while its connection is open");
        if conn.extras.take_client() {
            self.load.end(&mut conn.counted);
        }
    }

    /// Begins the TLS handshake of a new connection; whether it may, with at most `max` at once.
    pub fn begin_handshake(&mut self, id: ConnId, max: usize) -> bool {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a handshake begins on an open connection");
        conn.role = Role::Http(Http::Handshake);
        self.load.begin_handshake(&mut conn.counted, conn.peer.ip(), max)
    }

    /// Whether a handshake may take a step in this turn.
    pub fn take_handshake_step(&mut self) -> bool {
        let may = self.handshakes_left > 0;
        self.handshakes_left -= usize::from(may);
        may
    }

    /// Ends the TLS handshake of a connection: requests follow.
    pub fn end_handshake(&mut self, id: ConnId) {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "a handshake ends while its connection is open");
        debug_assert_eq!(conn.role, Role::Http(Http::Handshake), "a handshake ends once");
        conn.role = Role::Http(Http::Head);
        self.load.end_handshake(&mut conn.counted);
    }

    /// Begins lingering with a connection that was answered.
    pub fn begin_lingering(&mut self, id: ConnId, discard_left: u32) {
        let conn = &mut self.slab[id.index as usize];
        debug_assert_eq!(conn.id, id, "an answered connection exists until it is freed");
        conn.role = Role::Http(Http::Lingering { discard_left });
        conn.carry = Vec::new();
        self.load.end(&mut conn.counted);
        self.lingering += 1;
    }

    /// Latches an event of a connection's socket, and returns the transfers it concerns.
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

    /// Puts a connection that used up its share of a turn in the run queue, after those with
    /// something new.
    pub fn requeue(&mut self, id: ConnId) {
        let conn = &mut self[id];
        if !conn.queued && !conn.closing {
            conn.queued = true;
            self.queue.push_spent(Task::Conn(id));
        }
    }

    /// Begins a connection's turn: returns it, unless it was closed since.
    pub fn take_turn(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.get(id)?;
        conn.queued = false;
        Some(conn)
    }

    /// Writes a connection's pending output.
    pub fn flush(&mut self, id: ConnId) -> Flushed {
        self[id].flush()
    }

    /// Writes a connection's pending output; closes it if its socket fails.
    pub fn flush_or_close(&mut self, id: ConnId) {
        if self.flush(id) == Flushed::Failed {
            self.close(id, CloseMode::Orderly);
        }
    }

    /// Sets when its owner is to check a connection again, whatever happens before; `None`: never.
    pub fn set_deadline(&mut self, id: ConnId, deadline: Option<Instant>) {
        let conn = &mut self[id];
        conn.deadline = deadline;
        let Some(deadline) = deadline else { return };
        if conn.timer_at.is_none_or(|at| at > deadline) {
            conn.timer_at = Some(deadline);
            self.timers.push(deadline, id);
        }
    }

    /// Returns when its owner is to check a connection; `None`: never.
    pub fn deadline(&self, id: ConnId) -> Option<Instant> {
        self[id].deadline
    }

    /// Begins a turn: deadlines set before it may expire in it.
    pub fn begin_turn(&mut self) {
        self.timers.begin_turn();
        self.handshakes_left = HANDSHAKES_PER_TURN;
    }

    /// Returns the next connection whose deadline has passed, once for each deadline.
    pub fn pop_due(&mut self, now: Instant) -> Option<ConnId> {
        while let Some((at, id)) = self.timers.pop(now) {
            // The entry is stale if its connection closed or has an earlier entry.
            let Some(conn) = self.get(id).filter(|conn| conn.timer_at == Some(at)) else {
                continue;
            };
            conn.timer_at = None;
            match conn.deadline {
                Some(deadline) if deadline <= now => {
                    conn.deadline = None;
                    return Some(id);
                }
                // The deadline was extended by an assignment; the timers are updated only now.
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

    /// Returns when [`Conns::pop_due`] has something next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Closes a connection by marking it. Its owner is notified at the end of the turn.
    pub fn close(&mut self, id: ConnId, how: CloseMode) {
        let conn = &mut self[id];
        match how {
            CloseMode::Reset => _ = conn.reset_on_close(true),
            CloseMode::Orderly => conn.discard_last(),
        }
        if !std::mem::replace(&mut conn.closing, true) {
            self.closed.push(id);
        }
    }

    /// Returns the next closed connection whose owner is to be notified; then it is to be freed.
    pub fn next_closed(&mut self) -> Option<ConnId> {
        self.closed.pop()
    }

    /// Frees a closed connection's slot; its id will never be reused.
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
