//! Connections that leave for another worker while they belong to the streams: a creation that chose
//! its identifier, and a reader of the list.

use super::listing::StreamListing;
use crate::relay::http1::CreateRequest;
use crate::relay::io::ConnId;

/// What a connection takes along.
#[derive(Debug)]
pub enum StreamCargo {
    /// A complete request to create a stream, whose identifier belongs to the other worker.
    Creation(CreateRequest, Vec<u8>),
    /// The list, to be continued with the streams of the other worker.
    Listing(Box<StreamListing>),
}

/// A connection that leaves, and the worker that serves it from now on.
#[derive(Debug)]
pub struct StreamDeparture {
    /// The connection.
    pub id: ConnId,
    /// The worker.
    pub to: u8,
    /// What it takes along.
    pub cargo: StreamCargo,
}
