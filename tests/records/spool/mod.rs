//! Spools of killed processes, on a full disk, and on a failing one: every record whose append
//! returned exists once and complete, and no other bytes are in the way.
//!
//! Each test starts a process: an ignored test of this program, which finds its spool's directory
//! in its environment. strace(1) must be installed and permitted to trace.

mod killed;
mod records;
mod refused;
mod synced;
