//! Verifies the received data by the digest from the sender's trailer, which is in the stream's
//! status; after an interruption, queries the relay for the cause.

use crate::client::commands::{Exit, Failure};
use crate::client::outgoing::COPY_BYTES;
use crate::client::relay::Stream;
use crate::client::{Body, Error, copy_to_file};
use crate::http::digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

/// The download can end before the relay has recorded the end of the stream.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);
const ASK_AGAIN_MAX: u32 = 40;

/// Hashes the data written through it, to a descriptor that must not block.
pub(super) struct Hashing<'o> {
    out: BorrowedFd<'o>,
    hash: Sha256,
}

impl<'o> Hashing<'o> {
    pub(super) fn new(out: BorrowedFd<'o>) -> Self {
        Self { out, hash: Sha256::new() }
    }

    pub(super) fn digest(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        copy_to_file::write_all(self.out, bytes)?;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body whose end counts only once its digest is verified.
pub(super) struct Checked<'b> {
    pub(super) body: &'b mut Body,
    pub(super) hash: Option<Sha256>,
    pub(super) stream: Option<&'b Stream>,
    pub(super) progress: &'b mut dyn FnMut(u64),
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        if count == 0
            && !buffer.is_empty()
            && let Some(stream) = self.stream
        {
            ended_well(stream, self.body).map_err(io::Error::other)?;
        }
        if count == 0
            && !buffer.is_empty()
            && let (Some(hash), Some(stream)) = (self.hash.take(), self.stream)
        {
            announced(stream, &hash.finalize().into()).map_err(io::Error::other)?;
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        (self.progress)(count as u64);
        Ok(count)
    }
}

/// Verifies a body that ends with the connection, which anyone on the path can cut: the byte count
/// of the relay must match.
///
/// # Errors
/// The counts differ, or the relay reports none.
pub(super) fn ended_well(stream: &Stream, body: &Body) -> Result<(), Failure> {
    if !body.ends_with_connection() {
        return Ok(());
    }
    let status = ended(stream);
    let handed_on = status.as_ref().filter(|status| status["state"] == "FINISHED");
    let bytes = handed_on.and_then(|status| status["bytes_transferred"].as_u64());
    let received = body.received_bytes();
    if bytes == Some(received) {
        return Ok(());
    }
    let why = match (bytes, status) {
        (Some(bytes), _) => format!("received {received} of {bytes} bytes"),
        (None, Some(status)) => format!("the stream ended with status {}", status["state"]),
        (None, None) => "the relay does not report whether this is all".into(),
    };
    Err(Failure::new(Exit::OtherSide, why))
}

/// Verifies the received data against an announced digest.
///
/// # Errors
/// The digests differ, or the relay has none.
pub(super) fn announced(stream: &Stream, found: &[u8; 32]) -> Result<(), Failure> {
    match promised(stream) {
        Some(promised) => compare(&promised, found),
        None => Err(Failure::new(
            Exit::Digest,
            "digest missing: the relay did not receive it; a proxy before it may drop trailers, so \
             send without --digest",
        )),
    }
}

/// Verifies a file against a digest that was sent without being announced, if one exists.
///
/// # Errors
/// The digests differ, or the file cannot be read again.
pub(super) fn unannounced(stream: &Stream, file: &File) -> Result<(), Failure> {
    let Some(promised) = promised(stream) else { return Ok(()) };
    let found =
        digest_of(file).map_err(|error| Failure::local("cannot read the received file", error))?;
    compare(&promised, &found)
}

/// Returns the digest in the stream's status.
fn promised(stream: &Stream) -> Option<[u8; 32]> {
    let status = ended(stream)?;
    digest::sha_256(status["repr_digest"].as_str()?.as_bytes())
}

/// Returns the status of a stream that is known to have ended.
fn ended(stream: &Stream) -> Option<Value> {
    for _ in 0..ASK_AGAIN_MAX {
        let status = stream.status().ok()?.ok()?;
        if status["active"] == false {
            return Some(status);
        }
        thread::sleep(ASK_AGAIN_AFTER);
    }
    None
}

fn compare(promised: &[u8; 32], found: &[u8; 32]) -> Result<(), Failure> {
    if promised == found {
        return Ok(());
    }
    let (promised, found) = (digest::field_value(promised), digest::field_value(found));
    let why = format!("digest mismatch: received {found}, but {promised} was sent");
    Err(Failure::new(Exit::Digest, why))
}

fn digest_of(mut file: &File) -> io::Result<[u8; 32]> {
    file.rewind()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Returns why a download was interrupted, according to the relay: the error alone does not
/// identify the side at fault.
pub(super) fn why_broken(stream: Option<&Stream>, error: Error) -> Failure {
    let from_outside = matches!(error, Error::Truncated { .. } | Error::Network { .. });
    let status = stream.filter(|_| from_outside).and_then(ended);
    let reported = status.as_ref().and_then(|status| status["error"]["message"].as_str());
    match reported {
        Some(reported) => Failure::new(Exit::OtherSide, format!("{error}: {reported}; retry")),
        None => error.into(),
    }
}
