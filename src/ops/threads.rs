//! Threads besides the event loop. Only the event loop receives signals.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::io;
use std::thread::{Builder, JoinHandle};

/// Blocks `SIGXFSZ` in this thread and those it starts, as it would end the process: a write beyond
/// the maximum size of files (setrlimit(2)) is an error, which is reported.
///
/// # Errors
/// The error of `pthread_sigmask`(3).
pub fn block_size_signal() -> io::Result<()> {
    Ok(SigSet::from(Signal::SIGXFSZ).thread_block()?)
}

/// Starts a thread that receives no signals. It inherits its signal mask; if it set the mask
/// itself, a signal meant for the loop could end the process before that.
///
/// # Errors
/// If the thread cannot be created.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    before.thread_set_mask()?;
    thread
}
