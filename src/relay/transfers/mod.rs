//! Floor 3: transfers. Each moves bytes from one connection to another until it is over; then it is
//! returned to the caller as [`Finished`]. Nothing here calls the owner of a transfer.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | all transfers: begin, drive, end; pacing, batching, stalling |
//! | `exchange` | one transfer, its owner, and how it ended |
//! | `stalled` | freeing pipes whose destinations are blocked |
//! | `acked` | waiting for the acknowledgement of the destination's TCP |
//! | `step`, `budget` | one system call at a time, as many as a turn affords |
//! | `read_ahead` | a batch of a chunked upload, before it is parsed |
//! | `meter`, `tcp_info` | how fast it is, and what limits its pace |

mod acked;
mod budget;
mod exchange;
mod meter;
mod read_ahead;
mod stalled;
mod step;
mod tcp_info;

pub use exchange::{Begin, Finished, Owner, Progress, feed_prefix};

use crate::relay::io::{Io, Task, TransferId, sockopt};
use crate::rendezvous::TransferOutcome;
use crate::rendezvous::bottleneck::{Bottleneck, WaitingOn};
use crate::rendezvous::transfer::Loss;
use crate::splice::pool::Pool;
pub use budget::TransferBudget;
use exchange::Exchange;
use slab::Slab;
use stalled::Blocked;
use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Instant;
use step::{TransferContext, TurnEnd};

/// While blocked destinations hold more than this in user memory, in total, copied reads are small,
/// so that each can add little to it, and the bytes in pipes stay there.
const HELD_MAX: usize = 64 << 20;

/// The result of a transfer's turn.
#[derive(Debug)]
pub struct TurnResult {
    /// Its owner.
    pub owner: Owner,
    /// Total body bytes handed to the destination so far; `None`: unchanged.
    pub transferred: Option<u64>,
    /// What limits its pace, if it was judged in this turn.
    pub bottleneck: Option<Box<Bottleneck>>,
    /// Set if it is over.
    pub finished: Option<Finished>,
}

/// All running transfers.
#[derive(Debug)]
pub struct Transfers {
    slab: Slab<(TransferId, Exchange)>,
    next_generation: NonZeroU32,
    /// Bytes all transfers hold in user memory.
    held: usize,
    /// Transfers whose bytes are gathered by the kernel.
    bulk: usize,
    /// Pipes that are lent while bytes are in flight.
    pub pool: Pool,
    blocked: Blocked,
    pieces: Vec<Range<usize>>,
}

impl Transfers {
    /// Creates an empty set, with these pipes.
    pub fn new(pool: Pool) -> Self {
        Self {
            slab: Slab::new(),
            next_generation: NonZeroU32::MIN,
            held: 0,
            bulk: 0,
            pool,
            blocked: Blocked::new(),
            pieces: Vec::new(),
        }
    }

    /// Returns the number of running transfers.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns how many bytes they hold in user memory.
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// Whether any bulk transfer is running.
    pub fn any_bulk(&self) -> bool {
        self.bulk > 0
    }

    /// Begins a transfer; it is driven in this turn.
    pub fn begin(&mut self, io: &mut Io, begin: Begin) -> TransferId {
        let entry = self.slab.vacant_entry();
        #[allow(clippy::cast_possible_truncation, reason = "bounded by the number of descriptors")]
        let id = TransferId { index: entry.key() as u32, generation: self.next_generation };
        self.next_generation = self.next_generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let (source, destination) = io.conns.pair(begin.source, begin.destination);
        debug_assert!(source.outgoing.is_none(), "one transfer takes from a connection");
        debug_assert!(destination.incoming.is_none(), "one transfer brings to a connection");
        (source.outgoing, destination.incoming) = (Some(id), Some(id));
        let source = begin.source;
        entry.insert((id, Exchange::new(begin, io.now.monotonic)));
        io.set_timeout(source, io.settings.idle_timeout);
        io.conns.queue.push_begun(id);
        id
    }

    /// Joins the two directions of an upgraded connection.
    pub fn join(&mut self, one: TransferId, other: TransferId) {
        for (id, twin) in [(one, other), (other, one)] {
            let exchange = self.get(id);
            debug_assert!(exchange.is_some(), "both directions are running");
            if let Some(exchange) = exchange {
                exchange.twin = Some(twin);
            }
        }
    }

