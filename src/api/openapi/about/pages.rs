//! Pages and texts.

use super::{About, Answer, EMPTY, PLAIN, Tag, ok};
use crate::api::Failure;

const PAGE: About = About { tag: Tag::Pages, ..PLAIN };

/// What browsers get, and others.
const PAGE_OR_TEXT: &[(&str, &str)] = &[("text/html", "Page"), ("text/plain", "Text")];

/// The client has the file.
const UNCHANGED: Answer =
    Answer { status: 304, text: "The client has it.", headers: &["ETag"], ..EMPTY };

pub const HOME: About = About {
    id: "getHome",
    summary: "Show the page that sends, or how to send",
    parameters: &["If-None-Match"],
    answers: &[ok("The page for browsers, text for others.", PAGE_OR_TEXT), UNCHANGED],
    ..PAGE
};

pub const WATCH: About = About { summary: "Show the page of the relay, or how to send", ..HOME };

pub const RECEIVE: About = About {
    id: "getReceivePage",
    summary: "Show a stream as a page",
    description: "Consumes nothing.",
    answers: &[
        ok("The page.", PAGE_OR_TEXT),
        Answer {
            status: 410,
            text: "The stream has ended.",
            headers: &["Rdv-Error"],
            content: &[("text/html", "Page")],
            ..EMPTY
        },
    ],
    failures: &[Failure::SessionNotFound],
    is_of_node: true,
    ..PAGE
};

pub const FILE: About = About {
    id: "getPageFile",
    summary: "Get a file of the pages",
    parameters: &["If-None-Match"],
    answers: &[
        Answer { headers: &["ETag", "Cache-Control"], ..ok("The file.", &[("*/*", "Data")]) },
        UNCHANGED,
    ],
    failures: &[Failure::BadRoute],
    ..PAGE
};

pub const WATCH_EVENTS: About = About {
    id: "followRelay",
    summary: "Follow the state of the relay",
    description: "An event `watch` each second: figures, agents, and streams from the newest on.",
    parameters: &["before", "rows", "active"],
    answers: &[ok("The events.", &[("text/event-stream", "Events")])],
    ..PAGE
};

pub const ABOUT_PATHS: About = About {
    id: "getPathsHelp",
    tag: Tag::Paths,
    summary: "Show how to use paths",
    answers: &[ok("Commands.", &[("text/plain", "Text")])],
    ..PLAIN
};
