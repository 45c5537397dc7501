//! Uploads in wire format, complete and broken, and how a naive reader decodes them.

use super::choices::Choices;
use super::naive::{self, Decoded};
use crate::http::framing::Framing;
use crate::http::repr_digest::ReprDigest;
use crate::rendezvous::transfer::Loss;
use std::sync::LazyLock;

/// Body bytes in which no position resembles its neighbours; long enough for every body.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| super::script(1, 4 << 20));

/// Trailer lines, most of them with a digest.
const TRAILERS: [&[u8]; 5] = [
    b"Trailer: value\r\n",
    b"Repr-Digest: sha-256=:AA==:\r\n",
    b"repr-digest:sha-512=:BBBBBB==: \t\r\n",
    b"Repr-Digest: two words\r\n",
    b"Repr-Digest: md5=:CC==:\r\nA: b\r\n",
];

/// What follows the last byte of an upload's wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadEnding {
    /// Nothing, and the connection stays open.
    Silence,
    /// The connection ends, by FIN or by an error.
    End(Loss),
}

/// One upload: the bytes of its connection, and their expected interpretation.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) framing: Framing,
    /// All bytes after the head, until the connection falls silent or ends.
    pub(super) wire: Vec<u8>,
    pub(super) ending: UploadEnding,
    /// Maximum body bytes.
    pub(super) most: u64,
}

impl Upload {
    /// Chooses an upload of either framing; one in four is interrupted, one in eight chunked ones
    /// is malformed.
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        let mut upload = if choices.one_in(2) { chunked(choices) } else { of_length(choices) };
        let pipelined = choices.bytes(40);
        upload.wire.extend_from_slice(pipelined);
        if choices.one_in(4) {
            let left = choices.below(upload.wire.len() + 1);
            upload.wire.truncate(left);
        }
        if choices.one_in(6) {
            upload.most = choices.size() as u64;
        }
        let silent = upload.decoded().end != naive::End::Open && !choices.one_in(4);
        if !silent {
            upload.ending = UploadEnding::End(choices.pick(&[Loss::Closed, Loss::Failed]));
        }
        upload
    }

    /// Whether its head already declares too long a body.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.framing, Framing::Length(bytes) if bytes > self.most)
    }

    /// Decodes the complete upload.
    pub(super) fn decoded(&self) -> Decoded {
        self.decoded_up_to(self.wire.len())
    }

    /// Returns the digest in its head; every other upload has one.
    pub(super) fn digest_in_head(&self) -> Option<Box<ReprDigest>> {
        let some = self.wire.len().is_multiple_of(2);
        some.then(|| ReprDigest::of_lines([&b"sha-256=:of+the+head:"[..]]).map(Box::new)).flatten()
    }

    /// Returns its digest when complete: from the trailers, else from the head.
    pub(super) fn digest(&self) -> Option<String> {
        let of_trailers = match self.framing {
            Framing::Length(_) => None,
            Framing::Chunked => naive::digest_of_chunks(&self.wire),
        };
        of_trailers.or_else(|| Some(self.digest_in_head()?.as_str().to_owned()))
    }

    /// Decodes its first `end` bytes.
    pub(super) fn decoded_up_to(&self, end: usize) -> Decoded {
        match self.framing {
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                naive::decode_length(&self.wire[..end], length)
            }
            Framing::Chunked => naive::decode_chunks_at_most(&self.wire[..end], self.most),
        }
    }
}

fn of_length(choices: &mut Choices<'_>) -> Upload {
    let length = if choices.one_in(8) { 0 } else { choices.size() };
    Upload {
        framing: Framing::Length(length as u64),
        wire: PATTERN[..length].to_vec(),
        ending: UploadEnding::Silence,
        most: u64::MAX,
    }
}

fn chunked(choices: &mut Choices<'_>) -> Upload {
    let mut wire = Vec::new();
    let (mut framing_bytes, mut payload_bytes) = (Vec::new(), 0);
    let mut size = 0;
    let most = if choices.one_in(16) { 40 } else { 10 };
    for _ in 0..choices.below(most) {
        // Chunks of one upload are mostly alike.
        if size == 0 || choices.one_in(3) {
            size = choices.size();
        }
        let start = wire.len();
        wire.extend_from_slice(size_line(choices, size).as_bytes());
        framing_bytes.extend(start..wire.len());
        wire.extend_from_slice(&PATTERN[payload_bytes..payload_bytes + size]);
        payload_bytes += size;
        framing_bytes.extend(wire.len()..wire.len() + 2);
        wire.extend_from_slice(b"\r\n");
    }
    let start = wire.len();
    wire.extend_from_slice(size_line(choices, 0).as_bytes());
    for line in 0..choices.below(4).saturating_sub(1) {
        // They rotate, so that no later choice changes its meaning.
        wire.extend_from_slice(TRAILERS[(wire.len() + line) % TRAILERS.len()]);
    }
    wire.extend_from_slice(b"\r\n");
    framing_bytes.extend(start..wire.len());
    if choices.one_in(8) {
        let place = framing_bytes[choices.below(framing_bytes.len())];
        wire[place] = choices.byte();
    }
    Upload { framing: Framing::Chunked, wire, ending: UploadEnding::Silence, most: u64::MAX }
}

fn size_line(choices: &mut Choices<'_>, size: usize) -> String {
    let mut line = match choices.below(6) {
        4 => format!("{size:X}"),
        5 => format!("{size:08x}"),
        _ => format!("{size:x}"),
    };
    if choices.one_in(6) {
        line.push_str(choices.pick(&[";a", " ; name=\"value\"", "\t;b"]));
    }
    line + "\r\n"
}