    /// Returns when a byte of a transfer last moved, or of its other direction.
    fn moved_at(&mut self, id: TransferId) -> Instant {
        let (_, exchange) = &self.slab[id.index as usize];
        let (twin, moved_at) = (exchange.twin, exchange.moved_at);
        let other = twin.and_then(|twin| self.get(twin)).map(|twin| twin.moved_at);
        other.map_or(moved_at, |other| other.max(moved_at))
    }

    /// Returns the transfer of an id that may be stale: one from an event, a task or a timer.
    fn get(&mut self, id: TransferId) -> Option<&mut Exchange> {
        let (its, exchange) = self.slab.get_mut(id.index as usize)?;
        (*its == id).then_some(exchange)
    }

    /// Returns how far a running transfer is.
    pub fn progress(&self, io: &Io, id: TransferId) -> Progress {
        let (its, exchange) = &self.slab[id.index as usize];
        debug_assert_eq!(*its, id, "the transfer is running");
        exchange.progress(&io.conns[exchange.source])
    }

    /// Puts a transfer in the run queue.
    pub fn enqueue(&mut self, io: &mut Io, id: TransferId) {
        if let Some(exchange) = self.get(id)
            && !std::mem::replace(&mut exchange.queued, true)
        {
            io.conns.queue.push(Task::Transfer(id));
        }
    }

    /// Runs one turn of a transfer; `None`: it is over already.
    pub fn drive(&mut self, io: &mut Io, id: TransferId) -> Option<TurnResult> {
        let now = io.now.monotonic;
        self.free_a_pipe_for(io, id);
        let Self { slab, pool, pieces, held, bulk, .. } = self;
        let (_, exchange) = slab.get_mut(id.index as usize).filter(|(its, _)| *its == id)?;
        exchange.queued = false;
        if exchange.awaits_ack() {
            let (owner, finished) = (exchange.owner, self.check_ack(io, id));
            return Some(TurnResult { owner, transferred: None, bottleneck: None, finished });
        }
        let destination = exchange.destination;
        if !exchange.transfer.head_started() && io.conns[destination].peer_ended() {
            // Nothing is read for a destination that has left: its own turn reports that. A FIN
            // received with its request raises no further event.
            io.conns.enqueue(destination);
            return None;
        }
        exchange.keep_pace(now);
        exchange.batching.share(*bulk);
        let mut scratch = io.scratch.lend();
        let budget = TransferBudget::of(io.conns.queue.share(), *held < HELD_MAX);
        let (source, destination) = io.conns.pair(exchange.source, exchange.destination);
        let scratch_bytes = &mut scratch;
        let mut tools =
            TransferContext { source, destination, pool, scratch: scratch_bytes, pieces, budget };
        let before = exchange.transfer.transferred();
        let spliced_before = exchange.transfer.spliced();
        let turn = exchange.turn(&mut tools);
        exchange.give_pipes_back(tools.pool);
        exchange.unsent = tools.destination.unsent_bytes();
        io.scratch.put_back(scratch);
        let after = exchange.transfer.transferred();
        if after > before {
            exchange.moved_at = now;
            let spliced = exchange.transfer.spliced() - spliced_before;
            io.journal.metrics.relayed(after - before, spliced);
        }
        let waits_for = match turn {
            TurnEnd::Blocked(on) => Some(on),
            TurnEnd::Over(_) if exchange.needs_ack() => Some(WaitingOn::Destination),
            TurnEnd::Over(_) | TurnEnd::BudgetSpent => None,
        };
        let due = exchange.meter.turn(now, after > before, waits_for);
        let owner = exchange.owner;
        self.count(id);
        let over = matches!(turn, TurnEnd::Over(_));
        let judged = matches!(owner, Owner::Stream(_)) && (due || over);
        let bottleneck = if judged { self.update_if(io, id, over) } else { None };
        let finished = match turn {
            TurnEnd::Over(TransferOutcome::Complete)
                if self.slab[id.index as usize].1.needs_ack() =>
            {
                self.await_ack(io, id);
                self.check_ack(io, id)
            }
            TurnEnd::Over(outcome) => Some(self.end(io, id, outcome)),
            TurnEnd::BudgetSpent => {
                self.slab[id.index as usize].1.queued = true;
                io.conns.queue.push_spent(Task::Transfer(id));
                None
            }
            TurnEnd::Blocked(_) => {
                self.note_blocked(id);
                self.arm_timer(io, id);
                None
            }
        };
        Some(TurnResult {
            owner,
            transferred: (after > before).then_some(after),
            bottleneck,
            finished,
        })
    }

