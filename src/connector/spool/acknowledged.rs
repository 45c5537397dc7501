//! Acknowledgements in any order: only a prefix without a gap counts as delivered. PURE.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use uuid::Uuid;

/// Records that were sent, in the order of their positions, and which of them were acknowledged.
#[derive(Debug)]
pub struct Acknowledged {
    /// Sent but not settled, in order; the first one is not acknowledged.
    open: VecDeque<(Uuid, bool)>,
    /// The last record that was sent.
    newest: Option<Uuid>,
    most: NonZeroUsize,
}

/// The reason why a record cannot be noted as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckError {
    /// The maximum of open records is reached; wait for acknowledgements.
    Full,
    /// Its position is not greater than the previous one.
    Order,
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too many records are not acknowledged; wait until some are",
            Self::Order => "records are to be sent in the order of their positions",
        })
    }
}

impl std::error::Error for AckError {}

/// The result of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckOutcome {
    /// Every record up to this one is acknowledged: the position to commit.
    UpTo(Uuid),
    /// It is noted, but an earlier record is not acknowledged yet.
    Held,
    /// No record of this position is open: it was never sent, or settled before.
    Unknown,
}

impl Acknowledged {
    /// Creates a tracker for up to `most` open records, 17 to 32 bytes each.
    pub fn new(most: NonZeroUsize) -> Self {
        Self { open: VecDeque::new(), newest: None, most }
    }

    /// Returns how many records can be sent before the next acknowledgement.
    pub fn room(&self) -> usize {
        self.most.get() - self.open.len()
    }

    /// Notes that the record of this position was sent.
    ///
    /// # Errors
    ///
    /// [`AckError`] if there is no room, or the position is out of order; then nothing is noted.
    pub fn sent(&mut self, position: Uuid) -> Result<(), AckError> {
        if Some(position) <= self.newest {
            return Err(AckError::Order);
        }
        if self.room() == 0 {
            return Err(AckError::Full);
        }
        self.newest = Some(position);
        self.open.push_back((position, false));
        Ok(())
    }

    /// Notes that the record of this position was acknowledged.
    pub fn acknowledge(&mut self, position: Uuid) -> AckOutcome {
        let Ok(at) = self.open.binary_search_by_key(&position, |(sent, _)| *sent) else {
            return AckOutcome::Unknown;
        };
        self.open[at].1 = true;
        let mut settled = AckOutcome::Held;
        while let Some((position, true)) = self.open.front() {
            settled = AckOutcome::UpTo(*position);
            self.open.pop_front();
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    fn sent(count: usize) -> Acknowledged {
        let mut acknowledged = Acknowledged::new(NonZeroUsize::new(count).unwrap());
        (1..=count).for_each(|number| acknowledged.sent(at(number)).unwrap());
        acknowledged
    }

    #[test]
    fn only_acknowledgements_without_a_gap_count() {
        let mut acknowledged = sent(4);
        assert_eq!(acknowledged.acknowledge(at(2)), AckOutcome::Held);
        assert_eq!(acknowledged.acknowledge(at(2)), AckOutcome::Held);
        assert_eq!(acknowledged.acknowledge(at(1)), AckOutcome::UpTo(at(2)));
        assert_eq!(acknowledged.acknowledge(at(1)), AckOutcome::Unknown);
        assert_eq!(acknowledged.acknowledge(at(9)), AckOutcome::Unknown);
        assert_eq!(acknowledged.acknowledge(at(4)), AckOutcome::Held);
        assert_eq!(acknowledged.acknowledge(at(3)), AckOutcome::UpTo(at(4)));
    }

    #[test]
    fn the_number_of_open_records_is_bounded() {
        let mut acknowledged = sent(2);
        assert_eq!(acknowledged.sent(at(3)), Err(AckError::Full));
        // Acknowledged but held: it keeps its place until the first one is acknowledged.
        acknowledged.acknowledge(at(2));
        assert_eq!((acknowledged.room(), acknowledged.sent(at(3))), (0, Err(AckError::Full)));
        acknowledged.acknowledge(at(1));
        assert_eq!((acknowledged.room(), acknowledged.sent(at(3))), (2, Ok(())));
        assert_eq!(acknowledged.sent(at(3)), Err(AckError::Order));
    }

    proptest! {
        #[test]
        fn in_any_order_the_highest_position_without_a_gap_is_returned(
            order in Just((1..=40usize).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut acknowledged = sent(40);
            let (mut known, mut told) = (std::collections::HashSet::new(), 0);
            for number in order {
                known.insert(number);
                let expected = (1..=40).take_while(|number| known.contains(number)).count();
                let settled = acknowledged.acknowledge(at(number));
                let wanted = if expected > told { AckOutcome::UpTo(at(expected)) } else { AckOutcome::Held };
                prop_assert_eq!(settled, wanted);
                told = expected;
            }
            prop_assert_eq!((told, acknowledged.room()), (40, 40));
        }
    }
}
