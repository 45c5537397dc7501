//! The life of one stream: created, joined by one side, then by both, ended. Each operation is one
//! match over all phases, so its effect in every phase is visible.

use super::Now;
use super::addresses::AddressCount;
use super::bottleneck::Bottleneck;
use super::guard::Guard;
use super::headers::{CreationKey, Headers};
use super::receipt::Receipt;
use crate::http::repr_digest::ReprDigest;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// One of the two connections of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The connection that uploads.
    Source,
    /// The connection that downloads.
    Destination,
}

impl Side {
    /// Returns the opposite side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }

    /// Returns its name in messages: `source` or `destination`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// The identifier of a connection, assigned by its owner; opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client(pub u64);

/// An error that one side reports to the other (`POST /stream/:id/error`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReport {
    /// The status of the response to the other side, 200 to 599.
    pub status: u16,
    /// The kind of error.
    pub name: String,
    /// The description of the error.
    pub message: String,
}

impl PeerReport {
    /// Returns its approximate memory in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.message.len()
    }
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every byte of a complete upload was handed to the destination; with the digest that the
    /// source declared, if any.
    Finished(Option<Box<ReprDigest>>),
    /// The deadline passed and this side was missing; `None`: both were.
    TimedOut(Option<Side>),
    /// This side disconnected before the end.
    Disconnected(Side),
    /// This side violated the protocol, or its socket failed.
    Failed(Side),
    /// The source had more than this many bytes, the maximum of a stream.
    TooLarge(u64),
    /// One side reported an error, or the stream was deleted.
    Reported(Box<PeerReport>),
}

/// The state, as named in the status object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is a line of the table in docs/protocol.md, by its own name")]
pub enum StreamState {
    Created,
    SrcConnected,
    DstConnected,
    Streaming,
    Finished,
    TimeoutNoSrc,
    TimeoutNoDst,
    TimeoutNoSrcNoDst,
    SrcDisconnected,
    DstDisconnected,
    SrcError,
    DstError,
    ClientError,
}

impl StreamState {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Created,
        Self::SrcConnected,
        Self::DstConnected,
        Self::Streaming,
        Self::Finished,
        Self::TimeoutNoSrc,
        Self::TimeoutNoDst,
        Self::TimeoutNoSrcNoDst,
        Self::SrcDisconnected,
        Self::DstDisconnected,
        Self::SrcError,
        Self::DstError,
        Self::ClientError,
    ];

    /// The number of active states, which come first in that order.
    pub const ACTIVE: usize = 4;

    /// Returns the name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::SrcConnected => "SRC_CONNECTED",
            Self::DstConnected => "DST_CONNECTED",
            Self::Streaming => "STREAMING",
            Self::Finished => "FINISHED",
            Self::TimeoutNoSrc => "TIMEOUT_NO_SRC",
            Self::TimeoutNoDst => "TIMEOUT_NO_DST",
            Self::TimeoutNoSrcNoDst => "TIMEOUT_NO_SRC_NO_DST",
            Self::SrcDisconnected => "SRC_DISCONNECTED",
            Self::DstDisconnected => "DST_DISCONNECTED",
            Self::SrcError => "SRC_ERROR",
            Self::DstError => "DST_ERROR",
            Self::ClientError => "CLIENT_ERROR",
        }
    }
}

impl Ending {
    /// Returns the state of a stream that ended this way.
    pub fn state(&self) -> StreamState {
        match self {
            Self::Finished(_) => StreamState::Finished,
            Self::TimedOut(Some(Side::Source)) => StreamState::TimeoutNoSrc,
            Self::TimedOut(Some(Side::Destination)) => StreamState::TimeoutNoDst,
            Self::TimedOut(None) => StreamState::TimeoutNoSrcNoDst,
            Self::Disconnected(Side::Source) => StreamState::SrcDisconnected,
            Self::Disconnected(Side::Destination) => StreamState::DstDisconnected,
            Self::Failed(Side::Source) | Self::TooLarge(_) => StreamState::SrcError,
            Self::Failed(Side::Destination) => StreamState::DstError,
            Self::Reported(_) => StreamState::ClientError,
        }
    }
}

