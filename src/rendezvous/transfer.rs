//! The transfer of one body: plans the next step, and is informed of the result. It counts every
//! byte in user memory and in the pipe; it holds no descriptor and never waits.
//!
//! Bytes are sent in this order: `ahead` (download head, chunk framing, body bytes already framed),
//! then `loose` (body bytes in user memory, not framed yet), then the pipe, then
//! `after_pipe` (body bytes in user memory that were received after those).
//!
//! `step` and `outcome` are what it plans and how it ends, `ahead` holds what is sent first,
//! `partial_upload` what is left to another destination.

mod ahead;
mod form;
mod outcome;
mod partial_upload;
mod step;

pub use outcome::{Loss, TransferOutcome};
pub use partial_upload::PartialUpload;
pub use step::{Ready, Step};

use self::ahead::Ahead;
use self::step::at_most;
use super::stream::Side;
use crate::http::body::{BodyDecoder, BodyError};
use crate::http::first_part::FirstPart;
use crate::http::framing::Framing;
use crate::http::repr_digest::ReprDigest;
use std::ops::Range;

/// Maximum bytes of one fill of the pipe and of its contents: for fairness, and because a pipe
/// counts slots (one of "1 MiB" can hold 4 MiB and more).
pub const FILL_MAX: usize = 1 << 20;

/// Chunk payloads of at least this many bytes are spliced; below, one copy is cheaper than the two
/// system calls for framing and payload.
pub const SPLICE_MIN: u64 = 16 << 10;

/// A pipe that holds this many bytes is drained before more chunks are added.
const TOP_UP_MAX: usize = 256 << 10;

/// Maximum bytes of one copied read while the destination keeps up.
pub const COPY_MAX: usize = 256 << 10;

/// Maximum bytes of one copied read after the destination has blocked: what it does not accept is
/// kept in user memory until it does.
pub const COPY_SLOW: usize = 16 << 10;

/// Bytes read for the head of a chunk when its length is unknown.
const FRAMING_READ: usize = 16;

/// How the download's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// By the length in its head.
    Length,
    /// By chunks (RFC 9112 7.1).
    Chunks,
    /// By the end of the connection, for HTTP/1.0 and after an upgrade.
    Close,
}

/// The permitted use of the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PipeUse {
    /// More bytes may be added.
    Grow,
    /// A fill blocked, on the pipe or the source, while the pipe held bytes: it must be drained
    /// first.
    Shrink,
    /// Its bytes are framed: no more may be added.
    Leave,
}

/// A body between two sockets.
#[derive(Debug)]
pub struct Transfer {
    upload: BodyDecoder,
    /// Maximum bytes of the body, if it is chunked.
    body_max: u64,
    /// Why the upload is interrupted before its end.
    source_lost: Option<TransferOutcome>,
    download: Delimiter,
    ahead: Ahead,
    loose: Vec<u8>,
    piped: usize,
    after_pipe: Vec<u8>,
    pipe_may: PipeUse,
    head_started: bool,
    /// The head is sent before there is any body.
    head_at_once: bool,
    destination_lost: Option<Loss>,
    transferred: u64,
    /// How many of them passed through the pipe.
    spliced: u64,
    copy_max: usize,
    /// Bytes drained since a drain last left some in the pipe.
    drained_at_once: usize,
    /// Whether large stretches pass through the pipe.
    splice: bool,
    /// The digest that the upload's head declares.
    digest: Option<Box<ReprDigest>>,
    /// The form of which only the first part is passed on, if it is one.
    form: Option<Box<FirstPart>>,
}

impl Transfer {
    /// Creates a transfer with `head` as its download head; it is sent with the first body byte or
    /// the end of the body, whichever is first. Without `splice` every byte is copied.
    // A call costs 70 of the 1000 instructions of a small transfer.
    #[inline]
    pub fn new(upload: Framing, download: Delimiter, head: Vec<u8>, splice: bool) -> Self {
        let upload = PartialUpload::new(BodyDecoder::new(upload));
        Self::start(upload, download, head, splice)
    }

