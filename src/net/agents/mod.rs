//! APIs that nobody can dial: agents open a WebSocket to the relay, and calls of their APIs go
//! through it, or over spare connections that they bring.
//!
//! | file | act |
//! |---|---|
//! | `attach.rs` | a WebSocket is opened, and its agent introduces itself |
//! | `agent.rs`, `names.rs` | who it is, and whose its name is |
//! | `turn.rs` | what comes from an agent, and what goes to it |
//! | `call.rs`, `returning.rs` | a client's request through the WebSocket, and the answer to it |
//! | `spare.rs`, `carry.rs` | the same on a spare connection, where the kernel moves the bytes |
//! | `asking.rs` | an agent's request to the relay's own API |
//! | `watching.rs` | who is connected, and who comes and goes |

mod agent;
mod asking;
mod attach;
mod call;
mod carry;
mod names;
mod returning;
mod spare;
mod turn;
mod watching;

pub(super) use agent::Agent;
pub(super) use asking::Asking;
pub(super) use call::Call;
pub(super) use carry::{Carried, Errand};
pub(super) use spare::Spare;
pub(super) use watching::Watcher;

use super::conn::Phase;
use super::relay::Relay;
use super::token::ConnId;
use crate::api::Callee;
use names::Names;
use std::collections::HashMap;
use uuid::Uuid;

/// All agents that have introduced themselves.
#[derive(Debug, Default)]
pub(super) struct Agents {
    connections: HashMap<Uuid, ConnId>,
    names: Names,
    /// How many there are, whether they have introduced themselves or not.
    open: usize,
    watchers: Vec<ConnId>,
}

impl Relay {
    /// The agent on this connection.
    fn agent(&mut self, id: ConnId) -> Option<&mut Agent> {
        if let Phase::Agent(agent) = &mut self.conn(id)?.phase { Some(agent) } else { None }
    }

    /// The connection of the agent that is called.
    fn callee(&mut self, callee: Callee<'_>) -> Option<ConnId> {
        let connection = match callee {
            Callee::Connection(connection) => connection?,
            Callee::Name(name) => self.agents.names.holder(name)?,
        };
        let id = *self.agents.connections.get(&connection)?;
        self.agent(id)?.is_here().then_some(id)
    }
}
