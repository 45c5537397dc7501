//! The consumer of records as the event loop sees it: outside the loop, and not blocking it.

use crate::api::Failure;
use crate::http::head::RequestHead;
use crate::relay::io::ConnId;
use crate::rendezvous::Now;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Identifies a request that waits for its outcome; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestToken {
    pub(super) conn: ConnId,
    /// The request's number, for its connection may have begun another one since.
    pub(super) number: u64,
}

/// The outcome of a request, decided outside the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushDecision {
    /// It is now a record at this position: 201.
    Created(Uuid),
    /// It did not become a record, and never will.
    Refused(Failure),
    /// It may be found as a record later, although it could not be stored: no answer is true.
    Unknown,
    /// More of its body can be taken.
    GoOn,
}

/// Whether more of a body can be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// It can.
    More,
    /// Not before [`PushDecision::GoOn`].
    Later,
}

/// The known part of a request before its body.
#[derive(Debug)]
pub struct Pushed<'r, 'h, 'b> {
    /// Its head.
    pub head: &'r RequestHead<'h, 'b>,
    /// Its sender.
    pub peer: SocketAddr,
    /// Its id, if requests have ids.
    pub request_id: Option<&'r str>,
    /// When its head was read.
    pub now: Now,
    /// Whether its complete body was received with its head.
    pub body_is_here: bool,
}

/// Takes in pushed requests. It is called by the loop, so nothing here may block.
pub trait Intake: fmt::Debug {
    /// Returns whether requests may be pushed to this path, and whether other methods are answered
    /// as for an unknown path.
    fn path(&self, path: &str) -> (bool, bool);

    /// Returns the maximum body size in bytes.
    fn body_max(&self) -> usize;

    /// Begins a request.
    ///
    /// # Errors
    /// Returns why it is refused before its body is read.
    fn begin(&mut self, pushed: &Pushed<'_, '_, '_>) -> Result<Box<dyn Incoming>, Failure>;

    /// Ends a turn of the loop: what began in it can continue.
    fn turned(&mut self);

    /// Returns the decisions since the last call.
    fn verdicts(&mut self) -> Vec<(RequestToken, PushDecision)>;

    /// Opens its files again, after a rotation.
    fn reopen(&mut self);

    /// Gives up: what was not handed over must not be any more, and its senders are to be answered.
    fn give_up(&mut self);

    /// Whether the loop is to end by itself, as after a signal to drain.
    fn is_over(&self) -> bool;
}

/// A body being received.
pub trait Incoming: fmt::Debug {
    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// Returns why it is refused.
    fn take(&mut self, ticket: RequestToken, bytes: &[u8]) -> Result<Demand, Failure>;

    /// Ends the complete body; its outcome is returned with the verdicts.
    ///
    /// # Errors
    /// Returns why it is refused.
    fn end(self: Box<Self>, ticket: RequestToken, now: Now) -> Result<(), Failure>;

    /// Takes the complete body at once; nothing was taken before.
    ///
    /// # Errors
    /// Returns why it is refused.
    fn whole(self: Box<Self>, ticket: RequestToken, now: Now, body: &[u8]) -> Result<(), Failure>;

    /// Ends a body that will never be complete, for this reason.
    fn aborted(self: Box<Self>, failure: &Failure);
}

/// Wakes the loop, so that it polls its [`Intake`] for verdicts, from any thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    pub(crate) fn new(waker: Arc<mio::Waker>) -> Self {
        Self(waker)
    }

    /// Wakes the loop.
    pub fn wake(&self) {
        // A loop that has ended needs no waking.
        let _ = self.0.wake();
    }
}

#[cfg(test)]
impl Waker {
    /// Returns a waker that wakes no loop.
    pub(crate) fn of_no_loop() -> std::io::Result<Self> {
        let poll = mio::Poll::new()?;
        Ok(Self(Arc::new(mio::Waker::new(poll.registry(), mio::Token(0))?)))
    }
}
