//! A download, from its head to its target.

use super::check::{self, Checked, Hashing};
use super::sync::{self, WriteBehind};
use super::{broken, target};
use crate::client::archive::{self, Format, Limits, PathNotes, SkipNotes, Unpacking};
use crate::client::commands::interrupt::UNFINISHED;
use crate::client::commands::reporter::Reporter;
use crate::client::commands::send::DIGEST_ANNOUNCED;
use crate::client::commands::{Exit, Failure};
use crate::client::file_name::printable;
use crate::client::mover::Progress;
use crate::client::outgoing::COPY_BYTES;
use crate::client::output::Output;
use crate::client::relay::Stream;
use crate::client::{Body, Error, Response, copy_to_file};
use crate::ops::cause;
use crate::ops::human::size;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

/// A download whose head has been received.
pub(super) struct Download<'d> {
    pub(super) response: Response,
    pub(super) stream: Option<&'d Stream>,
    pub(super) reporter: &'d Reporter,
    pub(super) max_bytes: Option<u64>,
    pub(super) behind: WriteBehind,
}

/// What became of a download.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// Where it is, unless it was written to standard output.
    path: Option<PathBuf>,
    /// Whether that is a file or a directory.
    is_kept: bool,
    /// The name that was taken.
    taken: Option<PathBuf>,
    /// The top-level entries of an extracted archive.
    extracted: Option<PathNotes>,
    /// Why it is a file and was not extracted.
    not_extracted: Option<String>,
    skipped: SkipNotes,
}

impl Saved {
    /// The download was written to this device or pipe.
    pub(super) fn through(path: PathBuf) -> Self {
        Self { path: Some(path), ..Self::default() }
    }

    /// The download is in this file or directory.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path: Some(path), is_kept: true, ..Self::default() }
    }

    /// Writes it to the disk, unless it was written to a device or a pipe.
    ///
    /// # Errors
    /// The system reports that the data may be lost.
    pub(super) fn synced(self) -> Result<Self, Failure> {
        match (&self.path, &self.extracted) {
            (Some(place), Some(made)) => sync::sync_archive(place, made)?,
            (Some(path), None) if self.is_kept => sync::sync(path)?,
            (Some(_) | None, _) => {}
        }
        Ok(self)
    }

    /// Returns why this is not what the sender meant, if so.
    pub(super) fn complaint(&self) -> Option<String> {
        let skipped = self.skipped.total;
        match &self.not_extracted {
            Some(why) => Some(format!("not extracted: {why}")),
            None if skipped == 1 => Some("1 entry was skipped".into()),
            None if skipped > 0 => Some(format!("{skipped} entries were skipped")),
            None => None,
        }
    }

    /// Reports the end, with this number of received bytes.
    ///
    /// # Errors
    /// Everything was received, but not all of it was extracted.
    pub(super) fn report(self, bytes: u64, reporter: &Reporter) -> Result<(), Failure> {
        let amount = reporter.summary(bytes);
        let complaint = self.complaint();
        let path = self.path.map(|path| path.display().to_string());
        let event = json!({ "event": "complete", "bytes": bytes, "output": path });
        let Some(path) = path.as_deref().map(printable) else {
            reporter.done(&format!("received {amount}"), &event);
            return Ok(());
        };
        let verb = if self.extracted.is_some() { "extracted into" } else { "received" };
        let mut text = format!("{verb} {path} ({amount})");
        if let Some(taken) = self.taken {
            text = format!("{text}; {} exists already", printable(&taken.display().to_string()));
        }
        if let Some(why) = self.not_extracted {
            return Err(Failure::new(Exit::Skipped, format!("{text}, not extracted: {why}")));
        }
        reporter.skipped(&self.skipped);
        if let Some(why) = complaint {
            return Err(Failure::new(Exit::Skipped, format!("{text}, but {why}")));
        }
        reporter.saved(&text, &event);
        Ok(())
    }
}

impl<'d> Download<'d> {
    /// Writes to an output that cannot be undone: only the exit status reports whether it is
    /// complete.
    pub(super) fn write_through(&mut self, out: BorrowedFd<'_>) -> Result<(), Failure> {
        let out =
            out.try_clone_to_owned().map_err(|error| Failure::local("cannot write", error))?;
        self.fill(&File::from(out), false)
    }

