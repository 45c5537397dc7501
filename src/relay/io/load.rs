//! Load limits: what is counted, from when to when. What already runs is never touched.

use crate::rendezvous::{Addresses, addresses};
use std::net::IpAddr;

/// Where a connection counts at present, so that it is taken off the count once and only once.
#[derive(Debug, Default)]
pub struct LoadClass {
    /// In [`ConnCounts::requests`].
    request: bool,
    /// In [`ConnCounts::addresses`].
    address: Option<addresses::AddressCount>,
}

/// What is counted of connections and their requests.
#[derive(Debug, Default)]
pub struct ConnCounts {
    /// Requests whose response has not ended.
    requests: usize,
    /// Connections by address, while that is limited.
    addresses: Addresses,
}

impl ConnCounts {
    /// Counts the request of a connection until [`ConnCounts::end_request`]; whether it may be served when
    /// at most `max` may be (0: no limit).
    pub fn begin_request(&mut self, counted: &mut LoadClass, max: usize) -> bool {
        if max > 0 && self.requests >= max {
            return false;
        }
        if !std::mem::replace(&mut counted.request, true) {
            self.requests += 1;
        }
        true
    }

    /// The response to a connection's request ended, if it was in one.
    pub fn end_request(&mut self, counted: &mut LoadClass) {
        if std::mem::take(&mut counted.request) {
            self.requests -= 1;
        }
    }

    /// Counts a connection for its address until [`ConnCounts::end`]; whether it may be served when one
    /// address may have at most `max` (0: no limit, and nothing is counted).
    pub fn begin_connection(&mut self, counted: &mut LoadClass, peer: IpAddr, max: usize) -> bool {
        if max == 0 {
            return true;
        }
        if self.addresses.count(peer) >= max {
            return false;
        }
        counted.address = Some(self.addresses.add(peer));
        true
    }

    /// A connection is not served any more: it closes, or is lingered with.
    pub fn end(&mut self, counted: &mut LoadClass) {
        self.end_request(counted);
        if let Some(address) = counted.address.take() {
            self.addresses.remove(address);
        }
    }
}
