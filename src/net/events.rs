//! The events of a stream (`text/event-stream`, HTML Standard 9.2): its status at once, when
//! it changes, and at its end. A follower that does not keep up misses events and gets the newest
//! one later; at most one is kept for it. Following is no side of a stream and changes nothing.

use super::conn::{After, Conn, PeerEnd, Phase, Reply};
use super::relay::Relay;
use super::token::ConnId;
use crate::api::{Busy, Failure, status};
use crate::http::chunked::{LAST_CHUNK, write_chunk_head};
use crate::http::head::Version;
use crate::http::response::HeadWriter;
use crate::rendezvous::bottleneck::Limit;
use crate::rendezvous::{State, Stream};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Events that show nothing new but how many bytes have moved are at least this far apart.
const MOVING_PERIOD: Duration = Duration::from_millis(250);

/// How often the bottleneck of a stream is looked at for its followers.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// What the kernel may hold of unsent events (`TCP_NOTSENT_LOWAT`, tcp(7)): beyond it they would
/// only get old.
const UNSENT_MAX: u32 = 16 << 10;

/// Nothing happens: keeps proxies and clients from giving up.
const COMMENT: &[u8] = b": keep-alive\n\n";

/// One who follows the events of a stream.
#[derive(Debug)]
pub(super) struct Follower {
    stream: Uuid,
    chunked: bool,
    after: After,
    /// What the last event showed; none: there was no event yet.
    shown: Option<Shown>,
    /// When the last event was written.
    event_at: Instant,
    /// When anything was written last.
    written_at: Instant,
    /// When its stream's bottleneck was looked at last.
    looked_at: Instant,
    /// When its socket took something last.
    taken_at: Instant,
    /// The last event, where the one before is not out yet.
    last: Option<Vec<u8>>,
}

/// What an event is worth being sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    revision: u32,
    limit: Option<Limit>,
    bytes: u64,
}

/// What there is to write to a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Event,
    Comment,
    /// Nothing before this time.
    Nothing(Instant),
}

impl Shown {
    fn of(stream: &Stream) -> Self {
        Self {
            revision: stream.revision(),
            limit: stream.bottleneck().map(|bottleneck| bottleneck.limit),
            bytes: stream.bytes_transferred(),
        }
    }
}

impl Follower {
    fn new(stream: Uuid, chunked: bool, after: After, now: Instant) -> Self {
        Self {
            stream,
            chunked,
            after,
            shown: None,
            event_at: now,
            written_at: now,
            looked_at: now,
            taken_at: now,
            last: None,
        }
    }

    /// Whose events it follows.
    pub fn stream(&self) -> Uuid {
        self.stream
    }

    /// What to write now that the stream is like this.
    fn due(&self, stream: &Stream, now: Instant, keep_alive: Duration) -> Due {
        let new = Shown::of(stream);
        let Some(shown) = self.shown else { return Due::Event };
        if (Shown { bytes: shown.bytes, ..new }) != shown {
            return Due::Event;
        }
        let moved = new.bytes != shown.bytes;
        let comment_at = self.written_at + keep_alive;
        if moved && self.event_at + MOVING_PERIOD <= now {
            Due::Event
        } else if comment_at <= now {
            Due::Comment
        } else {
            let event_at = moved.then_some(self.event_at + MOVING_PERIOD);
            let streams = stream.state() == State::Streaming;
            let look_at = streams.then_some(self.looked_at + LOOK_PERIOD);
            let times = [Some(comment_at), event_at, look_at];
            Due::Nothing(times.into_iter().flatten().min().unwrap_or(comment_at))
        }
    }

    /// Puts bytes into the output as the response's framing wants them.
    fn frame(&self, bytes: &[u8], output: &mut Vec<u8>) {
        if self.chunked {
            write_chunk_head(output, bytes.len() as u64);
            output.extend_from_slice(bytes);
            output.extend_from_slice(b"\r\n");
        } else {
            output.extend_from_slice(bytes);
        }
    }
}

impl Relay {
    /// `GET /stream/:id/events`: begins to follow a stream.
    pub(super) fn follow_events(&mut self, id: ConnId, stream: Uuid, read: bool) {
        if self.registry.get(stream).is_none() {
            return self.answer_failure(id, &Failure::SessionNotFound, read);
        }
        if let Some(failure) = self.too_busy() {
            return self.answer_failure(id, &failure, read);
        }
        if !self.followers.have_room(stream, self.settings.events.max_followers) {
            return self.answer_failure(id, &Failure::TooBusy(Busy::Followers), read);
        }
        let Some(Reply { version, after, head_only, .. }) = self.conn(id).map(|conn| conn.reply)
        else {
            return;
        };
        let chunked = version == Version::Http11;
        let after = self.after(if chunked || head_only { after } else { After::Whole }, read);
        let (date, now) = (self.date, self.now.monotonic);
        let Some(conn) = self.conn(id) else { return };
        let mut writer = HeadWriter::new(conn.output.buffer(), 200, &date)
            .field("Content-Type", b"text/event-stream")
            .field("Cache-Control", b"no-store")
            .field("X-Accel-Buffering", b"no");
        if chunked {
            writer = writer.chunked();
        }
        writer.connection(after.keeps_alive(), version).end();
        if head_only {
            return self.end_of_output(id, after);
        }
        if !chunked {
            conn.look_broken_until_whole();
        }
        conn.limit_unsent(UNSENT_MAX);
        conn.phase = Phase::Following(Box::new(Follower::new(stream, chunked, after, now)));
        if conn.peer_end > PeerEnd::Open {
            // Its FIN came with its request, and no event will tell of it again.
            self.enqueue(id);
        }
        self.followers.add(stream, id);
        self.registry.watch(stream, true);
        self.tell(id);
    }

