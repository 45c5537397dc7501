//! One subscriber to the events of a stream: what it was sent, and what it is to be sent next.
//! Pure.

use crate::api::status;
use crate::http::chunked::{LAST_CHUNK, write_framed};
use crate::relay::http1::answer::Streamed;
use crate::relay::io::{ConnId, OnFlushed, Output};
use crate::rendezvous::bottleneck::Limit;
use crate::rendezvous::{Stream, StreamState};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Minimum time between events that only report how many bytes have moved.
const MOVING_PERIOD: Duration = Duration::from_millis(250);

/// How often the bottleneck of a stream is judged for its subscribers.
pub(super) const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Sent when idle: keeps proxies and clients from timing out.
const COMMENT: &[u8] = b": keep-alive\n\n";

/// One subscriber to the events of a stream.
#[derive(Debug)]
pub struct Subscriber {
    /// Its connection.
    pub id: ConnId,
    /// The stream it subscribes to.
    pub stream: Uuid,
    /// The response that the events are written to.
    pub streamed: Streamed,
    /// What the last event showed; `None` before the first event.
    pub shown: Option<EventFilter>,
    /// When the last event was written.
    pub event_at: Instant,
    /// When anything was written last.
    pub written_at: Instant,
    /// When its stream's bottleneck was last judged.
    pub looked_at: Instant,
    /// When its socket last took bytes.
    pub taken_at: Instant,
    /// The latest event, while the one before is not sent yet.
    pub last: Option<Vec<u8>>,
}

/// The fields whose change is worth an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFilter {
    revision: u32,
    limit: Option<Limit>,
    bytes: u64,
}

/// What is due to be written to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueWrite {
    Event,
    Comment,
    /// Nothing before this time.
    Nothing(Instant),
}

/// What became of an attempt to show a subscriber what is new.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    /// It has not taken what was written before.
    Behind,
    /// Something was written.
    Wrote,
    /// Nothing is due before this time.
    Nothing(Instant),
    /// The last event was written, and this follows.
    Over(OnFlushed),
    /// The stream was dropped before its end could be shown.
    Dropped,
}

impl EventFilter {
    pub fn of(stream: &Stream) -> Self {
        Self {
            revision: stream.revision(),
            limit: stream.bottleneck().map(|bottleneck| bottleneck.limit),
            bytes: stream.bytes_transferred(),
        }
    }
}

impl Subscriber {
    pub fn new(id: ConnId, stream: Uuid, streamed: Streamed, now: Instant) -> Self {
        Self {
            id,
            stream,
            streamed,
            shown: None,
            event_at: now,
            written_at: now,
            looked_at: now,
            taken_at: now,
            last: None,
        }
    }

    /// Writes what is due to a subscriber whose output is empty; otherwise only the latest event is
    /// kept.
    pub fn show(
        &mut self,
        stream: Option<&Stream>,
        now: Instant,
        keep_alive: Duration,
        output: &mut Output,
    ) -> Shown {
        if let Some(stream) = stream.filter(|stream| stream.is_settled())
            && self.last.is_none()
        {
            self.last = Some(status::event(stream));
        }
        if !output.is_empty() && self.shown.is_some() {
            return Shown::Behind;
        }
        if let Some(last) = self.last.take() {
            self.frame(&last, output.buffer());
            if self.streamed.chunked {
                output.buffer().extend_from_slice(LAST_CHUNK);
            }
            return Shown::Over(self.streamed.after);
        }
        let Some(stream) = stream else { return Shown::Dropped };
        match self.due(stream, now, keep_alive) {
            DueWrite::Event => {
                self.frame(&status::event(stream), output.buffer());
                self.shown = Some(EventFilter::of(stream));
                self.event_at = now;
            }
            DueWrite::Comment => self.frame(COMMENT, output.buffer()),
            DueWrite::Nothing(until) => return Shown::Nothing(until),
        }
        (self.written_at, self.taken_at) = (now, now);
        Shown::Wrote
    }

    /// Returns what to write, given the state of the stream.
    fn due(&self, stream: &Stream, now: Instant, keep_alive: Duration) -> DueWrite {
        let new = EventFilter::of(stream);
        let Some(shown) = self.shown else { return DueWrite::Event };
        if (EventFilter { bytes: shown.bytes, ..new }) != shown {
            return DueWrite::Event;
        }
        let moved = new.bytes != shown.bytes;
        // A keep-alive period beyond the clock's range means none within its reach.
        let comment_at = self.written_at.checked_add(keep_alive).unwrap_or(now + LOOK_PERIOD);
        if moved && self.event_at + MOVING_PERIOD <= now {
            DueWrite::Event
        } else if comment_at <= now {
            DueWrite::Comment
        } else {
            let event_at = moved.then_some(self.event_at + MOVING_PERIOD);
            let streams = stream.state() == StreamState::Streaming;
            let look_at = streams.then_some(self.looked_at + LOOK_PERIOD);
            let times = [Some(comment_at), event_at, look_at];
            DueWrite::Nothing(times.into_iter().flatten().min().unwrap_or(comment_at))
        }
    }

    /// Appends bytes to the output in the response's framing.
    fn frame(&self, bytes: &[u8], output: &mut Vec<u8>) {
        write_framed(output, bytes, self.streamed.chunked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendezvous::{Client, Limits, Now, Registry, Side};

    const KEEP_ALIVE: Duration = Duration::from_secs(15);

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
    fn changes_are_sent_when_due() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let limits = Limits {
            streams: 1,
            streams_per_address: 0,
            unjoined_per_address: 0,
            ttl: KEEP_ALIVE,
            retention: KEEP_ALIVE,
        };
        let (mut registry, now) = (Registry::new(limits), Now { monotonic: base, wall_ms: 0 });
        let id = Uuid::from_u128(1);
        let key = registry.create(id, None, std::net::Ipv4Addr::LOCALHOST.into(), now).unwrap();
        let streamed = Streamed { chunked: true, after: OnFlushed::Close };
        let conn = ConnId { index: 0, generation: 1 };
        let mut subscriber = Subscriber::new(conn, id, streamed, base);
        let due = |subscriber: &Subscriber, registry: &Registry, ms| {
            subscriber.due(registry.get(id).unwrap(), at(ms), KEEP_ALIVE)
        };
        assert_eq!(due(&subscriber, &registry, 0), DueWrite::Event, "at once");
        subscriber.shown = registry.get(id).map(EventFilter::of);
        assert_eq!(due(&subscriber, &registry, 10), DueWrite::Nothing(at(15_000)));
        assert_eq!(due(&subscriber, &registry, 15_000), DueWrite::Comment);

        registry.connect(id, Side::Source, Client(1), now);
        registry.connect(id, Side::Destination, Client(2), now);
        assert_eq!(due(&subscriber, &registry, 10), DueWrite::Event, "another state");
        subscriber.shown = registry.get(id).map(EventFilter::of);
        assert_eq!(
            due(&subscriber, &registry, 10),
            DueWrite::Nothing(at(1000)),
            "to look once a second"
        );
        registry.transferred(key, 5);
        assert_eq!(
            due(&subscriber, &registry, 20),
            DueWrite::Nothing(at(250)),
            "not for each byte"
        );
        assert_eq!(due(&subscriber, &registry, 250), DueWrite::Event, "bytes moved");
    }
}
