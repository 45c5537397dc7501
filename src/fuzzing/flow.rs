//! A transfer between in-memory sockets, driven as the event loop drives one, with all invariants
//! checked at each step and at the end.

use super::checked_registry::START;
use super::choices::Choices;
use super::naive::{self, Decoded, End};
use super::sockets::{Destination, Pipe, Source, Taken};
use super::upload::{Upload, UploadEnding};
use crate::http::framing::Framing;
use crate::rendezvous::pace::BURST_MIN;
use crate::rendezvous::transfer::{COPY_MAX, Delimiter, FILL_MAX, Loss, PartialUpload};
use crate::rendezvous::{Pace, Ready, Side, Step, Transfer, TransferOutcome};
use std::ops::Range;
use std::time::Instant;

/// Maximum consecutive steps that move nothing, block on nothing and end nothing.
const IDLE_STEPS_MAX: usize = 4;

/// Maximum body bytes in user memory besides those received with the head: a copied read that met a
/// full socket, and the payload that was read along with framing.
const HELD_BYTES_MAX: usize = COPY_MAX + (32 << 10);

/// Maximum body bytes that may be read with chunk framing, beyond the pace.
const FRAMING_MAX: usize = 512;

/// Placeholder for the download's head.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// Why a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Over(TransferOutcome),
    Waits,
}

/// A transfer and the two ends it joins.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) transfer: Transfer,
    pub(super) source: Source,
    pub(super) destination: Destination,
    delimiter: Delimiter,
    splice: bool,
    pipe: Option<Pipe>,
    slots: usize,
    /// Bytes read that belong to what follows the upload.
    carry: Vec<u8>,
    prefix_bytes: usize,
    /// Body bytes read.
    taken: usize,
    /// Whether a fill found the pipe or the source blocked; no other may follow before a drain.
    shrinks: bool,
    /// Bytes in user memory after a pipe was last emptied.
    emptied: usize,
    /// Whether the last send promised that the pipe's bytes follow.
    more: bool,
    paced: Option<Paced>,
}

/// A source whose destination left before it received a byte, and what was read of the source.
#[derive(Debug)]
pub(super) struct Parted {
    source: Source,
    upload: PartialUpload,
    carry: Vec<u8>,
    taken: usize,
}

/// A pace and its elapsed time.
#[derive(Debug)]
struct Paced {
    rate: u64,
    pace: Pace,
    now: Instant,
}

impl Paced {
    /// Chooses a pace; mostly none.
    fn choose(choices: &mut Choices<'_>) -> Option<Self> {
        let rate = choices.one_in(4).then(|| choices.pick(&[1_000_000, 20_000, 1 << 32]))?;
        Some(Self { rate, pace: Pace::new(rate, *START), now: *START })
    }

    /// Returns the maximum number of bytes that may have been taken by now.
    fn most(&self) -> usize {
        let nanos = self.now.duration_since(*START).as_nanos();
        let earned = nanos * u128::from(self.rate) / 1_000_000_000;
        let burst = BURST_MIN.max(self.rate / 10);
        usize::try_from(earned + u128::from(burst)).unwrap_or(usize::MAX)
    }
}

impl Flow {
    /// Creates a transfer of `upload` to a destination that is lost according to `lost_at`.
    pub(super) fn new(
        upload: Upload,
        lost_at: Option<(usize, Loss)>,
        choices: &mut Choices<'_>,
    ) -> Self {
        let delimiter = match upload.framing {
            Framing::Length(_) => Delimiter::Length,
            Framing::Chunked => choices.pick(&[Delimiter::Chunks, Delimiter::Close]),
        };
        let splice = !choices.one_in(4);
        let longest = if choices.one_in(2) { upload.wire.len() } else { 600 };
        let prefix_bytes = choices.below(longest.min(upload.wire.len()) + 1);
        let transfer = Transfer::new(upload.framing, delimiter, HEAD.to_vec(), splice)
            .at_most(upload.most)
            .with_digest(upload.digest_in_head());
        let source = Source::new(upload, prefix_bytes);
        let mut flow =
            Self::between(source, transfer, (delimiter, splice, prefix_bytes), lost_at, choices);
        if choices.one_in(4) {
            flow.source.advance(usize::MAX);
        }
        if prefix_bytes > 0 {
            flow.take_in(0..prefix_bytes);
        }
        flow
    }

