//! What a connection is to the agents, as its role encodes it: the kind of its state, and the slot
//! of that. So no part of the service needs to know the states of the others.

use crate::relay::io::{ConnId, Http, Io, Role, Slot};

/// Kinds that a slot can encode: the rest of its 32 bits is enough for 2^29 of each.
const KINDS: usize = 8;

/// What a connection is, and the slot of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AgentRole {
    /// The WebSocket of an agent.
    Agent(Slot),
    /// A client whose request goes through a WebSocket.
    Call(Slot),
    /// A tunnel, idle or with a call.
    Tunnel(Slot),
    /// The client of the call that goes through this tunnel.
    Caller(Slot),
    /// A connection to the relay's own API, for one request of an agent.
    ApiRequest(Slot),
    /// A reader of the list of agents.
    Listing(Slot),
    /// A subscriber to their events.
    Subscriber(Slot),
}

impl AgentRole {
    /// Decodes the role that [`Role::Agents`] carries.
    pub fn of(slot: Slot) -> Self {
        let state = Slot::new(slot.key() / KINDS);
        match slot.key() % KINDS {
            0 => Self::Agent(state),
            1 => Self::Call(state),
            2 => Self::Tunnel(state),
            3 => Self::Caller(state),
            4 => Self::ApiRequest(state),
            5 => Self::Listing(state),
            6 => Self::Subscriber(state),
            kind => unreachable!("no role has kind {kind}"),
        }
    }

    /// Returns the connection role that encodes it.
    fn role(self) -> Role {
        let (kind, state) = match self {
            Self::Agent(state) => (0, state),
            Self::Call(state) => (1, state),
            Self::Tunnel(state) => (2, state),
            Self::Caller(state) => (3, state),
            Self::ApiRequest(state) => (4, state),
            Self::Listing(state) => (5, state),
            Self::Subscriber(state) => (6, state),
        };
        Role::Agents(Slot::new(state.key() * KINDS + kind))
    }

    /// Gives this role to a connection.
    pub fn give(self, io: &mut Io, id: ConnId) {
        io.conns[id].role = self.role();
    }
}

/// Releases a connection that has no agent state any more: its end is not reported to the agents.
pub(super) fn release(io: &mut Io, id: ConnId) {
    io.conns[id].role = Role::Http(Http::Head);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_carries_the_kind_and_the_slot() {
        for state in [0, 1, 65_535, (u32::MAX as usize) / KINDS] {
            let state = Slot::new(state);
            for role in [
                AgentRole::Agent(state),
                AgentRole::Call(state),
                AgentRole::Tunnel(state),
                AgentRole::Caller(state),
                AgentRole::ApiRequest(state),
                AgentRole::Listing(state),
                AgentRole::Subscriber(state),
            ] {
                let Role::Agents(slot) = role.role() else { panic!("{:?}", role.role()) };
                assert_eq!(AgentRole::of(slot), role);
            }
        }
    }
}