    /// Writes to a file that standard output was redirected to.
    pub(super) fn write_redirected(&mut self, file: &File) -> Result<(), Failure> {
        self.fill_kept(file, |download, file| download.fill(file, false))?;
        sync::sync_file(file)
    }

    /// Saves the download as this file, which is replaced at the end if `force`.
    pub(super) fn keep(&mut self, path: &Path, force: bool) -> Result<PathBuf, Failure> {
        let output =
            Output::create_noted(path, force, &UNFINISHED).map_err(|error| local(&error))?;
        let filled = self.fill_kept(output.file(), |download, file| download.fill(file, true));
        settled(output, filled)?.complete_noted(force, &UNFINISHED).map_err(|error| local(&error))
    }

    /// Saves the download under the name that its sender gave it, or a free one.
    pub(super) fn keep_named(&mut self, directory: &Path, force: bool) -> Result<Saved, Failure> {
        self.keep_free(directory, force, |download, file| download.fill(file, true))
    }

    fn keep_free(
        &mut self,
        directory: &Path,
        force: bool,
        fill: impl FnOnce(&mut Self, &File) -> Result<(), Failure>,
    ) -> Result<Saved, Failure> {
        let wanted = directory.join(target::name(&self.response, self.stream.map(Stream::id)));
        let wanted = wanted.strip_prefix(".").unwrap_or(&wanted);
        let output =
            Output::create_free(wanted, force, &UNFINISHED).map_err(|error| local(&error))?;
        let filled = self.fill_kept(output.file(), fill);
        let output = settled(output, filled)?;
        let path =
            output.complete_free(wanted, force, &UNFINISHED).map_err(|error| local(&error))?;
        let taken = (path != wanted).then(|| wanted.to_owned());
        Ok(Saved { taken, ..Saved::at(path) })
    }

    /// Fills a file that is kept, and writes it to the disk on the way.
    fn fill_kept(
        &mut self,
        output: &File,
        fill: impl FnOnce(&mut Self, &File) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.behind = WriteBehind::of(output);
        fill(self, output).and_then(|()| self.behind.finish())
    }

    /// Fills a file and verifies it; if it can be read again, even against an unannounced digest.
    fn fill(&mut self, file: &File, readable: bool) -> Result<(), Failure> {
        if let Some(stream) = self.announced() {
            let mut out = Hashing::new(file.as_fd());
            self.receive_body(|body, progress| {
                copy_to_file::into_writer(body, &mut out, progress)
            })?;
            return check::announced(stream, &out.digest());
        }
        self.receive_body(|body, progress| {
            copy_to_file::into_descriptor(body, file.as_fd(), progress)
        })?;
        if readable { self.check_again(file) } else { Ok(()) }
    }

