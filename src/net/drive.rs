//! One transfer, one system call at a time: asks what the next step is, does it, reports. It stops
//! when a side is not ready, when its byte budget is used up, or when it is over.

use super::agents::Errand;
use super::conn::{Conn, PeerEnd, Phase};
use super::note::identify;
use super::relay::{Relay, Task};
use super::sampling::Meter;
use super::sockopt;
use super::token::ConnId;
use crate::api::Upload;
use crate::http::response::{CONTINUE, HeadWriter};
use crate::rendezvous::batching::{Batching, SLACK};
use crate::rendezvous::bottleneck::Awaited;
use crate::rendezvous::transfer::{COPY_MAX, COPY_SLOW, Delimiter, FILL_MAX, Loss};
use crate::rendezvous::{Pace, Ready, Side, Step, StreamKey, Transfer};
use crate::splice::copy::{self, Read, Write};
use crate::splice::pipe::{Drain, Fill, Pipe};
use crate::splice::pool::Pool;
use nix::errno::Errno;
use std::io::IoSlice;
use std::ops::Range;
use std::time::Instant;

/// Bytes one transfer may move before others have their turn.
const TURN_BYTES: usize = FILL_MAX;

/// While destinations that block hold more than this in user memory, all of them together, copied
/// reads are small, so that each can add little to it.
const HELD_MAX: usize = 64 << 20;

/// Reads of chunk framing are this long at most.
const FRAMING_BYTES: usize = 512;

/// Pieces of a copied read that go out as they lie; more and smaller ones are moved together first.
const PIECES_MAX: usize = 512;

/// A running transfer and the two connections it joins.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Tells it apart from others that had or will have its place.
    pub number: u64,
    pub errand: Errand,
    pub source: ConnId,
    pub destination: ConnId,
    pub delimiter: Delimiter,
    pub transfer: Transfer,
    /// The source's head, until a byte has been handed on: its destination may leave until then.
    pub upload: Option<Box<Upload>>,
    pipe: Option<Pipe>,
    batching: Batching,
    pace: Option<Pace>,
    /// The source has bytes that are left with it until then, because it is too fast.
    paused_until: Option<Instant>,
    queued: bool,
    /// When a byte moved last.
    pub moved_at: Instant,
    /// When both sides were there.
    pub began_at: Instant,
    /// Bytes in user memory, as counted in [`Relay::held`].
    pub held: usize,
    /// As counted in [`Relay::bulk`].
    pub bulk: bool,
    pub meter: Meter,
}

/// Why a turn of a transfer ended.
enum Turn {
    Over(crate::rendezvous::Outcome),
    Blocked(Awaited),
    BudgetSpent,
}

/// What a transfer works with besides its own state.
struct Tools<'r> {
    source: &'r mut Conn,
    destination: &'r mut Conn,
    pool: &'r mut Pool,
    scratch: &'r mut [u8],
    pieces: &'r mut Vec<Range<usize>>,
    /// Most bytes one copied read may take.
    copy_max: usize,
}

impl Relay {
    /// Both sides are here: the transfer begins.
    pub(super) fn begin(
        &mut self,
        stream: StreamKey,
        source: ConnId,
        destination: ConnId,
        mut upload: Box<Upload>,
    ) {
        let Some(conn) = self.conn(destination) else { return };
        let reply = conn.reply;
        let delimiter = upload.delimiter(reply.version);
        if delimiter == Delimiter::Close {
            conn.look_broken_until_whole();
        }
        let closes = delimiter == Delimiter::Close || !reply.after.keeps_alive();
        let mut head = Vec::with_capacity(512);
        let writer = HeadWriter::new(&mut head, 200, &self.date);
        let note = self.conns[destination.index as usize].note.as_deref();
        let writer = identify(writer, self.request_ids.as_ref(), note);
        let headers = self.registry.stream(stream).headers();
        upload.download_fields(writer, delimiter, headers).connection(!closes, reply.version).end();
        let splice = !self.settings.no_splice;
        let mut transfer = upload.transfer(delimiter, head, splice, self.stream_bytes_max());
        self.feed_prefix(source, upload.expects_continue, &mut transfer);
        self.metrics.paired(self.registry.stream(stream).waited(self.now.monotonic));

        let sides = (source, destination);
        let (place, number) =
            self.insert_exchange(Errand::Stream(stream), sides, delimiter, transfer);
        if let Some(exchange) = self.exchanges.get_mut(place) {
            exchange.upload = Some(upload);
        }
        for (id, side) in [(source, Side::Source), (destination, Side::Destination)] {
            self.clear_deadline(id);
            if let Some(conn) = self.conn(id) {
                conn.phase = Phase::Streaming { side, exchange: place };
            }
        }
        self.set_deadline(source, self.settings.idle_timeout);
        self.flush(source);
        if self.conn(destination).is_some_and(|conn| conn.peer_end > PeerEnd::Open) {
            // Its FIN came with its request, and no event will tell of it again.
            self.enqueue(destination);
        } else {
            self.drive(place, number);
        }
    }

