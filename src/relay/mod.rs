//! The event loop and everything that touches a socket. It moves bytes and reports; what they mean
//! is decided in the modules below. Imports point downwards only, from floor to floor:
//!
//! | floor | folder | holds |
//! |---|---|---|
//! | 5 | `event_loop` | one turn; the only file that knows all services |
//! | 4 | `streams`, `agents`, `intake`, `admin`, `pages` | services: each owns its state, and none knows another |
//! | 3 | `transfers` | bytes from one connection to another, until they are finished |
//! | 2 | `http1` | one request in, one response out, and what follows |
//! | 1 | `io` | connections, ids, deadlines, the run queue, the journal |
//! | | `process` | beside the loop: listeners, descriptors, signals, reload, hand-over, shutdown |

mod admin;
mod agents;
mod event_loop;
mod http1;
mod intake;
mod io;
mod pages;
mod process;
mod streams;
mod transfers;

#[cfg(feature = "fuzzing")]
pub(crate) use self::{
    agents::{Agent, AgentListing, EventBatches, FrameBudget, HEAD_READ_BYTES, Sessions},
    http1::{JsonArray, JsonBody, answer::Streamed},
    io::{ConnId, OnFlushed, Output, RunQueue, Task},
    process::ACCEPTS_PER_TURN,
    streams::{Shown, StreamListing, Subscriber},
    transfers::TransferBudget,
};
pub use event_loop::{EventLoop, serve};
pub use intake::{Demand, Incoming, Intake, PushDecision, Pushed, RequestToken, Waker};
pub use process::doctor;
pub use streams::{Notification, Notifier};
