//! What takes records in, as the event loop sees it: from outside the loop, and without blocking it.

use crate::api::Failure;
use crate::http::head::RequestHead;
use crate::relay::io::ConnId;
use crate::rendezvous::Now;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Names a request that waits for its outcome; never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestToken {
    pub(super) conn: ConnId,
    /// Which request of all, for a connection may have begun another one since.
    pub(super) number: u64,
}

/// What becomes of a request, decided outside the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushDecision {
    /// It is a record now, at this position: 201.
    Created(Uuid),
    /// It did not become one.
    Refused(Failure),
    /// More of its body can be taken.
    GoOn,
}

/// Whether more of a body can be taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// It can.
    More,
    /// Not before [`PushDecision::GoOn`].
    Later,
}

/// What is known of a request before its body.
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
    /// Whether all of its body came with its head.
    pub body_is_here: bool,
}

/// Takes in what is pushed. It is called by the loop, so nothing here may block.
pub trait Intake: fmt::Debug {
    /// Whether requests may be pushed to this path; and whether other methods are answered as if
    /// there were no such path.
    fn path(&self, path: &str) -> (bool, bool);

    /// Bytes that a body may have.
    fn body_max(&self) -> usize;

    /// A request begins.
    ///
    /// # Errors
    /// Why it is refused before its body is read.
    fn begin(&mut self, pushed: &Pushed<'_, '_, '_>) -> Result<Box<dyn Incoming>, Failure>;

    /// A turn of the loop ends: what began in it can be gone on with.
    fn turned(&mut self);

    /// What was decided since the last call.
    fn verdicts(&mut self) -> Vec<(RequestToken, PushDecision)>;

    /// No time is left: what was not handed over must not be any more, and its senders are to be
    /// answered.
    fn give_up(&mut self);

    /// Whether the loop is to end by itself, as after a signal that has it drain.
    fn is_over(&self) -> bool;
}

/// A body on its way in.
pub trait Incoming: fmt::Debug {
    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// Why it is refused.
    fn take(&mut self, ticket: RequestToken, bytes: &[u8]) -> Result<Demand, Failure>;

    /// The body is complete; its outcome comes with the verdicts.
    ///
    /// # Errors
    /// Why it is refused.
    fn end(self: Box<Self>, ticket: RequestToken, now: Now) -> Result<(), Failure>;

    /// The body is complete, and this is all of it; nothing was taken before.
    ///
    /// # Errors
    /// Why it is refused.
    fn whole(self: Box<Self>, ticket: RequestToken, now: Now, body: &[u8]) -> Result<(), Failure>;

    /// The body will never be complete, for this reason.
    fn aborted(self: Box<Self>, failure: &Failure);
}

/// Has the loop ask its [`Intake`] for verdicts, from any thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    pub(crate) fn new(waker: Arc<mio::Waker>) -> Self {
        Self(waker)
    }

    /// Wakes the loop.
    pub fn wake(&self) {
        // A loop that has ended asks for nothing.
        let _ = self.0.wake();
    }
}

#[cfg(test)]
impl Waker {
    /// One that wakes no loop.
    pub(crate) fn of_no_loop() -> std::io::Result<Self> {
        let poll = mio::Poll::new()?;
        Ok(Self(Arc::new(mio::Waker::new(poll.registry(), mio::Token(0))?)))
    }
}
