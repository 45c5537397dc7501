//! The settings of a relay that is one of several, behind any balancer.

use super::units;
use crate::api::{NodeUrl, Place};
use clap::Args;

/// This node, and where the others are.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Nodes")]
pub struct NodeSettings {
    /// Number of this relay among several with one name: the identifiers it makes begin with it, as
    /// four hexadecimal digits; by default they show none
    #[arg(long, value_name = "N", value_parser = units::node)]
    pub node_id: Option<u16>,

    /// URL of each node, with its number as {node} or, in four hexadecimal digits, {hex}, such as
    /// https://relay-{node}.example: requests for a stream or an agent of another node are
    /// redirected to it (307); by default they are answered 421
    #[allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "this is the text of --help")]
    #[arg(long, value_name = "URL")]
    pub node_url: Option<NodeUrl>,
}

impl NodeSettings {
    /// Returns the place that new identifiers show.
    pub fn place(&self) -> Option<Place> {
        self.node_id.map(|node| Place { node, worker: 0 })
    }

    /// Returns why these settings cannot be used together.
    pub(super) fn conflict(&self) -> Option<String> {
        (self.node_url.is_some() && self.node_id.is_none())
            .then(|| "node-url needs node-id: give each relay a number of its own".into())
    }
}