    /// Continues a source with another destination.
    pub(super) fn resume(
        parted: Parted,
        lost_at: Option<(usize, Loss)>,
        choices: &mut Choices<'_>,
    ) -> Self {
        let Parted { source, upload, carry, taken } = parted;
        let delimiter = match source.upload.framing {
            Framing::Length(_) => Delimiter::Length,
            Framing::Chunked => choices.pick(&[Delimiter::Chunks, Delimiter::Close]),
        };
        let splice = !choices.one_in(4);
        let transfer = Transfer::resume(upload, delimiter, HEAD.to_vec(), splice);
        // What was read before is available at once, like a prefix.
        let flow = Self::between(source, transfer, (delimiter, splice, taken), lost_at, choices);
        Self { carry, taken, ..flow }
    }

    /// Parts the source from a destination that left, or whose client did, before it received a
    /// byte.
    pub(super) fn part(self) -> Parted {
        assert!(self.destination.sink.is_empty(), "the destination already received bytes");
        let Self { transfer, source, carry, taken, .. } = self;
        Parted { source, upload: transfer.give_upload_back(), carry, taken }
    }

    /// Whether a side may leave now at no cost to the stream.
    pub(super) fn may_part(&self) -> bool {
        !self.transfer.head_started() && self.piped() == 0
    }

    fn between(
        source: Source,
        transfer: Transfer,
        (delimiter, splice, prefix_bytes): (Delimiter, bool, usize),
        lost_at: Option<(usize, Loss)>,
        choices: &mut Choices<'_>,
    ) -> Self {
        Self {
            transfer,
            source,
            destination: Destination::new(lost_at, choices.below(1 << 17)),
            delimiter,
            splice,
            pipe: None,
            slots: choices.pick(&[16, 256, 2]),
            carry: Vec::new(),
            prefix_bytes,
            taken: 0,
            shrinks: false,
            emptied: 0,
            more: false,
            paced: Paced::choose(choices),
        }
    }

    /// Simulates an outside event: bytes arrive, or the reader frees space.
    pub(super) fn advance(&mut self, choices: &mut Choices<'_>) {
        let bytes = choices.size();
        if choices.one_in(2) { self.destination.advance(bytes) } else { self.source.advance(bytes) }
    }

    /// Delivers all remaining bytes, and the reader takes everything.
    pub(super) fn advance_to_the_end(&mut self) {
        self.source.advance(usize::MAX);
        self.source.advance(usize::MAX);
        self.destination.advance(usize::MAX / 2);
    }

    /// Steps until nothing can be done.
    pub(super) fn turn(&mut self, choices: &mut Choices<'_>) -> Turn {
        let mut idle = 0;
        loop {
            let before = self.trace();
            let allowed = self.allowance();
            let ready = Ready {
                source: self.source.readable && allowed > 0,
                destination: self.destination.writable,
            };
            let step = self.transfer.next(ready).at_most(allowed);
            let drains = matches!(step, Step::Drain { .. } | Step::Wait(Side::Destination));
            assert!(!self.more || drains, "more was promised, then {step:?}");
            self.more = false;
            match step {
                Step::Done(outcome) => return Turn::Over(outcome),
                Step::Wait(Side::Source) if allowed == 0 && self.source.readable => {
                    if choices.one_in(2) {
                        return Turn::Waits;
                    }
                    self.end_pause();
                    continue;
                }
                Step::Wait(side) => {
                    self.check_wait(side);
                    if side == Side::Destination && self.piped() > 0 && choices.one_in(4) {
                        self.empty_pipe();
                        self.check_on_the_way(before.1 > 0);
                    }
                    if side == Side::Destination && self.may_take_ahead() && choices.one_in(4) {
                        self.take_ahead(choices);
                        self.check_on_the_way(before.1 > 0);
                    }
                    return Turn::Waits;
                }
                Step::Send { more } => self.send(more, choices),
                Step::Drain { bytes } => self.drain(bytes, choices),
                Step::Fill { max_bytes } => self.fill(max_bytes, choices),
                Step::ReadFraming { max_bytes } => self.read_framing(max_bytes, choices),
                Step::Copy { max_bytes } => self.copy(max_bytes, choices),
            }
            idle = if self.trace() == before { idle + 1 } else { 0 };
            assert!(idle < IDLE_STEPS_MAX, "{step:?} leads nowhere");
            self.check_on_the_way(before.1 > 0);
        }
    }