    /// Verifies a file by reading it again, if its sender may have sent a digest unannounced.
    fn check_again(&self, file: &File) -> Result<(), Failure> {
        // A digest computed on the way follows the last chunk, so a body with a length has none.
        // The body's own length is not enough: for a short chunked body it is known, too, once all
        // chunks have been received.
        match self.stream {
            Some(stream) if self.response.field("Content-Length").is_none() => {
                check::unannounced(stream, file)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Extracts an archive; keeps anything else as a file.
    pub(super) fn extract(
        &mut self,
        into: &Path,
        limits: Limits,
        overwrite: bool,
    ) -> Result<Saved, Failure> {
        let is_announced = self.announced().is_some();
        let hash = is_announced.then(Sha256::new);
        let (stream, reporter) = (self.stream, self.reporter);
        let mut behind = File::open(into).map(|into| WriteBehind::of(&into)).unwrap_or_default();
        let mut progress = |bytes| {
            reporter.moved(bytes);
            behind.moved(bytes);
        };
        let mut checked =
            Checked { body: self.response.body(), hash, stream, progress: &mut progress };
        let failed = |error: io::Error| unpacked_badly(stream, error);
        let (begin, format) = archive::peek(&mut checked).map_err(failed)?;
        match format {
            Format::Tar(compression) => {
                let how = Unpacking { into, overwrite, limits, unfinished: &UNFINISHED };
                let input = begin.chain(checked);
                let unpacked = archive::unpack_noted(input, compression, how).map_err(failed)?;
                behind.finish()?;
                let path = unpacked.renamed.clone().unwrap_or_else(|| into.to_owned());
                Ok(Saved {
                    extracted: Some(unpacked.made),
                    taken: unpacked.renamed.and(unpacked.taken),
                    skipped: unpacked.skipped,
                    ..Saved::at(path)
                })
            }
            Format::Other(kind) => {
                let Checked { hash, .. } = checked;
                let why = not_an_archive(kind, &self.response);
                let saved = self.keep_free(into, overwrite, |download, file| {
                    download.fill_after(&begin, hash, file)?;
                    if is_announced { Ok(()) } else { download.check_again(file) }
                })?;
                Ok(Saved { not_extracted: Some(why), ..saved })
            }
        }
    }

    /// Fills a file with the bytes read already and the rest of the body. `hash` is that of the
    /// former, if a digest was announced and has yet to be verified.
    fn fill_after(
        &mut self,
        begin: &[u8],
        hash: Option<Sha256>,
        file: &File,
    ) -> Result<(), Failure> {
        let (stream, reporter, behind) = (self.stream, self.reporter, &mut self.behind);
        let mut progress = |bytes| {
            reporter.moved(bytes);
            behind.moved(bytes);
        };
        let checked = Checked { body: self.response.body(), hash, stream, progress: &mut progress };
        let mut input = begin.chain(checked);
        let mut out = BufWriter::with_capacity(COPY_BYTES, file);
        let copied = io::copy(&mut input, &mut out).and_then(|_| out.flush());
        copied.map_err(|error| unpacked_badly(stream, error))
    }

    /// Returns the stream whose status will contain a digest.
    fn announced(&self) -> Option<&'d Stream> {
        self.stream.filter(|_| self.response.field(DIGEST_ANNOUNCED).is_some())
    }

    fn receive_body(
        &mut self,
        way: impl FnOnce(&mut Body, Progress<'_>) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let (reporter, max_bytes, behind) = (self.reporter, self.max_bytes, &mut self.behind);
        let mut received_bytes = 0;
        way(self.response.body(), &mut |bytes| {
            reporter.moved(bytes);
            behind.moved(bytes);
            received_bytes += bytes;
            match max_bytes {
                Some(max) if received_bytes > max => {
                    let doing = format!("received more than --max-size {}", size(max));
                    Err(Error::local(doing, ErrorKind::FileTooLarge))
                }
                Some(_) | None => Ok(()),
            }
        })
        .map_err(|error| check::why_broken(self.stream, error))?;
        match self.stream {
            Some(stream) => check::ended_well(stream, self.response.body()),
            None => Ok(()),
        }
    }
}

fn local(error: &io::Error) -> Failure {
    Failure::new(Exit::Local, cause(error))
}

/// Returns a filled output, or gives it up with the path of what was received.
fn settled(output: Output, filled: Result<(), Failure>) -> Result<Output, Failure> {
    let Err(failure) = filled else { return Ok(output) };
    Err(match output.abandon_noted(&UNFINISHED) {
        Some(partial) => {
            let why = format!("{}; partial data is in {}", failure.why, partial.display());
            Failure::new(failure.exit, why)
        }
        None => failure,
    })
}

/// Returns the failure for an error that passed through a reader of archives.
fn unpacked_badly(stream: Option<&Stream>, error: io::Error) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => broken(stream, error),
    }
}

/// Returns why a download cannot be extracted, with what it is.
fn not_an_archive(kind: Option<&str>, response: &Response) -> String {
    let declared = || response.text("Content-Type").map(|kind| kind.chars().take(100).collect());
    let kind = kind.map(str::to_owned).or_else(declared);
    let kind = kind.unwrap_or_else(|| "unknown data".into());
    format!("not a tar archive, but {kind}")
}
