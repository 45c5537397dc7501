//! Failing system calls: whichever call fails, transfers end correctly, the relay keeps running, no
//! resource leaks, and no client receives bytes of another.
//!
//! The faults are injected by strace(1), which must be installed and permitted to trace.

mod accept;
mod delimited;
mod descriptors;
#[allow(dead_code, unused_imports, reason = "the rest of it belongs to the soak test")]
#[path = "../soak/exchange/mod.rs"]
mod exchange;
mod injected;
mod io;
mod matrix;
mod process;
mod random;
#[path = "../support/mod.rs"]
mod support;
mod transfer;