    /// Creates one direction of an upgraded connection: every byte after `head` is passed on until
    /// the source sends its FIN. Both sides are committed from the start.
    pub fn upgraded(head: Vec<u8>, splice: bool) -> Self {
        let upload = PartialUpload::new(BodyDecoder::until_end());
        Self { head_started: true, ..Self::start(upload, Delimiter::Close, head, splice) }
    }

    /// Creates a transfer for an upload that an earlier transfer returned, or for a form. Of a form
    /// only the first part is passed on, with its fields; the rest is read and dropped. All of it
    /// is parsed, so nothing is spliced.
    pub fn resume(
        mut upload: PartialUpload,
        download: Delimiter,
        head: Vec<u8>,
        splice: bool,
    ) -> Self {
        let form = upload.form.take();
        let mut transfer = Self::start(upload, download, head, splice && form.is_none());
        if form.is_some() {
            (transfer.form, transfer.copy_max) = (form, COPY_SLOW);
            transfer.add_part_fields(false);
            transfer.check_form_end();
        }
        transfer
    }

    #[inline]
    fn start(upload: PartialUpload, download: Delimiter, head: Vec<u8>, splice: bool) -> Self {
        Self {
            upload: upload.decoder,
            body_max: upload.body_max,
            source_lost: upload.lost,
            download,
            ahead: Ahead::new(head),
            loose: upload.body,
            piped: 0,
            after_pipe: Vec::new(),
            pipe_may: PipeUse::Grow,
            head_started: false,
            head_at_once: false,
            destination_lost: None,
            transferred: 0,
            spliced: 0,
            copy_max: COPY_MAX,
            drained_at_once: 0,
            splice,
            digest: upload.digest,
            form: None,
        }
    }

    /// Returns the side that has merely left, if the transfer ended so: its client disconnected
    /// before a byte was handed to the destination, so only its place is free again. A client that
    /// stalled or violated the protocol did not leave.
    pub fn side_left(&self, outcome: TransferOutcome) -> Option<Side> {
        if self.head_started {
            return None;
        }
        match outcome {
            TransferOutcome::SourceGone(Loss::Closed | Loss::Failed) => Some(Side::Source),
            // Bytes in the pipe cannot be returned, and are lost with the destination.
            TransferOutcome::DestinationGone(Loss::Closed | Loss::Failed) if self.piped == 0 => {
                Some(Side::Destination)
            }
            TransferOutcome::SourceGone(Loss::Stalled)
            | TransferOutcome::DestinationGone(_)
            | TransferOutcome::Complete
            | TransferOutcome::SourceBroken(_)
            | TransferOutcome::SourceTooLarge(_) => None,
        }
    }

    /// Returns the upload for another destination, after [`Transfer::side_left`] returned that this
    /// one left.
    pub fn give_upload_back(mut self) -> PartialUpload {
        debug_assert!(!self.head_started && self.piped == 0, "no byte of the body is lost");
        // The head and the framing of the first chunk were for this destination.
        let mut body = self.ahead.into_body();
        body.append(&mut self.loose);
        body.append(&mut self.after_pipe);
        body.shrink_to_fit();
        let (decoder, digest, form) = (self.upload, self.digest, self.form);
        let (body_max, lost) = (self.body_max, self.source_lost);
        PartialUpload { decoder, body_max, digest, form, body, lost }
    }

    /// Sends the head at once, because the client may wait long for the body.
    #[must_use]
    pub fn head_at_once(mut self) -> Self {
        self.head_at_once = true;
        self
    }

    /// Sets the digest from the upload's head, until its trailers replace it.
    #[must_use]
    pub fn with_digest(mut self, digest: Option<Box<ReprDigest>>) -> Self {
        self.digest = digest;
        self
    }

