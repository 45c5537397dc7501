//! Connecting to a stream, waiting for the other side, pairing, and leaving. A waiting side's body
//! stays in its socket; only its disconnection has to be noticed.

use super::Streams;
use super::heartbeats;
use super::paths::{self, Meeting};
use super::role::{StreamRole, StreamSide};
use crate::api::download::{decides_cors, wants_file};
use crate::api::{self, Cors, Ended, Failure, Upload, receipt};
use crate::http::framing::Framing;
use crate::http::head::RequestHead;
use crate::http::range;
use crate::http::response::HeadWriter;
use crate::relay::http1::{Request, answer, too_busy};
use crate::relay::io::{CloseMode, ConnId, Flushed, Io, OnFlushed, PeerEnd, Role, identify};
use crate::relay::transfers::{Begin, Owner, Transfers, feed_prefix};
use crate::rendezvous::transfer::Delimiter;
use crate::rendezvous::{Connected, Ending, LeaveOutcome, Pace, Side, Stream, StreamKey};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Maximum bytes that are decrypted of a waiting source that has sent its last one.
const LAST_INPUT_MAX: usize = 64 << 10;

impl Streams {
    /// Handles `PUT /stream/:id`; returns how many bytes after the head are consumed.
    pub fn connect_source(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        (stream, name): (Uuid, Option<&str>),
        request: Request<'_, '_>,
    ) -> usize {
        let upload = || Upload::new(request.head, name);
        self.join_source(io, transfers, id, (stream, upload), request)
    }

    /// Connects the source of a stream; `upload` is called once it joins.
    pub(super) fn join_source(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        (stream, upload): (Uuid, impl FnOnce() -> Upload),
        request: Request<'_, '_>,
    ) -> usize {
        let Request { head, rest } = request;
        if let Some(failure) = too_busy(io) {
            return request.refuse(io, id, &failure);
        }
        let met = self.registry.connect(stream, Side::Source, id.client(), io.now);
        self.record(io);
        if let Some(failure) = self.end_if_too_large(io, &met, head.framing) {
            return request.refuse(io, id, &failure);
        }
        match met {
            Connected::Waits(stream) => {
                self.take_source(io, id, (stream, upload()), head);
                wait(io, id);
                0
            }
            Connected::Paired { stream, other } => {
                io.conns[id].carry = rest.to_vec();
                self.take_source(io, id, (stream, upload()), head);
                heartbeats::begin(io, id);
                self.pair(io, transfers, id, ConnId::from_client(other));
                rest.len()
            }
            refused @ (Connected::Occupied | Connected::Unknown | Connected::Reported(_)) => {
                let failure = self.refusal(io, stream, refused, Side::Source);
                request.refuse(io, id, &failure)
            }
        }
    }

    /// Makes a connection the source of a stream that it joined. Only now can its response begin: a
    /// refusal has a status.
    fn take_source(
        &mut self,
        io: &mut Io,
        id: ConnId,
        (stream, upload): (StreamKey, Upload),
        head: &RequestHead<'_, '_>,
    ) {
        let upload = Some(Box::new(upload));
        self.set_role(io, id, StreamRole::Source { stream, upload });
        let on_path = self.registry.stream(stream).path().is_some();
        if on_path && api::paths::prefers_early_response(head) {
            answer::accept(io, id);
        }
    }

