//! Socket options and queries missing from the standard library.

use nix::libc;
use nix::setsockopt_impl;
use nix::sys::socket::{setsockopt, sockopt::SetUsize};
use std::os::fd::AsFd;

#[derive(Clone, Copy)]
struct ReceiveLowWater;
setsockopt_impl!(ReceiveLowWater, libc::SOL_SOCKET, libc::SO_RCVLOWAT, usize, SetUsize);

/// Sets how many unread bytes, or the end, make the socket readable (`SO_RCVLOWAT`, socket(7)).
/// Lowering it signals bytes already received at once.
pub fn set_receive_low_water(socket: &impl AsFd, bytes: u32) {
    // If refused, batching is lost, but no bytes.
    let _ = setsockopt(socket, ReceiveLowWater, &(bytes as usize));
}

/// Returns how many received bytes are still unread (`SIOCINQ`, tcp(7)).
pub fn unread_bytes(socket: &impl AsFd) -> u64 {
    rustix::io::ioctl_fionread(socket).unwrap_or(0)
}
