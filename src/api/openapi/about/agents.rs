//! Operations of agents and their callers.

use super::{About, Answer, EMPTY, PLAIN, TOKENS, Tag, ok};
use crate::api::{Busy, Denied, Failure};

const AGENT: About = About { tag: Tag::Agents, security: TOKENS, ..PLAIN };

/// The response to an upgrade.
const UPGRADED: Answer = Answer {
    status: 101,
    text: "With `Upgrade: websocket` and its fields (RFC 6455): the WebSocket of an agent.",
    headers: &["Upgrade"],
    ..EMPTY
};

pub const LIST: About = About {
    id: "listAgents",
    summary: "List the agents",
    description: "For operators, and peers in a `--trusted` network.",
    answers: &[ok("The agents.", &[("application/json", "AgentList")])],
    failures: &[
        Failure::Denied(Denied::Agents),
        Failure::Denied(Denied::Host),
        Failure::Denied(Denied::Origin),
    ],
    ..AGENT
};

pub const ATTACH_OR_LIST: About = About {
    summary: "List the agents, or connect as one",
    description: "The list is for operators, and peers in a `--trusted` network. With `Upgrade: websocket` the \
                  client becomes an agent; docs/sockets.md has the protocols.",
    answers: &[LIST.answers[0], UPGRADED],
    failures: &[
        Failure::Denied(Denied::Agents),
        Failure::Denied(Denied::Attach),
        Failure::Denied(Denied::Origin),
        Failure::BadUpgrade("Send 'Sec-WebSocket-Key' once, with 16 bytes in Base64"),
        Failure::AgentForbidden,
        Failure::UpgradeRequired,
        Failure::TooBusy(Busy::Agents),
    ],
    ..LIST
};

pub const ATTACH: About = About {
    id: "connectAgent",
    summary: "Connect as an agent",
    description: "docs/sockets.md has the protocols.",
    answers: &[UPGRADED],
    ..ATTACH_OR_LIST
};

pub const TUNNEL: About = About {
    id: "addTunnel",
    security: &[],
    is_of_node: true,
    summary: "Add a tunnel of an agent",
    description: "An upgrade with the connection id and the secret of the agent; docs/sockets.md has the protocol.",
    answers: &[Answer { text: "The tunnel.", ..UPGRADED }],
    failures: &[
        Failure::BadUpgrade("Send 'Upgrade' once"),
        Failure::SpareRefused,
        Failure::Denied(Denied::Origin),
        Failure::UpgradeRequired,
    ],
    ..AGENT
};

pub const EVENTS: About = About {
    id: "followAgents",
    summary: "Follow the connections of agents",
    description: "`ConnectionReceived`, `ConnectionClosed` and `ConnectionFailure`. For operators, and peers in a \
                  `--trusted` network.",
    answers: &[ok("The events.", &[("text/event-stream", "Events")])],
    failures: &[Failure::Denied(Denied::Agents), Failure::TooBusy(Busy::Followers)],
    ..AGENT
};

const RESPONSE: Answer = ok("The agent's response, with any status.", super::BYTES);

pub const CALL: About = About {
    id: "call",
    summary: "Call the API of an agent",
    description: "The agent gets method, path, query, header fields and body. The path can be absent, and can have \
                  slashes. Any method but `CONNECT`, also `OPTIONS`, is for the agent.",
    body: Some("Call"),
    answers: &[RESPONSE],
    failures: &[
        Failure::Denied(Denied::ServiceWorker),
        Failure::AgentNotFound,
        Failure::NoSuchApi,
        Failure::CallTooLarge(1 << 20),
        Failure::NotText,
        Failure::AgentGone,
        Failure::AgentBroke("its head is malformed"),
        Failure::AgentCancelled,
        Failure::TooBusy(Busy::AgentRequests),
        Failure::TooBusy(Busy::AgentTunnels),
        Failure::AgentTimeout,
        Failure::AgentQueueTimeout,
    ],
    other: Some(Answer { status: 0, ..RESPONSE }),
    ..AGENT
};

pub const CALL_CONNECTION: About = About {
    id: "callConnection",
    summary: "Call the API of an agent by its connection",
    description: "As `/api/{agent}/{rest}`.",
    is_of_node: true,
    ..CALL
};
