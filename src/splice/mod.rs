//! Moving bytes between sockets, and between sockets and files: through a pipe, inside the kernel, or through user memory.
//! One call here is one system call; what it means for a transfer is decided elsewhere.

pub mod copy;
pub mod file;
pub mod pipe;
pub mod pool;

use nix::errno::Errno;

/// Retries a system call that a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