    /// Takes a transfer in; returns its place and its number there. `sides`: source, destination.
    pub(super) fn insert_exchange(
        &mut self,
        errand: Errand,
        (source, destination): (ConnId, ConnId),
        delimiter: Delimiter,
        transfer: Transfer,
    ) -> (usize, u64) {
        let number = self.next_exchange;
        self.next_exchange += 1;
        let speed = if let Errand::Stream(_) = errand { self.pace() } else { None };
        let place = self.exchanges.insert(Exchange {
            number,
            errand,
            source,
            destination,
            delimiter,
            transfer,
            upload: None,
            pipe: None,
            batching: Batching::default(),
            pace: speed,
            paused_until: None,
            queued: false,
            moved_at: self.now.monotonic,
            began_at: self.now.monotonic,
            held: 0,
            bulk: false,
            meter: Meter::new(self.now.monotonic),
        });
        (place, number)
    }

    /// Takes a transfer out, whatever its pipe holds.
    pub(super) fn take_exchange(&mut self, place: usize) -> Option<Exchange> {
        let mut exchange = self.exchanges.try_remove(place)?;
        exchange.drop_pipe(&mut self.pool);
        self.discount(&exchange);
        Some(exchange)
    }

    /// The bytes of the body that came with the upload's head; if there were none, the invitation
    /// to send them.
    pub(super) fn feed_prefix(
        &mut self,
        source: ConnId,
        expects_continue: bool,
        transfer: &mut Transfer,
    ) {
        let Some(conn) = self.conn(source) else { return };
        let carry = std::mem::take(&mut conn.carry);
        if carry.is_empty() {
            let patient = expects_continue && sockopt::unread_bytes(&conn.socket) == 0;
            if patient && !transfer.upload_complete() {
                conn.output.buffer().extend_from_slice(CONTINUE);
            }
            return;
        }
        let mut pieces = Vec::new();
        let used = transfer.received(&carry, &mut pieces);
        transfer.keep(&carry, &pieces);
        if used < carry.len() {
            conn.carry = carry[used..].to_vec();
        }
    }

    /// Puts a transfer in the run queue.
    pub(super) fn enqueue_exchange(&mut self, place: usize) {
        if let Some(exchange) = self.exchanges.get_mut(place)
            && !exchange.queued
        {
            exchange.queued = true;
            self.run_queue.push_back(Task::Exchange(place, exchange.number));
        }
    }

