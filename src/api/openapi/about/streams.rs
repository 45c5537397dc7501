//! Operations of streams and paths.

use super::{About, Answer, EMPTY, PLAIN, STREAM_TOKENS, TOKENS, Tag, ok};
use crate::api::{Busy, CreationFailure, Denied, Failure};
use crate::rendezvous::Side;

const STREAM: About =
    About { tag: Tag::Streams, security: STREAM_TOKENS, is_of_node: true, ..PLAIN };

/// The response to an upload.
const UPLOADED: Answer = Answer {
    text: "The upload is complete, and the destination's socket accepted all of it.",
    ..EMPTY
};

/// The response to a side whose other side reported an error, or whose stream was deleted.
const REPORTED: Answer = Answer {
    status: 0,
    text: "The error that the other side reported, with its status from 200 to 599; 410 \
           `StreamDeletedError` if the stream was deleted.",
    headers: &["Rdv-Error"],
    content: &[("application/json", "Error"), ("text/plain", "Text")],
    ..EMPTY
};

/// The response to a download.
const DATA: Answer = Answer {
    text: "The data, of the type of the upload. Sent with its first byte, or its end if it is empty.",
    headers: &["Content-Disposition", "X-Correlation-Id", "Content-Security-Policy"],
    content: super::BYTES,
    ..EMPTY
};

pub const CREATE: About = About {
    id: "createStream",
    summary: "Create a stream",
    description: "The waiting time starts now.",
    parameters: &["Idempotency-Key"],
    security: TOKENS,
    body: Some("Creation"),
    answers: &[Answer {
        status: 201,
        text: "The stream.",
        headers: &["Location"],
        content: &[("application/json", "Created")],
        links: &["upload", "download", "status", "reportError", "delete"],
    }],
    failures: &[
        Failure::InvalidBody(String::new()),
        Failure::BodyBroken,
        Failure::BodyTooLarge(65536),
        Failure::TooBusy(Busy::Streams),
        Failure::TooBusy(Busy::AddressStreams),
        Failure::TooBusy(Busy::AddressUnjoined),
        Failure::TooBusy(Busy::RandomBytes),
        Failure::TooBusy(Busy::Suspended),
        Failure::Creation(CreationFailure::InvalidKey),
        Failure::Creation(CreationFailure::NotifyOff),
        Failure::Creation(CreationFailure::IdChosen),
        Failure::Creation(CreationFailure::NotifyScope),
        Failure::Creation(CreationFailure::IdTaken),
        Failure::Creation(CreationFailure::KeyReused),
    ],
    ..STREAM
};

pub const LIST: About = About {
    id: "listStreams",
    security: TOKENS,
    is_of_node: false,
    summary: "List the streams",
    description: "For operators, and peers in a `--trusted` network: oldest stream first.",
    parameters: &["active"],
    answers: &[ok("The status of each stream.", &[("application/json", "StatusList")])],
    failures: &[
        Failure::Denied(Denied::Streams),
        Failure::Denied(Denied::Host),
        Failure::Denied(Denied::Origin),
    ],
    ..STREAM
};

pub const UPLOAD: About = About {
    id: "upload",
    summary: "Upload",
    description: "Waits until a destination is connected, within the waiting time.",
    parameters: &["Expect", "Repr-Digest", "Content-Disposition", "X-Correlation-Id"],
    body: Some("Data"),
    answers: &[UPLOADED],
    failures: &[
        Failure::BodyBroken,
        Failure::SessionNotFound,
        Failure::UploadTooLarge(1 << 30),
        Failure::AlreadyConnected(Side::Source),
        Failure::Disconnected(Side::Destination),
        Failure::Failed(Side::Destination),
        Failure::SessionTimeout,
    ],
    other: Some(REPORTED),
    ..STREAM
};

pub const NAMED: About = About {
    id: "uploadNamed",
    summary: "Upload, with a file name for the download",
    description: "As `PUT /stream/{id}`.",
    ..UPLOAD
};

pub const DOWNLOAD: About = About {
    id: "download",
    summary: "Download",
    description: "Waits for the data, within the waiting time. Programs that only preview the link get a page \
                  and do not join.",
    parameters: &["download", "Range", "Rdv-Receipt"],
    body: None,
    answers: &[DATA],
    failures: &[
        Failure::Denied(Denied::ServiceWorker),
        Failure::SessionNotFound,
        Failure::RangeNotSupported,
        Failure::AlreadyConnected(Side::Destination),
        Failure::Disconnected(Side::Source),
        Failure::Failed(Side::Source),
        Failure::SourceTooLarge(1 << 30),
        Failure::SessionTimeout,
    ],
    other: Some(REPORTED),
    ..STREAM
};

