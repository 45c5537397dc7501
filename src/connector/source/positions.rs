//! Positions of records: UUIDs of version 7 (RFC 9562, section 5.7), so that a later one is
//! greater, as bytes and as text.

use crate::ops::random;
use std::io;
use uuid::{Builder, Uuid};

/// Random bytes per position.
const RANDOM_BYTES: usize = 10;

/// Positions whose random bytes are read at once, so that few of them cost a system call.
const BLOCK: usize = 256;

/// Generator of positions, each greater than all before.
#[derive(Debug)]
pub struct Positions {
    last: Uuid,
    block: Box<[u8; RANDOM_BYTES * BLOCK]>,
    used: usize,
}

impl Positions {
    /// Creates a generator whose first position is greater than `last`.
    ///
    /// # Errors
    /// If the kernel provides no random bytes: another source could create the same positions.
    pub fn after(last: Uuid) -> io::Result<Self> {
        Ok(Self { last, block: Box::new(random::bytes()?), used: 0 })
    }

    /// Returns the next position at this time. Within a millisecond, or after the clock was set
    /// back, it is the one after the last (RFC 9562, section 6.2, method 2).
    pub fn next(&mut self, unix_ms: i64) -> Uuid {
        let unix_ms = u64::try_from(unix_ms).unwrap_or(0);
        let fresh = Builder::from_unix_timestamp_millis(unix_ms, &self.random()).into_uuid();
        let same_time = fresh.as_u128() >> 80 <= self.last.as_u128() >> 80;
        self.last = if same_time { after(self.last) } else { fresh };
        self.last
    }

    fn random(&mut self) -> [u8; RANDOM_BYTES] {
        if self.used == BLOCK {
            // Randomness only distinguishes positions of different sources; it is not needed for
            // security or order. If there is none, the bytes are used again.
            if let Ok(bytes) = random::bytes() {
                *self.block = bytes;
            }
            self.used = 0;
        }
        let start = self.used * RANDOM_BYTES;
        self.used += 1;
        let mut random = [0; RANDOM_BYTES];
        random.copy_from_slice(&self.block[start..start + RANDOM_BYTES]);
        random
    }
}

/// Increments the 62 bits after the variant; on overflow the time advances by one.
fn after(position: Uuid) -> Uuid {
    const LOW: u128 = (1 << 62) - 1;
    let number = position.as_u128();
    if number & LOW < LOW {
        return Uuid::from_u128(number + 1);
    }
    let unix_ms = u64::try_from(number >> 80).unwrap_or(0) + 1;
    Builder::from_unix_timestamp_millis(unix_ms, &[0; RANDOM_BYTES]).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_increase_whatever_the_clock_does() {
        let mut positions = Positions::after(Uuid::nil()).unwrap();
        let mut last = Uuid::nil();
        for unix_ms in
            [1_700_000_000_000, 1_700_000_000_000, 1_700_000_000_001, 5, -7, 1_700_000_000_001]
        {
            for _ in 0..600 {
                let next = positions.next(unix_ms);
                assert!(next > last && next.to_string() > last.to_string(), "at {unix_ms}");
                assert_eq!(
                    (next.get_version_num(), next.get_variant()),
                    (7, uuid::Variant::RFC4122)
                );
                last = next;
            }
        }
        assert_eq!(last.as_u128() >> 80, 1_700_000_000_001, "the clock's time is in it");
    }

    #[test]
    fn positions_continue_after_those_of_the_previous_process() {
        let far = Builder::from_unix_timestamp_millis(1 << 47, &[0xff; 10]).into_uuid();
        let next = Positions::after(far).unwrap().next(1_700_000_000_000);
        assert!(next > far, "{next} after {far}");
        assert_eq!(next.get_version_num(), 7);
    }
}
