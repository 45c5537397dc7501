//! One body on its way: plans the next step, and is told what happened. It counts every byte in
//! user memory and in the pipe; it holds no descriptor and never waits.
//!
//! Bytes leave in this order: `ahead` (download head, chunk framing, body bytes already framed),
//! then `loose` (body bytes in user memory, not framed yet), then the pipe, then `behind` (body
//! bytes in user memory that came after those in the pipe).

use super::stream::Side;
use crate::http::body::{BodyDecoder, BodyError};
use crate::http::chunked::{ChunkError, LAST_CHUNK, write_chunk_head};
use crate::http::framing::Framing;
use crate::http::repr_digest::ReprDigest;
use std::ops::Range;

/// Upper bound of one fill of the pipe and of what it may hold, in bytes: a fairness budget, and
/// because a pipe counts slots (one of "1 MiB" can hold 4 MiB and more).
pub const FILL_MAX: usize = 1 << 20;

/// Chunk payloads of at least this many bytes are spliced; below, one copy is cheaper than the two
/// system calls for framing and payload.
pub const SPLICE_MIN: u64 = 16 << 10;

/// A pipe that holds this much is drained before more chunks are put in it.
const TOP_UP_MAX: usize = 256 << 10;

/// Bytes of one copied read while the destination keeps up.
pub const COPY_MAX: usize = 256 << 10;

/// Bytes of one copied read after the destination has blocked: what it does not take is kept in
/// user memory until it does.
pub const COPY_SLOW: usize = 16 << 10;

/// Bytes read for the head of a chunk when nothing is known of its length.
const FRAMING_READ: usize = 16;

/// How the download's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// By the length in its head.
    Length,
    /// By chunks (RFC 9112 7.1).
    Chunks,
    /// By the end of the connection, for HTTP/1.0.
    Close,
}

/// Whether the two sockets may be used now, as far as is known.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The source may have something to read.
    pub source: bool,
    /// The destination may take something.
    pub destination: bool,
}

/// What to do next. After each step the transfer is told what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send [`Transfer::prefix`]; report [`Transfer::sent`]. With `more`, a [`Step::Drain`] follows.
    Send {
        /// More bytes leave in the same turn.
        more: bool,
    },
    /// Move this many bytes from the pipe to the destination; report [`Transfer::drained`].
    Drain {
        /// All the pipe holds.
        bytes: usize,
    },
    /// Move body bytes from the source into the pipe; report [`Transfer::filled`]. Without a pipe,
    /// and with none of its bytes in one, [`Step::Copy`] does the same.
    Fill {
        /// At most so many.
        max_bytes: usize,
    },
    /// Read chunk framing from the source; report [`Transfer::received`], [`Transfer::keep`].
    ReadFraming {
        /// At most so many bytes.
        max_bytes: usize,
    },
    /// Read from the source and send to the destination; report [`Transfer::received`],
    /// [`Transfer::announce`], [`Transfer::gathered`].
    Copy {
        /// At most so many bytes.
        max_bytes: usize,
    },
    /// Nothing can be done before this side is ready.
    Wait(Side),
    /// It is over, and nothing is pending.
    Done(TransferOutcome),
}

impl Step {
    /// Whether it takes bytes from the source.
    pub fn takes(self) -> bool {
        match self {
            Self::Fill { .. } | Self::ReadFraming { .. } | Self::Copy { .. } => true,
            Self::Send { .. } | Self::Drain { .. } | Self::Wait(_) | Self::Done(_) => false,
        }
    }

    /// The same step, taking so many bytes from the source at most. Chunk framing is read as it is.
    #[must_use]
    pub fn at_most(self, bytes: u64) -> Self {
        match self {
            Self::Fill { max_bytes } => Self::Fill { max_bytes: at_most(bytes, max_bytes) },
            Self::Copy { max_bytes } => Self::Copy { max_bytes: at_most(bytes, max_bytes) },
            Self::Send { .. }
            | Self::Drain { .. }
            | Self::ReadFraming { .. }
            | Self::Wait(_)
            | Self::Done(_) => self,
        }
    }
}

/// How a side was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It closed or reset its connection.
    Closed,
    /// Its socket failed.
    Failed,
    /// It neither sent nor took a byte for too long.
    Stalled,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferOutcome {
    /// The whole body was handed to the destination's socket.
    Complete,
    /// The source ended early; what it sent was handed on, and must not look complete.
    SourceGone(Loss),
    /// The source's framing was wrong; what it sent before was handed on.
    SourceBroken(ChunkError),
    /// The source's body is longer than this many bytes, the most it may be; the chunks before were
    /// handed on.
    SourceTooLarge(u64),
    /// The destination takes no more.
    DestinationGone(Loss),
}

