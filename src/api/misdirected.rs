//! Requests that another node serves: the identifier of their stream or agent names it.

use super::{Callee, NodeUrl, Place, Route};
use crate::http::head::RequestHead;
use uuid::Uuid;

/// The field with which a tunnel names the connection of its agent.
pub const AGENT_CONNECTION: &str = "Rdv-Connection";

/// A request that another node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misdirected {
    /// The number of that node.
    pub node: u16,
    /// Its URL, if that is known.
    pub url: Option<Box<str>>,
    /// The client is redirected: the URL is that of this request.
    pub is_redirected: bool,
}

impl Misdirected {
    /// Describes a request for what this node has, if it is known where that is. `target` follows the
    /// URL of the node; without it the client is not redirected.
    pub fn to(node: u16, urls: Option<&NodeUrl>, target: Option<String>) -> Self {
        let is_redirected = urls.is_some() && target.is_some();
        let url = urls.map(|urls| (urls.of(node) + &target.unwrap_or_default()).into());
        Self { node, url, is_redirected }
    }

    /// Returns the URL to redirect the client to.
    pub(super) fn location(&self) -> Option<&str> {
        self.url.as_deref().filter(|_| self.is_redirected)
    }

    /// Returns the status (RFC 9110, sections 15.4.8 and 15.5.20).
    pub(super) fn status(&self) -> u16 {
        if self.location().is_some() { 307 } else { 421 }
    }

    /// What is wrong, and what to do about it.
    pub(super) fn message(&self) -> String {
        let Self { node, url, is_redirected } = self;
        let there = format!("Another relay has this stream or agent, node {node}");
        match url {
            Some(_) if *is_redirected => there + "; follow the redirect to it",
            Some(url) => format!("{there}, {url}; send the request to that node"),
            None => there + "; send the request to that node, or configure its URL here (node-url)",
        }
    }
}

/// Returns the node whose stream or agent a request is for, unless that is `own`.
pub fn other_node(own: u16, head: &RequestHead<'_, '_>, route: &Route<'_>) -> Option<u16> {
    let place = named(head, route).and_then(Place::of)?;
    (place.node != own).then_some(place.node)
}

/// Returns the identifier that a request names.
fn named(head: &RequestHead<'_, '_>, route: &Route<'_>) -> Option<Uuid> {
    if let Route::Call { callee: Callee::Connection(connection), .. } = route {
        *connection
    } else if *route == Route::AttachTunnel {
        Uuid::try_parse_ascii(head.fields.get(AGENT_CONNECTION)?).ok()
    } else {
        route.stream().map(|(stream, _)| stream)
    }
}
