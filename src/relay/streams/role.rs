//! What a connection is to the streams.

use super::listing::StreamListing;
use crate::api::Upload;
use crate::relay::io::Slot;
use crate::rendezvous::{Side, StreamKey};

/// What a connection is to the streams.
#[derive(Debug)]
pub(super) enum StreamRole {
    /// The source of a stream. Its head is kept until a byte of the body is forwarded: until then
    /// its destination may leave, and another one may connect.
    Source { stream: StreamKey, upload: Option<Box<Upload>> },
    /// The destination of a stream. `as_file`: its link requests that the data is saved, not shown.
    Destination { stream: StreamKey, as_file: bool },
    /// A reader of the list.
    Listing(Box<StreamListing>),
    /// A subscriber to the events of a stream.
    Subscriber(Slot),
}

/// Which side of which stream a connection is.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamSide {
    pub stream: StreamKey,
    pub side: Side,
}

impl StreamRole {
    /// Returns the stream it is a side of, and the side.
    pub fn side(&self) -> Option<(StreamKey, Side)> {
        match self {
            Self::Source { stream, .. } => Some((*stream, Side::Source)),
            Self::Destination { stream, .. } => Some((*stream, Side::Destination)),
            Self::Listing(_) | Self::Subscriber(_) => None,
        }
    }
}
