//! Senders that do as senders should: who is answered 503, or loses the connection, sends the same
//! again.

use std::net::SocketAddr;
use std::sync::RwLock;

use crate::support::{Ending, Response, Wire, ask, eventually};

/// One connection at a time to a source that may be away for a while.
pub(crate) struct Sender<'s> {
    address: SocketAddr,
    /// Held for writing while the source is away. Nobody dials then: a connection to a port of
    /// loopback where nobody listens may meet itself, and so keep the port from the next source.
    there: &'s RwLock<()>,
    wire: Option<Wire>,
}

impl Sender<'_> {
    pub(crate) fn new(address: SocketAddr, there: &RwLock<()>) -> Sender<'_> {
        Sender { address, there, wire: None }
    }

    /// Sends this body until it is answered 201; the position in that answer.
    pub(crate) fn send(&mut self, key: &str, body: &str) -> String {
        eventually("it is answered 201", || {
            let response = self.attempt(key, body)?;
            match response.status() {
                201 => Some(response.json()["position"].as_str().unwrap().to_owned()),
                503 => {
                    assert!(response.head.get("Retry-After").is_some(), "{body}");
                    None
                }
                status => panic!("{body}: {status} {}", response.text()),
            }
        })
    }

    /// The whole answer, if one comes.
    fn attempt(&mut self, key: &str, body: &str) -> Option<Response> {
        let mut wire = self.wire.take().unwrap_or_else(|| {
            let _there = self.there.read().unwrap();
            Wire::connect(self.address)
        });
        wire.try_send(ask("POST", "/in").field("X-Key", key).body(body).bytes()).ok()?;
        let response = wire.try_response().ok()?;
        if response.ending != Ending::Complete {
            return None;
        }
        self.wire = (!response.head.closes()).then_some(wire);
        Some(response)
    }
}
