//! Why the relay is too busy for something: one variant a reason, so that each can be named,
//! counted and told apart in one place.

use crate::rendezvous::Full;

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
            Self::Connections => "As many connections as this relay may serve are open",
            Self::AddressConnections => {
                "As many connections as this relay serves for one address are open from yours"
            }
            Self::Descriptors => "This relay has no descriptor left for another connection",
            Self::Requests => "As many requests as this relay may serve at once are being served",
            Self::Streams => {
                "The active streams are as many, or hold as much, as this relay allows"
            }
            Self::AddressStreams => {
                "As many streams as one address may have on this relay are active for yours"
            }
            Self::AddressUnjoined => {
                "Limit of unjoined streams of your address reached (max-unjoined-streams-per-address)"
            }
            Self::Followers => {
                "As many clients follow the events of this stream, or of all streams, as this relay \
                 allows"
            }
            Self::Agents => "As many agents as this relay may have are connected",
            Self::AgentRequests => "As many requests as this agent may have are under way",
            Self::Suspended => "The relay is suspended and takes no new streams for now",
            Self::Stopping => "The relay is about to stop",
            Self::Replaced => "Another process has taken over; send the request again",
            Self::Records => "As many records as this source holds wait for their consumer",
            Self::ConsumerSlow => "The consumer of these records did not take this one in time",
            Self::ConsumerGone => "The consumer of these records is not there",
            Self::Storage => "The record could not be stored",
        }
    }
}

impl From<Full> for Busy {
    fn from(full: Full) -> Self {
        match full {
            Full::Registry => Self::Streams,
            Full::Address => Self::AddressStreams,
            Full::AddressUnjoined => Self::AddressUnjoined,
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
