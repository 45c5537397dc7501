//! What a registry holds about its streams, compared with the streams themselves: for the fuzz
//! targets and the search of `src/fuzzing/`.

use super::Registry;
use crate::rendezvous::stream::StreamState;

impl Registry {
    /// Checks that each index and each sum is exactly that of the streams held.
    ///
    /// # Panics
    /// If one is not.
    pub fn assert_consistent(&self) {
        let (mut waiting, mut ended, mut weight, mut paths, mut requests) = (0, 0, 0, 0, 0);
        let mut held = [0; StreamState::ALL.len()];
        for (key, stream) in &self.streams {
            let key = u32::try_from(key).expect("a key fits");
            assert_eq!(self.by_id.get(&stream.id), Some(&key));
            assert_eq!(self.by_age.get(&stream.sequence), Some(&key));
            if !stream.is_active() {
                ended += 1;
                assert!(self.ended.contains(&(stream.deadline, key)), "it will be removed");
                assert!(stream.creator.is_none(), "only active ones count for an address");
            } else if stream.state() != StreamState::Streaming {
                waiting += 1;
                assert!(self.waiting_until.contains(&(stream.deadline, key)), "it will time out");
            }
            if let Some(path) = stream.path().filter(|_| stream.is_active()) {
                paths += 1;
                assert_eq!(self.by_path.get(path), Some(&key), "it is found by its path");
            }
            if let Some(created) = stream.key() {
                requests += 1;
                assert_eq!(self.by_request.get(&created.request), Some(&key), "it is found again");
            }
            weight += stream.weight();
            held[stream.state() as usize] += 1;
        }
        let all = self.streams.len();
        assert_eq!((self.by_id.len(), self.by_age.len()), (all, all), "nothing else is found");
        assert_eq!(self.by_path.len(), paths, "the path of an ended stream is free");
        assert_eq!(self.by_request.len(), requests);
        assert_eq!((self.waiting_until.len(), self.ended.len()), (waiting, ended));
        assert!(self.ended.iter().is_sorted_by_key(|(at, _)| at), "none is kept for another");
        assert_eq!((self.weight, self.tally.held), (weight, held));
    }
}
