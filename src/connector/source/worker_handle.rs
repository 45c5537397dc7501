//! What a thread is told: that there is something to do, and whether to go on.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};

/// What the thread is told besides its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkerCommand {
    /// Hand over what comes.
    Go,
    /// Nothing more will come: end when everything is handed over.
    Finish,
    /// Refuse what was not handed over, and end.
    GiveUp,
}

/// Wakes one thread, and tells it what to do from now on.
#[derive(Debug)]
pub struct WorkerHandle {
    event: EventFd,
    order: AtomicU8,
}

impl WorkerHandle {
    /// Nothing to do yet.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let event = EventFd::from_value_and_flags(0, flags)?;
        Ok(Self { event, order: AtomicU8::new(WorkerCommand::Go as u8) })
    }

    /// There is something to do.
    pub fn poke(&self) {
        // Only a counter at its end refuses, and then the thread is awake.
        let _ = self.event.write(1);
    }

    /// Tells the thread what to do; an order is never taken back.
    pub fn give(&self, order: WorkerCommand) {
        self.order.fetch_max(order as u8, Ordering::SeqCst);
        self.poke();
    }

    /// What it is to do.
    pub fn order(&self) -> WorkerCommand {
        match self.order.load(Ordering::SeqCst) {
            0 => WorkerCommand::Go,
            1 => WorkerCommand::Finish,
            _ => WorkerCommand::GiveUp,
        }
    }

    /// Waits until there is something to do.
    pub fn wait(&self) {
        // A signal, or anything else that ends it early, has the thread look once in vain.
        let _ = poll(&mut [PollFd::new(self.event(), PollFlags::POLLIN)], PollTimeout::NONE);
        self.rest();
    }

    /// Becomes readable when there is something to do.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// What made [`event`](Self::event) readable is being looked at.
    pub fn rest(&self) {
        // Nothing is lost if there was nothing.
        let _ = self.event.read();
    }
}
