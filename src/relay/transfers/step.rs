//! The steps of a transfer, one system call at a time: determines the next step, performs it,
//! reports the result. It stops when a side is not ready, when its byte budget is used up, or when
//! it is over.

use super::budget::TransferBudget;
use super::exchange::Exchange;
use crate::relay::io::{Conn, sockopt};
use crate::rendezvous::bottleneck::WaitingOn;
use crate::rendezvous::transfer::Loss;
use crate::rendezvous::{Ready, Side, Step, TransferOutcome};
use crate::splice::copy::{Read, Write};
use crate::splice::pipe::{Drain, Fill};
use crate::splice::pool::Pool;
use nix::errno::Errno;
use std::io::IoSlice;
use std::ops::Range;
use std::time::Instant;

/// Maximum bytes per read of chunk framing.
const FRAMING_BYTES: usize = 512;

/// Maximum bytes of one fill while no other pipe is free and the destination is slow: if it stalls,
/// they are moved to user memory.
const FILL_SLOW: usize = 64 << 10;

/// Why a turn of a transfer ended.
pub(super) enum TurnEnd {
    /// It is over.
    Over(TransferOutcome),
    /// A side is not ready, or too fast.
    Blocked(WaitingOn),
    /// Its budget is spent: others have their turn.
    BudgetSpent,
}

/// What a transfer works with besides its own state.
pub(super) struct TransferContext<'r> {
    pub source: &'r mut Conn,
    pub destination: &'r mut Conn,
    pub pool: &'r mut Pool,
    pub scratch: &'r mut [u8],
    pub pieces: &'r mut Vec<Range<usize>>,
    /// The remaining share of this turn.
    pub budget: TransferBudget,
}

impl Exchange {
    /// Performs steps until a side is not ready, the budget is spent, or it is over.
    pub(super) fn turn(&mut self, tools: &mut TransferContext<'_>) -> TurnEnd {
        loop {
            // What was encrypted is sent before anything else, and before the transfer is over.
            match tools.destination.flush_encrypted() {
                Ok(true) => {}
                Ok(false) => return TurnEnd::Blocked(WaitingOn::Destination),
                Err(error) => self.transfer.destination_gone(loss(error)),
            }
            let allowed = self.allowance();
            let ready = Ready {
                source: (tools.source.readable && allowed > 0) || !self.read_ahead.is_empty(),
                destination: tools.destination.writable && tools.destination.output.is_empty(),
            };
            let step = self.transfer.next(ready).at_most(allowed);
            if step.takes() && tools.budget.is_spent() {
                return TurnEnd::BudgetSpent;
            }
            if !self.ensure_read_ahead(tools, step) {
                continue;
            }
            match step {
                Step::Done(TransferOutcome::Complete) if !tools.destination.is_settled() => {
                    return TurnEnd::Blocked(WaitingOn::Destination);
                }
                Step::Done(outcome) => return TurnEnd::Over(outcome),
                Step::Wait(side) => {
                    if side == Side::Source && tools.source.readable {
                        self.pause(tools.source);
                        return TurnEnd::Blocked(WaitingOn::Rate);
                    }
                    return TurnEnd::Blocked(side.into());
                }
                Step::Send { more } => self.send(tools, more),
                Step::Drain { bytes } => self.drain(tools, bytes),
                Step::Fill { max_bytes } => self.fill(tools, max_bytes),
                Step::ReadFraming { max_bytes } => self.read_framing(tools, max_bytes),
                Step::Copy { max_bytes } => self.copy(tools, max_bytes),
            }
        }
    }

    fn send(&mut self, tools: &mut TransferContext<'_>, more: bool) {
        match tools.destination.write(self.transfer.prefix(), more) {
            Ok(Write::Moved(count)) => self.transfer.sent(count),
            Ok(Write::Blocked) => tools.destination.writable = false,
            Err(error) => self.transfer.destination_gone(loss(error)),
        }
    }

    fn drain(&mut self, tools: &mut TransferContext<'_>, bytes: usize) {
        let Some(pipe) = &self.pipe else {
            debug_assert!(false, "bytes in a pipe need a pipe");
            return self.transfer.destination_gone(Loss::Failed);
        };
        match tools.destination.drain(pipe, bytes) {
            Ok(Drain::Moved(count)) => self.transfer.drained(count),
            Ok(Drain::Blocked) => tools.destination.writable = false,
            Err(error) => self.transfer.destination_gone(loss(error)),
        }
    }

