//! Reasons why the relay is too busy: one variant per reason, so that each has its own name and
//! counter.

use crate::rendezvous::CreateError;

/// An exhausted limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Busy {
    /// Connections (`--max-connections`).
    Connections,
    /// File descriptors or memory for one more connection.
    Descriptors,
    /// Random bytes of the kernel, for an id.
    RandomBytes,
    /// Connections per address (`--max-connections-per-address`).
    AddressConnections,
    /// Requests in progress (`--max-concurrent`).
    Requests,
    /// Active streams (`--max-streams`), or the memory of all streams.
    Streams,
    /// Active streams per address (`--max-streams-per-address`).
    AddressStreams,
    /// Unjoined streams per address (`--max-unjoined-streams-per-address`), or their memory.
    AddressUnjoined,
    /// Clients subscribed to the events of one stream or of all (`--max-followers`).
    Followers,
    /// Agents (`--max-agents`).
    Agents,
    /// Requests in flight per agent (`--max-agent-requests`).
    AgentRequests,
    /// Idle tunnels of an agent, for an upgrade.
    AgentTunnels,
    /// Connections on their way to one worker (`--workers`).
    Worker,
    /// New streams: an operator suspended the relay.
    Suspended,
    /// New work: the relay is about to stop.
    Stopping,
    /// New work: the successor is already serving, and new connections reach it.
    Replaced,
    /// Records waiting to be delivered, by number or by bytes.
    Records,
    /// The consumer of the records is too slow.
    ConsumerSlow,
    /// No consumer for the records.
    ConsumerGone,
    /// Records cannot be stored: the disk is full, or failed.
    Storage,
}

impl Busy {
    /// All variants, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Connections,
        Self::Descriptors,
        Self::RandomBytes,
        Self::AddressConnections,
        Self::Requests,
        Self::Streams,
        Self::AddressStreams,
        Self::AddressUnjoined,
        Self::Followers,
        Self::Agents,
        Self::AgentRequests,
        Self::AgentTunnels,
        Self::Worker,
        Self::Suspended,
        Self::Stopping,
        Self::Replaced,
        Self::Records,
        Self::ConsumerSlow,
        Self::ConsumerGone,
        Self::Storage,
    ];

    /// Returns the name of the limit, for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Descriptors => "descriptors",
            Self::RandomBytes => "random_bytes",
            Self::AddressConnections => "address_connections",
            Self::Requests => "requests",
            Self::Streams => "streams",
            Self::AddressStreams => "address_streams",
            Self::AddressUnjoined => "address_unjoined",
            Self::Followers => "followers",
            Self::Agents => "agents",
            Self::AgentRequests => "agent_requests",
            Self::AgentTunnels => "agent_tunnels",
            Self::Worker => "worker",
            Self::Suspended => "suspended",
            Self::Stopping => "draining",
            Self::Replaced => "replaced",
            Self::Records => "records",
            Self::ConsumerSlow => "consumer_slow",
            Self::ConsumerGone => "consumer_gone",
            Self::Storage => "storage",
        }
    }

    /// Returns a description of the limit, for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::Connections => "Connection limit reached (max-connections)",
            Self::AddressConnections => {
                "Connection limit of your address reached (max-connections-per-address)"
            }
            Self::Descriptors => "No file descriptor left for another connection",
            Self::RandomBytes => "No random bytes for a new id",
            Self::Requests => "Request limit reached (max-concurrent)",
            Self::Streams => {
                "Stream limit reached (max-streams, or 256 MiB of headers and reports)"
            }
            Self::AddressStreams => {
                "Stream limit of your address reached (max-streams-per-address)"
            }
            Self::AddressUnjoined => {
                "Limit of unjoined streams of your address reached (max-unjoined-streams-per-address)"
            }
            Self::Followers => {
                "Subscriber limit of this stream, or of all streams, reached (max-followers)"
            }
            Self::Agents => "Agent limit reached (max-agents)",
            Self::AgentRequests => "Request limit of this agent reached (max-agent-requests)",
            Self::AgentTunnels => "The agent has no idle tunnel for an upgrade (max-tunnels)",
            Self::Worker => "Too many connections wait for one worker of the relay",
            Self::Suspended => "The relay is suspended and accepts no new streams",
            Self::Stopping => "The relay is shutting down",
            Self::Replaced => "Another process has taken over; send the request again",
            Self::Records => "Record limit of this source reached (queue)",
            Self::ConsumerSlow => "The consumer did not accept this record in time",
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