    /// Returns how many bytes may be taken now.
    fn allowance(&self) -> u64 {
        let taken = self.transfer.taken();
        self.paced.as_ref().map_or(u64::MAX, |paced| paced.pace.allowance(taken))
    }

    /// Advances the time until more may be taken; the wait is never in vain.
    fn end_pause(&mut self) {
        let taken = self.transfer.taken();
        let paced = self.paced.as_mut().expect("only a pace pauses");
        let until = paced.pace.resumes_at(taken);
        assert!(until > paced.now, "a pause is a while");
        paced.now = until;
        paced.pace.refill(taken, until);
        assert!(paced.pace.allowance(taken) > 0, "a pause is long enough");
    }

    /// Returns the values that change when a step makes progress.
    fn trace(&self) -> (usize, usize, bool, bool) {
        let Self { source, destination, .. } = self;
        (source.read, destination.sink.len(), source.readable, destination.writable)
    }

    fn send(&mut self, more: bool, choices: &mut Choices<'_>) {
        assert!(!more || self.piped() > 0, "what follows is in the pipe");
        match self.destination.put(&[self.transfer.prefix()], choices) {
            Ok(0) => {}
            Ok(count) => {
                self.more = more && count == self.transfer.prefix().len();
                self.transfer.sent(count);
            }
            Err(loss) => self.transfer.destination_gone(loss),
        }
    }

    fn drain(&mut self, bytes: usize, choices: &mut Choices<'_>) {
        assert_eq!(bytes, self.piped(), "a drain takes all the pipe holds");
        let pipe = self.pipe.as_mut().expect("bytes in a pipe need a pipe");
        match pipe.drain(&mut self.destination, bytes, choices) {
            Ok(0) => {}
            Ok(count) => self.transfer.drained(count),
            Err(loss) => self.transfer.destination_gone(loss),
        }
        self.shrinks &= self.piped() > 0;
    }

    /// Moves the pipe's bytes to user memory: another transfer needs a pipe.
    fn empty_pipe(&mut self) {
        let bytes = self.pipe.take().expect("bytes in a pipe need a pipe").into_bytes();
        self.transfer.pipe_emptied(bytes);
        self.shrinks = false;
        self.note_held();
    }

    /// Whether bytes of chunks that were read ahead may be moved to user memory.
    fn may_take_ahead(&self) -> bool {
        self.transfer.in_chunks()
            && self.piped() == 0
            && self.paced.is_none()
            && self.transfer.head_started()
            && self.transfer.held() < COPY_MAX
    }

    /// Moves them there, for a destination that is blocked.
    fn take_ahead(&mut self, choices: &mut Choices<'_>) {
        if let Some(range) = self.read(COPY_MAX, choices) {
            self.take_in(range);
            self.note_held();
        }
    }

    /// Notes how much user memory holds after the pipes were emptied: not more each time.
    fn note_held(&mut self) {
        self.emptied = self.transfer.held();
        let most = self.prefix_bytes + FILL_MAX + 3 * COPY_MAX;
        assert!(self.emptied <= most, "{} bytes are held", self.emptied);
    }

    fn fill(&mut self, max_bytes: usize, choices: &mut Choices<'_>) {
        assert!(max_bytes > 0, "filling nothing reads as the end");
        assert!(self.splice, "without splice nothing is filled");
        assert!(!self.shrinks, "drain before filling again");
        assert!(self.piped() + max_bytes <= FILL_MAX, "a pipe holds {FILL_MAX} bytes at most");
        let chunked = self.source.upload.framing == Framing::Chunked;
        assert!(self.piped() == 0 || chunked, "only the pieces of chunks are gathered");
        if self.pipe.is_none() && choices.one_in(8) {
            return self.copy(max_bytes.min(COPY_MAX), choices);
        }
        let pipe = self.pipe.get_or_insert_with(|| Pipe::new(self.slots));
        match pipe.fill(&mut self.source, max_bytes, choices) {
            Ok(0) if self.piped() > 0 => {
                self.shrinks = true;
                self.transfer.fill_blocked();
            }
            Ok(0) => self.source.readable = false,
            Ok(count) => {
                self.taken += count;
                self.transfer.filled(count);
            }
            Err(loss) => self.transfer.source_gone(loss),
        }
    }

