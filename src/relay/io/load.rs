//! Load limits: what is counted, from when to when. Running work is never affected.

use crate::rendezvous::Addresses;
use crate::rendezvous::addresses::AddressCount;
use std::net::IpAddr;

/// The counts that include a connection, so that each is decremented exactly once.
#[derive(Debug, Default)]
pub struct LoadClass {
    /// Counted in [`ConnCounts::requests`].
    request: bool,
    /// Counted in [`ConnCounts::addresses`].
    address: Option<AddressCount>,
    /// Counted in [`ConnCounts::handshakes`].
    handshake: Option<AddressCount>,
}

/// Counts of connections and their requests.
#[derive(Debug, Default)]
pub struct ConnCounts {
    /// Requests whose response has not ended.
    requests: usize,
    /// Connections by address, while that is limited.
    addresses: Addresses,
    /// TLS handshakes by address, and all of them.
    handshakes: Addresses,
    handshaking: usize,
}

/// The counts by address that all workers share.
#[derive(Debug)]
pub struct SharedCounts {
    connections: Addresses,
    handshakes: Addresses,
}

impl SharedCounts {
    /// Creates counts that can be shared.
    pub fn new() -> Self {
        Self { connections: Addresses::shared(), handshakes: Addresses::shared() }
    }
}

impl ConnCounts {
    /// Shares the counts by address with all workers; before anything is counted.
    pub fn share(&mut self, counts: &SharedCounts) {
        debug_assert!(self.addresses.is_empty() && self.handshakes.is_empty(), "before all else");
        self.addresses = counts.connections.another();
        self.handshakes = counts.handshakes.another();
    }

    /// Returns the number of requests whose response has not ended.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Returns the number of TLS handshakes.
    pub fn handshaking(&self) -> usize {
        self.handshaking
    }

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

    /// Counts the TLS handshake of a connection until [`ConnCounts::end_handshake`]; whether it may
    /// begin with at most `max` at once. An address may have as many as remain free: alone half of
    /// them, and addresses that keep all of theirs leave some to others.
    pub fn begin_handshake(&mut self, counted: &mut LoadClass, peer: IpAddr, max: usize) -> bool {
        let free = max.saturating_sub(self.handshaking);
        if self.handshakes.count(peer) >= free {
            return false;
        }
        counted.handshake = Some(self.handshakes.add(peer));
        self.handshaking += 1;
        true
    }

    /// Ends the TLS handshake of a connection, if one was counted.
    pub fn end_handshake(&mut self, counted: &mut LoadClass) {
        if let Some(handshake) = counted.handshake.take() {
            self.handshakes.remove(handshake);
            self.handshaking -= 1;
        }
    }

    /// Removes a connection from the counts: it closes, or lingers.
    pub fn end(&mut self, counted: &mut LoadClass) {
        self.end_request(counted);
        self.end_handshake(counted);
        if let Some(address) = counted.address.take() {
            self.addresses.remove(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[test]
    fn an_address_may_have_as_many_handshakes_as_remain_free() {
        for (max, addresses, granted) in [
            (0, 1, vec![0]),
            (1, 2, vec![1, 0]),
            (2, 3, vec![1, 1, 0]),
            (512, 5, vec![256, 128, 64, 32, 16]),
        ] {
            let mut counts = ConnCounts::default();
            let mut begun = Vec::new();
            for (number, expected) in (1..=addresses).zip(granted) {
                let before = begun.len();
                loop {
                    let mut counted = LoadClass::default();
                    if !counts.begin_handshake(&mut counted, address(number), max) {
                        break;
                    }
                    begun.push(counted);
                }
                assert_eq!(begun.len() - before, expected, "{max}, address {number}");
            }
            for mut counted in begun {
                counts.end_handshake(&mut counted);
                counts.end(&mut counted);
            }
            assert!(counts.handshakes.is_empty() && counts.handshaking == 0, "{max}");
        }
    }

    #[test]
    fn addresses_that_fill_their_handshakes_at_once_leave_an_equal_part_free() {
        let mut counts = ConnCounts::default();
        let mut begin =
            |number| counts.begin_handshake(&mut LoadClass::default(), address(number), 512);
        for number in (1..=7).cycle().take(7 * 512) {
            begin(number);
        }
        assert_eq!(counts.handshaking, 448);
    }
}