    /// The streams that changed in this turn are shown to those who follow them.
    pub(super) fn tell_followers(&mut self) {
        if !self.registry.has_changes() {
            return;
        }
        for stream in self.registry.take_changes() {
            for id in self.followers.of(stream) {
                self.tell(id);
            }
        }
        self.registry.forget_departed();
    }

    /// A follower's socket has news: it takes more, or it is gone.
    pub(super) fn look_after_follower(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        if conn.peer_end > PeerEnd::Open {
            return self.close(id);
        }
        let before = conn.output.rest().len();
        self.flush(id);
        let now = self.now.monotonic;
        let Some(Conn { phase: Phase::Following(follower), output, .. }) = self.conn(id) else {
            return;
        };
        if output.rest().len() < before {
            follower.taken_at = now;
        }
        self.tell(id);
    }

    /// A follower's time has come: it reads nothing, or there is something to write or to look at.
    pub(super) fn follower_wakes(&mut self, id: ConnId) {
        let (now, patience) = (self.now.monotonic, self.settings.keep_alive_timeout);
        let Some(conn) = self.conn(id) else { return };
        let Phase::Following(follower) = &conn.phase else { return };
        if !conn.output.is_empty() && follower.taken_at + patience <= now {
            return self.close(id);
        }
        self.tell(id);
    }

    /// Writes what is due to a follower whose output is out; of one whose output is not, only the
    /// last event is kept.
    fn tell(&mut self, id: ConnId) {
        self.look_at_bottleneck(id);
        let now = self.now.monotonic;
        let (keep_alive, patience) =
            (self.settings.events.event_keep_alive, self.settings.keep_alive_timeout);
        let Some(conn) = self.conns.get_mut(id.index as usize).filter(|conn| conn.id == id) else {
            return;
        };
        let Phase::Following(follower) = &mut conn.phase else { return };
        let stream = self.registry.watched(follower.stream);
        if let Some(stream) = stream.filter(|stream| !stream.is_active())
            && follower.last.is_none()
        {
            follower.last = Some(status::event(stream));
        }
        if !conn.output.is_empty() && follower.shown.is_some() {
            let until = follower.taken_at + patience;
            return self.set_deadline(id, until.saturating_duration_since(now));
        }
        if follower.last.is_some() {
            return self.tell_last(id);
        }
        let Some(stream) = stream else { return self.close(id) };
        let due = follower.due(stream, now, keep_alive);
        match due {
            Due::Event => {
                follower.frame(&status::event(stream), conn.output.buffer());
                follower.shown = Some(Shown::of(stream));
                follower.event_at = now;
            }
            Due::Comment => follower.frame(COMMENT, conn.output.buffer()),
            Due::Nothing(until) => {
                return self.set_deadline(id, until.saturating_duration_since(now));
            }
        }
        (follower.written_at, follower.taken_at) = (now, now);
        self.flush(id);
        self.wait_for_follower(id);
    }

    /// After something was written: how long to wait for what.
    fn wait_for_follower(&mut self, id: ConnId) {
        let now = self.now.monotonic;
        let (keep_alive, patience) =
            (self.settings.events.event_keep_alive, self.settings.keep_alive_timeout);
        let Some(conn) = self.conn(id) else { return };
        let Phase::Following(follower) = &conn.phase else { return };
        let until = if conn.output.is_empty() {
            (follower.written_at + keep_alive).min(follower.looked_at + LOOK_PERIOD)
        } else {
            follower.taken_at + patience
        };
        self.set_deadline(id, until.saturating_duration_since(now));
    }

    /// The stream is over: its last event, and the end of the response.
    fn tell_last(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let Phase::Following(follower) = &mut conn.phase else { return };
        let last = follower.last.take().unwrap_or_default();
        follower.frame(&last, conn.output.buffer());
        if follower.chunked {
            conn.output.buffer().extend_from_slice(LAST_CHUNK);
        }
        let (stream, after) = (follower.stream, follower.after);
        conn.limit_unsent(0);
        self.unfollow(stream, id);
        self.end_of_output(id, after);
    }

    /// Everything of the response is in the output.
    fn end_of_output(&mut self, id: ConnId, after: After) {
        let patience = self.settings.keep_alive_timeout;
        let Some(conn) = self.conn(id) else { return };
        conn.phase = Phase::Answering(after);
        self.set_deadline(id, patience);
        self.flush(id);
    }

    /// Once a second, whether another side has become the bottleneck of a stream that streams.
    fn look_at_bottleneck(&mut self, id: ConnId) {
        let now = self.now.monotonic;
        let Some(conn) = self.conn(id) else { return };
        let Phase::Following(follower) = &mut conn.phase else { return };
        if follower.shown.is_none() || follower.looked_at + LOOK_PERIOD <= now {
            follower.looked_at = now;
            let stream = follower.stream;
            self.judge_stream(stream);
        }
    }

    /// One follows a stream no more.
    pub(super) fn unfollow(&mut self, stream: Uuid, id: ConnId) {
        if self.followers.remove(stream, id) {
            self.registry.watch(stream, false);
        }
    }
}
