//! Threads beside the event loop. Signals are the loop's: no other thread takes one.

use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread that takes no signals. It inherits the mask it is started with; one that set its own
/// would leave the kernel a moment to end the process with a signal meant for the loop.
///
/// # Errors
/// When there is no further thread.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    before.thread_set_mask()?;
    thread
}
