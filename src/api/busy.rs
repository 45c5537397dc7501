//! Why the relay is too busy for something: one variant a reason, so that each can be named,
//! counted and told apart in one place.

use crate::rendezvous::CreateError;

/// What the relay has as much of as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Busy {
    /// Connections, by `--max-connections`.
    Connections,
    /// File descriptors or memory for one more connection.
    Descriptors,
    /// Connections of one address, by `--max-connections-per-address`.
    AddressConnections,
    /// Requests being served, by `--max-concurrent`.
    Requests,
    /// Active streams, by `--max-streams`, or what all streams weigh.
    Streams,
    /// Active streams of one address, by `--max-streams-per-address`.
    AddressStreams,
    /// Streams of one address that no side has joined, by `--max-unjoined-streams-per-address`, or
    /// what they weigh.
    AddressUnjoined,
    /// Clients that follow the events of a stream, or of all, by `--max-followers`.
    Followers,
    /// Agents, by `--max-agents`.
    Agents,
    /// Requests under way at one agent, by `--max-agent-requests`.
    AgentRequests,
    /// It takes no new streams: an operator suspended it.
    Suspended,
    /// It takes nothing new on: it is about to stop.
    Stopping,
    /// Its successor serves already: a new connection reaches that one.
    Replaced,
    /// Records that wait to be handed over, by number or by bytes.
    Records,
    /// Whoever takes the records is too slow.
    ConsumerSlow,
    /// Nobody takes the records.
    ConsumerGone,
    /// Records cannot be kept: the disk is full, or failed.
    Storage,
}

impl Busy {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Connections,
        Self::Descriptors,
        Self::AddressConnections,
        Self::Requests,
        Self::Streams,
        Self::AddressStreams,
        Self::AddressUnjoined,
        Self::Followers,
        Self::Agents,
        Self::AgentRequests,
        Self::Suspended,
        Self::Stopping,
        Self::Replaced,
        Self::Records,
        Self::ConsumerSlow,
        Self::ConsumerGone,
        Self::Storage,
    ];

    /// Which limit it is, where refusals are counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Descriptors => "descriptors",
            Self::AddressConnections => "address_connections",
            Self::Requests => "requests",
            Self::Streams => "streams",
            Self::AddressStreams => "address_streams",
            Self::AddressUnjoined => "address_unjoined",
            Self::Followers => "followers",
            Self::Agents => "agents",
            Self::AgentRequests => "agent_requests",
            Self::Suspended => "suspended",
            Self::Stopping => "draining",
            Self::Replaced => "replaced",
            Self::Records => "records",
            Self::ConsumerSlow => "consumer_slow",
            Self::ConsumerGone => "consumer_gone",
            Self::Storage => "storage",
        }
    }

    /// Which limit it is, for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::Connections => "Connection limit reached (max-connections)",
            Self::AddressConnections => {
                "Connection limit of your address reached (max-connections-per-address)"
            }
            Self::Descriptors => "No file descriptor left for another connection",
            Self::Requests => "Request limit reached (max-concurrent)",
            Self::Streams => {
                "Stream limit reached (max-streams, or 256 MiB of headers and reports)"
            }
            Self::AddressStreams => {
                "Stream limit of this address reached (max-streams-per-address)"
            }
            Self::AddressUnjoined => {
                "Limit of unjoined streams of your address reached (max-unjoined-streams-per-address)"
            }
            Self::Followers => {
                "Subscriber limit of this stream, or of all streams, reached (max-followers)"
            }
            Self::Agents => "Agent limit reached (max-agents)",
            Self::AgentRequests => "Request limit of this agent reached (max-agent-requests)",
            Self::Suspended => "The relay is suspended and accepts no new streams",
            Self::Stopping => "The relay is shutting down",
            Self::Replaced => "Another process has taken over; send the request again",
            Self::Records => "Record limit of this source reached (queue)",
            Self::ConsumerSlow => "The consumer did not read this record in time",
            Self::ConsumerGone => "No consumer is connected",
            Self::Storage => "The record could not be stored",
        }
    }
}

impl From<CreateError> for Busy {
    fn from(full: CreateError) -> Self {
        match full {
            CreateError::Registry => Self::Streams,
            CreateError::Address => Self::AddressStreams,
            CreateError::AddressUnjoined => Self::AddressUnjoined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_the_table() {
        for (number, busy) in Busy::ALL.into_iter().enumerate() {
            assert_eq!(busy as usize, number, "{busy:?}");
        }
    }
}
