//! The body of an upload: sent by the kernel where its bytes are not needed, otherwise through a
//! writer that computes their digest.

use super::input::Input;
use crate::client::Error;
use crate::client::archive::{self, SkipNotes};
use crate::client::connection::Sent;
use crate::client::outgoing::{COPY_BYTES, Outgoing};
use crate::http::digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsFd as _;

/// The result of sending a body.
#[derive(Debug)]
pub(super) struct BodyStats {
    /// Whether all of it was sent.
    pub(super) sent: Sent,
    /// The value of `Repr-Digest`, if it was requested and everything was sent.
    pub(super) digest: Option<String>,
    /// The entries of a directory that were skipped.
    pub(super) left_out: SkipNotes,
}

/// How the body is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendMode {
    pub(super) digest: bool,
    pub(super) zstd: bool,
}

/// Sends all of the input.
///
/// # Errors
/// The input cannot be read, or the connection failed.
pub(super) fn send(
    input: &mut Input,
    outgoing: &mut Outgoing,
    way: SendMode,
) -> Result<BodyStats, Error> {
    let fast = |sent| BodyStats { sent, digest: None, left_out: SkipNotes::default() };
    match input {
        Input::File(file, bytes) if !way.digest => outgoing.file(file, *bytes).map(fast),
        Input::Stream(input) if !way.digest => outgoing.descriptor(input.as_fd()).map(fast),
        // No length was declared: whatever the file has by now is sent.
        Input::File(file, _) => write(outgoing, way, |out| {
            copy(file, out)?;
            Ok(SkipNotes::default())
        }),
        Input::Stream(input) => {
            // Not through a writer: the receiver may disconnect while the input is silent.
            let mut hash = Sha256::new();
            let sent = outgoing.descriptor_seen(input.as_fd(), &mut |bytes| hash.update(bytes))?;
            let digest = digest::field_value(&hash.finalize().into());
            Ok(BodyStats { digest: (sent == Sent::All).then_some(digest), ..fast(sent) })
        }
        Input::Archive(paths) => write(outgoing, way, |out| {
            let mut out = BufWriter::with_capacity(COPY_BYTES, out);
            let pack = if way.zstd { archive::pack_all_compressed } else { archive::pack_all };
            let left_out = pack(paths, &mut out)?;
            out.flush()?;
            Ok(left_out)
        }),
    }
}

fn write(
    outgoing: &mut Outgoing,
    way: SendMode,
    produce: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<SkipNotes>,
) -> Result<BodyStats, Error> {
    let hash = way.digest.then(Sha256::new);
    let mut writer = BodyWriter { outgoing, hash, stopped: false, failed: None };
    let produced = produce(&mut writer);
    let BodyWriter { hash, stopped, failed, .. } = writer;
    match (failed, produced) {
        (Some(error), _) => Err(error),
        (None, _) if stopped => {
            Ok(BodyStats { sent: Sent::Stopped, digest: None, left_out: SkipNotes::default() })
        }
        (None, Ok(left_out)) => {
            let digest = hash.map(|hash| digest::field_value(&hash.finalize().into()));
            Ok(BodyStats { sent: Sent::All, digest, left_out })
        }
        (None, Err(error)) => Err(match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::local("cannot read what is to be sent", error),
        }),
    }
}

fn copy(input: &mut impl Read, out: &mut BodyWriter<'_>) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => out.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes to the body of a request. Keeps the error here, since code in between can lose errors.
struct BodyWriter<'o> {
    outgoing: &'o mut Outgoing,
    hash: Option<Sha256>,
    stopped: bool,
    failed: Option<Error>,
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stopped || self.failed.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match self.outgoing.bytes(bytes) {
            Ok(Sent::All) => {
                if let Some(hash) = &mut self.hash {
                    hash.update(bytes);
                }
                Ok(bytes.len())
            }
            Ok(Sent::Stopped) => {
                self.stopped = true;
                Err(io::ErrorKind::BrokenPipe.into())
            }
            Err(error) => {
                self.failed = Some(error);
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