/// The phase of a stream's life.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// No side is connected; a pending report is for the first client.
    Created(Option<Box<PeerReport>>),
    /// One side is connected.
    Waiting(Side, Client),
    /// Both sides are connected, and bytes flow.
    Streaming { source: Client, destination: Client },
    /// The stream has ended.
    Ended { ending: Ending, wall_ms: i64 },
}

/// The result of joining a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Waits,
    Paired(Client),
    Occupied,
    Ended,
    Reported(Box<PeerReport>),
}

/// The result of leaving a stream before a byte of the body was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveOutcome {
    /// No side is left: the stream is as it was created.
    Alone,
    /// The other side waits again.
    Waits(Client),
    /// The side was not connected; nothing changed.
    Absent,
}

/// Whether changes of a stream are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Nobody,
    /// Watched, without a new change.
    Quiet,
    /// Watched, and in the list of changed streams.
    Changed,
}

/// What most waiting streams do not have.
#[derive(Debug, Default)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
struct Rare {
    bottleneck: Option<Box<Bottleneck>>,
    receipt: Option<Receipt>,
}

/// One rendezvous.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
pub struct Stream {
    pub(super) id: Uuid,
    pub(super) phase: Phase,
    pub(super) sequence: u64,
    pub(super) deadline: Instant,
    /// The address it counts for while it is active, if its creator is known.
    pub(super) creator: Option<AddressCount>,
    created: Instant,
    created_wall_ms: i64,
    headers: Option<Box<Headers>>,
    bytes_transferred: u64,
    rare: Option<Box<Rare>>,
    revision: u32,
    pub(super) watch: Watch,
    awaits_ack: bool,
    /// When its sides connected: source, destination. In nanoseconds since its creation, counted
    /// from 1, because two `Option<Instant>` take twice the memory.
    joined: [Option<NonZeroU64>; 2],
}

impl Stream {
    pub(super) fn new(
        id: Uuid,
        headers: Option<Box<Headers>>,
        sequence: u64,
        created: Now,
        deadline: Instant,
    ) -> Self {
        Self {
            id,
            phase: Phase::Created(None),
            sequence,
            deadline,
            creator: None,
            created: created.monotonic,
            created_wall_ms: created.wall_ms,
            headers,
            bytes_transferred: 0,
            rare: None,
            revision: 0,
            watch: Watch::Nobody,
            awaits_ack: false,
            joined: [None; 2],
        }
    }

    /// Returns its identifier; knowing it is the permission to use the stream.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns its number in the order of creation, for listing.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the time of its creation.
    pub fn created(&self) -> Instant {
        self.created
    }

    /// Returns the time of its creation, in milliseconds since 1970.
    pub fn created_wall_ms(&self) -> i64 {
        self.created_wall_ms
    }

    /// Returns the time of its end, in milliseconds since 1970.
    pub fn ended_wall_ms(&self) -> Option<i64> {
        match &self.phase {
            Phase::Created(_) | Phase::Waiting(..) | Phase::Streaming { .. } => None,
            Phase::Ended { wall_ms, .. } => Some(*wall_ms),
        }
    }