    fn read_framing(&mut self, max_bytes: usize, choices: &mut Choices<'_>) {
        if let Some(range) = self.read(max_bytes.min(FRAMING_MAX), choices) {
            self.take_in(range);
        }
    }

    fn copy(&mut self, max_bytes: usize, choices: &mut Choices<'_>) {
        assert_eq!(self.piped(), 0, "copied bytes must not overtake the pipe");
        let Some(range) = self.read(max_bytes.min(COPY_MAX), choices) else { return };
        let bytes = &self.source.upload.wire[range];
        let mut pieces = Vec::new();
        let used = self.transfer.received(bytes, &mut pieces);
        self.carry.extend_from_slice(&bytes[used..]);
        let body = pieces.iter().map(Range::len).sum();
        self.taken += body;
        if body == 0 {
            return;
        }
        self.transfer.announce(body);
        let mut slices = vec![self.transfer.prefix()];
        slices.extend(pieces.iter().map(|piece| &bytes[piece.clone()]));
        match self.destination.put(&slices, choices) {
            Ok(count) => self.transfer.gathered(count, bytes, &pieces),
            Err(loss) => {
                self.transfer.gathered(0, bytes, &pieces);
                self.transfer.destination_gone(loss);
            }
        }
    }

    fn read(&mut self, max: usize, choices: &mut Choices<'_>) -> Option<Range<usize>> {
        match self.source.take(max, choices) {
            Taken::Moved(range) => return Some(range),
            Taken::Blocked => self.source.readable = false,
            Taken::Gone(loss) => self.transfer.source_gone(loss),
        }
        None
    }

    /// Accounts for bytes that were read and stay in user memory.
    fn take_in(&mut self, range: Range<usize>) {
        let bytes = &self.source.upload.wire[range];
        let mut pieces = Vec::new();
        let used = self.transfer.received(bytes, &mut pieces);
        self.taken += pieces.iter().map(Range::len).sum::<usize>();
        self.transfer.keep(bytes, &pieces);
        self.carry.extend_from_slice(&bytes[used..]);
    }

    fn piped(&self) -> usize {
        let piped = self.pipe.as_ref().map_or(0, Pipe::len);
        assert_eq!(piped, self.transfer.piped(), "the bytes in the pipe are counted");
        piped
    }

    /// Checks that every wait has a pending edge.
    fn check_wait(&self, side: Side) {
        let (latch, news) = match side {
            Side::Source => (self.source.readable, self.source.has_news()),
            Side::Destination => (self.destination.writable, self.destination.has_news()),
        };
        assert!(!latch, "the {} is ready", side.name());
        let lost = side == Side::Destination && self.destination.lost_at.is_some();
        assert!(!news || lost, "no edge will come: the {} has news already", side.name());
    }

    /// Checks the state between two steps; `begun` if the head was sent before the last one.
    fn check_on_the_way(&self, begun: bool) {
        let sent = usize::try_from(self.transfer.transferred()).expect("a body fits memory");
        let held = self.taken.checked_sub(sent + self.piped()).expect("no byte comes from nowhere");
        let most = self.prefix_bytes + HELD_BYTES_MAX + self.emptied;
        assert!(held <= most, "{held} bytes are held");
        assert!(self.transfer.prefix().len() <= held + 2 * HEAD.len(), "framing is held, too");
        if self.destination.lost_at.is_none() {
            assert_eq!(self.transfer.taken(), self.taken as u64);
        }
        if let Some(paced) = &self.paced {
            assert!(self.taken <= self.prefix_bytes + FRAMING_MAX + paced.most(), "too fast");
        }
        let left = !self.destination.sink.is_empty();
        assert_eq!(self.transfer.head_started(), left);
        if left && !begun {
            let complete = self.transfer.upload_complete();
            assert!(self.taken > 0 || complete, "the head left before a body byte");
        }
    }

