//! Load limits: what is counted, from when to when. Running work is never affected.

use crate::rendezvous::{Addresses, addresses};
use std::net::IpAddr;

/// The counts that include a connection, so that each is decremented exactly once.
#[derive(Debug, Default)]
pub struct LoadClass {
    /// Counted in [`ConnCounts::requests`].
    request: bool,
    /// Counted in [`ConnCounts::addresses`].
    address: Option<addresses::AddressCount>,
}

/// Counts of connections and their requests.
#[derive(Debug, Default)]
pub struct ConnCounts {
    /// Requests whose response has not ended.
    requests: usize,
    /// Connections by address, while that is limited.
    addresses: Addresses,
}

impl ConnCounts {
    /// Counts the request of a connection until [`ConnCounts::end_request`]; whether it may be
    /// served with at most `max` at once (0: no limit).
    pub fn begin_request(&mut self, counted: &mut LoadClass, max: usize) -> bool {
        if max > 0 && self.requests >= max {
            return false;
        }
        if !std::mem::replace(&mut counted.request, true) {
            self.requests += 1;
        }
        true
    }

    /// Ends the request of a connection, if one was counted.
    pub fn end_request(&mut self, counted: &mut LoadClass) {
        if std::mem::take(&mut counted.request) {
            self.requests -= 1;
        }
    }

    /// Counts a connection for its client until [`ConnCounts::end`]; whether it may be served with
    /// at most `max` for one address (0: no limit, and nothing is counted).
    pub fn begin_connection(
        &mut self,
        counted: &mut LoadClass,
        client: IpAddr,
        max: usize,
    ) -> bool {
        // It may be counted for its peer if that became a proxy by a reload.
        if let Some(before) = counted.address.take() {
            self.addresses.remove(before);
        }
        if max == 0 {
            return true;
        }
        if self.addresses.count(client) >= max {
            return false;
        }
        counted.address = Some(self.addresses.add(client));
        true
    }

    /// Removes a connection from the counts: it closes, or lingers.
    pub fn end(&mut self, counted: &mut LoadClass) {
        self.end_request(counted);
        if let Some(address) = counted.address.take() {
            self.addresses.remove(address);
        }
    }
}
