//! Names of routes for request counters: a small fixed set, never a path.

use super::{PathRoute, Route};

/// A route without the parts that a client controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteName {
    /// Create a stream.
    Create,
    /// Push a body, which becomes a record.
    Push,
    /// Upload.
    Source,
    /// Download.
    Destination,
    /// Check whether a stream exists.
    Exists,
    /// Delete a stream.
    Delete,
    /// Report an error to the other side.
    Report,
    /// Take the receipt of the receiver.
    Receipt,
    /// Get the status object.
    Status,
    /// Subscribe to the events of a stream.
    Events,
    /// Show the page that sends, or that of the relay.
    Home,
    /// Show a stream as a page.
    ReceivePage,
    /// Get a file of the pages.
    PageFile,
    /// Subscribe to the state of the relay.
    Watch,
    /// List all status objects.
    List,
    /// List the connected agents.
    Agents,
    /// Become an agent.
    Attach,
    /// Attach a tunnel of an agent.
    AttachTunnel,
    /// Subscribe to connection events of agents.
    AgentEvents,
    /// Call the API of an agent.
    Call,
    /// Get the text about paths.
    Paths,
    /// Check whether the relay is alive.
    Health,
    /// Check whether it serves new streams.
    Readiness,
    /// Get the state of the relay.
    State,
    /// Control the relay.
    Control,
    /// Get all metrics.
    Metrics,
    /// Check whether the relay is up.
    Ping,
    /// Get the relay's version.
    Version,
    /// Get the API document.
    Document,
    /// Get the allowed methods.
    Options,
    /// A known path with a method that is not allowed.
    NotAllowed,
    /// No such path.
    Nothing,
    /// `CONNECT`.
    Tunnel,
    /// The head was malformed, timed out, or was not read at all.
    Unread,
}

impl RouteName {
    /// All variants, in the order of their numbers.
    pub const ALL: [Self; 34] = [
        Self::Create,
        Self::Push,
        Self::Source,
        Self::Destination,
        Self::Exists,
        Self::Delete,
        Self::Report,
        Self::Receipt,
        Self::Status,
        Self::Events,
        Self::Home,
        Self::ReceivePage,
        Self::PageFile,
        Self::Watch,
        Self::List,
        Self::Agents,
        Self::Attach,
        Self::AttachTunnel,
        Self::AgentEvents,
        Self::Call,
        Self::Paths,
        Self::Health,
        Self::Readiness,
        Self::State,
        Self::Control,
        Self::Metrics,
        Self::Ping,
        Self::Version,
        Self::Document,
        Self::Options,
        Self::NotAllowed,
        Self::Nothing,
        Self::Tunnel,
        Self::Unread,
    ];

    /// Returns the name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Push => "push",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Exists => "exists",
            Self::Delete => "delete",
            Self::Report => "report",
            Self::Receipt => "receipt",
            Self::Status => "status",
            Self::Events => "events",
            Self::Home => "home",
            Self::ReceivePage => "receive_page",
            Self::PageFile => "page_file",
            Self::Watch => "watch",
            Self::List => "list",
            Self::Agents => "agents",
            Self::Attach => "attach",
            Self::AttachTunnel => "spare",
            Self::AgentEvents => "agent_events",
            Self::Call => "call",
            Self::Paths => "paths",
            Self::Health => "health",
            Self::Readiness => "readiness",
            Self::State => "state",
            Self::Control => "control",
            Self::Metrics => "metrics",
            Self::Ping => "ping",
            Self::Version => "version",
            Self::Document => "openapi",
            Self::Options => "options",
            Self::NotAllowed => "not_allowed",
            Self::Nothing => "nothing",
            Self::Tunnel => "tunnel",
            Self::Unread => "unread",
        }
    }
}

impl Route<'_> {
    /// Returns the name of the route.
    pub fn name(&self) -> RouteName {
        match self {
            Self::Create => RouteName::Create,
            Self::Push => RouteName::Push,
            Self::Source(..) | Self::Path(PathRoute::Upload(_)) => RouteName::Source,
            Self::Destination(_) | Self::Path(PathRoute::Download(_)) => RouteName::Destination,
            Self::Exists(_) | Self::Path(PathRoute::Exists(_)) => RouteName::Exists,
            Self::Delete(_) => RouteName::Delete,
            Self::Report(_) => RouteName::Report,
            Self::Receipt(_) => RouteName::Receipt,
            Self::Status(_) => RouteName::Status,
            Self::Events(_) => RouteName::Events,
            Self::Home => RouteName::Home,
            Self::ReceivePage(_) => RouteName::ReceivePage,
            Self::PageFile(_) => RouteName::PageFile,
            Self::Watch => RouteName::Watch,
            Self::List { .. } => RouteName::List,
            Self::Agents => RouteName::Agents,
            Self::Attach => RouteName::Attach,
            Self::AttachTunnel => RouteName::AttachTunnel,
            Self::AgentEvents => RouteName::AgentEvents,
            Self::Call { .. } => RouteName::Call,
            Self::Path(PathRoute::About) => RouteName::Paths,
            Self::Health => RouteName::Health,
            Self::Readiness => RouteName::Readiness,
            Self::State => RouteName::State,
            Self::Control(_) => RouteName::Control,
            Self::Metrics => RouteName::Metrics,
            Self::Ping => RouteName::Ping,
            Self::Version => RouteName::Version,
            Self::Document => RouteName::Document,
            Self::Options(_) => RouteName::Options,
            Self::NotAllowed(_) | Self::Path(PathRoute::NotAllowed(_)) => RouteName::NotAllowed,
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