    /// Fills the pipe, borrowing one if necessary; without one the bytes are copied. An empty pipe
    /// is not filled before the kernel has gathered a batch: the bytes of a source that is as fast
    /// as the relay would be moved in small pieces.
    fn fill(&mut self, tools: &mut TransferContext<'_>, max_bytes: usize) {
        let ahead = !self.read_ahead.is_empty();
        if !ahead && self.transfer.piped() == 0 && self.awaits_batch(tools.source) {
            return self.source_blocked(tools.source);
        }
        if self.pipe.is_none() {
            self.pipe = tools.pool.lend();
        }
        let Some(pipe) = &self.pipe else {
            return self.copy(tools, max_bytes);
        };
        let scarce = tools.pool.is_exhausted() && self.transfer.destination_is_slow();
        let max_bytes = if scarce { max_bytes.min(FILL_SLOW) } else { max_bytes };
        let result = self.read_ahead.fill(pipe, tools.source, max_bytes);
        match result {
            Ok(Fill::Blocked) if self.transfer.piped() > 0 => return self.transfer.fill_blocked(),
            // Neither pipe can block: one holds bytes, the other has room.
            Ok(Fill::Blocked) if ahead => return self.transfer.source_gone(Loss::Failed),
            Ok(_) | Err(_) => {}
        }
        let Some(count) = self.moved(tools.source, result) else { return };
        self.transfer.filled(count);
        if !ahead {
            tools.budget.spliced(count);
            self.batching.filled(count);
        }
    }

    /// Returns how many bytes a fill moved; `None` if it moved none, which has been handled.
    pub(super) fn moved(
        &mut self,
        source: &mut Conn,
        result: Result<Fill, Errno>,
    ) -> Option<usize> {
        match result {
            Ok(Fill::Moved(count)) => return Some(count),
            Ok(Fill::Blocked) => self.source_blocked(source),
            Ok(Fill::Eof) => self.transfer.source_ended(),
            Err(error) => self.transfer.source_gone(loss(error)),
        }
        None
    }

    /// Reads the head of a chunk and the bytes inevitably read with it.
    fn read_framing(&mut self, tools: &mut TransferContext<'_>, max_bytes: usize) {
        let mut buffer = [0; FRAMING_BYTES];
        let buffer = &mut buffer[..max_bytes.min(FRAMING_BYTES)];
        let Some(count) = self.read(tools.source, buffer) else { return };
        tools.budget.framing();
        let mut pieces = Vec::new();
        let used = self.transfer.received(&buffer[..count], &mut pieces);
        self.transfer.keep(&buffer[..count], &pieces);
        tools.source.carry.extend_from_slice(&buffer[used..count]);
        self.return_read_ahead(tools.source);
    }

    /// Reads into user memory and sends from there.
    fn copy(&mut self, tools: &mut TransferContext<'_>, max_bytes: usize) {
        let max_bytes = max_bytes.min(tools.budget.copy_max(&self.transfer, self.small_chunks));
        let ahead = !self.read_ahead.is_empty();
        let Some(count) = self.read(tools.source, &mut tools.scratch[..max_bytes]) else { return };
        if !ahead {
            self.batching.filled(count);
        }
        tools.pieces.clear();
        let used = self.transfer.received(&tools.scratch[..count], tools.pieces);
        tools.source.carry.extend_from_slice(&tools.scratch[used..count]);
        if ahead {
            self.return_read_ahead(tools.source);
        } else if count < max_bytes && self.transfer.upload_complete() {
            tools.source.drained_of_input();
        }
        self.small_chunks = tools.budget.copied(count, tools.pieces.len());
        if self.small_chunks {
            move_together(tools.scratch, tools.pieces);
        }
        let body = tools.pieces.iter().map(Range::len).sum();
        if body == 0 {
            return;
        }
        self.transfer.announce(body);
        let mut slices = Vec::with_capacity(tools.pieces.len() + 1);
        slices.push(IoSlice::new(self.transfer.prefix()));
        slices.extend(tools.pieces.iter().map(|p| IoSlice::new(&tools.scratch[p.clone()])));
        let result = tools.destination.gather(&slices);
        let sent = match result {
            Ok(Write::Moved(count)) => count,
            Ok(Write::Blocked) => {
                tools.destination.writable = false;
                0
            }
            Err(error) => {
                // The bytes in hand are kept: if they are the first ones, another destination may
                // connect.
                self.transfer.gathered(0, tools.scratch, tools.pieces);
                return self.transfer.destination_gone(loss(error));
            }
        };
        self.transfer.gathered(sent, tools.scratch, tools.pieces);
        if tools.destination.unsent_bytes() > 0 {
            self.transfer.slow_down();
        }
    }

