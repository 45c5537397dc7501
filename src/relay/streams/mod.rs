//! The streams: pairing of sources and destinations, and what is reported to each side. Their state
//! is the registry of streams, and a role for each connection that is a side of one, lists them or
//! subscribes to one.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the service: what the event loop calls |
//! | `creating` | new streams |
//! | `departures` | connections that leave for another worker |
//! | `sides` | connecting, waiting, pairing, leaving |
//! | `heartbeats` | what keeps the connections of waiting sides open |
//! | `ending` | how both sides learn of the end |
//! | `role` | what a connection is to the streams |
//! | `listing` | the streamed list |
//! | `subscribers`, `subscriber` | the events of a stream |
//! | `paths` | streams that both sides reach by a path |
//! | `window` | the streams that the operators' page shows |
//! | `notifier` | notifications about ended streams |
//! | `moving` | the streams that move at a hand-over |

mod creating;
mod departures;
mod ending;
mod heartbeats;
mod listing;
mod moving;
mod notifier;
mod paths;
mod role;
mod sides;
mod subscriber;
mod subscribers;
mod window;

use crate::api::download::wants_file;
use crate::api::watch::{self, Rows, Window};
use crate::api::{Busy, Ended, Failure, ShardKey, Upload, creation, receipt, report, status};
use crate::ops::Settings;
use crate::ops::access_log::StreamEnd;
use crate::ops::metrics::ConnPhase;
use crate::ops::random_ids::RandomIds;
use crate::relay::http1::{CreateRequest, JsonArray, JsonPurpose, answer, too_busy};
use crate::relay::io::{CloseMode, ConnId, Flushed, Http, Io, Quantity, Role, Slot};
use crate::relay::transfers::{Transfers, TurnResult};
use crate::rendezvous::{
    CreationKey, Ending, Guard, Limits, Now, ReceiptOutcome, Registered, Registry, SharedCreators,
    Side, StateCounts, Stream, StreamKey,
};
use creating::NewStream;
pub use departures::{StreamCargo, StreamDeparture};
pub use listing::StreamListing;
pub use notifier::{Notification, Notifications, Notifier};
use role::{StreamRole, StreamSide};
use serde_json::json;
use slab::Slab;
use std::io;
#[cfg(feature = "fuzzing")]
pub use subscriber::{Shown, Subscriber};
use subscribers::Subscribers;
use uuid::Uuid;

/// Maximum expired streams processed in one turn, before others have theirs.
const EXPIRE_MAX: usize = 1024;

const RECEIPT_UNEXPECTED: &str =
    "No receipt is expected: none was announced with the GET, or it was already sent";

const RECEIPT_EARLY: &str = "The transfer is not complete; send the receipt again";

/// All streams, and the connections related to them.
#[derive(Debug)]
pub struct Streams {
    registry: Registry,
    ids: RandomIds,
    roles: Slab<StreamRole>,
    subscribers: Subscribers,
    departures: Vec<StreamDeparture>,
    /// What notifies the URLs of streams that ended.
    pub notifications: Notifications,
}

/// Stream counts, for metrics and operators.
#[derive(Clone, Copy, Debug)]
pub struct StreamCounts<'s> {
    /// Current and past streams.
    pub tally: &'s StateCounts,
    /// Streams that have not ended.
    pub active: usize,
    /// Streams held in memory, ended ones included.
    pub held: usize,
}

impl Streams {
    /// Creates it without streams. With `records`, stream ends are written to the access log.
    ///
    /// # Errors
    /// If the kernel provides no random bytes.
    pub fn new(settings: &Settings, records: bool) -> io::Result<Self> {
        let mut registry = Registry::new(limits(settings));
        if records {
            registry.keep_records();
        }
        let (ids, subscribers) = (RandomIds::new()?, Subscribers::default());
        let notifications = Notifications::default();
        Ok(Self {
            registry,
            ids,
            roles: Slab::new(),
            subscribers,
            departures: Vec::new(),
            notifications,
        })
    }

    /// Applies new settings.
    pub fn reconfigure(&mut self, settings: &Settings, records: bool, now: Now) {
        self.registry.set_limits(limits(settings), now);
        if records {
            self.registry.keep_records();
        }
    }