    /// Handles `GET /stream/:id`; returns how many bytes after the head are consumed.
    pub fn connect_destination(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        stream: Uuid,
        request: Request<'_, '_>,
    ) -> usize {
        if let Some(failure) = too_busy(io) {
            return request.refuse(io, id, &failure);
        }
        let active = self.registry.get(stream).is_some_and(Stream::is_active);
        if active && range::asks_for_a_part(request.head.fields) {
            // Before it joins: a client that resumes must not use up a one-shot stream.
            return request.refuse(io, id, &Failure::RangeNotSupported);
        }
        let (used, read) = request.without_body();
        if !read {
            // Its body has to be discarded before the next request, but may never arrive.
            io.conns[id].reply.after = OnFlushed::Linger;
        }
        let met = self.registry.connect(stream, Side::Destination, id.client(), io.now);
        self.record(io);
        if let Connected::Waits(stream) | Connected::Paired { stream, .. } = met
            && announces_receipt(request.head)
        {
            self.registry.expect_receipt(stream);
        }
        let as_file = wants_file(request.head.query);
        match met {
            Connected::Waits(stream) => {
                self.set_role(io, id, StreamRole::Destination { stream, as_file });
                wait(io, id);
            }
            Connected::Paired { stream, other } => {
                self.set_role(io, id, StreamRole::Destination { stream, as_file });
                heartbeats::begin(io, id);
                self.pair(io, transfers, ConnId::from_client(other), id);
            }
            refused @ (Connected::Occupied | Connected::Unknown | Connected::Reported(_)) => {
                let failure = self.refusal(io, stream, refused, Side::Destination);
                answer::failure(io, id, &failure, read);
            }
        }
        used
    }

    /// Handles `PUT /p/PATH`; returns how many bytes after the head are consumed.
    pub fn connect_path_source(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        path: &str,
        request: Request<'_, '_>,
    ) -> usize {
        let checked = api::paths::sender(request.head, stream_bytes_max(io));
        let joins = checked.and_then(|upload| {
            let stream = self.stream_at(io, id, path, Side::Source)?;
            Ok((stream, upload))
        });
        match joins {
            Ok((stream, upload)) => {
                self.join_source(io, transfers, id, (stream, || upload), request)
            }
            Err(failure) => request.refuse(io, id, &failure),
        }
    }

    /// Handles `GET /p/PATH`; returns how many bytes after the head are consumed.
    pub fn connect_path_destination(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        id: ConnId,
        path: &str,
        request: Request<'_, '_>,
    ) -> usize {
        let checked = api::paths::receiver(request.head);
        match checked.and_then(|()| self.stream_at(io, id, path, Side::Destination)) {
            Ok(stream) => self.connect_destination(io, transfers, id, stream, request),
            Err(failure) => request.refuse(io, id, &failure),
        }
    }

    /// Returns the stream of a path, for one more side.
    fn stream_at(
        &mut self,
        io: &mut Io,
        id: ConnId,
        path: &str,
        side: Side,
    ) -> Result<Uuid, Failure> {
        let meeting = Meeting { path, side, client: io.conns[id].client().ip() };
        let opened = paths::open(&mut self.registry, &mut self.ids, io, meeting);
        // A stream without sides may have been evicted.
        self.record(io);
        let stream = opened?;
        if let Some(note) = &mut io.conns[id].note {
            note.concerns(stream, Some(side));
        }
        Ok(stream)
    }

    /// Pairs both sides: the transfer begins.
    fn pair(
        &mut self,
        io: &mut Io,
        transfers: &mut Transfers,
        source: ConnId,
        destination: ConnId,
    ) {
        let stream = self.role_of(io, source).stream;
        let reply = io.conns[destination].reply;
        let mut upload = self
            .upload(io, source)
            .take()
            .unwrap_or_else(|| panic!("{source:?} has no head: a byte of its body was handed on"));
        let delimiter = upload.delimiter(reply.version);
        if delimiter == Delimiter::Close && !io.conns[destination].reset_on_close(true) {
            // Interrupted, its download would look complete: it leaves, and the source waits again.
            *self.upload(io, source) = Some(upload);
            wait(io, source);
            return io.conns.close(destination, CloseMode::Orderly);
        }
        let closes = delimiter == Delimiter::Close || !reply.after.keeps_alive();
        let mut head = Vec::with_capacity(512);
        let headers = self.registry.stream(stream).headers();
        defer_cors(io, destination, headers.map(|headers| &headers.download));
        let note = io.conns[destination].note.as_deref();
        let writer = HeadWriter::new(&mut head, 200, &io.date);
        let writer = identify(writer, io.journal.request_ids.as_ref(), note);
        let writer = io.conns[destination].extras.cors().fields(writer);
        let mut writer = upload.download_fields(writer, delimiter, headers);
        if self.saves_as_file(io, destination) {
            writer = upload.attachment_field(writer, headers);
        }
        writer.connection(!closes, reply.version).end();
        let splice = io.splices(source, destination);
        let mut transfer = upload.transfer(delimiter, head, splice, stream_bytes_max(io));
        feed_prefix(&mut io.conns[source], upload.expects_continue, &mut transfer);
        *self.upload(io, source) = Some(upload);
        let waited = self.registry.stream(stream).waited(io.now.monotonic);
        io.journal.metrics.paired(waited);
        let (owner, pace) = (Owner::Stream(stream), pace(io));
        heartbeats::pair(io, source, destination);
        let acked = self.registry.stream(stream).awaits_ack();
        transfers.begin(io, Begin { owner, source, destination, delimiter, transfer, pace, acked });
        io.conns.flush_or_close(source);
    }