    /// Returns how it ended.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Created(_) | Phase::Waiting(..) | Phase::Streaming { .. } => None,
            Phase::Ended { ending, .. } => Some(ending),
        }
    }

    /// Returns the digest that its source declared, once all of the data was handed over.
    pub fn digest(&self) -> Option<&ReprDigest> {
        match self.ending()? {
            Ending::Finished(digest) => digest.as_deref(),
            Ending::TimedOut(_)
            | Ending::Disconnected(_)
            | Ending::Failed(_)
            | Ending::TooLarge(_)
            | Ending::Reported(_) => None,
        }
    }

    /// Returns the pending report for the first client that connects.
    pub fn pending_report(&self) -> Option<&PeerReport> {
        match &self.phase {
            Phase::Created(report) => report.as_deref(),
            Phase::Waiting(..) | Phase::Streaming { .. } | Phase::Ended { .. } => None,
        }
    }

    /// Whether it has not ended.
    pub fn is_active(&self) -> bool {
        self.ending().is_none()
    }

    /// Returns its state, as shown on the wire.
    pub fn state(&self) -> StreamState {
        match &self.phase {
            Phase::Created(_) => StreamState::Created,
            Phase::Waiting(Side::Source, _) => StreamState::SrcConnected,
            Phase::Waiting(Side::Destination, _) => StreamState::DstConnected,
            Phase::Streaming { .. } => StreamState::Streaming,
            Phase::Ended { ending, .. } => ending.state(),
        }
    }

    /// Returns the header fields that its creator requested.
    pub fn headers(&self) -> Option<&Headers> {
        self.headers.as_deref()
    }

    /// Returns the path at which both sides meet, if it has one.
    pub fn path(&self) -> Option<&Arc<str>> {
        self.headers()?.path.as_ref()
    }

    /// Returns the tokens that its clients need, if it has some.
    pub fn guard(&self) -> Option<&Guard> {
        self.headers()?.guard.as_ref()
    }

    /// Returns the request that created it, if that can be repeated.
    pub fn key(&self) -> Option<&CreationKey> {
        self.headers()?.key.as_ref()
    }

    /// Returns the URL that is notified of its end, if it has one.
    pub fn notify_url(&self) -> Option<&str> {
        self.headers()?.notify_url.as_deref()
    }

    /// Returns the body bytes handed to the destination's socket so far.
    pub fn bytes_transferred(&self) -> u64 {
        self.bytes_transferred
    }

    /// Returns the last known bottleneck of its transfer.
    pub fn bottleneck(&self) -> Option<&Bottleneck> {
        self.rare.as_ref()?.bottleneck.as_deref()
    }

    pub(super) fn set_bottleneck(&mut self, bottleneck: Box<Bottleneck>) {
        self.rare.get_or_insert_default().bottleneck = Some(bottleneck);
    }

    /// Returns the receipt of its receiver, if that announced one.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.rare.as_ref()?.receipt.as_ref()
    }

    pub(super) fn set_receipt(&mut self, receipt: Receipt) {
        self.rare.get_or_insert_default().receipt = Some(receipt);
    }

    /// Removes its receipt.
    pub(super) fn take_receipt(&mut self) -> Option<Receipt> {
        self.rare.as_mut()?.receipt.take()
    }

    /// Whether its source awaits the acknowledgement of the destination's TCP.
    pub fn awaits_ack(&self) -> bool {
        self.awaits_ack
    }

    pub(super) fn await_ack(&mut self) {
        self.awaits_ack = true;
    }

    /// Whether its end is known: it was interrupted, or finished and no receipt is expected.
    pub fn is_settled(&self) -> bool {
        let awaits_receipt =
            self.state() == StreamState::Finished && self.receipt() == Some(&Receipt::Expected);
        !self.is_active() && !awaits_receipt
    }

    /// Returns a counter of all changes except those of transferred bytes and the bottleneck.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    pub(super) fn revise(&mut self) {
        self.revision = self.revision.wrapping_add(1);
    }

    /// Returns the memory of what its clients reported: a report, or a digest.
    pub(super) fn reported_weight(&self) -> usize {
        let report = match &self.phase {
            Phase::Created(report) => report.as_deref(),
            Phase::Ended { ending: Ending::Reported(report), .. } => Some(&**report),
            Phase::Waiting(..) | Phase::Streaming { .. } | Phase::Ended { .. } => None,
        };
        report.map_or(0, PeerReport::weight) + self.digest().map_or(0, ReprDigest::weight)
    }

    /// Returns its memory in bytes: its header fields, what its clients reported, and its receipt.
    pub(super) fn weight(&self) -> usize {
        let receipt = self.receipt().map_or(0, Receipt::weight);
        self.headers().map_or(0, Headers::weight) + self.reported_weight() + receipt
    }

    /// Returns the deadline for both sides to connect; after its end, that of its retention.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the client that waits for the other side.
    pub fn waiting(&self) -> Option<Client> {
        match self.phase {
            Phase::Waiting(_, client) => Some(client),
            Phase::Created(_) | Phase::Streaming { .. } | Phase::Ended { .. } => None,
        }
    }

    pub(super) fn set_bytes_transferred(&mut self, bytes: u64) {
        self.bytes_transferred = bytes;
    }

    /// Returns the connected clients: source, destination.
    pub fn clients(&self) -> [Option<Client>; 2] {
        match self.phase {
            Phase::Created(_) | Phase::Ended { .. } => [None, None],
            Phase::Waiting(Side::Source, client) => [Some(client), None],
            Phase::Waiting(Side::Destination, client) => [None, Some(client)],
            Phase::Streaming { source, destination } => [Some(source), Some(destination)],
        }
    }

    /// Returns how long the first side has waited for the other, or did.
    pub fn waited(&self, now: Instant) -> Duration {
        self.spans(now)[0].unwrap_or_default()
    }

    /// Returns how long the first side waited, and how long the transfer took, up to `now`.
    pub(super) fn spans(&self, now: Instant) -> [Option<Duration>; 2] {
        let [source, destination] = self.joined;
        let first = source.into_iter().chain(destination).min();
        let second = source.zip(destination).map(|(source, destination)| source.max(destination));
        let now = self.moment(now);
        let span = |begin: NonZeroU64, end: NonZeroU64| {
            Duration::from_nanos(end.get().saturating_sub(begin.get()))
        };
        [first.map(|first| span(first, second.unwrap_or(now))), second.map(|it| span(it, now))]
    }

    fn moment(&self, now: Instant) -> NonZeroU64 {
        let age = now.saturating_duration_since(self.created).as_nanos();
        NonZeroU64::MIN.saturating_add(u64::try_from(age).unwrap_or(u64::MAX))
    }

    /// Returns how the stream would time out now; `None` once it is paired or has ended.
    pub(super) fn missing(&self) -> Option<Ending> {
        match self.phase {
            Phase::Created(_) => Some(Ending::TimedOut(None)),
            Phase::Waiting(side, _) => Some(Ending::TimedOut(Some(side.other()))),
            Phase::Streaming { .. } | Phase::Ended { .. } => None,
        }
    }

    /// Connects a client as one side. A pending report is removed from the stream; the caller must
    /// end the stream with it.
    pub(super) fn join(&mut self, side: Side, client: Client, now: Instant) -> Joined {
        let joined = self.occupy(side, client);
        match joined {
            Joined::Waits | Joined::Paired(_) => {
                self.joined[side as usize] = Some(self.moment(now));
            }
            Joined::Occupied | Joined::Ended | Joined::Reported(_) => {}
        }
        joined
    }

    fn occupy(&mut self, side: Side, client: Client) -> Joined {
        match &mut self.phase {
            Phase::Created(report) => {
                if let Some(report) = report.take() {
                    return Joined::Reported(report);
                }
                self.phase = Phase::Waiting(side, client);
                Joined::Waits
            }
            Phase::Waiting(here, _) if *here == side => Joined::Occupied,
            Phase::Waiting(_, other) => {
                let other = *other;
                let (source, destination) = match side {
                    Side::Source => (client, other),
                    Side::Destination => (other, client),
                };
                self.phase = Phase::Streaming { source, destination };
                Joined::Paired(other)
            }
            Phase::Streaming { .. } => Joined::Occupied,
            Phase::Ended { .. } => Joined::Ended,
        }
    }
    /// Removes a side before a byte of the body was sent: its place is free again, and the data of
    /// the transfer is reset.
    pub(super) fn leave(&mut self, side: Side) -> LeaveOutcome {
        let (phase, left) = match self.phase {
            Phase::Waiting(here, _) if here == side => (Phase::Created(None), LeaveOutcome::Alone),
            Phase::Streaming { source, destination } => {
                let other = match side {
                    Side::Source => destination,
                    Side::Destination => source,
                };
                (Phase::Waiting(side.other(), other), LeaveOutcome::Waits(other))
            }
            Phase::Created(_) | Phase::Waiting(..) | Phase::Ended { .. } => {
                return LeaveOutcome::Absent;
            }
        };
        self.phase = phase;
        self.joined[side as usize] = None;
        if let Some(rare) = &mut self.rare {
            rare.bottleneck = None;
        }
        left
    }
}
