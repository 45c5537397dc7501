//! Transfers whose destinations are blocked while their pipes hold bytes. When no pipe is free, one
//! is freed whose destination has been blocked longest: its bytes continue in user memory.

use super::read_ahead::READ_AHEAD_MAX;
use super::{HELD_MAX, Transfers};
use crate::relay::io::{Io, TransferId};
use crate::rendezvous::transfer::{FILL_MAX, Loss};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A destination blocked for less than this probably accepts more soon: moving its bytes would cost
/// as much as copying those of another transfer.
const STALLED: Duration = Duration::from_millis(100);

/// Transfers that blocked with bytes in a pipe, each at most once. Those that moved on since are
/// skipped.
pub(super) type Blocked = VecDeque<TransferId>;

impl Transfers {
    /// Whether no pipe is free, nor can be freed: other transfers are copied.
    pub fn is_out_of_pipes(&self) -> bool {
        self.pool.is_exhausted() && (self.blocked.is_empty() || !self.may_hold_more())
    }

    /// Whether the bytes of one more transfer's pipes fit in user memory.
    fn may_hold_more(&self) -> bool {
        self.held + FILL_MAX + READ_AHEAD_MAX <= HELD_MAX
    }

    /// Notes that a transfer's destination is blocked while its pipe holds bytes.
    pub(super) fn note_blocked(&mut self, id: TransferId) {
        let (_, exchange) = &mut self.slab[id.index as usize];
        if exchange.pipe.is_some() && exchange.listed.is_none() {
            exchange.listed = Some(exchange.moved_at);
            self.blocked.push_back(id);
        }
    }

    /// Frees a pipe for a transfer that needs one while none is left.
    pub(super) fn free_a_pipe_for(&mut self, io: &mut Io, id: TransferId) {
        let needy = self.get(id).is_some_and(|it| it.pipe.is_none() && it.transfer.splices());
        if needy
            && self.pool.is_exhausted()
            && self.may_hold_more()
            && let Some(stalled) = self.longest_blocked(io.now.monotonic)
        {
            self.move_to_memory(io, stalled);
        }
    }

    /// Removes the transfer from the queue whose destination has been blocked longest.
    fn longest_blocked(&mut self, now: Instant) -> Option<TransferId> {
        for _ in 0..self.blocked.len() {
            let id = self.blocked.pop_front()?;
            let Some(exchange) = self.get(id) else { continue };
            let (since, moved_at) = (exchange.listed.take(), exchange.moved_at);
            if since != Some(moved_at) {
                self.note_blocked(id);
            } else if now.saturating_duration_since(moved_at) >= STALLED {
                return exchange.pipe.is_some().then_some(id);
            } else {
                exchange.listed = since;
                self.blocked.push_front(id);
                return None;
            }
        }
        None
    }

    /// Moves the bytes in a transfer's pipes to user memory.
    fn move_to_memory(&mut self, io: &mut Io, id: TransferId) {
        let (_, exchange) = &mut self.slab[id.index as usize];
        if exchange.empty_pipes(&mut io.conns[exchange.source]).is_err() {
            exchange.transfer.destination_gone(Loss::Failed);
            return self.enqueue(io, id);
        }
        exchange.give_pipes_back(&mut self.pool);
        self.count(id);
    }
}
