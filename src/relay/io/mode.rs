//! Whether the relay takes work, and what a connection was accepted for.

/// What a connection was accepted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Anybody.
    Public,
    /// Agents.
    Agents,
    /// Operators.
    Admin,
    /// It was not accepted: it is our own connection to the API that agents may call.
    Api,
}

/// Whether the relay takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServingMode {
    /// Whatever comes.
    Serving,
    /// What is there goes on; no new streams, until an operator resumes.
    Suspended,
    /// What runs may end; nothing new begins.
    Draining,
    /// The same, but a new process serves: a client that connects again is served.
    HandedOver,
}

impl ServingMode {
    /// Whether this process will not serve again.
    pub fn is_ending(self) -> bool {
        match self {
            Self::Serving | Self::Suspended => false,
            Self::Draining | Self::HandedOver => true,
        }
    }

    /// As operators read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Suspended => "suspended",
            Self::Draining | Self::HandedOver => "draining",
        }
    }
}
