//! Operations as the API document describes them, besides their paths and methods.

mod agents;
mod pages;
mod relay;
mod streams;

pub use agents::{
    ATTACH, ATTACH_OR_LIST, CALL, CALL_CONNECTION, EVENTS as AGENT_EVENTS, LIST as AGENTS, TUNNEL,
};
pub use pages::{ABOUT_PATHS, FILE, HOME, RECEIVE, WATCH, WATCH_EVENTS};
pub use relay::{
    DOCUMENT, HEALTH, METRICS, PING, READINESS, RESUME, STATE, STOP, SUSPEND, VERSION,
};
pub use streams::{
    CREATE, DELETE, DOWNLOAD, EVENTS, EXISTS, LIST, NAMED, PATH_DOWNLOAD, PATH_EXISTS, PATH_UPLOAD,
    RECEIPT, REPORT, STATUS, UPLOAD,
};

use crate::api::Failure;

/// The description of an operation. Names of components are those in components.json and
/// schemas.json.
#[derive(Debug)]
pub struct About {
    /// Its name in generated clients.
    pub id: &'static str,
    pub tag: Tag,
    pub summary: &'static str,
    pub description: &'static str,
    /// Parameters besides those in the path.
    pub parameters: &'static [&'static str],
    /// The request body, if it has one.
    pub body: Option<&'static str>,
    pub answers: &'static [Answer],
    /// Failures besides those of all operations.
    pub failures: &'static [Failure],
    /// The security schemes of which a request can use one; it can also use none.
    pub security: &'static [&'static str],
    /// Whether it is for one stream or agent, which another node can have.
    pub is_of_node: bool,
    /// Responses whose status the relay does not choose.
    pub other: Option<Answer>,
}

/// A group of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    Streams,
    Paths,
    Agents,
    Pages,
    Relay,
}

impl Tag {
    /// All groups, each with what it is about, in the order of the document.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Streams, "One upload meets one download."),
        (Self::Paths, "The same without creating a stream before (`--paths`)."),
        (Self::Agents, "APIs of agents, and the WebSockets of agents."),
        (Self::Pages, "Pages for browsers (not with `--no-pages`)."),
        (Self::Relay, "The relay itself."),
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Paths => "paths",
            Self::Agents => "agents",
            Self::Pages => "pages",
            Self::Relay => "relay",
        }
    }
}

/// A response that is not a failure.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Its status; 0: any other one.
    pub status: u16,
    pub text: &'static str,
    pub headers: &'static [&'static str],
    /// The media types of its body, each with a schema.
    pub content: &'static [(&'static str, &'static str)],
    /// Operations that its body leads to.
    pub links: &'static [&'static str],
}

/// An operation without parameters, body and failures of its own.
const PLAIN: About = About {
    id: "",
    tag: Tag::Relay,
    summary: "",
    description: "",
    parameters: &[],
    body: None,
    answers: &[],
    failures: &[],
    security: &[],
    is_of_node: false,
    other: None,
};

/// The response to a request that another node serves.
pub const REDIRECTED: Answer = Answer {
    status: 307,
    text: "`MisdirectedError`: another node has the stream or the agent (`--node-url`).",
    headers: &["Rdv-Error", "Location", "Cache-Control"],
    content: &[("application/json", "Error"), ("text/plain", "Text"), ("text/html", "Page")],
    links: &[],
};

/// The security schemes of operations that `--require` can concern.
const TOKENS: &[&str] = &["bearerToken", "basicToken"];

/// The same where a stream can have tokens of its own, too.
const STREAM_TOKENS: &[&str] = &["bearerToken", "basicToken", "streamToken"];

/// Data of any type; the first type is the one that generators of clients know.
const BYTES: &[(&str, &str)] = &[("application/octet-stream", "Data"), ("*/*", "Data")];

/// A response without a body.
const EMPTY: Answer = Answer { status: 200, text: "", headers: &[], content: &[], links: &[] };

/// A response with this content.
const fn ok(text: &'static str, content: &'static [(&'static str, &'static str)]) -> Answer {
    Answer { text, content, ..EMPTY }
}
