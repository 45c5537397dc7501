//! The commands for people and scripts at either end of a stream.

pub mod common;
pub mod exit;
pub(crate) mod interrupt;
pub mod pipe;
pub mod post;
pub mod receive;
pub mod reporter;
pub mod send;
pub mod settings;
pub mod status;

pub use exit::{Exit, Failure};
pub use pipe::Pipe;
pub use post::Post;
pub use receive::Receive;
pub use send::Send;
pub use status::{Cancel, Status};

use self::reporter::Reporter;

/// Runs an interruptible action, reports the result and returns the exit status.
pub(crate) fn watching(reporter: &Reporter, act: impl FnOnce() -> Result<(), Failure>) -> Exit {
    interrupt::watch(reporter);
    match act() {
        Ok(()) => Exit::Complete,
        Err(failure) => {
            reporter.failed(&failure);
            failure.exit
        }
    }
}
