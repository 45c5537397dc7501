//! System calls that fail: whatever the kernel says, transfers end honestly, the relay lives on,
//! nothing leaks, and nobody gets a stranger's bytes.
//!
//! The faults are made by strace(1), which has to be installed and allowed to trace.

mod accept;
mod descriptors;
mod injected;
mod io;
#[path = "../support/mod.rs"]
mod support;
mod transfer;