    /// Refuses a chunk that extends the body beyond `bytes`. A known length is not checked: such an
    /// upload is refused earlier.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.body_max = bytes;
        self.upload = self.upload.at_most(bytes);
        self
    }

    /// Returns the body bytes handed to the destination's socket so far.
    pub fn transferred(&self) -> u64 {
        self.transferred
    }

    /// Returns how many of them passed through the pipe; the others passed through user memory.
    pub fn spliced(&self) -> u64 {
        self.spliced
    }

    /// Returns the body bytes read from the source so far.
    pub fn taken(&self) -> u64 {
        let held = self.ahead.body() + self.loose.len() + self.after_pipe.len();
        self.transferred + (held + self.piped) as u64
    }

    /// Whether any byte of the download's head was sent.
    pub fn head_started(&self) -> bool {
        self.head_started
    }

    /// Returns the bytes in user memory that the destination has not accepted.
    pub fn held(&self) -> usize {
        self.prefix().len() + self.loose.len() + self.after_pipe.len()
    }

    /// Returns the bytes in the pipe.
    pub fn piped(&self) -> usize {
        self.piped
    }

    /// Whether the upload was read to its proper end.
    pub fn upload_complete(&self) -> bool {
        self.upload.is_over() && self.source_lost.is_none()
    }

    /// Returns the digest that the source declares: in its trailers, else in its head. It may
    /// change until the upload is complete.
    pub fn digest(&self) -> Option<&ReprDigest> {
        self.upload.digest().or(self.digest.as_deref())
    }

    /// Returns the remaining body bytes of the source, if known.
    pub fn still_to_come(&self) -> Option<u64> {
        self.upload.still_to_come()
    }

    /// Whether a read of the source may return chunk framing.
    pub fn in_chunks(&self) -> bool {
        self.upload.in_chunks()
    }

    /// Whether its next bytes are large enough for a pipe.
    pub fn splices(&self) -> bool {
        match self.take() {
            Step::Fill { .. } | Step::ReadFraming { .. } => true,
            Step::Copy { .. }
            | Step::Send { .. }
            | Step::Drain { .. }
            | Step::Wait(_)
            | Step::Done(_) => false,
        }
    }

    /// Whether the destination did not accept all of a drain within the last [`FILL_MAX`] bytes.
    pub fn destination_is_slow(&self) -> bool {
        self.drained_at_once < FILL_MAX
    }

    /// Returns the bytes that [`Step::Send`] and [`Step::Copy`] send first.
    pub fn prefix(&self) -> &[u8] {
        self.ahead.unsent()
    }

    /// Plans the next step.
    pub fn next(&mut self, ready: Ready) -> Step {
        if let Some(loss) = self.destination_lost {
            return Step::Done(TransferOutcome::DestinationGone(loss));
        }
        if let Some(outcome @ TransferOutcome::SourceGone(_)) = self.source_lost
            && !self.head_started
            && !self.head_at_once
        {
            // The destination has seen nothing of it, and can be paired with another source.
            return Step::Done(outcome);
        }
        if ready.source && ready.destination && self.may_gather_more() {
            return self.take();
        }
        if self.body_unframed() {
            self.announce(0);
        }
        self.frame_the_end();
        let must_send = self.must_send();
        if must_send || self.piped > 0 {
            return match (ready.destination, must_send) {
                (false, _) => Step::Wait(Side::Destination),
                (true, true) => Step::Send { more: self.piped > 0 },
                (true, false) => Step::Drain { bytes: self.piped },
            };
        }
        if let Some(outcome) = self.outcome() {
            return Step::Done(outcome);
        }
        match (ready.source, ready.destination) {
            (false, _) => Step::Wait(Side::Source),
            (true, false) => Step::Wait(Side::Destination),
            (true, true) => self.take(),
        }
    }

    /// Parses `bytes` of the upload in user memory. Appends the ranges of its body to `pieces`, and
    /// returns how many bytes belong to this upload; the rest belongs to what follows.
    pub fn received(&mut self, bytes: &[u8], pieces: &mut Vec<Range<usize>>) -> usize {
        if self.source_lost.is_some() {
            // What follows an error has no meaning.
            return bytes.len();
        }
        let count = match self.upload.received(bytes, pieces) {
            Ok(count) => count,
            Err(error) => {
                self.source_lost = Some(match error {
                    BodyError::Framing(error) => TransferOutcome::SourceBroken(error.into()),
                    BodyError::TooLarge => TransferOutcome::SourceTooLarge(self.body_max),
                });
                bytes.len()
            }
        };
        if self.form.is_some() {
            self.read_form(bytes, pieces);
        }
        count
    }

    /// Keeps [`received`](Self::received) bytes in user memory until a later step.
    pub fn keep(&mut self, bytes: &[u8], pieces: &[Range<usize>]) {
        let framed = self.piped > 0 || self.ahead.body() > 0;
        let store = if framed { &mut self.after_pipe } else { &mut self.loose };
        for piece in pieces {
            store.extend_from_slice(&bytes[piece.clone()]);
        }
    }

    /// Frames `extra` body bytes of the caller, which are sent right after [`Transfer::prefix`],
    /// together with the held ones.
    pub fn announce(&mut self, extra: usize) {
        debug_assert_eq!(self.ahead.body(), 0, "framed bytes leave first");
        let body = self.loose.len() + self.piped + extra;
        if self.download == Delimiter::Chunks && body > 0 {
            self.ahead.add_chunk_head(body);
        }
        self.ahead.append(&mut self.loose);
        if self.piped > 0 {
            self.pipe_may = PipeUse::Leave;
        }
    }

    /// Notes that the destination accepted `count` bytes of [`Transfer::prefix`] and the pieces
    /// after it.
    pub fn gathered(&mut self, count: usize, bytes: &[u8], pieces: &[Range<usize>]) {
        let mut of_pieces = count.saturating_sub(self.prefix().len());
        self.sent(count - of_pieces);
        self.transferred += of_pieces as u64;
        self.copy_max = COPY_MAX;
        for piece in pieces {
            let skipped = of_pieces.min(piece.len());
            of_pieces -= skipped;
            if skipped < piece.len() {
                self.ahead.extend(&bytes[piece.start + skipped..piece.end]);
                self.copy_max = COPY_SLOW;
            }
        }
    }

    /// Notes that the destination's socket did not take all that it accepted: reads are small until
    /// it does.
    pub fn slow_down(&mut self) {
        self.copy_max = COPY_SLOW;
    }

    /// Notes that the destination accepted `count` bytes of [`Transfer::prefix`].
    pub fn sent(&mut self, count: usize) {
        self.head_started |= count > 0;
        self.transferred += self.ahead.sent(count) as u64;
        if self.prefix().is_empty() && self.piped == 0 {
            self.pipe_done();
        }
    }

    /// Notes that `count` body bytes were moved from the source into the pipe.
    pub fn filled(&mut self, count: usize) {
        debug_assert_eq!(self.pipe_may, PipeUse::Grow, "drain before filling again");
        self.piped += count;
        self.upload.took(count);
    }

    /// Notes that a fill blocked while the pipe held bytes, which does not show which end blocked.
    pub fn fill_blocked(&mut self) {
        debug_assert!(self.piped > 0, "an empty pipe proves that the source is empty");
        self.pipe_may = PipeUse::Shrink;
    }

    /// Notes that `count` bytes were moved from the pipe to the destination.
    pub fn drained(&mut self, count: usize) {
        self.piped -= count;
        self.transferred += count as u64;
        self.spliced += count as u64;
        self.drained_at_once = self.drained_at_once.saturating_add(count);
        if self.piped == 0 {
            self.pipe_done();
        } else {
            self.drained_at_once = 0;
        }
    }

    /// Takes over the bytes in the pipe, all of them, for a destination that is blocked: they are
    /// sent from user memory, and the pipe is free.
    pub fn pipe_emptied(&mut self, mut bytes: Vec<u8>) {
        debug_assert_eq!(bytes.len(), self.piped, "not one byte stays in the pipe");
        if self.body_unframed() {
            self.announce(0);
        }
        // What follows them is framed once they are sent, like what follows a pipe.
        self.ahead.append(&mut bytes);
        self.piped = 0;
    }

    /// Frees the pipe's place once its bytes, and all before them, are sent.
    fn pipe_done(&mut self) {
        self.pipe_may = PipeUse::Grow;
        self.loose.append(&mut self.after_pipe);
    }

    /// Notes that the source sent its FIN: the end of an upgraded direction, too early for a body.
    pub fn source_ended(&mut self) {
        if !self.upload.connection_ended() {
            self.source_gone(Loss::Closed);
        }
    }

    /// Notes that the source sends no more. What it sent before is still handed over.
    pub fn source_gone(&mut self, loss: Loss) {
        if !self.upload.is_over() && self.source_lost.is_none() {
            self.source_lost = Some(TransferOutcome::SourceGone(loss));
        }
    }

    /// Notes that bytes after the upload were lost: nothing can be read from the source any more,
    /// and it must not take its upload as complete.
    pub fn source_out_of_step(&mut self) {
        self.source_lost = Some(TransferOutcome::SourceGone(Loss::Failed));
    }

    /// Notes that the destination accepts no more; pending bytes are lost.
    pub fn destination_gone(&mut self, loss: Loss) {
        self.destination_lost = Some(loss);
    }

    /// Returns how the upload ended, if it did.
    fn outcome(&self) -> Option<TransferOutcome> {
        self.source_lost.or(self.upload.is_over().then_some(TransferOutcome::Complete))
    }

    /// Plans the next read of the upload.
    fn take(&self) -> Step {
        let left = self.upload.payload_left();
        if !self.upload.in_chunks() {
            return if self.is_large(left) {
                Step::Fill { max_bytes: at_most(left, FILL_MAX) }
            } else {
                // One more than remains: getting no more than that proves that nothing follows.
                Step::Copy { max_bytes: at_most(left.saturating_add(1), self.copy_max) }
            };
        }
        let large = self.is_large(self.upload.chunk_bytes().unwrap_or(SPLICE_MIN));
        match (large, left) {
            (false, _) => Step::Copy { max_bytes: self.copy_max },
            (true, 0) if self.upload.chunk_bytes().is_none() => {
                Step::ReadFraming { max_bytes: FRAMING_READ }
            }
            (true, 0) => Step::ReadFraming { max_bytes: self.upload.framing_hint() },
            (true, left) => Step::Fill { max_bytes: at_most(left, FILL_MAX - self.piped) },
        }
    }

    fn is_large(&self, bytes: u64) -> bool {
        self.splice && bytes >= SPLICE_MIN
    }

    /// Whether body bytes are held, and more can be added before they are sent.
    fn may_gather_more(&self) -> bool {
        if !self.body_unframed()
            || self.outcome().is_some()
            || self.pipe_may != PipeUse::Grow
            || !self.after_pipe.is_empty()
        {
            return false;
        }
        match self.take() {
            Step::Fill { .. } => self.upload.in_chunks() && self.piped < TOP_UP_MAX,
            Step::ReadFraming { .. } => self.piped < TOP_UP_MAX,
            Step::Copy { .. } => self.piped == 0 && self.loose.len() < COPY_SLOW,
            Step::Send { .. } | Step::Drain { .. } | Step::Wait(_) | Step::Done(_) => false,
        }
    }

    /// Whether body bytes are held that were neither framed nor sent.
    fn body_unframed(&self) -> bool {
        self.pipe_may != PipeUse::Leave && (self.piped > 0 || !self.loose.is_empty())
    }

    /// Adds the last chunk after the complete body was sent.
    fn frame_the_end(&mut self) {
        let body_is_out = self.piped == 0 && self.ahead.body() == 0;
        if self.download == Delimiter::Chunks && self.upload_complete() && body_is_out {
            self.ahead.add_last_chunk();
        }
    }

    /// Whether `ahead` must be sent now; a head alone waits for the first body byte or the end.
    fn must_send(&self) -> bool {
        let has_body = self.ahead.body() > 0 || self.pipe_may == PipeUse::Leave;
        let held = !self.prefix().is_empty();
        held && (has_body || self.head_started || self.head_at_once || self.upload_complete())
    }
}

#[cfg(test)]
mod tests;
