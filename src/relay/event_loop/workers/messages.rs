//! What workers send to each other.

use crate::api::watch::Window;
use crate::http::head::KeptHead;
use crate::ops::Configuration;
use crate::ops::access_log::AccessLog;
use crate::relay::agents::AgentCargo;
use crate::relay::event_loop::watching::Shown;
use crate::relay::io::{Conn, ServingMode, Slot};
use crate::relay::process::ShutdownMode;
use crate::relay::streams::StreamCargo;
use std::sync::mpsc::Sender;

/// What a worker sends to another one.
#[derive(Debug)]
pub(in crate::relay::event_loop) enum Message {
    /// A connection that it serves from now on, and what the connection takes along.
    Connection(Box<Conn>, Cargo),
    /// Events of agents, for the subscribers at the first worker.
    AgentEvents(Vec<u8>),
    /// The first worker shows this window to a subscriber.
    ShowRows(Slot, Window),
    /// What one worker has for it.
    Rows(Slot, Shown),
    /// The first worker needs current figures for this request.
    Publish(u64),
    /// One worker has published them.
    Published(u64),
    /// A worker has nothing left to do before it ends.
    Done,
    /// An order of the first worker.
    Order(Order),
}

/// What a connection takes along.
#[derive(Debug)]
pub(in crate::relay::event_loop) enum Cargo {
    /// Its next request, whose head was parsed.
    Request(KeptHead),
    /// What belongs to the streams.
    Streams(StreamCargo),
    /// What belongs to the agents.
    Agents(AgentCargo),
}

/// An order of the first worker, which concerns the process.
#[derive(Debug)]
pub(in crate::relay::event_loop) enum Order {
    /// To take new streams, or none.
    Mode(ServingMode),
    /// To open files again.
    Reopen,
    /// To apply this configuration, with its access log.
    Reload(Box<(Configuration, Option<AccessLog>)>),
    /// To end.
    End(ShutdownMode),
    /// To end now: all workers are done.
    Finish,
    /// To give its waiting streams away, and to end with its last transfer.
    StepDown(Sender<String>),
    /// To take over these streams.
    Adopt(Vec<String>),
}