    /// One turn of a transfer.
    pub(super) fn drive(&mut self, place: usize, number: u64) {
        let now = self.now.monotonic;
        let Some(exchange) = self.exchanges.get_mut(place).filter(|e| e.number == number) else {
            return;
        };
        exchange.queued = false;
        exchange.keep_pace(now);
        let (source, destination) = (exchange.source, exchange.destination);
        let Some((source, destination)) =
            self.conns.get2_mut(source.index as usize, destination.index as usize)
        else {
            return;
        };
        if destination.peer_end > PeerEnd::Open
            && !exchange.transfer.head_started()
            && matches!(exchange.errand, Errand::Stream(_))
        {
            // Nothing is read for a destination that has left: its own turn is about to say so.
            return;
        }
        let mut tools = Tools {
            source,
            destination,
            pool: &mut self.pool,
            scratch: &mut self.scratch,
            pieces: &mut self.pieces,
            copy_max: if self.held < HELD_MAX { COPY_MAX } else { COPY_SLOW },
        };
        let before = exchange.transfer.transferred();
        let spliced_before = exchange.transfer.spliced();
        let turn = exchange.turn(&mut tools);
        exchange.give_pipe_back(tools.pool);
        let after = exchange.transfer.transferred();
        if after > before {
            exchange.moved_at = now;
            exchange.upload = None;
            self.metrics.relayed(after - before, exchange.transfer.spliced() - spliced_before);
            if let Errand::Stream(stream) = exchange.errand {
                self.registry.transferred(stream, after);
            }
        }
        let errand = exchange.errand;
        let waits_for = if let Turn::Blocked(on) = turn { Some(on) } else { None };
        let due = exchange.meter.turn(now, after > before, waits_for);
        self.count(place);
        if due && matches!(errand, Errand::Stream(_)) {
            self.judge(place);
        }
        match turn {
            Turn::Over(outcome) => self.conclude(place, outcome),
            Turn::BudgetSpent => self.enqueue_exchange(place),
            Turn::Blocked(_) => self.watch_for_slack(place),
        }
    }

    /// Keeps the sums over all transfers.
    fn count(&mut self, place: usize) {
        let Some(exchange) = self.exchanges.get_mut(place) else { return };
        let held = std::mem::replace(&mut exchange.held, exchange.transfer.held());
        let bulk = std::mem::replace(&mut exchange.bulk, exchange.batching.is_set());
        self.held = self.held + exchange.held - held;
        self.bulk = self.bulk + usize::from(exchange.bulk) - usize::from(bulk);
    }

    /// A transfer is over: it counts no more.
    pub(super) fn discount(&mut self, exchange: &Exchange) {
        self.held -= exchange.held;
        self.bulk -= usize::from(exchange.bulk);
        let duration = self.now.monotonic.saturating_duration_since(exchange.began_at);
        self.metrics.transferred(duration);
    }

    /// A transfer waits. If it is for its pace, a timer ends it. While its source's bytes are
    /// gathered by the kernel, somebody has to see to it that none stay unseen when they slacken.
    fn watch_for_slack(&mut self, place: usize) {
        let Some(exchange) = self.exchanges.get(place) else { return };
        let patience = if let Some(until) = exchange.paused_until {
            until.saturating_duration_since(self.now.monotonic)
        } else if exchange.batches() {
            SLACK
        } else {
            let idle = self.now.monotonic.saturating_duration_since(exchange.moved_at);
            self.settings.idle_timeout.saturating_sub(idle)
        };
        self.set_deadline(exchange.source, patience);
    }

    /// The patience with a transfer is over: its pause ended, its flow slackened, or it stalled.
    pub(super) fn transfer_out_of_patience(&mut self, place: usize) {
        let Some(exchange) = self.exchanges.get_mut(place) else { return };
        if exchange.paused_until.is_some() {
            return self.enqueue_exchange(place);
        }
        if exchange.batching.is_set() {
            exchange.batching.slackened();
            let source = exchange.source;
            let change = exchange.batching.change(exchange.transfer.still_to_come());
            if let (Some(mark), Some(conn)) = (change, self.conn(source)) {
                sockopt::set_receive_low_water(&conn.socket, mark);
            }
            self.count(place);
            return self.watch_for_slack(place);
        }
        let idle = self.now.monotonic.saturating_duration_since(exchange.moved_at);
        if idle < self.settings.idle_timeout {
            return self.watch_for_slack(place);
        }
        self.stalled(place);
    }
}

