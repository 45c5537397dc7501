//! What a stream has from its creation.

use super::guard::Guard;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What few streams have from their creation: header fields for the responses, whose values are
/// strings, numbers or booleans; a path; tokens; a URL.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers {
    /// For the response to the `GET`.
    pub download: Map<String, Value>,
    /// For the response to the `PUT`.
    pub upload: Map<String, Value>,
    /// The path at which both sides meet, without the prefix of all paths.
    pub path: Option<Arc<str>>,
    /// The tokens that its clients need.
    pub guard: Option<Guard>,
    /// The request that created it, to recognize the same one again.
    pub key: Option<CreationKey>,
    /// The URL that is notified of its end.
    pub notify_url: Option<Box<str>>,
}

/// A request that can be repeated without effect: digests of its key and of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreationKey {
    /// The digest of the client and its key.
    pub request: [u8; 32],
    /// The digest of the body.
    pub body: [u8; 32],
}

impl Headers {
    /// Returns their approximate memory in bytes: a map entry for each field or path, and its text.
    pub fn weight(&self) -> usize {
        let texts = |(name, value): (&String, &Value)| {
            FIELD_WEIGHT + name.len() + value.as_str().map_or(0, str::len)
        };
        let path = self.path.as_ref().map_or(0, |path| FIELD_WEIGHT + path.len());
        let key = self.key.map_or(0, |_| FIELD_WEIGHT);
        let guard = self.guard.map_or(0, |_| FIELD_WEIGHT);
        let url = self.notify_url.as_ref().map_or(0, |url| FIELD_WEIGHT + url.len());
        self.download.iter().chain(&self.upload).map(texts).sum::<usize>()
            + path
            + key
            + guard
            + url
    }
}

/// The memory of a field besides its text, in bytes.
const FIELD_WEIGHT: usize = 160;
