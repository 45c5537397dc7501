//! Random UUIDs (version 4; RFC 9562, section 5.4), and those that show their [`Place`]. Random bytes are read for 256 of them at once,
//! so that few cost a system call.

use super::random;
use crate::api::{Busy, Failure, Place};
use std::io;
use uuid::{Builder, Uuid};

/// Random bytes of one id.
const ID_BYTES: usize = 16;

/// Ids whose random bytes are read at once.
const BLOCK: usize = 256;

/// A source of random UUIDs.
#[derive(Debug)]
pub struct RandomIds {
    block: Box<[u8; ID_BYTES * BLOCK]>,
    used: usize,
    /// Whether the last reading failed; logged once.
    failed: bool,
}

impl RandomIds {
    /// Creates a source.
    ///
    /// # Errors
    /// If the kernel provides no random bytes.
    pub fn new() -> io::Result<Self> {
        Ok(Self { block: Box::new(random::bytes()?), used: 0, failed: false })
    }

    /// Returns a new id.
    ///
    /// # Errors
    /// If the kernel provides no more random bytes: an id that repeats, or can be guessed, would be
    /// another client's.
    pub fn make(&mut self) -> Result<Uuid, Failure> {
        Ok(Builder::from_random_bytes(self.bytes()?).into_uuid())
    }

    /// Returns a new id that shows its place, if places are numbered.
    ///
    /// # Errors
    /// See [`RandomIds::make`].
    pub fn make_at(&mut self, place: Option<Place>) -> Result<Uuid, Failure> {
        match place {
            Some(place) => Ok(place.mark(self.bytes()?)),
            None => self.make(),
        }
    }

    fn bytes(&mut self) -> Result<[u8; ID_BYTES], Failure> {
        if self.used == BLOCK {
            self.refill()?;
        }
        let mut bytes = [0; ID_BYTES];
        bytes.copy_from_slice(&self.block[self.used * ID_BYTES..][..ID_BYTES]);
        self.used += 1;
        Ok(bytes)
    }

    fn refill(&mut self) -> Result<(), Failure> {
        let read = random::bytes();
        let failed_before = std::mem::replace(&mut self.failed, read.is_err());
        match read {
            Ok(bytes) => (*self.block, self.used) = (bytes, 0),
            Err(error) => {
                if !failed_before {
                    log::error!("no new ids: {error}");
                }
                return Err(Failure::TooBusy(Busy::RandomBytes));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_uuids_of_version_4() {
        let mut ids = RandomIds::new().unwrap();
        let made: HashSet<Uuid> = (0..3 * BLOCK).map(|_| ids.make().unwrap()).collect();
        assert_eq!(made.len(), 3 * BLOCK);
        for id in made {
            assert_eq!((id.get_version_num(), id.get_variant()), (4, uuid::Variant::RFC4122));
        }
    }
}
