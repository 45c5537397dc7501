//! Turns requests into records on the event loop, without blocking. A body is collected in memory,
//! or on disk if it is too large or memory is short.

use super::accept_rules::{AcceptRules, JsonParts, Kind, unsigned};
use super::direct::DirectDelivery;
use super::envelope::{Envelope, Payload, TAIL};
use super::line::{Body, LineTail, OutgoingLine};
use super::queue::Queue;
use super::spill_thread::SpillThread;
use super::worker_handle::{WorkerCommand, WorkerHandle};
use crate::api::{Busy, Failure};
use crate::connector::signature::Check;
use crate::connector::spill::SpilledContent;
use crate::relay::{Demand, Incoming, Intake, PushDecision, Pushed, RequestToken};
use crate::rendezvous::Now;
use std::borrow::Cow;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes of a body written to disk at once.
const SPILL_BYTES: usize = 256 << 10;

/// State shared by all requests.
#[derive(Debug)]
struct Shared {
    rules: AcceptRules,
    outlet: Outlet,
    spill: SpillThread,
    /// Maximum size of a body in memory, in bytes.
    memory_body: usize,
    /// Maximum size of all incoming bodies in memory, in bytes.
    memory: usize,
    held: Cell<usize>,
}

/// Accepts requests.
#[derive(Debug)]
pub struct RequestReader(Rc<Shared>);

/// Where records go.
#[derive(Debug)]
pub struct Outlet {
    /// The queue of new records.
    pub queue: Arc<Queue>,
    /// The thread that writes to the output.
    pub writer: Arc<WorkerHandle>,
    /// Delivery from the event loop, if enabled.
    pub direct: Option<DirectDelivery>,
}

/// Memory limits for incoming bodies.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    /// Bytes of one body.
    pub body: usize,
    /// Bytes of all bodies together.
    pub all: usize,
}

impl RequestReader {
    /// Creates a reader with these rules, for this outlet.
    pub fn new(
        rules: AcceptRules,
        outlet: Outlet,
        spill: SpillThread,
        limits: MemoryLimits,
    ) -> Self {
        let (memory_body, memory) = (limits.body, limits.all);
        let held = Cell::new(0);
        Self(Rc::new(Shared { rules, outlet, spill, memory_body, memory, held }))
    }
}

impl Intake for RequestReader {
    fn path(&self, path: &str) -> (bool, bool) {
        (self.0.rules.takes(path), self.0.rules.compat)
    }

    fn body_max(&self) -> usize {
        self.0.rules.body_max
    }

    fn begin(&mut self, pushed: &Pushed<'_, '_, '_>) -> Result<Box<dyn Incoming>, Failure> {
        let check = self.0.rules.admit(pushed)?;
        // A body that is already buffered can be refused once it is read, and its connection stays
        // open.
        if !pushed.body_is_here
            && let Some(busy) = self.0.outlet.queue.refusal()
        {
            return Err(Failure::TooBusy(busy));
        }
        Ok(Box::new(Request {
            envelope: Envelope::of(pushed, &self.0.rules.headers),
            key: self.0.rules.key_of_head(pushed.head),
            kind: self.0.rules.kind(pushed.head)?,
            peer: pushed.peer,
            check,
            collected: Vec::new(),
            spilled: None,
            shared: Rc::clone(&self.0),
        }))
    }

    fn turned(&mut self) {
        let queue = &self.0.outlet.queue;
        if !queue.has_new() {
            return;
        }
        // If the thread is busy, it takes new lines by itself.
        let Some(Ok(mut delivery)) = self.0.outlet.direct.as_ref().map(|shared| shared.try_lock())
        else {
            return queue.wake();
        };
        queue.be_quiet(true);
        let covered = delivery.flush_records();
        queue.be_quiet(false);
        if !covered {
            queue.work().poke();
        }
    }

    fn verdicts(&mut self) -> Vec<(RequestToken, PushDecision)> {
        self.0.outlet.queue.verdicts()
    }

    fn reopen(&mut self) {
        self.0.outlet.writer.request_reopen();
    }

    fn give_up(&mut self) {
        self.0.outlet.queue.work().give(WorkerCommand::GiveUp);
    }

    fn is_over(&self) -> bool {
        self.0.outlet.queue.is_over()
    }
}

/// An incoming request.
#[derive(Debug)]
struct Request {
    envelope: Envelope,
    key: Cow<'static, [u8]>,
    kind: Kind,
    peer: SocketAddr,
    check: Option<Check>,
    /// Bytes in memory; counted in [`Shared::held`].
    collected: Vec<u8>,
    spilled: Option<Arc<SpilledContent>>,
    shared: Rc<Shared>,
}

