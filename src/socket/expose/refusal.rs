//! Answers that are not the API's own: it could not be asked, or did not answer.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;
use std::io;

/// Why there is no answer of the API.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No connection to it could be made.
    Unreachable(io::Error),
    /// It closed the connection without a byte of an answer.
    Silent,
    /// What it sent is no answer, or not all of one.
    Broken(String),
    /// Whoever asked has gone.
    NobodyWaits,
}

impl Refusal {
    /// What of an error becomes of it while the answer is waited for.
    pub(super) fn of(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            Self::NobodyWaits
        } else {
            Self::Broken(format!("failed before its answer: {error}"))
        }
    }

    /// What the client is told: 502, or 504 if no connection came about in time
    /// (RFC 9110, sections 15.6.3 and 15.6.5), and what to look at.
    pub(super) fn answer(&self, api: &str) -> Response<Vec<u8>> {
        let (status, name, message) = match self {
            Self::Unreachable(error) if error.kind() == io::ErrorKind::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                "ApiUnreachableError",
                format!("The API at {api} did not take the connection in time"),
            ),
            Self::Unreachable(error) => (
                StatusCode::BAD_GATEWAY,
                "ApiUnreachableError",
                format!("The API at {api} cannot be reached: {error}; is it running?"),
            ),
            Self::Silent => (
                StatusCode::BAD_GATEWAY,
                "ApiError",
                format!("The API at {api} closed the connection without an answer"),
            ),
            Self::Broken(why) => {
                (StatusCode::BAD_GATEWAY, "ApiError", format!("The API at {api} {why}"))
            }
            Self::NobodyWaits => {
                (StatusCode::BAD_GATEWAY, "ApiError", "The client has gone".to_owned())
            }
        };
        let body = format!("{}\n", json!({ "name": name, "message": message }));
        let mut answer = Response::new(body.into_bytes());
        *answer.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(CONTENT_TYPE, json);
        answer
    }
}
