//! Who follows the events of which stream: bounded for each stream and in all.

use super::token::ConnId;
use std::collections::HashMap;
use uuid::Uuid;

/// Followers of one stream: a person with a few windows, not an audience.
const PER_STREAM: usize = 16;

/// All followers.
#[derive(Debug, Default)]
pub(super) struct Followers {
    by_stream: HashMap<Uuid, Vec<ConnId>>,
    count: usize,
}

impl Followers {
    /// Whether one more may follow this stream, with so many in all.
    pub fn have_room(&self, stream: Uuid, max: usize) -> bool {
        self.count < max && self.by_stream.get(&stream).is_none_or(|all| all.len() < PER_STREAM)
    }

    /// One more follows a stream.
    pub fn add(&mut self, stream: Uuid, id: ConnId) {
        self.by_stream.entry(stream).or_default().push(id);
        self.count += 1;
    }

    /// One follows no more; whether it was the last of its stream.
    pub fn remove(&mut self, stream: Uuid, id: ConnId) -> bool {
        let Some(all) = self.by_stream.get_mut(&stream) else { return true };
        if let Some(at) = all.iter().position(|other| *other == id) {
            all.swap_remove(at);
            self.count -= 1;
        }
        let empty = all.is_empty();
        if empty {
            self.by_stream.remove(&stream);
        }
        empty
    }

    /// Those who follow a stream now.
    pub fn of(&self, stream: Uuid) -> Vec<ConnId> {
        self.by_stream.get(&stream).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_are_bounded_for_each_stream_and_in_all() {
        let mut followers = Followers::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let id = |index| ConnId { index, generation: 1 };
        for index in 0..16 {
            assert!(followers.have_room(one, 17), "{index}");
            followers.add(one, id(index));
        }
        assert!(!followers.have_room(one, 100), "the stream has enough");
        assert!(followers.have_room(other, 17) && !followers.have_room(other, 16));
        followers.add(other, id(16));
        assert!(!followers.have_room(Uuid::from_u128(3), 17), "there are enough in all");

        assert!(!followers.remove(one, id(3)));
        assert!(!followers.remove(one, id(3)), "nobody leaves twice");
        assert_eq!((followers.count, followers.of(one).len()), (16, 15));
        assert!(followers.remove(other, id(16)), "the last one");
        assert!(followers.by_stream.len() == 1 && followers.of(other).is_empty());
    }
}
