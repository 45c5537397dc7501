//! Error responses in place of the API's: it could not be reached, or did not answer.

use crate::ops::cause;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;
use std::io;

/// Why there is no response of the API.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Connecting failed.
    Unreachable(io::Error),
    /// The API closed the connection before the first byte of a response.
    Silent,
    /// The response is invalid or incomplete.
    Broken(String),
    /// The client disconnected.
    NobodyWaits,
}

impl Refusal {
    /// Returns the response for the client: 502, or 504 if the connection timed out (RFC 9110,
    /// sections 15.6.3 and 15.6.5), with the reason.
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
                format!("The API at {api} cannot be reached: {}; is it running?", cause(error)),
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
