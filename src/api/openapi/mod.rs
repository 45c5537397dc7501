//! The API document (`OpenAPI` 3.1.1): what a listener serves, made from the table of routes. A route
//! without a description does not compile. PURE: settings in, a document out.
//!
//! | file | holds |
//! |---|---|
//! | `about` | the description of each operation |
//! | `errors` | the responses with an error, made from [`Failure`](crate::api::Failure) |
//! | `document` | the document |
//! | `markdown` | the same for people, docs/api.md |
//! | `components.json`, `schemas.json` | parameters, bodies, header fields and links; JSON bodies |

pub mod about;
mod document;
mod errors;
mod markdown;
#[cfg(test)]
mod tests;

pub use document::document;
pub use markdown::markdown;

/// What a document depends on: the listener, and the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the relay")]
pub struct Scope {
    /// The document of the admin listener.
    pub operators: bool,
    /// Whether paths are served (`--paths`).
    pub paths: bool,
    /// Whether pages are served.
    pub pages: bool,
    /// Whether pages of other origins can read responses (`--cors-origin`).
    pub cors: bool,
    /// Whether identifiers name nodes (`--node-id`).
    pub nodes: bool,
    /// The status of `TooBusyError`.
    pub too_busy_status: u16,
    /// The field of request ids, if each response has one.
    pub request_id: Option<String>,
}

impl Scope {
    /// Everything that a public or an admin listener can serve, with the default settings.
    pub fn complete(operators: bool) -> Self {
        Self {
            operators,
            paths: true,
            pages: true,
            cors: !operators,
            nodes: true,
            too_busy_status: 503,
            request_id: None,
        }
    }
}