    /// Checks that every byte is where it belongs after the end, or after an interruption (`None`).
    pub(super) fn check_end(&self, outcome: Option<TransferOutcome>) {
        let upload = &self.source.upload;
        let all = upload.decoded();
        let taken = upload.decoded_up_to(self.source.read);
        let sent = self.sent();
        assert_eq!(self.transfer.transferred(), sent.payload.len() as u64, "exact at the end");
        assert!(taken.payload.starts_with(&sent.payload), "the received bytes are the sent ones");
        assert_eq!(taken.payload.len(), self.taken, "what was read is what the naive reader reads");
        let bytes = sent.payload.len() as u64;
        assert!(bytes <= upload.most || upload.is_refused(), "{bytes} bytes were sent");
        let nothing = self.destination.sink.is_empty();
        if let Some(
            TransferOutcome::Complete
            | TransferOutcome::SourceGone(_)
            | TransferOutcome::SourceBroken(_)
            | TransferOutcome::SourceTooLarge(_),
        ) = outcome
        {
            let left = nothing && matches!(outcome, Some(TransferOutcome::SourceGone(_)));
            assert!(
                left || sent.payload.len() == all.payload.len(),
                "all received bytes are forwarded"
            );
            assert!(left || self.piped() == 0, "only what a source took along stays in the pipe");
            assert!(outcome == Some(TransferOutcome::Complete) || nothing || sent.end == End::Open);
            self.check_head();
        }
        match outcome {
            Some(TransferOutcome::Complete) => self.check_complete(&all, &sent),
            Some(TransferOutcome::SourceGone(loss)) => {
                assert_eq!((all.end, upload.ending), (End::Open, UploadEnding::End(loss)));
            }
            Some(TransferOutcome::SourceBroken(_)) => assert_eq!(all.end, End::Broken),
            Some(TransferOutcome::SourceTooLarge(most)) => {
                assert_eq!((all.end, most), (End::TooLarge, upload.most));
            }
            Some(TransferOutcome::DestinationGone(loss)) => {
                assert_eq!(self.destination.lost_at, Some((self.destination.sink.len(), loss)));
            }
            None => {}
        }
    }

    fn check_head(&self) {
        let sink = &self.destination.sink;
        assert!(sink.is_empty() || sink.starts_with(HEAD), "the head goes first");
    }

    /// Returns the download as its client decodes it.
    fn sent(&self) -> Decoded {
        let body = self.destination.sink.get(HEAD.len()..).unwrap_or_default();
        match (self.delimiter, self.source.upload.framing) {
            (Delimiter::Chunks, _) => naive::decode_chunks(body),
            (Delimiter::Length, Framing::Length(length)) => {
                naive::decode_length(body, usize::try_from(length).unwrap_or(usize::MAX))
            }
            (Delimiter::Length | Delimiter::Close, _) => {
                Decoded { payload: body.to_vec(), end: End::Open }
            }
        }
    }

    fn check_complete(&self, all: &Decoded, sent: &Decoded) {
        let wire = &self.source.upload.wire;
        let End::Complete(used) = all.end else { panic!("complete, though it is {:?}", all.end) };
        let rest = [&self.carry[..], &wire[self.source.read..]].concat();
        assert_eq!(rest, wire[used..], "what follows the upload stays as it is");
        let body_bytes = self.destination.sink.len().checked_sub(HEAD.len());
        let body_bytes = body_bytes.expect("the head of an empty body leaves too");
        let end =
            if self.delimiter == Delimiter::Close { End::Open } else { End::Complete(body_bytes) };
        assert_eq!(sent.end, end, "the download ends here");
        assert!(self.transfer.upload_complete());
        assert_eq!(self.digest(), self.source.upload.digest(), "the digest is the upload's");
    }

    /// Returns the source's digest of its data, as far as it is known.
    pub(super) fn digest(&self) -> Option<String> {
        self.transfer.digest().map(|digest| digest.as_str().to_owned())
    }
}
