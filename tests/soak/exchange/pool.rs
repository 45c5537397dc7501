//! The connections of one worker that are kept open between exchanges.

use std::io;
use std::net::SocketAddr;

use super::link::Link;

/// Connections kept at most; more would only be idle.
const KEPT_MAX: usize = 8;
/// Bytes read at once.
const READ_BYTES: usize = 128 << 10;

/// The kept connections to one relay, and a buffer for all reads.
pub(crate) struct Pool {
    address: SocketAddr,
    links: Vec<Link>,
    pub(crate) buffer: Vec<u8>,
}

impl Pool {
    pub(crate) fn new(address: SocketAddr) -> Pool {
        Pool { address, links: Vec::new(), buffer: vec![0; READ_BYTES] }
    }

    /// A kept connection, unless it must be a fresh one or a narrow one.
    pub(crate) fn link(&mut self, fresh: bool, narrow: bool) -> io::Result<Link> {
        let kept = if fresh || narrow { None } else { self.links.pop() };
        match kept {
            Some(link) => Ok(link),
            None => Link::connect(self.address, narrow),
        }
    }

    /// Keeps a connection whose last response was complete.
    pub(crate) fn give_back(&mut self, mut link: Link) {
        let lives = link.head().is_some_and(|head| !head.closes());
        if lives && link.is_idle() && self.links.len() < KEPT_MAX {
            link.next(&mut |_| ());
            link.reused = true;
            self.links.push(link);
        }
    }
}