impl Incoming for Request {
    fn take(&mut self, ticket: RequestToken, bytes: &[u8]) -> Result<Demand, Failure> {
        if let Some(check) = &mut self.check {
            check.update(bytes);
        }
        self.collected.extend_from_slice(bytes);
        let held = self.shared.held.get() + bytes.len();
        self.shared.held.set(held);
        let short = held > self.shared.memory;
        match self.kind {
            // JSON must be parsed as one piece.
            Kind::Json(_) if short => Err(Failure::TooBusy(Busy::Records)),
            Kind::Json(_) => Ok(Demand::More),
            Kind::Raw if self.is_small_enough(short) => Ok(Demand::More),
            Kind::Raw => self.put_on_disk(ticket),
        }
    }

    fn end(mut self: Box<Self>, ticket: RequestToken, now: Now) -> Result<(), Failure> {
        if let Some(check) = self.check.take() {
            check.finish().map_err(unsigned)?;
        }
        let bytes = self.give_memory_back();
        match self.spilled.take() {
            Some(spilled) => {
                self.end_on_disk(ticket, spilled, now, bytes);
                Ok(())
            }
            None => self.end_in_memory(ticket, now, &bytes),
        }
    }

    fn whole(
        mut self: Box<Self>,
        ticket: RequestToken,
        now: Now,
        body: &[u8],
    ) -> Result<(), Failure> {
        if let Some(mut check) = self.check.take() {
            check.update(body);
            check.finish().map_err(unsigned)?;
        }
        self.end_in_memory(ticket, now, body)
    }

    fn aborted(self: Box<Self>, failure: &Failure) {
        log::error!("read body: {} (from {})", failure.message(), self.peer);
    }
}

impl Request {
    fn is_small_enough(&self, short: bool) -> bool {
        let begun = self.spilled.is_some();
        let most = if begun { SPILL_BYTES } else { self.shared.memory_body };
        self.collected.len() <= most && !short
    }

    fn give_memory_back(&mut self) -> Vec<u8> {
        let collected = std::mem::take(&mut self.collected);
        self.shared.held.set(self.shared.held.get().saturating_sub(collected.len()));
        collected
    }

    fn put_on_disk(&mut self, ticket: RequestToken) -> Result<Demand, Failure> {
        let spilled = match &self.spilled {
            Some(spilled) => Arc::clone(spilled),
            None => self.shared.spill.open().map_err(|error| {
                log::error!("a large body could not be kept: {error}");
                Failure::TooBusy(Busy::Storage)
            })?,
        };
        self.spilled = Some(Arc::clone(&spilled));
        let bytes = self.give_memory_back();
        self.shared.spill.append(ticket, &spilled, bytes);
        Ok(Demand::Later)
    }

    fn end_in_memory(
        &mut self,
        ticket: RequestToken,
        now: Now,
        body: &[u8],
    ) -> Result<(), Failure> {
        let JsonParts { payload, key } = match self.kind {
            Kind::Json(coding) => self.shared.rules.read_json(body, coding)?,
            Kind::Raw => JsonParts::default(),
        };
        let key = key.map_or_else(|| std::mem::take(&mut self.key), Cow::Owned);
        let payload = payload.as_deref().map_or(Payload::Raw(body), Payload::Json);
        let make = |position, mut head| {
            self.envelope.write((position, &key, now), payload, &mut head);
            OutgoingLine { ticket: Some(ticket), position, head, rest: None }
        };
        self.shared.outlet.queue.push(now.wall_ms, make).map_err(Failure::TooBusy)
    }

    /// Writes the last bytes to disk, and then adds the record to the queue.
    fn end_on_disk(
        &mut self,
        ticket: RequestToken,
        spilled: Arc<SpilledContent>,
        now: Now,
        bytes: Vec<u8>,
    ) {
        let (envelope, key) = (std::mem::take(&mut self.envelope), std::mem::take(&mut self.key));
        let queue = Arc::clone(&self.shared.outlet.queue);
        let last = Box::new(move |spilled: Arc<SpilledContent>| {
            let make = |position, _| {
                let head = envelope.opened(position, &key, now);
                let rest = LineTail { body: Body::Encoded(spilled), tail: TAIL };
                OutgoingLine { ticket: Some(ticket), position, head, rest: Some(rest) }
            };
            match queue.push(now.wall_ms, make) {
                Ok(()) => queue.wake(),
                Err(busy) => queue.refuse(ticket, busy),
            }
        });
        self.shared.spill.finish(ticket, spilled, bytes, last);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.give_memory_back();
    }
}
