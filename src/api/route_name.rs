//! What a route is called where requests are counted: a small fixed set, never a path.

use super::Route;

/// A route without what a client put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteName {
    /// Make a stream.
    Create,
    /// Hand a body over, to become a record.
    Push,
    /// Upload.
    Source,
    /// Download.
    Destination,
    /// Ask whether a stream is there.
    Exists,
    /// End a stream.
    Delete,
    /// Report an error to the other side.
    Report,
    /// Ask for the status object.
    Status,
    /// Follow the events of a stream.
    Events,
    /// Ask for all status objects.
    List,
    /// Ask which agents are connected.
    Agents,
    /// Become an agent.
    Attach,
    /// Bring a spare connection of an agent.
    Spare,
    /// Follow what happens to connections of agents.
    AgentEvents,
    /// Call the API of an agent.
    Call,
    /// Ask whether the relay is alive.
    Health,
    /// Ask whether it serves new streams.
    Readiness,
    /// Ask what it is doing.
    State,
    /// Tell it what to do.
    Control,
    /// Ask for all metrics.
    Metrics,
    /// Ask whether the relay is up.
    Ping,
    /// Ask which relay it is.
    Version,
    /// Ask which methods there are.
    Options,
    /// A known path with another method.
    NotAllowed,
    /// No such path.
    Nothing,
    /// `CONNECT`.
    Tunnel,
    /// The head was not understood, did not come in time, or was not read at all.
    Unread,
}

impl RouteName {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 27] = [
        Self::Create,
        Self::Push,
        Self::Source,
        Self::Destination,
        Self::Exists,
        Self::Delete,
        Self::Report,
        Self::Status,
        Self::Events,
        Self::List,
        Self::Agents,
        Self::Attach,
        Self::Spare,
        Self::AgentEvents,
        Self::Call,
        Self::Health,
        Self::Readiness,
        Self::State,
        Self::Control,
        Self::Metrics,
        Self::Ping,
        Self::Version,
        Self::Options,
        Self::NotAllowed,
        Self::Nothing,
        Self::Tunnel,
        Self::Unread,
    ];

    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Push => "push",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Exists => "exists",
            Self::Delete => "delete",
            Self::Report => "report",
            Self::Status => "status",
            Self::Events => "events",
            Self::List => "list",
            Self::Agents => "agents",
            Self::Attach => "attach",
            Self::Spare => "spare",
            Self::AgentEvents => "agent_events",
            Self::Call => "call",
            Self::Health => "health",
            Self::Readiness => "readiness",
            Self::State => "state",
            Self::Control => "control",
            Self::Metrics => "metrics",
            Self::Ping => "ping",
            Self::Version => "version",
            Self::Options => "options",
            Self::NotAllowed => "not_allowed",
            Self::Nothing => "nothing",
            Self::Tunnel => "tunnel",
            Self::Unread => "unread",
        }
    }
}

impl Route<'_> {
    /// What it is called.
    pub fn name(&self) -> RouteName {
        match self {
            Self::Create => RouteName::Create,
            Self::Push => RouteName::Push,
            Self::Source(..) => RouteName::Source,
            Self::Destination(_) => RouteName::Destination,
            Self::Exists(_) => RouteName::Exists,
            Self::Delete(_) => RouteName::Delete,
            Self::Report(_) => RouteName::Report,
            Self::Status(_) => RouteName::Status,
            Self::Events(_) => RouteName::Events,
            Self::List { .. } => RouteName::List,
            Self::Agents => RouteName::Agents,
            Self::Attach => RouteName::Attach,
            Self::Spare => RouteName::Spare,
            Self::AgentEvents => RouteName::AgentEvents,
            Self::Call { .. } => RouteName::Call,
            Self::Health => RouteName::Health,
            Self::Readiness => RouteName::Readiness,
            Self::State => RouteName::State,
            Self::Control(_) => RouteName::Control,
            Self::Metrics => RouteName::Metrics,
            Self::Ping => RouteName::Ping,
            Self::Version => RouteName::Version,
            Self::Options(_) => RouteName::Options,
            Self::NotAllowed(_) => RouteName::NotAllowed,
            Self::Nothing => RouteName::Nothing,
            Self::Tunnel => RouteName::Tunnel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_the_table() {
        for (number, name) in RouteName::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, number, "{name:?}");
        }
    }
}
