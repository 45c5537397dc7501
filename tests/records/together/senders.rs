//! Well-behaved senders: after a 503, or a lost connection, they send the same again.

use std::net::SocketAddr;
use std::sync::RwLock;

use crate::support::{Ending, Response, Wire, ask, eventually};

/// One connection at a time to a source that can be unavailable for a while.
pub(crate) struct Sender<'s> {
    address: SocketAddr,
    /// Locked for writing while the source is down. No sender connects then: a connection to a
    /// closed loopback port can connect to itself, and so block the port for the next source.
    there: &'s RwLock<()>,
    wire: Option<Wire>,
}

impl Sender<'_> {
    pub(crate) fn new(address: SocketAddr, there: &RwLock<()>) -> Sender<'_> {
        Sender { address, there, wire: None }
    }

    /// Sends this body until it gets a 201; returns the position in that response.
    pub(crate) fn send(&mut self, key: &str, body: &str) -> String {
        eventually("it is answered 201", || {
            let response = self.attempt(key, body)?;
            match response.status() {
                201 => Some(response.json()["position"].as_str().unwrap().to_owned()),
                503 => {
                    assert!(response.head.get("Retry-After").is_some(), "{body}");
                    None
                }
                // From a proxy: the source may have the record.
                502 => None,
                status => panic!("{body}: {status} {}", response.text()),
            }
        })
    }

    /// The complete response, if there is one.
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