    /// Updates the totals over all transfers.
    fn count(&mut self, id: TransferId) {
        let (_, exchange) = &mut self.slab[id.index as usize];
        let held =
            std::mem::replace(&mut exchange.held, exchange.transfer.held() + exchange.unsent);
        let bulk = std::mem::replace(&mut exchange.bulk, exchange.batching.is_set());
        self.held = self.held + exchange.held - held;
        self.bulk = self.bulk + usize::from(exchange.bulk) - usize::from(bulk);
    }

    /// Sets the deadline of a waiting transfer. A pause for its pace ends with the timer. While the
    /// kernel gathers its source's bytes, the timer ensures that none stay unread when the flow
    /// slackens. Otherwise nothing may move for at most `idle-timeout`.
    fn arm_timer(&mut self, io: &mut Io, id: TransferId) {
        let moved_at = self.moved_at(id);
        let (_, exchange) = &self.slab[id.index as usize];
        let deadline = if let Some(until) = exchange.paused_until {
            Some(until)
        } else if exchange.batching.is_set() {
            io.now.monotonic.checked_add(exchange.batching.look_interval())
        } else {
            moved_at.checked_add(io.settings.idle_timeout)
        };
        io.conns.set_deadline(exchange.source, deadline);
    }

    /// Handles a transfer's deadline: its pause ended, its flow slackened, or it stalled.
    pub fn timeout(&mut self, io: &mut Io, id: TransferId) -> Option<Finished> {
        let now = io.now.monotonic;
        let (_, exchange) = &mut self.slab[id.index as usize];
        if exchange.awaits_ack() {
            return self.check_ack(io, id);
        }
        if exchange.paused_until.is_some() {
            self.enqueue(io, id);
            return None;
        }
        if exchange.batching.is_set() {
            exchange.look(&io.conns[exchange.source], now);
            self.count(id);
            self.arm_timer(io, id);
            return None;
        }
        let destination = exchange.destination;
        let idle = now.saturating_duration_since(self.moved_at(id));
        if idle < io.settings.idle_timeout {
            self.arm_timer(io, id);
            return None;
        }
        // The blame is on a destination that takes nothing, or else on the source.
        let takes = io.conns[destination].writable;
        let outcome = if takes {
            TransferOutcome::SourceGone(Loss::Stalled)
        } else {
            TransferOutcome::DestinationGone(Loss::Stalled)
        };
        Some(self.end(io, id, outcome))
    }

    /// Ends a running transfer, whatever its pipe holds. Its source is an ordinary connection
    /// again.
    pub fn end(&mut self, io: &mut Io, id: TransferId, outcome: TransferOutcome) -> Finished {
        debug_assert_eq!(self.slab[id.index as usize].0, id, "a transfer ends once");
        let (_, mut exchange) = self.slab.remove(id.index as usize);
        exchange.drop_pipes(&mut self.pool);
        self.held -= exchange.held;
        self.bulk -= usize::from(exchange.bulk);
        let duration = io.now.monotonic.saturating_duration_since(exchange.began_at);
        io.journal.metrics.transferred(duration);
        let (source, destination) = io.conns.pair(exchange.source, exchange.destination);
        (source.outgoing, destination.incoming) = (None, None);
        if exchange.batching.is_set() {
            // Further bytes from the source are wanted at once, however few.
            sockopt::set_receive_low_water(&source.socket, 1);
        }
        if let Some(twin) = exchange.twin.and_then(|twin| self.get(twin)) {
            // A FIN passed on is activity, too.
            twin.moved_at = io.now.monotonic;
        }
        exchange.finish(outcome)
    }

    /// Judges a transfer, unless that was done within the last second.
    pub fn update_if_stale(&mut self, io: &Io, id: TransferId) -> Option<Box<Bottleneck>> {
        let now = io.now.monotonic;
        self.get(id).filter(|exchange| exchange.meter.is_stale(now))?;
        self.update_if(io, id, false)
    }

    /// Judges a transfer; a finished one only if it ran long enough.
    fn update_if(&mut self, io: &Io, id: TransferId, over: bool) -> Option<Box<Bottleneck>> {
        let now = io.now.monotonic;
        let (_, exchange) = &mut self.slab[id.index as usize];
        if over && !exchange.meter.is_ripe(now) {
            return None;
        }
        let (source, destination) = (&io.conns[exchange.source], &io.conns[exchange.destination]);
        exchange.meter.update(source, destination, now)
    }
}
