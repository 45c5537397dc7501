//! Socket options and queries the standard library does not know.

use nix::libc;
use nix::setsockopt_impl;
use nix::sys::socket::{setsockopt, sockopt::SetUsize};
use std::os::fd::AsFd;

#[derive(Clone, Copy)]
struct ReceiveLowWater;
setsockopt_impl!(ReceiveLowWater, libc::SOL_SOCKET, libc::SO_RCVLOWAT, usize, SetUsize);

/// Wakes nobody before so many bytes are there to read, or the end (`SO_RCVLOWAT`, socket(7)).
/// Lowering it signals at once what is there.
pub fn set_receive_low_water(socket: &impl AsFd, bytes: u32) {
    // A refusal costs batching, not bytes.
    let _ = setsockopt(socket, ReceiveLowWater, &(bytes as usize));
}

/// How many received bytes nobody has read yet (`SIOCINQ`, tcp(7)).
pub fn unread_bytes(socket: &impl AsFd) -> u64 {
    rustix::io::ioctl_fionread(socket).unwrap_or(0)
}
