//! Whether the relay takes work, and what a connection was accepted for.

/// What a connection was accepted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Any client.
    Public,
    /// Agents.
    Agents,
    /// Operators.
    Admin,
    /// Not accepted: the relay's own connection to the API that agents may call.
    Api,
}

/// Whether the relay takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServingMode {
    /// All requests are served.
    Serving,
    /// Existing streams continue; no new streams, until an operator resumes.
    Suspended,
    /// Running work may finish; no new work begins.
    Draining,
    /// The same, but a new process serves: a client that reconnects is served.
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

    /// Returns the name shown to operators.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Suspended => "suspended",
            Self::Draining | Self::HandedOver => "draining",
        }
    }
}
