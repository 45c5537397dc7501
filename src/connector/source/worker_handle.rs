//! Wakes a thread, and passes commands to it.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Command to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkerCommand {
    /// Deliver records as they are received.
    Go,
    /// No more records will follow: end once all are delivered.
    Finish,
    /// Refuse undelivered records, and end.
    GiveUp,
}

/// Handle that wakes one thread, and passes commands to it.
#[derive(Debug)]
pub struct WorkerHandle {
    event: EventFd,
    order: AtomicU8,
    /// Whether the thread is to open its file again.
    reopen: AtomicBool,
}

impl WorkerHandle {
    /// Creates a handle without work.
    ///
    /// # Errors
    /// Errors of eventfd(2).
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let event = EventFd::from_value_and_flags(0, flags)?;
        let order = AtomicU8::new(WorkerCommand::Go as u8);
        Ok(Self { event, order, reopen: AtomicBool::new(false) })
    }

    /// Signals that there is work.
    pub fn poke(&self) {
        // This fails only if the counter is full, and then the thread is awake.
        let _ = self.event.write(1);
    }

    /// Passes a command to the thread; it cannot be revoked.
    pub fn give(&self, order: WorkerCommand) {
        self.order.fetch_max(order as u8, Ordering::SeqCst);
        self.poke();
    }

    /// Requests that the thread opens its file again.
    pub fn request_reopen(&self) {
        self.reopen.store(true, Ordering::SeqCst);
        self.poke();
    }

    /// Whether that was requested since the last call.
    pub fn takes_reopen_request(&self) -> bool {
        self.reopen.swap(false, Ordering::SeqCst)
    }

    /// Returns the current command.
    pub fn order(&self) -> WorkerCommand {
        match self.order.load(Ordering::SeqCst) {
            0 => WorkerCommand::Go,
            1 => WorkerCommand::Finish,
            _ => WorkerCommand::GiveUp,
        }
    }

    /// Waits until there is work.
    pub fn wait(&self) {
        // A signal, or another early return, only makes the thread check once in vain.
        let _ = poll(&mut [PollFd::new(self.event(), PollFlags::POLLIN)], PollTimeout::NONE);
        self.rest();
    }

    /// Returns a descriptor that is readable while there is work.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Clears [`event`](Self::event).
    pub fn rest(&self) {
        // Nothing is lost if it was clear.
        let _ = self.event.read();
    }
}