    /// Whether the link of a destination requests that the data is saved, not shown.
    fn saves_as_file(&self, io: &Io, destination: ConnId) -> bool {
        let Role::Streams(slot) = io.conns[destination].role else { return false };
        matches!(self.roles[slot.key()], StreamRole::Destination { as_file: true, .. })
    }

    /// Returns the head of a source.
    pub(super) fn upload(&mut self, io: &Io, source: ConnId) -> &mut Option<Box<Upload>> {
        let Role::Streams(slot) = io.conns[source].role else {
            panic!("{source:?} has no role of streams, but {:?}", io.conns[source].role);
        };
        match &mut self.roles[slot.key()] {
            StreamRole::Source { upload, .. } => upload,
            other @ (StreamRole::Destination { .. }
            | StreamRole::Listing(_)
            | StreamRole::Subscriber(_)) => {
                panic!("{source:?} is not a source, but {other:?}")
            }
        }
    }

    /// Returns the head of the connected source of a stream.
    pub(super) fn connected_upload(&self, io: &Io, stream: &Stream) -> Option<&Upload> {
        let [source, _] = stream.clients();
        let Role::Streams(slot) = io.conns[ConnId::from_client(source?)].role else {
            return None;
        };
        match &self.roles[slot.key()] {
            StreamRole::Source { upload, .. } => upload.as_deref(),
            StreamRole::Destination { .. } | StreamRole::Listing(_) | StreamRole::Subscriber(_) => {
                None
            }
        }
    }

    /// Handles an event on a waiting side's socket.
    pub(super) fn waiting_ready(&mut self, io: &mut Io, id: ConnId) {
        let side = self.role_of(io, id).side;
        let left = match io.conns[id].peer_end {
            PeerEnd::Open => false,
            PeerEnd::HungUp => true,
            PeerEnd::Fin => side == Side::Destination || !self.may_be_complete(io, id),
        };
        // Output to a source from before its destination left can still be unsent.
        if left || io.conns.flush(id) == Flushed::Failed {
            io.conns.close(id, CloseMode::Orderly);
        }
    }

    /// Whether a source that sent FIN may have sent its complete body before. On a path it left: the
    /// next receiver there would get what is out of date, and the next sender be refused.
    fn may_be_complete(&mut self, io: &mut Io, id: ConnId) -> bool {
        let StreamSide { stream, .. } = self.role_of(io, id);
        if self.registry.stream(stream).path().is_some() {
            return false;
        }
        let conn = &mut io.conns[id];
        conn.decrypt_input(LAST_INPUT_MAX);
        let unread = conn.unread_bytes() + conn.carry.len() as u64;
        self.upload(io, id).as_ref().is_some_and(|upload| upload.may_be_whole(unread))
    }

    /// Releases the place of a waiting side that left.
    pub(super) fn leave(&mut self, io: &mut Io, id: ConnId) {
        let StreamSide { stream, side, .. } = self.role_of(io, id);
        let left = self.registry.leave(stream, side, io.now);
        self.unseat(io, id);
        // A stream of a path has no other way to its sides, and would block the path.
        if left == LeaveOutcome::Alone && self.registry.stream(stream).path().is_some() {
            self.end(io, stream, Ending::Disconnected(side));
        }
    }

