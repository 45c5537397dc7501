//! The relay itself, and what operators do with it.

use super::{About, Answer, EMPTY, PLAIN, ok};
use crate::api::Failure;

pub const PING: About = About {
    id: "ping",
    summary: "Check that the relay is up",
    answers: &[ok("`pong`, without a newline.", &[("text/plain", "Text")])],
    ..PLAIN
};

pub const VERSION: About = About {
    id: "getVersion",
    summary: "Get the version of the relay",
    answers: &[ok("The version.", &[("application/json", "Version")])],
    ..PLAIN
};

pub const DOCUMENT: About = About {
    id: "getApiDocument",
    summary: "Get this document",
    description: "It describes the listener that serves it, as it is configured.",
    parameters: &["If-None-Match"],
    answers: &[
        Answer {
            headers: &["ETag", "Cache-Control"],
            ..ok("The document.", &[("application/json", "Document")])
        },
        Answer { status: 304, text: "The client has it.", headers: &["ETag"], ..EMPTY },
    ],
    ..PLAIN
};

pub const HEALTH: About = About {
    id: "checkHealth",
    summary: "Check that the relay is alive",
    answers: &[ok("`alive`.", &[("text/plain", "Text")])],
    ..PLAIN
};

pub const READINESS: About = About {
    id: "checkReadiness",
    summary: "Check that it serves new streams",
    answers: &[
        ok("It does.", &[("application/json", "Readiness")]),
        Answer {
            status: 503,
            text: "It does not.",
            content: &[("application/json", "Readiness")],
            ..EMPTY
        },
    ],
    ..PLAIN
};

pub const METRICS: About = About {
    id: "getMetrics",
    summary: "Get all metrics",
    description: "docs/metrics.md lists them. OpenMetrics if named in `Accept`, else Prometheus text.",
    answers: &[ok(
        "The metrics.",
        &[("text/plain", "Text"), ("application/openmetrics-text", "Text")],
    )],
    ..PLAIN
};

pub const STATE: About = About {
    id: "getRelayState",
    summary: "Get the state of the relay",
    answers: &[ok("The state.", &[("application/json", "RelayState")])],
    ..PLAIN
};

pub const SUSPEND: About = About {
    id: "suspend",
    summary: "Refuse new streams",
    description: "`POST /stream` gets 503; existing streams continue.",
    failures: &[Failure::Stopping],
    ..STATE
};

pub const RESUME: About =
    About { id: "resume", summary: "Accept new streams again", description: "", ..SUSPEND };

pub const STOP: About = About {
    id: "stop",
    summary: "Drain and exit, as after SIGTERM",
    description: "",
    failures: &[],
    ..SUSPEND
};