impl Exchange {
    /// Steps until a side is not ready, the budget is spent, or it is over.
    fn turn(&mut self, tools: &mut Tools<'_>) -> Turn {
        let goal = self.transfer.transferred() + TURN_BYTES as u64;
        loop {
            let allowed = self.allowance();
            let ready = Ready {
                source: tools.source.readable && allowed > 0,
                destination: tools.destination.writable && tools.destination.output.is_empty(),
            };
            let step = self.transfer.next(ready).at_most(allowed);
            if step.takes() && self.transfer.transferred() >= goal {
                return Turn::BudgetSpent;
            }
            match step {
                Step::Done(outcome) => return Turn::Over(outcome),
                Step::Wait(side) => {
                    if side == Side::Source && tools.source.readable {
                        self.pause(tools.source);
                        return Turn::Blocked(Awaited::Rate);
                    }
                    return Turn::Blocked(side.into());
                }
                Step::Send { more } => self.send(tools, more),
                Step::Drain { bytes } => self.drain(tools, bytes),
                Step::Fill { max_bytes } => self.fill(tools, max_bytes),
                Step::ReadFraming { max_bytes } => self.read_framing(tools, max_bytes),
                Step::Copy { max_bytes } => self.copy(tools, max_bytes),
            }
        }
    }

    fn send(&mut self, tools: &mut Tools<'_>, more: bool) {
        match copy::write(&tools.destination.socket, self.transfer.ahead(), more) {
            Ok(Write::Moved(count)) => self.transfer.sent(count),
            Ok(Write::Blocked) => tools.destination.writable = false,
            Err(error) => self.transfer.destination_gone(loss(error)),
        }
    }

    fn drain(&mut self, tools: &mut Tools<'_>, bytes: usize) {
        let Some(pipe) = &self.pipe else {
            debug_assert!(false, "bytes in a pipe need a pipe");
            return self.transfer.destination_gone(Loss::Failed);
        };
        match pipe.drain(&tools.destination.socket, bytes) {
            Ok(Drain::Moved(count)) => self.transfer.drained(count),
            Ok(Drain::Blocked) => tools.destination.writable = false,
            Err(error) => self.transfer.destination_gone(loss(error)),
        }
    }

    /// Fills the pipe, borrowing one if need be; without one the bytes are copied.
    fn fill(&mut self, tools: &mut Tools<'_>, max_bytes: usize) {
        if self.pipe.is_none() {
            self.pipe = tools.pool.lend();
        }
        let Some(pipe) = &self.pipe else {
            return self.copy(tools, max_bytes);
        };
        match pipe.fill(&tools.source.socket, max_bytes) {
            Ok(Fill::Moved(count)) => {
                self.transfer.filled(count);
                self.batching.filled(count);
            }
            Ok(Fill::Blocked) if self.transfer.piped() > 0 => self.transfer.fill_blocked(),
            Ok(Fill::Blocked) => self.source_blocked(tools.source),
            Ok(Fill::Eof) => self.transfer.source_gone(Loss::Closed),
            Err(error) => self.transfer.source_gone(loss(error)),
        }
    }

    /// Reads the head of a chunk and what it cannot help reading with it.
    fn read_framing(&mut self, tools: &mut Tools<'_>, max_bytes: usize) {
        let mut buffer = [0; FRAMING_BYTES];
        let buffer = &mut buffer[..max_bytes.min(FRAMING_BYTES)];
        let Some(count) = self.read(tools.source, buffer) else { return };
        let mut pieces = Vec::new();
        let used = self.transfer.received(&buffer[..count], &mut pieces);
        self.transfer.keep(&buffer[..count], &pieces);
        tools.source.carry.extend_from_slice(&buffer[used..count]);
    }

    /// Reads into user memory and sends from there.
    fn copy(&mut self, tools: &mut Tools<'_>, max_bytes: usize) {
        let max_bytes = max_bytes.min(tools.copy_max);
        let Some(count) = self.read(tools.source, &mut tools.scratch[..max_bytes]) else { return };
        self.batching.filled(count);
        tools.pieces.clear();
        let used = self.transfer.received(&tools.scratch[..count], tools.pieces);
        tools.source.carry.extend_from_slice(&tools.scratch[used..count]);
        if count < max_bytes && self.transfer.upload_complete() {
            tools.source.drained_of_input();
        }
        if tools.pieces.len() > PIECES_MAX {
            move_together(tools.scratch, tools.pieces);
        }
        let body = tools.pieces.iter().map(Range::len).sum();
        if body == 0 {
            return;
        }
        self.transfer.announce(body);
        let mut slices = Vec::with_capacity(tools.pieces.len() + 1);
        slices.push(IoSlice::new(self.transfer.ahead()));
        slices.extend(tools.pieces.iter().map(|p| IoSlice::new(&tools.scratch[p.clone()])));
        let result = copy::gather(&tools.destination.socket, &slices);
        let sent = match result {
            Ok(Write::Moved(count)) => count,
            Ok(Write::Blocked) => {
                tools.destination.writable = false;
                0
            }
            Err(error) => {
                // The bytes in hand are kept: if they are the first ones, another destination may come.
                self.transfer.gathered(0, tools.scratch, tools.pieces);
                return self.transfer.destination_gone(loss(error));
            }
        };
        self.transfer.gathered(sent, tools.scratch, tools.pieces);
    }