    /// Answers a waiting side; its stream is over already.
    pub(super) fn detach(&mut self, io: &mut Io, id: ConnId, failure: &Failure) {
        let read = match self.unseat(io, id) {
            StreamRole::Source { upload, .. } => upload.is_none_or(|upload| upload.is_read()),
            StreamRole::Destination { .. } | StreamRole::Listing(_) | StreamRole::Subscriber(_) => {
                true
            }
        };
        if !io.conns[id].is_closing() {
            answer::report(io, id, failure, read);
        }
    }

    /// Refuses a source whose upload declares too great a length, and ends its stream, so that no
    /// destination waits in vain.
    fn end_if_too_large(
        &mut self,
        io: &mut Io,
        met: &Connected,
        framing: Framing,
    ) -> Option<Failure> {
        let max = stream_bytes_max(io);
        if !matches!(framing, Framing::Length(bytes) if bytes > max) {
            return None;
        }
        let (stream, other) = match met {
            Connected::Waits(stream) => (*stream, None),
            Connected::Paired { stream, other } => (*stream, Some(*other)),
            Connected::Occupied | Connected::Unknown | Connected::Reported(_) => return None,
        };
        self.end(io, stream, Ending::TooLarge(max));
        if let Some(destination) = other {
            let destination = ConnId::from_client(destination);
            self.detach(io, destination, &Failure::SourceTooLarge(max));
        }
        Some(Failure::UploadTooLarge(max))
    }

    /// Returns why a side cannot join, with the outcome of a stream that has ended.
    fn refusal(&self, io: &Io, stream: Uuid, refused: Connected, side: Side) -> Failure {
        match refused {
            Connected::Occupied => Failure::AlreadyConnected(side),
            Connected::Reported(report) => Failure::Reported(report),
            Connected::Unknown | Connected::Waits(_) | Connected::Paired { .. } => {
                let ended = self.registry.get(stream);
                let ended = ended.and_then(|stream| Ended::of(stream, io.now.wall_ms));
                ended.map_or(Failure::SessionNotFound, |ended| Failure::StreamEnded(ended.into()))
            }
        }
    }

    /// Ends a stream.
    pub(super) fn end(&mut self, io: &mut Io, stream: StreamKey, ending: Ending) {
        self.registry.end(stream, ending, io.now);
        self.record(io);
    }
}

/// Whether a receiver will report what it has of the data.
fn announces_receipt(head: &RequestHead<'_, '_>) -> bool {
    let (name, value) = receipt::FIELD;
    let mut lines = head.fields.all(name);
    lines.any(|line| line.trim_ascii().eq_ignore_ascii_case(value.as_bytes()))
}

/// Omits the relay's CORS fields from a response whose custom fields have their own: browsers refuse
/// two values.
pub(super) fn defer_cors(io: &mut Io, id: ConnId, fields: Option<&Map<String, Value>>) {
    if decides_cors(fields) {
        io.conns[id].extras.set_cors(Cors::Off);
    }
}

/// Makes a side wait; the registry has its deadline. That of its connection is the next heartbeat.
pub(super) fn wait(io: &mut Io, id: ConnId) {
    heartbeats::begin(io, id);
    if io.conns[id].peer_ended() {
        // A FIN received with its request raises no further event.
        io.conns.enqueue(id);
    }
}

/// Returns how many body bytes a stream may carry that begins now.
fn stream_bytes_max(io: &Io) -> u64 {
    match io.settings.load.max_stream_bytes {
        0 => u64::MAX,
        bytes => bytes as u64,
    }
}

/// Returns the pace of a stream that begins now.
fn pace(io: &Io) -> Option<Pace> {
    let rate = io.settings.load.max_rate as u64;
    (rate > 0).then(|| Pace::new(rate, io.now.monotonic))
}