pub const EXISTS: About = About {
    id: "checkStream",
    summary: "Check that the stream is active",
    description: "Consumes nothing. While a source is connected, the head is that of the download.",
    answers: &[Answer { text: "The stream is active.", ..EMPTY }],
    failures: &[Failure::SessionNotFound],
    ..STREAM
};

pub const DELETE: About = About {
    id: "deleteStream",
    summary: "End the stream",
    description: "Connected sides get 410 `StreamDeletedError`.",
    answers: &[Answer { status: 204, text: "The stream has ended.", ..EMPTY }],
    failures: &[Failure::Denied(Denied::Origin), Failure::SessionNotFound],
    ..STREAM
};

pub const STATUS: About = About {
    id: "getStatus",
    summary: "Get the status",
    description: "Also after the end, for `--retention`.",
    answers: &[ok("The status.", &[("application/json", "Status")])],
    failures: &[Failure::SessionNotFound],
    ..STREAM
};

pub const EVENTS: About = About {
    id: "followStatus",
    summary: "Follow the status",
    description: "The status object in an event `status`, at each change, until the stream has ended.",
    answers: &[ok("The events.", &[("text/event-stream", "Events")])],
    failures: &[Failure::SessionNotFound, Failure::TooBusy(Busy::Followers)],
    ..STREAM
};

pub const REPORT: About = About {
    id: "reportError",
    summary: "Report an error to the other side",
    description: "Before both sides are connected: a side that waits gets the report as its response, else the \
                  first side that connects.",
    body: Some("Report"),
    answers: &[ok("The report is registered.", &[("application/json", "Done")])],
    failures: &[
        Failure::InvalidBody(String::new()),
        Failure::BodyBroken,
        Failure::SessionNotFound,
        Failure::StreamStarted,
        Failure::BodyTooLarge(65536),
        Failure::TooBusy(Busy::Streams),
    ],
    ..STREAM
};

pub const RECEIPT: About = About {
    id: "sendReceipt",
    summary: "Report what the receiver has",
    description: "Once, after a `GET` with `Rdv-Receipt: expected`.",
    body: Some("Receipt"),
    answers: &[ok("The receipt is registered.", &[("application/json", "Done")])],
    failures: &[
        Failure::InvalidBody(String::new()),
        Failure::BodyBroken,
        Failure::SessionNotFound,
        Failure::Receipt("No receipt was announced, or it was already sent"),
        Failure::BodyTooLarge(65536),
    ],
    ..STREAM
};

pub const PATH_UPLOAD: About = About {
    id: "uploadToPath",
    security: TOKENS,
    is_of_node: false,
    tag: Tag::Paths,
    parameters: &["receivers", "Expect", "Prefer", "X-Piping", "Repr-Digest", "X-Correlation-Id"],
    description: "Waits until a receiver is connected. Of a form, the first part is sent. Errors are text, unless \
                  `Accept` names `application/json`.",
    answers: &[
        UPLOADED,
        Answer {
            status: 202,
            text: "With `Prefer: respond-async`: begun at once, and complete after the upload.",
            headers: &["Preference-Applied"],
            content: &[("text/plain", "Text")],
            ..EMPTY
        },
    ],
    failures: &[
        Failure::BodyBroken,
        Failure::BadPathRequest(String::new()),
        Failure::PathTaken(Side::Source),
        Failure::Denied(Denied::PathOrigin),
        Failure::UploadTooLarge(1 << 30),
        Failure::Disconnected(Side::Destination),
        Failure::Failed(Side::Destination),
        Failure::TooBusy(Busy::Streams),
        Failure::SessionTimeout,
    ],
    ..UPLOAD
};

pub const PATH_DOWNLOAD: About = About {
    id: "downloadFromPath",
    security: TOKENS,
    is_of_node: false,
    tag: Tag::Paths,
    description: "Waits for a sender. Programs that only preview the link get a text.",
    parameters: &["receivers", "download", "Range", "Rdv-Receipt"],
    failures: &[
        Failure::BadPathRequest(String::new()),
        Failure::PathTaken(Side::Destination),
        Failure::Denied(Denied::PathOrigin),
        Failure::RangeNotSupported,
        Failure::Disconnected(Side::Source),
        Failure::Failed(Side::Source),
        Failure::SourceTooLarge(1 << 30),
        Failure::TooBusy(Busy::Streams),
        Failure::SessionTimeout,
    ],
    ..DOWNLOAD
};

pub const PATH_EXISTS: About = About {
    id: "checkPath",
    security: TOKENS,
    is_of_node: false,
    tag: Tag::Paths,
    summary: "Check that the path is in use",
    answers: &[Answer { text: "A side is connected.", ..EMPTY }],
    ..EXISTS
};
