//! Connections that leave for another worker while they belong to the agents: an agent whose name
//! belongs there, and a reader of the list.

use super::agent::Agent;
use super::listing::AgentListing;
use crate::mux::handshake::Metadata;
use crate::relay::io::ConnId;

/// What a connection takes along.
#[derive(Debug)]
pub enum AgentCargo {
    /// An agent, which introduces itself with this at the other worker.
    Introduction(Box<Agent>, Metadata),
    /// The list, to be continued with the agents of the other worker.
    Listing(AgentListing),
}

/// A connection that leaves, and the worker that serves it from now on.
#[derive(Debug)]
pub struct AgentDeparture {
    /// The connection.
    pub id: ConnId,
    /// The worker.
    pub to: u8,
    /// What it takes along.
    pub cargo: AgentCargo,
}