/// What may be done with the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PipeUse {
    /// More may be put in it.
    Grow,
    /// A fill found it or the source blocked while it held bytes: it has to be drained first.
    Shrink,
    /// Its bytes are framed: nothing may be added to them.
    Leave,
}

/// How much of the download's chunk framing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FramingProgress {
    Nothing,
    SomeChunk,
    LastChunk,
}

/// An upload as far as it was read, for a transfer that goes on from there.
#[derive(Clone, Debug)]
pub struct PartialUpload {
    decoder: BodyDecoder,
    body_max: u64,
    digest: Option<Box<ReprDigest>>,
    /// Body bytes that were read and handed to no destination.
    body: Vec<u8>,
    /// Why it gives no more: wrong framing, for one, is not forgotten with the destination.
    lost: Option<TransferOutcome>,
}

impl PartialUpload {
    /// An upload of which nothing was read.
    fn new(framing: Framing) -> Self {
        let decoder = BodyDecoder::new(framing);
        Self { decoder, body_max: u64::MAX, digest: None, body: Vec::new(), lost: None }
    }

    /// Whether it was read to its end.
    pub fn is_read(&self) -> bool {
        self.decoder.is_over()
    }

    /// Whether all that is still to come may be among `bytes` that were sent already.
    pub fn may_end_within(&self, bytes: u64) -> bool {
        if self.lost.is_some() {
            // The next destination is told what is wrong with it.
            return true;
        }
        match self.decoder.still_to_come() {
            Some(left) => bytes >= left,
            None => bytes > 0,
        }
    }
}

/// A body between two sockets.
#[derive(Debug)]
pub struct Transfer {
    upload: BodyDecoder,
    /// How many bytes its body may have, if it comes in chunks.
    body_max: u64,
    /// Why the upload gives no more although it is not over.
    source_lost: Option<TransferOutcome>,
    download: Delimiter,
    ahead: Vec<u8>,
    ahead_sent: usize,
    /// How many bytes at the start of `ahead`'s unsent rest are not body.
    ahead_framing: usize,
    loose: Vec<u8>,
    piped: usize,
    behind: Vec<u8>,
    pipe_may: PipeUse,
    head_started: bool,
    /// The head leaves by itself, before there is any body.
    head_at_once: bool,
    framed: FramingProgress,
    destination_lost: Option<Loss>,
    transferred: u64,
    /// How many of them went through the pipe.
    spliced: u64,
    copy_max: usize,
    splice_min: u64,
    /// What the upload's head says that its data hashes to.
    digest: Option<Box<ReprDigest>>,
}

impl Transfer {
    /// A transfer whose download head is `head`; it leaves with the first body byte or the end of
    /// the body, whichever is first. Without `splice` every byte is copied.
    pub fn new(upload: Framing, download: Delimiter, head: Vec<u8>, splice: bool) -> Self {
        Self::resume(PartialUpload::new(upload), download, head, splice)
    }

    /// The same with an upload that an earlier transfer gave back.
    pub fn resume(upload: PartialUpload, download: Delimiter, head: Vec<u8>, splice: bool) -> Self {
        Self {
            upload: upload.decoder,
            body_max: upload.body_max,
            source_lost: upload.lost,
            download,
            ahead_framing: head.len(),
            ahead: head,
            ahead_sent: 0,
            loose: upload.body,
            piped: 0,
            behind: Vec::new(),
            pipe_may: PipeUse::Grow,
            head_started: false,
            head_at_once: false,
            framed: FramingProgress::Nothing,
            destination_lost: None,
            transferred: 0,
            spliced: 0,
            copy_max: COPY_MAX,
            splice_min: if splice { SPLICE_MIN } else { u64::MAX },
            digest: upload.digest,
        }
    }

