//! Spools whose process is killed, gets no room, or a disk that fails: what an append has returned
//! for is there, once and whole, and nothing else is in the way.
//!
//! Each test starts a process: an ignored test of this program, which finds its spool's directory
//! in its environment. strace(1) has to be installed and allowed to trace.

mod killed;
mod records;
mod refused;
mod synced;
