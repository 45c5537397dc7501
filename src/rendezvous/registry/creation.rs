//! How streams get into a registry and leave it for another one, and who gives way when it is full.

use super::outcome::{CreateError, ReleasedStream};
use super::{Registry, StreamKey, WEIGHT_MAX};
use crate::rendezvous::Now;
use crate::rendezvous::addresses::AddressCount;
use crate::rendezvous::stream::{Ending, Headers, Stream, StreamState};
use std::net::IpAddr;
use std::time::Instant;
use uuid::Uuid;

/// Streams that give way to one new stream at most, so that one request never scans them all.
const GIVE_WAY_MAX: usize = 1000;

/// A stream that another registry has given away.
#[derive(Debug)]
pub struct AdoptedStream {
    /// Its identifier.
    pub id: Uuid,
    /// The header fields its creator asked for.
    pub headers: Option<Box<Headers>>,
    /// The address it counts for, if that is known.
    pub creator: Option<IpAddr>,
    /// When it was created.
    pub created: Now,
    /// When its waiting time ends.
    pub deadline: Instant,
}

impl Registry {
    /// Makes a stream that waits for both sides.
    ///
    /// # Errors
    /// [`CreateError`] when as many streams as a limit allows are active, or they weigh too much.
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
        // Before anything gives way: a refused address costs no other client its history.
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

    /// Goes on with a stream of another registry. It counts for its creator's address, but no limit
    /// of an address refuses it: those are for new streams.
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
        // One that is set in this turn ends in a later one.
        let deadline = deadline.max(now.monotonic);
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let mut stream = Stream::new(id, headers, sequence, created, deadline);
        stream.creator = creator.map(|creator| self.creators.add(creator));
        let key = u32::try_from(self.streams.insert(stream)).map_err(|_| CreateError::Registry)?;
        self.unjoined.add(key, &self.streams[key as usize]);
        self.tally.held[StreamState::Created as usize] += 1;
        self.by_id.insert(id, key);
        self.by_age.insert(sequence, key);
        self.waiting_until.insert((deadline, key));
        Ok(StreamKey(key))
    }

    fn is_full_for(&self, weight: usize) -> bool {
        self.streams.len() >= self.limits.streams || self.weight + weight > WEIGHT_MAX
    }

    fn may_make_room(&self, now: Now) -> bool {
        !self.ended.is_empty() || self.oldest_overdue(now).is_some()
    }

    /// Forgets those that ended first; when none has ended, ends the oldest that no side joined
    /// within the usual waiting time.
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

    /// The oldest stream that no side has joined, if it has outlived the usual waiting time: its
    /// creator asked for a longer one.
    fn oldest_overdue(&self, now: Now) -> Option<StreamKey> {
        let key = self.unjoined.oldest()?;
        let created = self.streams[key as usize].created();
        (created + self.limits.ttl < now.monotonic).then_some(StreamKey(key))
    }

    /// A stream that still waits for a side or both does so until then, whatever the limits say.
    pub fn wait_until(&mut self, StreamKey(key): StreamKey, deadline: Instant, now: Now) {
        let stream = &mut self.streams[key as usize];
        if self.waiting_until.remove(&(stream.deadline, key)) {
            // One that is set in this turn ends in a later one.
            stream.deadline = deadline.max(now.monotonic);
            self.waiting_until.insert((stream.deadline, key));
        }
    }

    /// Gives away all streams that wait for a side or both, oldest deadline first: somebody else
    /// goes on with them, and here they are unknown from now on.
    pub fn give_away_waiting(&mut self) -> Vec<ReleasedStream> {
        let keys = std::mem::take(&mut self.waiting_until);
        let give = |(_, key)| {
            let mut stream = self.remove(key);
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