    /// Which side has merely left, if this is how it ended: its client went away before a byte was
    /// handed to the destination, so nothing is lost but its place. A client that stalled or broke
    /// the protocol did not leave.
    pub fn side_left(&self, outcome: TransferOutcome) -> Option<Side> {
        if self.head_started {
            return None;
        }
        match outcome {
            TransferOutcome::SourceGone(Loss::Closed | Loss::Failed) => Some(Side::Source),
            // What is in the pipe cannot be given back, and is lost with the destination.
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

    /// Gives the upload back, for another destination: [`Transfer::side_left`] says that this one
    /// left.
    pub fn give_upload_back(mut self) -> PartialUpload {
        debug_assert!(!self.head_started && self.piped == 0, "no byte of the body is lost");
        debug_assert!(self.behind.is_empty(), "bytes can follow only bytes in the pipe");
        // The head and the framing of the first chunk come first; they were for this destination.
        let mut body = self.ahead.split_off(self.ahead_framing);
        body.append(&mut self.loose);
        body.shrink_to_fit();
        let (decoder, digest) = (self.upload, self.digest);
        PartialUpload { decoder, body_max: self.body_max, digest, body, lost: self.source_lost }
    }

    /// Sends the head at once: whoever waits for it may wait for the body for long.
    #[must_use]
    pub fn head_at_once(mut self) -> Self {
        self.head_at_once = true;
        self
    }

    /// Remembers the digest in the upload's head, until its trailers have another.
    #[must_use]
    pub fn with_digest(mut self, digest: Option<Box<ReprDigest>>) -> Self {
        self.digest = digest;
        self
    }

    /// Refuses a chunk with which the body would be longer than so many bytes. A length that is
    /// known from the start is never looked at: such an upload is refused before.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.body_max = bytes;
        self.upload = self.upload.at_most(bytes);
        self
    }

    /// Body bytes handed to the destination's socket so far.
    pub fn transferred(&self) -> u64 {
        self.transferred
    }

    /// How many of them went through the pipe; the others went through user memory.
    pub fn spliced(&self) -> u64 {
        self.spliced
    }

    /// Body bytes read from the source so far.
    pub fn taken(&self) -> u64 {
        self.transferred + (self.held() - self.ahead_framing + self.piped) as u64
    }

    /// Whether any byte of the download's head has left.
    pub fn head_started(&self) -> bool {
        self.head_started
    }

    /// Bytes held in user memory until the destination takes them.
    pub fn held(&self) -> usize {
        self.prefix().len() + self.loose.len() + self.behind.len()
    }

    /// Bytes the pipe holds.
    pub fn piped(&self) -> usize {
        self.piped
    }

    /// Whether the upload was read to its proper end.
    pub fn upload_complete(&self) -> bool {
        self.upload.is_over() && self.source_lost.is_none()
    }

    /// What the source says that its data hashes to: in its trailers, else in its head. Until the
    /// upload is complete it may become another.
    pub fn digest(&self) -> Option<&ReprDigest> {
        self.upload.digest().or(self.digest.as_deref())
    }

    /// How many body bytes the source will still send, where that is known.
    pub fn still_to_come(&self) -> Option<u64> {
        self.upload.still_to_come()
    }

    /// The bytes [`Step::Send`] and [`Step::Copy`] send first.
    pub fn prefix(&self) -> &[u8] {
        &self.ahead[self.ahead_sent..]
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
            // The destination has seen nothing of it, and can meet another source.
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

    /// `bytes` of the upload were read into user memory. The ranges of them that are body are
    /// added to `pieces`; returns how many bytes belong to this upload, the rest to what follows.
    pub fn received(&mut self, bytes: &[u8], pieces: &mut Vec<Range<usize>>) -> usize {
        match self.upload.received(bytes, pieces) {
            Ok(count) => count,
            Err(error) => {
                self.source_lost = Some(match error {
                    BodyError::Framing(error) => TransferOutcome::SourceBroken(error),
                    BodyError::TooLarge => TransferOutcome::SourceTooLarge(self.body_max),
                });
                bytes.len()
            }
        }
    }

    /// What was [`received`](Self::received) stays in user memory until a later step.
    pub fn keep(&mut self, bytes: &[u8], pieces: &[Range<usize>]) {
        let store = if self.piped > 0 { &mut self.behind } else { &mut self.loose };
        for piece in pieces {
            store.extend_from_slice(&bytes[piece.clone()]);
        }
    }

    /// `extra` body bytes in the caller's hands leave right behind [`Transfer::prefix`]: frames them
    /// together with what is held.
    pub fn announce(&mut self, extra: usize) {
        debug_assert_eq!(self.prefix().len(), self.ahead_framing, "framed bytes leave first");
        let body = self.loose.len() + self.piped + extra;
        if self.download == Delimiter::Chunks && body > 0 {
            let before = self.ahead.len();
            self.end_chunk();
            write_chunk_head(&mut self.ahead, body as u64);
            self.ahead_framing += self.ahead.len() - before;
            self.framed = FramingProgress::SomeChunk;
        }
        self.ahead.append(&mut self.loose);
        if self.piped > 0 {
            self.pipe_may = PipeUse::Leave;
        }
    }

    /// The destination took `count` of the bytes of [`Transfer::prefix`] and the pieces behind it.
    pub fn gathered(&mut self, count: usize, bytes: &[u8], pieces: &[Range<usize>]) {
        let mut of_pieces = count.saturating_sub(self.prefix().len());
        self.sent(count - of_pieces);
        self.transferred += of_pieces as u64;
        self.copy_max = COPY_MAX;
        for piece in pieces {
            let gone = of_pieces.min(piece.len());
            of_pieces -= gone;
            if gone < piece.len() {
                self.ahead.extend_from_slice(&bytes[piece.start + gone..piece.end]);
                self.copy_max = COPY_SLOW;
            }
        }
    }

    /// The destination took `count` bytes of [`Transfer::prefix`].
    pub fn sent(&mut self, count: usize) {
        let framing = count.min(self.ahead_framing);
        self.head_started |= count > 0;
        self.ahead_framing -= framing;
        self.transferred += (count - framing) as u64;
        self.ahead_sent += count;
        if self.ahead_sent == self.ahead.len() {
            self.ahead_sent = 0;
            self.ahead.clear();
            self.ahead.shrink_to(COPY_SLOW);
        }
    }

    /// `count` body bytes went from the source into the pipe.
    pub fn filled(&mut self, count: usize) {
        debug_assert_eq!(self.pipe_may, PipeUse::Grow, "drain before filling again");
        self.piped += count;
        self.upload.took(count);
    }

    /// A fill found nothing to do while the pipe held bytes, which does not say who blocked.
    pub fn fill_blocked(&mut self) {
        debug_assert!(self.piped > 0, "an empty pipe proves that the source is empty");
        self.pipe_may = PipeUse::Shrink;
    }

    /// `count` bytes went from the pipe to the destination.
    pub fn drained(&mut self, count: usize) {
        self.piped -= count;
        self.transferred += count as u64;
        self.spliced += count as u64;
        if self.piped == 0 {
            self.pipe_may = PipeUse::Grow;
            std::mem::swap(&mut self.loose, &mut self.behind);
        }
    }

    /// The source gives no more. What it sent before still goes out.
    pub fn source_gone(&mut self, loss: Loss) {
        if !self.upload.is_over() && self.source_lost.is_none() {
            self.source_lost = Some(TransferOutcome::SourceGone(loss));
        }
    }

    /// The destination takes no more; whatever is pending is lost.
    pub fn destination_gone(&mut self, loss: Loss) {
        self.destination_lost = Some(loss);
    }

    /// How the upload ended, if it did.
    fn outcome(&self) -> Option<TransferOutcome> {
        self.source_lost.or(self.upload.is_over().then_some(TransferOutcome::Complete))
    }

    /// How to get the next bytes of the upload.
    fn take(&self) -> Step {
        let left = self.upload.payload_left();
        if !self.upload.in_chunks() {
            return if left >= self.splice_min {
                Step::Fill { max_bytes: at_most(left, FILL_MAX) }
            } else {
                // One more than there is: getting no more than that proves that nothing follows.
                Step::Copy { max_bytes: at_most(left.saturating_add(1), self.copy_max) }
            };
        }
        let large = self.upload.chunk_bytes().unwrap_or(SPLICE_MIN) >= self.splice_min;
        match (large, left) {
            (false, _) => Step::Copy { max_bytes: self.copy_max },
            (true, 0) if self.upload.chunk_bytes().is_none() => {
                Step::ReadFraming { max_bytes: FRAMING_READ }
            }
            (true, 0) => Step::ReadFraming { max_bytes: self.upload.framing_hint() },
            (true, left) => Step::Fill { max_bytes: at_most(left, FILL_MAX - self.piped) },
        }
    }

    /// Body bytes are held, and more can join them before they leave.
    fn may_gather_more(&self) -> bool {
        if !self.body_unframed()
            || self.outcome().is_some()
            || self.pipe_may != PipeUse::Grow
            || !self.behind.is_empty()
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

    /// Body bytes are held that no framing and no send covers yet.
    fn body_unframed(&self) -> bool {
        self.pipe_may != PipeUse::Leave && (self.piped > 0 || !self.loose.is_empty())
    }

    /// Once the whole body is out, the last chunk follows.
    fn frame_the_end(&mut self) {
        let body_is_out = self.piped == 0 && self.prefix().len() == self.ahead_framing;
        if self.download != Delimiter::Chunks
            || self.framed == FramingProgress::LastChunk
            || !self.upload_complete()
            || !body_is_out
        {
            return;
        }
        let before = self.ahead.len();
        self.end_chunk();
        self.ahead.extend_from_slice(LAST_CHUNK);
        self.ahead_framing += self.ahead.len() - before;
        self.framed = FramingProgress::LastChunk;
    }

    /// The line end behind a chunk is written with what follows it.
    fn end_chunk(&mut self) {
        if self.framed == FramingProgress::SomeChunk {
            self.ahead.extend_from_slice(b"\r\n");
        }
    }

    /// Bytes in `ahead` have to leave now; a head alone waits for the first body byte or the end.
    fn must_send(&self) -> bool {
        let held = self.prefix().len();
        let has_body = held > self.ahead_framing || self.pipe_may == PipeUse::Leave;
        held > 0 && (has_body || self.head_started || self.head_at_once || self.upload_complete())
    }
}

fn at_most(bytes: u64, max: usize) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(max)
}

#[cfg(test)]
mod tests;
