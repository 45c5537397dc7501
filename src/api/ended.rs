//! How a stream ended, for clients that connect too late.

use super::Failure;
use crate::rendezvous::{Ending, Receipt, Side, Stream};
use jiff::Timestamp;

/// How and when a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub ending: Ending,
    /// Body bytes that its destination was sent.
    pub bytes: u64,
    /// Whether the receiver reported that it does not have the data.
    pub is_refuted: bool,
    /// When it ended, in milliseconds since the epoch.
    wall_ms: i64,
    /// The time of the request, likewise.
    now_wall_ms: i64,
}

impl Ended {
    /// Returns how a stream ended, seen at this time; `None` if it is active.
    pub fn of(stream: &Stream, now_wall_ms: i64) -> Option<Self> {
        Some(Self {
            ending: stream.ending()?.clone(),
            bytes: stream.bytes_transferred(),
            is_refuted: matches!(stream.receipt(), Some(Receipt::Failed(_))),
            wall_ms: stream.ended_wall_ms()?,
            now_wall_ms,
        })
    }

    /// Returns when it ended, as `13:01:09 UTC`.
    pub fn time(&self) -> String {
        let ended = Timestamp::from_millisecond(self.wall_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        format!("{} UTC", ended.strftime("%H:%M:%S"))
    }

    /// Returns how long ago it ended, as `5 min ago`.
    pub fn ago(&self) -> String {
        match self.now_wall_ms.saturating_sub(self.wall_ms).max(0) / 1000 {
            seconds @ 0..120 => format!("{seconds} s ago"),
            seconds @ 120..7200 => format!("{} min ago", seconds / 60),
            seconds => format!("{} h ago", seconds / 3600),
        }
    }

    /// Returns the outcome in a few words.
    pub fn reason(&self) -> String {
        let ago = self.ago();
        match &self.ending {
            Ending::Finished(_) => format!("used at {}", self.time()),
            Ending::TimedOut(_) => format!("expired {ago}"),
            Ending::Disconnected(side) => format!("the {} disconnected {ago}", role(*side)),
            Ending::Failed(side) => format!("the {} failed {ago}", role(*side)),
            Ending::TooLarge(_) => format!("the upload was too large, {ago}"),
            Ending::Reported(report) if **report == Failure::deleted() => format!("deleted {ago}"),
            Ending::Reported(report) => format!("ended with {} {ago}", report.name),
        }
    }
}

/// Returns a side of a stream in words for people: `sender` or `receiver`.
pub fn role(side: Side) -> &'static str {
    match side {
        Side::Source => "sender",
        Side::Destination => "receiver",
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A stream that ended 5 s before it is seen.
    pub fn ended(ending: Ending, bytes: u64) -> Ended {
        Ended { ending, bytes, is_refuted: false, wall_ms: 43_200_000, now_wall_ms: 43_205_000 }
    }

    #[test]
    fn the_age_of_an_ending_has_one_unit() {
        let age =
            |ms: i64| Ended { now_wall_ms: 43_200_000 + ms, ..ended(Ending::TimedOut(None), 0) };
        for (ms, expected) in [
            (-5000, "0 s ago"),
            (119_999, "119 s ago"),
            (120_000, "2 min ago"),
            (7_199_999, "119 min ago"),
            (7_200_000, "2 h ago"),
        ] {
            assert_eq!(age(ms).ago(), expected);
        }
    }
}
