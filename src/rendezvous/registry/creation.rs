//! Creation and handover of streams, and the removal of others when the registry is full.

use super::outcome::{CreateError, ReleasedStream};
use super::{Registry, StreamKey, WEIGHT_MAX};
use crate::rendezvous::Now;
use crate::rendezvous::addresses::AddressCount;
use crate::rendezvous::headers::Headers;
use crate::rendezvous::stream::{Ending, Stream, StreamState};
use std::net::IpAddr;
use std::time::Instant;
use uuid::Uuid;

/// Maximum streams removed for one new stream, so that one request never scans them all.
const GIVE_WAY_MAX: usize = 1000;

/// A stream handed over by another registry.
#[derive(Debug)]
pub struct AdoptedStream {
    /// Its identifier.
    pub id: Uuid,
    /// The header fields that its creator requested.
    pub headers: Option<Box<Headers>>,
    /// The address it counts for, if known.
    pub creator: Option<IpAddr>,
    /// The time of its creation.
    pub created: Now,
    /// The deadline for both sides to connect.
    pub deadline: Instant,
}

impl Registry {
    /// Creates a stream that waits for both sides. Its identifier must be new, and so must the
    /// request that it is created by.
    ///
    /// # Errors
    /// [`CreateError`] when a limit of active streams is reached, or their total weight is too
    /// high.
    pub fn create(
        &mut self,
        id: Uuid,
        headers: Option<Box<Headers>>,
        creator: IpAddr,
        now: Now,
    ) -> Result<StreamKey, CreateError> {
        let weight = headers.as_ref().map_or(0, |headers| headers.weight());
        if self.is_full_for(weight) && !self.may_make_room(now) {
            return Err(CreateError::Registry);
        }
        // Before any stream is removed: a refused address must not cost other clients their
        // history.
        let most = self.limits.streams_per_address;
        if most > 0 && self.creators.count(creator) >= most {
            return Err(CreateError::Address);
        }
        let most = self.limits.unjoined_per_address;
        if most > 0 && !self.unjoined.share(creator).has_room(most, weight) {
            return Err(CreateError::AddressUnjoined);
        }
        let deadline = now.monotonic + self.limits.ttl;
        let creator = Some(creator);
        self.insert(AdoptedStream { id, headers, creator, created: now, deadline }, weight, now)
    }

    /// Adds a stream of another registry. It counts for its creator's address, but no limit of an
    /// address refuses it: those are for new streams.
    ///
    /// # Errors
    /// [`CreateError::Registry`] as for a new stream.
    pub fn adopt(&mut self, adopted: AdoptedStream, now: Now) -> Result<StreamKey, CreateError> {
        let weight = adopted.headers.as_ref().map_or(0, |headers| headers.weight());
        self.insert(adopted, weight, now)
    }

    fn insert(
        &mut self,
        new: AdoptedStream,
        weight: usize,
        now: Now,
    ) -> Result<StreamKey, CreateError> {
        let AdoptedStream { id, headers, creator, created, deadline } = new;
        self.make_room(weight, now)?;
        self.weight += weight;
        // A deadline set in this turn expires in a later one.
        let deadline = deadline.max(now.monotonic);
        let sequence = self.next_sequence;
        self.next_sequence += self.stride;
        let mut stream = Stream::new(id, headers, sequence, created, deadline);
        stream.creator = creator.map(|creator| self.creators.add(creator));
        let key = u32::try_from(self.streams.insert(stream)).map_err(|_| CreateError::Registry)?;
        self.take_path(key);
        if let Some(created) = self.streams[key as usize].key() {
            self.by_request.insert(created.request, key);
        }
        self.unjoined.add(key, &self.streams[key as usize]);
        self.tally.held[StreamState::Created as usize] += 1;
        self.by_id.insert(id, key);
        self.by_age.insert(sequence, key);
        self.waiting_until.insert((deadline, key));
        Ok(StreamKey(key))
    }

    fn is_full_for(&self, weight: usize) -> bool {
        self.streams.len() + self.elsewhere >= self.limits.streams
            || self.weight + weight > WEIGHT_MAX
    }

    fn may_make_room(&self, now: Now) -> bool {
        !self.ended.is_empty() || self.oldest_overdue(now).is_some()
    }

    /// Removes the streams that ended first; without ended ones, ends the oldest stream that no
    /// side joined within the default waiting time.
    fn make_room(&mut self, weight: usize, now: Now) -> Result<(), CreateError> {
        for _ in 0..GIVE_WAY_MAX {
            if !self.is_full_for(weight) {
                return Ok(());
            }
            if let Some((_, oldest)) = self.ended.pop_front() {
                self.forget(oldest);
            } else {
                let overdue = self.oldest_overdue(now).ok_or(CreateError::Registry)?;
                self.end(overdue, Ending::TimedOut(None), now);
            }
        }
        if self.is_full_for(weight) { Err(CreateError::Registry) } else { Ok(()) }
    }

    /// Returns the oldest stream that no side has joined, if the default waiting time has passed:
    /// its creator requested a longer one.
    fn oldest_overdue(&self, now: Now) -> Option<StreamKey> {
        let key = self.unjoined.oldest()?;
        let created = self.streams[key as usize].created();
        (created + self.limits.ttl < now.monotonic).then_some(StreamKey(key))
    }

    /// Sets the deadline of a stream that waits for one or both sides, regardless of the limits.
    pub fn wait_until(&mut self, StreamKey(key): StreamKey, deadline: Instant, now: Now) {
        let stream = &mut self.streams[key as usize];
        if self.waiting_until.remove(&(stream.deadline, key)) {
            // A deadline set in this turn expires in a later one.
            stream.deadline = deadline.max(now.monotonic);
            self.waiting_until.insert((stream.deadline, key));
        }
    }

    /// Removes and returns all streams that wait for one or both sides, oldest first, as the other
    /// registry numbers them again: it continues them, and they are unknown here from now on.
    pub fn give_away_waiting(&mut self) -> Vec<ReleasedStream> {
        let waiting = std::mem::take(&mut self.waiting_until);
        let mut keys: Vec<_> = waiting.into_iter().map(|(_, key)| key).collect();
        keys.sort_unstable_by_key(|key| self.streams[*key as usize].sequence);
        let give = |key| {
            let mut stream = self.remove(key);
            if let Some(path) = stream.path() {
                self.by_path.remove(path);
            }
            let counted = stream.creator.take();
            let creator = counted.as_ref().map(AddressCount::address);
            if let Some(counted) = counted {
                self.creators.remove(counted);
            }
            ReleasedStream { stream, creator }
        };
        keys.into_iter().map(give).collect()
    }
}
