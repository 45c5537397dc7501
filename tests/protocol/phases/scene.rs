//! How sides disconnect, and what must hold afterwards.

use crate::support::{Ask, Ending, Framing, Pair, Relay, Wire, ask, assert_uploaded};

pub(crate) const DESTINATION_CLOSED: (u16, &str, Option<&str>) =
    (502, "StreamDestinationError", Some("Stream destination closed unexpectedly"));
pub(crate) const DESTINATION_ERRED: (u16, &str, Option<&str>) =
    (502, "StreamDestinationError", Some("Stream destination raised an error"));
pub(crate) const BODY_BROKEN: (u16, &str, Option<&str>) =
    (400, "BadRequestError", Some("The request body ended before its announced end"));
pub(crate) const BODY_STALLED: (u16, &str, Option<&str>) =
    (408, "RequestTimeoutError", Some("The request body did not move for too long"));

/// How a side disconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// With a FIN and a full close.
    Close,
    /// With a reset.
    Reset,
    /// With a FIN, while it continues to read.
    HalfClose,
}

pub(crate) const WAYS: [Way; 3] = [Way::Close, Way::Reset, Way::HalfClose];

impl Way {
    /// Disconnects; a half-closed socket can still be read.
    pub(crate) fn disconnect(self, mut wire: Wire) -> Option<Wire> {
        match self {
            Way::Close => drop(wire),
            Way::Reset => wire.reset(),
            Way::HalfClose => {
                wire.finish_sending();
                return Some(wire);
            }
        }
        None
    }
}

/// Both framings, with this length.
pub(crate) fn framings(length: usize) -> [Framing; 2] {
    [Framing::Length(length), Framing::Chunked]
}

/// A destination's request by HTTP version: 1.0 or 1.1.
pub(crate) fn http_version(old: bool) -> impl FnOnce(Ask) -> Ask {
    move |get| if old { get.http10() } else { get }
}

pub(crate) fn get(id: &str) -> Ask {
    ask("GET", &format!("/stream/{id}"))
}

/// Runs a test, and checks that the relay then still serves and holds no more descriptors than
/// before.
pub(crate) fn with_relay(flags: &[&str], test: impl FnOnce(&Relay)) {
    let relay = Relay::start(flags);
    relay.await_turn();
    let before = relay.descriptors();
    test(&relay);
    relay.await_turn();
    relay.await_descriptors(before, 2);
}

/// What a destination that already received the head sees of a truncated upload.
pub(crate) fn assert_truncated(what: &str, old: bool, framing: Framing, ending: Ending) {
    let unframed = old && framing == Framing::Chunked;
    assert_ne!(ending, Ending::Complete, "{what}");
    assert!(!unframed || ending == Ending::Reset, "{what}: only a reset is visible: {ending:?}");
}

/// The status of a stream that ended in this way after this number of bytes.
pub(crate) fn assert_ended(relay: &Relay, what: &str, id: &str, wanted: (&str, usize)) {
    let (state, moved) = wanted;
    let status = relay.await_state(id, state);
    assert_eq!(status["active"], false, "{what}");
    assert_eq!(status["bytes_transferred"], moved, "{what}");
}

/// Transfers 5 bytes between the remaining or new sides of a stream.
pub(crate) fn assert_transfers(what: &str, mut pair: Pair) {
    pair.pass_first(b"hel");
    pair.pass(b"lo");
    pair.source.send(pair.framing.end());
    assert_eq!(pair.destination.rest(), (Vec::new(), Ending::Complete), "{what}");
    assert_uploaded(&pair.source.response());
}

/// Connects two new sides to a stream whose sides disconnected.
pub(crate) fn assert_pairable(relay: &Relay, what: &str, id: &str) {
    let destination = relay.waiting_destination(id);
    let framing = Framing::Length(5);
    assert_transfers(what, relay.pair_with_new_source(id.to_owned(), framing, destination));
    assert_ended(relay, what, id, ("FINISHED", 5));
}