    /// Returns the current counts.
    pub fn counts(&self) -> StreamCounts<'_> {
        let registry = &self.registry;
        StreamCounts { tally: registry.tally(), active: registry.active(), held: registry.len() }
    }

    /// Returns when [`Streams::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<std::time::Instant> {
        self.registry.next_deadline()
    }

    /// Handles a complete JSON body.
    pub fn json(&mut self, io: &mut Io, id: ConnId, purpose: JsonPurpose, body: &[u8]) {
        let done = match purpose {
            JsonPurpose::Create(create) => return self.create_or_refuse(io, id, create, body),
            JsonPurpose::Report(stream) => self.report(io, id, stream, body),
            JsonPurpose::Receipt(stream) => self.receipt(io, id, stream, body),
        };
        if let Err(failure) = done {
            answer::failure(io, id, &failure, true);
        }
    }

    fn create_or_refuse(&mut self, io: &mut Io, id: ConnId, request: CreateRequest, body: &[u8]) {
        if let Err(failure) = self.create(io, id, request, body) {
            answer::failure(io, id, &failure, true);
        }
    }

    fn create(
        &mut self,
        io: &mut Io,
        id: ConnId,
        request: CreateRequest,
        body: &[u8],
    ) -> Result<(), Failure> {
        let creation = creation::parse(body)?;
        if let Some(to) = creation.id.and_then(|id| io.owner(ShardKey::Id(id))) {
            let cargo = StreamCargo::Creation(request, body.to_vec());
            self.depart(io, id, to, cargo);
            return Ok(());
        }
        let digest = |request| CreationKey { request, body: creation::body_digest(body) };
        let client = io.conns[id].client().ip();
        let new = NewStream { request, creation, key: request.key.map(digest), client };
        let opened = creating::open(&mut self.registry, &mut self.ids, io, new);
        // A stream without sides may have been evicted.
        self.record(io);
        let (stream, granted) = opened?;
        io.publish(Quantity::Streams, self.registry.active());
        let stream = self.registry.get(stream).ok_or(Failure::SessionNotFound)?;
        creating::respond(io, id, request.page, (stream, granted));
        Ok(())
    }

    fn report(
        &mut self,
        io: &mut Io,
        id: ConnId,
        stream: Uuid,
        body: &[u8],
    ) -> Result<(), Failure> {
        let report = report::parse(body)?;
        let registered = self.registry.report(stream, report.clone(), io.now);
        self.record(io);
        match registered {
            Registered::Kept => {}
            Registered::Delivered(client) => {
                let failure = Failure::Reported(Box::new(report));
                self.detach(io, ConnId::from_client(client), &failure);
            }
            Registered::Started => return Err(Failure::StreamStarted),
            Registered::Unknown => return Err(Failure::SessionNotFound),
            Registered::Full => return Err(Failure::TooBusy(Busy::Streams)),
        }
        answer::json(io, id, 200, &json!({}), true);
        Ok(())
    }

    fn receipt(
        &mut self,
        io: &mut Io,
        id: ConnId,
        stream: Uuid,
        body: &[u8],
    ) -> Result<(), Failure> {
        let transferred = self.registry.get(stream).map_or(0, Stream::bytes_transferred);
        let receipt = receipt::parse(body, transferred)?;
        match self.registry.receive_receipt(stream, receipt) {
            ReceiptOutcome::Taken => {}
            ReceiptOutcome::Unexpected => return Err(Failure::Receipt(RECEIPT_UNEXPECTED)),
            ReceiptOutcome::Early => return Err(Failure::Receipt(RECEIPT_EARLY)),
            ReceiptOutcome::Unknown => return Err(Failure::SessionNotFound),
            ReceiptOutcome::Full => return Err(Failure::TooBusy(Busy::Streams)),
        }
        answer::json(io, id, 200, &json!({}), true);
        Ok(())
    }

    /// Handles `GET /stream/:id/status`, with a verdict on its pace that is at most a second old.
    pub fn status(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        stream: Uuid,
        read: bool,
    ) {
        self.update_bottleneck(io, transfers, stream);
        match self.registry.get(stream).map(status::object) {
            Some(object) => answer::json(io, id, 200, &object, read),
            None => answer::failure(io, id, &Failure::SessionNotFound, read),
        }
    }

    /// Returns the tokens that the clients of a stream need.
    pub fn guard(&self, stream: Uuid) -> Option<Guard> {
        self.registry.get(stream)?.guard().copied()
    }

    /// Returns an active stream, and what its source sends, for a page.
    ///
    /// # Errors
    /// Returns why its page cannot be shown: unknown, or ended.
    pub fn shown(&self, io: &Io, id: Option<Uuid>) -> Result<(&Stream, Option<&Upload>), Failure> {
        let stream = id.and_then(|id| self.registry.get(id)).ok_or(Failure::SessionNotFound)?;
        match Ended::of(stream, io.now.wall_ms) {
            Some(ended) => Err(Failure::StreamEnded(ended.into())),
            None => Ok((stream, self.connected_upload(io, stream))),
        }
    }

    /// Handles `HEAD /stream/:id`: shows the download of a connected source without joining.
    pub fn exists(
        &mut self,
        io: &mut Io,
        id: ConnId,
        (stream, query): (Option<Uuid>, Option<&str>),
        read: bool,
    ) {
        let stream = stream.and_then(|stream| self.registry.get(stream));
        let Some(stream) = stream.filter(|stream| stream.is_active()) else {
            return answer::failure(io, id, &Failure::SessionNotFound, read);
        };
        let Some(upload) = self.connected_upload(io, stream) else {
            return answer::empty(io, id, 200, read);
        };
        let delimiter = upload.delimiter(io.conns[id].reply.version);
        sides::defer_cors(io, id, stream.headers().map(|headers| &headers.download));
        answer::respond(io, id, (200, read), b"", |head| {
            let head = upload.download_fields(head, delimiter, stream.headers());
            if wants_file(query) { upload.attachment_field(head, stream.headers()) } else { head }
        });
    }

    /// Handles `HEAD /p/PATH`, in the same way.
    pub fn exists_at_path(
        &mut self,
        io: &mut Io,
        id: ConnId,
        (path, query): (&str, Option<&str>),
        read: bool,
    ) {
        let stream = self.registry.at_path(path).map(Stream::id);
        self.exists(io, id, (stream, query), read);
    }

    /// Handles `GET /stream`, for a client with read access.
    pub fn list(&mut self, io: &mut Io, id: ConnId, active_only: bool, read: bool) {
        let json = [("Content-Type", "application/json")];
        if let Some(streamed) = answer::begin(io, id, &json, |after| after, read) {
            let end = self.registry.next_sequence();
            let array = JsonArray::new(streamed, io.other_workers());
            let listing = StreamListing::new(end, active_only, array);
            self.set_role(io, id, StreamRole::Listing(Box::new(listing)));
            io.set_timeout(id, io.settings.keep_alive_timeout);
            io.conns.flush_or_close(id);
            io.conns.enqueue(id);
        }
    }

    /// Handles `GET /stream/:id/events`: subscribes to a stream.
    pub fn subscribe(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        stream: Uuid,
        read: bool,
    ) {
        if self.registry.get(stream).is_none() {
            return answer::failure(io, id, &Failure::SessionNotFound, read);
        }
        if let Some(failure) = too_busy(io) {
            return answer::failure(io, id, &failure, read);
        }
        let elsewhere = io.elsewhere(Quantity::Followers);
        let most = io.settings.events.max_followers.saturating_sub(elsewhere);
        if !self.subscribers.have_room(stream, most) {
            return answer::failure(io, id, &Failure::TooBusy(Busy::Followers), read);
        }
        if let Some(slot) = self.subscribers.begin(io, id, stream, read) {
            self.set_role(io, id, StreamRole::Subscriber(slot));
            io.publish(Quantity::Followers, self.followers());
            self.registry.watch(stream, true);
            self.show(io, transfers, slot);
        }
    }

    /// Shows a subscriber what is new.
    fn show(&mut self, io: &mut Io, transfers: &mut Transfers, slot: Slot) {
        if let Some(stream) = self.subscribers.wants_verdict(slot, io.now.monotonic) {
            self.update_bottleneck(io, transfers, stream);
        }
        if let Some(over) = self.subscribers.show(io, &self.registry, slot) {
            self.unseat(io, over.id);
            self.unsubscribe(slot);
            answer::end_of_output(io, over.id, over.after);
        }
    }

    fn unsubscribe(&mut self, slot: Slot) {
        if let Some(stream) = self.subscribers.remove(slot) {
            self.registry.watch(stream, false);
        }
    }

    /// Shows the streams that changed in this turn to their subscribers.
    pub fn show_changes(&mut self, io: &mut Io, transfers: &mut Transfers) {
        if !self.registry.has_changes() {
            return;
        }
        for stream in self.registry.take_changes() {
            for slot in self.subscribers.of(stream) {
                self.show(io, transfers, slot);
            }
        }
        self.registry.forget_departed();
    }

    /// Returns a window of the streams, the newest first, each with a verdict on its pace that is at
    /// most a second old.
    pub fn rows(&mut self, io: &Io, transfers: &mut Transfers, window: Window) -> Rows {
        let (shown, next) = window::find(&self.registry, &self.roles, window);
        let rows = shown.into_iter().filter_map(|id| {
            self.update_bottleneck(io, transfers, id);
            self.registry.get(id).map(watch::row)
        });
        Rows { streams: rows.collect(), next }
    }

    /// Judges what limits the pace of a stream's transfer.
    fn update_bottleneck(&mut self, io: &Io, transfers: &mut Transfers, stream: Uuid) {
        let source = self.registry.get(stream).and_then(|stream| stream.clients()[0]);
        let source = source.map(ConnId::from_client).filter(|id| io.conns[*id].outgoing.is_some());
        if let Some(source) = source
            && let Some(transfer) = io.conns[source].outgoing
            && let Some(bottleneck) = transfers.update_if_stale(io, transfer)
        {
            self.registry.set_bottleneck(self.role_of(io, source).stream, bottleneck);
        }
    }

    /// Processes the result of a transfer's turn.
    pub fn driven(&mut self, key: StreamKey, driven: &mut TurnResult) {
        if let Some(bytes) = driven.transferred {
            self.registry.transferred(key, bytes);
        }
        if let Some(bottleneck) = driven.bottleneck.take() {
            self.registry.set_bottleneck(key, bottleneck);
        }
    }

    /// Ends waits that are over, and drops statuses that are not needed any more.
    pub fn expire(&mut self, io: &mut Io) {
        let mut budget = EXPIRE_MAX;
        while let Some(client) = self.registry.expire(io.now, &mut budget) {
            self.record(io);
            self.detach(io, ConnId::from_client(client), &Failure::SessionTimeout);
        }
        self.record(io);
    }

    /// Writes ended streams to the access log, while their connections still exist, and notifies
    /// their URLs.
    fn record(&mut self, io: &mut Io) {
        while let Some(record) = self.registry.take_record() {
            let ended = StreamEnd {
                outcome: record.state,
                bytes_transferred: record.bytes_transferred,
                waited: record.waited,
                transferred_in: record.transferred_in,
            };
            let peers = record.clients.map(|client| {
                let conn = &mut io.conns[ConnId::from_client(client?)];
                if let Some(note) = &mut conn.note {
                    note.stream_ended(record.id, ended);
                }
                Some(conn.client())
            });
            io.journal.stream_ended(record.id, peers, ended, io.now);
        }
        self.notifications.notify(&mut self.registry);
    }

    /// Handles an event on a connection that the streams own.
    pub fn ready(&mut self, io: &mut Io, transfers: &mut Transfers, id: ConnId, slot: Slot) {
        match &self.roles[slot.key()] {
            StreamRole::Source { .. } | StreamRole::Destination { .. } => {
                self.side_ready(io, transfers, id);
            }
            StreamRole::Listing(_) => self.list_more(io, id, slot),
            StreamRole::Subscriber(subscriber) => {
                let subscriber = *subscriber;
                if self.subscribers.ready(io, id, subscriber) {
                    self.show(io, transfers, subscriber);
                }
            }
        }
    }

    /// Handles an event on a side of a stream.
    fn side_ready(&mut self, io: &mut Io, transfers: &mut Transfers, id: ConnId) {
        let flushed = io.conns.flush(id);
        let conn = &io.conns[id];
        let StreamSide { side, .. } = self.role_of(io, id);
        match (conn.outgoing, conn.incoming) {
            (None, None) => self.waiting_ready(io, id),
            (_, Some(transfer)) if side == Side::Destination && conn.peer_ended() => {
                let finished = transfers.destination_ended(io, transfer);
                self.finished(io, finished);
            }
            (_, _) if flushed == Flushed::Failed => io.conns.close(id, CloseMode::Orderly),
            (outgoing, incoming) => {
                // The output before it was sent: the transfer may continue.
                for transfer in outgoing.into_iter().chain(incoming) {
                    transfers.enqueue(io, transfer);
                }
            }
        }
    }

    /// Writes one more piece of the list once the last one has been sent.
    fn list_more(&mut self, io: &mut Io, id: ConnId, slot: Slot) {
        if io.conns.flush(id) == Flushed::Failed {
            return io.conns.close(id, CloseMode::Orderly);
        }
        let StreamRole::Listing(listing) = &mut self.roles[slot.key()] else {
            unreachable!("only a reader of the list is shown more of it")
        };
        if !io.conns[id].output.is_empty() {
            return;
        }
        let share = io.conns.queue.share();
        let conn = &mut io.conns[id];
        let framing = listing.write_piece(&self.registry, share, conn.output.buffer());
        if let Some(note) = &mut conn.note {
            note.framed(framing);
        }
        if let Some(after) = listing.over() {
            self.unseat(io, id);
            return answer::end_of_output(io, id, after);
        }
        let next = io.workers.as_ref().and_then(|workers| workers.others().next());
        if let Some(to) = next.filter(|_| listing.departs())
            && let StreamRole::Listing(listing) = self.unseat(io, id)
        {
            let cargo = StreamCargo::Listing(listing);
            return self.depart(io, id, to, cargo);
        }
        io.set_timeout(id, io.settings.keep_alive_timeout);
        io.conns.flush_or_close(id);
        if io.conns[id].writable {
            io.conns.requeue(id);
        }
    }

    /// Handles a connection's timeout. The registry handles waiting times, and transfers their own
    /// stalls; a side without a response gets a heartbeat.
    pub fn timeout(&mut self, io: &mut Io, transfers: &mut Transfers, id: ConnId, slot: Slot) {
        match &self.roles[slot.key()] {
            StreamRole::Source { .. } | StreamRole::Destination { .. } => {
                heartbeats::due(io, transfers, id);
            }
            StreamRole::Listing(_) => io.conns.close(id, CloseMode::Orderly),
            StreamRole::Subscriber(subscriber) => {
                let subscriber = *subscriber;
                if self.subscribers.timeout(io, id, subscriber) {
                    self.show(io, transfers, subscriber);
                }
            }
        }
    }

    /// Handles a closed connection.
    pub fn closed(&mut self, io: &mut Io, transfers: &mut Transfers, id: ConnId, slot: Slot) {
        match &self.roles[slot.key()] {
            StreamRole::Source { .. } | StreamRole::Destination { .. } => {
                self.side_closed(io, transfers, id);
            }
            StreamRole::Listing(_) => _ = self.unseat(io, id),
            StreamRole::Subscriber(subscriber) => {
                let subscriber = *subscriber;
                self.unsubscribe(subscriber);
                self.unseat(io, id);
            }
        }
    }

    /// Returns the phase of a connection, for the metrics.
    pub fn phase(&self, io: &Io, id: ConnId, slot: Slot) -> ConnPhase {
        let conn = &io.conns[id];
        match &self.roles[slot.key()] {
            StreamRole::Source { .. } | StreamRole::Destination { .. }
                if conn.outgoing.is_none() && conn.incoming.is_none() =>
            {
                ConnPhase::Waiting
            }
            StreamRole::Source { .. } | StreamRole::Destination { .. } => ConnPhase::Streaming,
            StreamRole::Listing(_) => ConnPhase::Listing,
            StreamRole::Subscriber(_) => ConnPhase::Following,
        }
    }

    /// Gives a connection its role.
    fn set_role(&mut self, io: &mut Io, id: ConnId, role: StreamRole) {
        io.conns[id].role = Role::Streams(Slot::new(self.roles.insert(role)));
    }

    /// Removes a connection's role: it does not belong to the streams any more.
    fn unseat(&mut self, io: &mut Io, id: ConnId) -> StreamRole {
        let role = &mut io.conns[id].role;
        let Role::Streams(slot) = *role else {
            panic!("{id:?} has no role of streams, but {role:?}");
        };
        *role = Role::Http(Http::Head);
        self.roles.remove(slot.key())
    }

    /// Returns which side of which stream a connection is.
    fn role_of(&self, io: &Io, id: ConnId) -> StreamSide {
        let Role::Streams(slot) = io.conns[id].role else {
            panic!("{id:?} has no role of streams, but {:?}", io.conns[id].role);
        };
        let Some((stream, side)) = self.roles[slot.key()].side() else {
            panic!("{id:?} is not a side of a stream");
        };
        StreamSide { stream, side }
    }

    /// Returns the number of subscribers to the events of streams.
    pub fn followers(&self) -> usize {
        self.subscribers.len()
    }

    /// Returns the connections that leave for another worker.
    pub fn take_departures(&mut self) -> Vec<StreamDeparture> {
        std::mem::take(&mut self.departures)
    }

    /// Continues with a connection of another worker.
    pub fn arrive(&mut self, io: &mut Io, id: ConnId, cargo: StreamCargo) {
        match cargo {
            StreamCargo::Creation(request, body) => self.create_or_refuse(io, id, request, &body),
            StreamCargo::Listing(listing) => {
                let listing = Box::new(listing.arrived(self.registry.next_sequence()));
                self.set_role(io, id, StreamRole::Listing(listing));
                io.set_timeout(id, io.settings.keep_alive_timeout);
                io.conns.enqueue(id);
            }
        }
    }

    /// Sends a connection to another worker at the end of this turn.
    fn depart(&mut self, io: &mut Io, id: ConnId, to: u8, cargo: StreamCargo) {
        io.conns.depart(id);
        self.departures.push(StreamDeparture { id, to, cargo });
    }

    /// Shares the counts by address, and the numbers of streams, with other workers; `place`: its own
    /// among how many.
    pub fn share(&mut self, shared: &SharedCreators, place: (u64, u64)) {
        self.registry.share(shared, place);
    }

    /// Records how many active streams the other workers hold; `number`: of their common clock.
    pub fn keep_up(&mut self, elsewhere: usize, number: u64) {
        self.registry.keep_up(elsewhere, number);
    }

    /// Gives away streams that wait for a side or both, as lines for the process that takes over.
    pub fn give_away(&mut self, io: &mut Io) -> String {
        moving::give_away(self, io)
    }

    /// Takes over a stream that another process has given away; whether that succeeded.
    pub fn adopt(&mut self, io: &Io, moved: crate::api::moved::Moved) -> bool {
        moving::adopt(self, io, moved)
    }

    /// Begins to drain: waiting sides are answered.
    pub fn drain(&mut self, io: &mut Io) {
        for id in self.waiting(io) {
            let stream = self.role_of(io, id).stream;
            self.end(io, stream, Ending::Reported(Box::new(Failure::stopping())));
            self.detach(io, id, &Failure::TooBusy(Busy::Stopping));
        }
    }

    /// Returns the sides that wait.
    fn waiting(&self, io: &Io) -> Vec<ConnId> {
        let idle =
            io.conns.iter().filter(|conn| conn.outgoing.is_none() && conn.incoming.is_none());
        let seated =
            |role| matches!(role, Role::Streams(slot) if self.roles[slot.key()].side().is_some());
        idle.filter(|conn| seated(conn.role)).map(|conn| conn.id).collect()
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        streams: settings.max_streams,
        streams_per_address: settings.load.max_streams_per_address,
        unjoined_per_address: settings.unjoined_per_address(),
        ttl: settings.ttl,
        retention: settings.retention,
    }
}