    /// Reads once from the source; `None` if it returned nothing, which has been handled.
    fn read(&mut self, source: &mut Conn, buffer: &mut [u8]) -> Option<usize> {
        match self.read_ahead.read(source, buffer) {
            Ok(Read::Moved(count)) => return Some(count),
            Ok(Read::Blocked) => self.source_blocked(source),
            Ok(Read::Eof) => self.transfer.source_ended(),
            Err(error) => self.transfer.source_gone(loss(error)),
        }
        None
    }

    /// Handles a source that has nothing now: waits for an event, or for a batch if the flow is
    /// bulk.
    fn source_blocked(&mut self, source: &mut Conn) {
        source.readable = false;
        set_mark(source, self.batching.blocked(self.still_in_socket(source)));
    }

    /// Returns the remaining body bytes that will arrive in the source's socket, if known.
    fn still_in_socket(&self, source: &Conn) -> Option<u64> {
        if !source.is_gatherable() {
            // What the kernel has decrypted does not count for the mark.
            return Some(1);
        }
        let held = source.held_input() as u64;
        self.transfer.still_to_come().map(|bytes| bytes.saturating_sub(held))
    }

    /// Whether the source has less than a batch now, and may still send the rest.
    pub(super) fn awaits_batch(&self, source: &Conn) -> bool {
        let wanted = self.batching.wanted(self.still_in_socket(source));
        wanted > 1 && !source.peer_ended() && sockopt::unread_bytes(&source.socket) < wanted
    }

    /// Looks how many bytes the kernel has gathered; if too few, all are wanted at once.
    pub(super) fn look(&mut self, source: &Conn, now: Instant) {
        let waited = now.saturating_duration_since(self.moved_at);
        // Those of a readable source wait for the destination, not for the mark.
        let unread = if source.readable { 0 } else { sockopt::unread_bytes(&source.socket) };
        set_mark(source, self.batching.looked(unread, waited));
    }

    /// Handles a flow that is not bulk now: every byte is wanted at once.
    pub(super) fn stop_gathering(&mut self, source: &Conn) {
        set_mark(source, self.batching.reset());
    }

    /// Begins a turn: refills the allowance of its pace. A pause of ours does not count as idle
    /// time.
    pub(super) fn keep_pace(&mut self, now: Instant) {
        if self.paused_until.take().is_some() {
            self.moved_at = now;
        }
        if let Some(pace) = &mut self.pace {
            pace.refill(self.transfer.taken(), now);
        }
    }

    /// Returns how many bytes may be taken from the source now.
    fn allowance(&self) -> u64 {
        self.pace.as_ref().map_or(u64::MAX, |pace| pace.allowance(self.transfer.taken()))
    }

    /// Pauses a source that is too fast: its bytes stay in its socket, and TCP pushes back. It is
    /// not a bulk flow then, whatever it was before: its next bytes are wanted at once.
    fn pause(&mut self, source: &Conn) {
        let Some(pace) = &self.pace else { return };
        self.paused_until = Some(pace.resumes_at(self.transfer.taken()));
        self.stop_gathering(source);
    }
}

fn set_mark(source: &Conn, mark: Option<u32>) {
    if let Some(mark) = mark {
        sockopt::set_receive_low_water(&source.socket, mark);
    }
}

/// Returns how a connection was lost whose peer's end was reported by epoll.
pub fn loss_of(conn: &Conn) -> Loss {
    match conn.socket.take_error() {
        Ok(Some(error)) => {
            error.raw_os_error().map_or(Loss::Failed, |raw| loss(Errno::from_raw(raw)))
        }
        Ok(None) => Loss::Closed,
        Err(_) => Loss::Failed,
    }
}

/// Classifies an error: a reset and a broken pipe mean that the peer left; anything else is a
/// failure of the socket.
fn loss(error: Errno) -> Loss {
    let closed = [Errno::ECONNRESET, Errno::EPIPE].contains(&error);
    if closed { Loss::Closed } else { Loss::Failed }
}

/// Moves many small pieces to the front of the buffer, so that they are contiguous.
fn move_together(bytes: &mut [u8], pieces: &mut Vec<Range<usize>>) {
    let mut end = 0;
    for piece in pieces.iter() {
        bytes.copy_within(piece.clone(), end);
        end += piece.len();
    }
    pieces.clear();
    pieces.push(0..end);
}
