//! Moves bytes between sockets, and between sockets and files: through a pipe, inside the kernel,
//! or through user memory. Each call here is one system call; callers decide what it means for a
//! transfer.

pub mod copy;
pub mod file;
pub mod pipe;
pub mod pool;

use nix::errno::Errno;

/// Congestion control for peers on this machine, where there is no link to share (`TCP_CONGESTION`,
/// tcp(7)). The usual ones would pace (bbr: a timer for each 64 KiB, 2 to 3 times the CPU, charged
/// to any task that runs where it fires) or guess at queues; this one is built into every kernel
/// and allowed to every user (`tcp_allowed_congestion_control`).
pub const UNPACED: &[u8] = b"reno";

/// Retries a system call that a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
