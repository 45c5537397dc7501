//! Threads besides the event loop. Only the event loop receives signals.

use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread that receives no signals. It inherits its signal mask; if it set the mask
/// itself, a signal meant for the loop could end the process before that.
///
/// # Errors
/// If the thread cannot be created.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    before.thread_set_mask()?;
    thread
}