    /// One read from the source; `None` when it gave nothing, which has been dealt with.
    fn read(&mut self, source: &mut Conn, buffer: &mut [u8]) -> Option<usize> {
        match copy::read(&source.socket, buffer) {
            Ok(Read::Moved(count)) => return Some(count),
            Ok(Read::Blocked) => self.source_blocked(source),
            Ok(Read::Eof) => self.transfer.source_gone(Loss::Closed),
            Err(error) => self.transfer.source_gone(loss(error)),
        }
        None
    }

    /// The source has nothing now: wait for an event, or for a batch if the flow is bulk.
    fn source_blocked(&mut self, source: &mut Conn) {
        source.readable = false;
        self.set_mark(source);
    }

    fn set_mark(&mut self, source: &Conn) {
        if let Some(mark) = self.batching.change(self.transfer.still_to_come()) {
            sockopt::set_receive_low_water(&source.socket, mark);
        }
    }

    /// A turn begins: what its pace allows is as of now. A pause that was ours is no idleness.
    fn keep_pace(&mut self, now: Instant) {
        if self.paused_until.take().is_some() {
            self.moved_at = now;
        }
        if let Some(pace) = &mut self.pace {
            pace.refill(self.transfer.taken(), now);
        }
    }

    /// How many bytes may be taken from the source now.
    fn allowance(&self) -> u64 {
        self.pace.as_ref().map_or(u64::MAX, |pace| pace.allowance(self.transfer.taken()))
    }

    /// The source has bytes and is too fast: they stay where they are, and TCP pushes back. It is
    /// no bulk flow then, whatever it was before: its next bytes are wanted at once.
    fn pause(&mut self, source: &Conn) {
        let Some(pace) = &self.pace else { return };
        self.paused_until = Some(pace.resumes_at(self.transfer.taken()));
        self.batching.slackened();
        self.set_mark(source);
    }

    /// Whether its source's bytes are gathered by the kernel.
    pub(super) fn batches(&self) -> bool {
        self.batching.is_set()
    }

    /// A pipe is lent only while bytes are in flight.
    fn give_pipe_back(&mut self, pool: &mut Pool) {
        if self.transfer.piped() == 0
            && let Some(pipe) = self.pipe.take()
        {
            pool.take_back(pipe, 0);
        }
    }

    /// Whatever the pipe holds is lost with it.
    pub(super) fn drop_pipe(&mut self, pool: &mut Pool) {
        if let Some(pipe) = self.pipe.take() {
            pool.take_back(pipe, self.transfer.piped());
        }
    }
}

/// How a connection was lost whose peer's end epoll told of.
pub(super) fn loss_of(conn: &Conn) -> Loss {
    match conn.socket.take_error() {
        Ok(Some(error)) => {
            error.raw_os_error().map_or(Loss::Failed, |raw| loss(Errno::from_raw(raw)))
        }
        Ok(None) => Loss::Closed,
        Err(_) => Loss::Failed,
    }
}

/// A reset and a broken pipe are how peers go away; anything else is a failure of the socket.
fn loss(error: Errno) -> Loss {
    let gone = [Errno::ECONNRESET, Errno::EPIPE].contains(&error);
    if gone { Loss::Closed } else { Loss::Failed }
}

/// Moves many small pieces to the front of the buffer, so that they are one.
fn move_together(bytes: &mut [u8], pieces: &mut Vec<Range<usize>>) {
    let mut end = 0;
    for piece in pieces.iter() {
        bytes.copy_within(piece.clone(), end);
        end += piece.len();
    }
    pieces.clear();
    pieces.push(0..end);
}
