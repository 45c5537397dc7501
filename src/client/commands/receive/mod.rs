//! `rdv receive`: receives from a stream, and keeps the result only if it is complete.

mod check;
mod target;

use self::check::{Checked, Hashing};
use self::target::Target;
use super::common::{AtRelay, Connecting, persistently, reported, reported_in};
use super::interrupt::UNFINISHED;
use super::reporter::{OutputArgs, Reporter};
use super::send::DIGEST_ANNOUNCED;
use super::settings::Preferences;
use super::{Exit, Failure, watching};
use crate::api::ERROR_FIELD;
use crate::client::file_name::printable;
use crate::client::outgoing::{Outgoing, Request, UNLIMITED};
use crate::client::output::Output;
use crate::client::relay::{Refusal, Stream};
use crate::client::{Body, Error, Options, Response, Url, archive, copy_to_file};
use crate::http::framing::Framing;
use clap::Args;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

/// The arguments of `rdv receive`.
#[derive(Args, Clone, Debug)]
pub struct Receive {
    /// URL of the stream, or its ID at the relay
    #[arg(value_name = "URL|ID")]
    pub place: String,

    /// Output file, directory, or - for standard output
    ///
    /// In a directory, the file gets the name that the sender gave it; the default is the current directory.
    #[arg(long, short, value_name = "FILE|DIRECTORY|-")]
    pub output: Option<PathBuf>,

    /// Extract a received archive (tar, optionally Zstandard)
    #[arg(long, short = 'x')]
    pub extract: bool,

    /// Overwrite an existing file
    ///
    /// An empty directory is replaced, too; one with files in it never is.
    #[arg(long, short)]
    pub force: bool,

    #[command(flatten)]
    pub(super) at: AtRelay,
    #[command(flatten)]
    pub(super) connecting: Connecting,
    #[command(flatten)]
    pub(super) telling: OutputArgs,
}

/// The origin of a download.
struct Origin {
    url: Url,
    /// The stream, if the URL is known to be one of a relay: its status can be queried.
    stream: Option<Stream>,
}

impl Receive {
    /// Receives and returns the exit status.
    pub fn run(&self) -> Exit {
        let teller = Reporter::new(self.telling);
        watching(&teller, || self.receive(&teller))
    }

    pub(super) fn receive(&self, teller: &Reporter) -> Result<(), Failure> {
        let preferences = Preferences::read()?;
        let options = self.connecting.options(&preferences)?;
        let target = Target::of(self.output.as_deref(), self.extract, self.force)?;
        let origin = self.origin(&options, &preferences)?;
        teller.waiting("waiting for the other side");
        let mut response = self.join(&origin, &options, teller)?;
        teller.begins(target::size_bytes(&mut response));
        if let Some(stream) = &origin.stream {
            teller.follow(stream);
        }
        let mut download = Download { response, stream: origin.stream.as_ref(), teller };
        let put = match &target {
            Target::StandardOutput => {
                download.write_through(io::stdout().as_fd())?;
                None
            }
            Target::Special(path, file) => {
                download.write_through(file.as_fd())?;
                Some(path.display().to_string())
            }
            Target::Extracted(directory) => download.extract(directory, self.force)?,
            Target::File(path) => download.keep(path, self.force, self.force)?,
            Target::Into(directory) => {
                let id = origin.stream.as_ref().map(Stream::id);
                let path = directory.join(target::name(&download.response, id));
                // By now the data exists only here: if the name is taken, it is kept under its
                // partial name.
                download.keep(path.strip_prefix(".").unwrap_or(&path), true, self.force)?
            }
        };
        let bytes = download.response.body().received_bytes();
        let event = json!({ "event": "complete", "bytes": bytes, "output": put });
        let amount = teller.summary(bytes);
        match put {
            Some(put) => {
                let extracted = matches!(target, Target::Extracted(_));
                let verb = if extracted { "extracted into" } else { "received" };
                teller.saved(&format!("{verb} {} ({amount})", printable(&put)), &event);
            }
            None => teller.done(&format!("received {amount}"), &event),
        }
        Ok(())
    }

    fn origin(&self, options: &Options, preferences: &Preferences) -> Result<Origin, Failure> {
        if let Ok(url) = self.place.parse::<Url>() {
            return Ok(Origin { stream: Stream::of_url(&url, options.clone()), url });
        }
        let stream = self.at.stream(&self.place, options.clone(), preferences)?;
        Ok(Origin { url: stream.url(), stream: Some(stream) })
    }

    /// Joins the stream as its destination, and waits for the head of the download.
    fn join(
        &self,
        origin: &Origin,
        options: &Options,
        teller: &Reporter,
    ) -> Result<Response, Failure> {
        let request = Request {
            method: "GET",
            url: &origin.url,
            framing: Framing::Length(0),
            fields: Vec::new(),
            expect_continue: false,
        };
        // A temporary refusal (503) consumes no byte of the stream.
        persistently(self.connecting.retries, teller, || {
            let mut outgoing = Outgoing::open(&request, options)?;
            outgoing.set_stall_timeout(UNLIMITED);
            let response = outgoing.finish(None)?;
            Ok(judged(response, origin.stream.as_ref()))
        })
    }
}

/// Returns the failure for an error of a download that was read through [`Read`](io::Read).
pub(crate) fn broken(stream: Option<&Stream>, error: io::Error) -> Failure {
    match error.downcast::<Error>() {
        Ok(error) => check::why_broken(stream, error),
        Err(error) => Failure::new(Exit::Local, error.to_string()),
    }
}

/// Returns the download, or the refusal.
pub(crate) fn judged(response: Response, stream: Option<&Stream>) -> Result<Response, Refusal> {
    let status = response.status();
    let reported = || stream.and_then(|stream| reported(stream, status));
    if !response.is_success() || response.field(ERROR_FIELD).is_some() {
        let name = response.text(ERROR_FIELD).unwrap_or_default().to_owned();
        let refusal = Refusal::of(response);
        let is_named = !refusal.name.is_empty();
        return Err(if is_named {
            refusal
        } else {
            // An error without a body has its name in the field alone.
            reported().unwrap_or(Refusal { name, ..refusal })
        });
    }
    let is_doubtful = could_be_an_error(&response);
    let Some(stream) = stream.filter(|_| is_doubtful) else { return Ok(response) };
    let Ok(Ok(held)) = stream.status() else {
        let message = "the relay does not report the reason";
        return Err(Refusal { status, name: String::new(), message: message.into() });
    };
    reported_in(&held, status).map_or(Ok(response), Err)
}

/// Whether a response with a success status can be an error of a relay older than [`ERROR_FIELD`],
/// to which a proxy may have added the fields of a download: then the status of the stream decides.
fn could_be_an_error(response: &Response) -> bool {
    let is_of_an_error = |kind: &str| {
        let essence = kind.split(';').next().unwrap_or_default().trim();
        matches!(essence, "application/json" | "text/plain")
    };
    response.status() != 200
        || response.field("Content-Security-Policy").is_none()
        || response.text("Content-Type").is_some_and(is_of_an_error)
}

/// A download whose head has been received.
struct Download<'d> {
    response: Response,
    stream: Option<&'d Stream>,
    teller: &'d Reporter,
}

impl<'d> Download<'d> {
    /// Writes to an output that cannot be undone: only the exit status reports whether it is
    /// complete.
    fn write_through(&mut self, out: BorrowedFd<'_>) -> Result<(), Failure> {
        let out = out.try_clone_to_owned().map_err(|error| Failure::local("writing", error))?;
        self.fill(&File::from(out), false)
    }

    /// Saves the download as this file, which can exist at the start if `may_exist`, and is
    /// replaced at the end if `force`.
    fn keep(
        &mut self,
        path: &Path,
        may_exist: bool,
        force: bool,
    ) -> Result<Option<String>, Failure> {
        let local = |error: io::Error| Failure::new(Exit::Local, error.to_string());
        let output = Output::create_noted(path, may_exist, &UNFINISHED).map_err(local)?;
        match self.fill(output.file(), true) {
            Ok(()) => {
                let path = output.complete_noted(force, &UNFINISHED).map_err(local)?;
                Ok(Some(path.display().to_string()))
            }
            Err(failure) => Err(match output.abandon_noted(&UNFINISHED) {
                Some(partial) => {
                    let why = format!("{}; partial data is in {}", failure.why, partial.display());
                    Failure::new(failure.exit, why)
                }
                None => failure,
            }),
        }
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
        // A digest computed on the way follows the last chunk, so a body with a length has none.
        // The body's own length is not enough: for a short chunked body it is known, too, once all
        // chunks have been received.
        let may_have_digest = readable && self.response.field("Content-Length").is_none();
        self.receive_body(|body, progress| {
            copy_to_file::into_descriptor(body, file.as_fd(), progress)
        })?;
        match self.stream {
            Some(stream) if may_have_digest => check::unannounced(stream, file),
            Some(_) | None => Ok(()),
        }
    }

    fn extract(&mut self, into: &Path, force: bool) -> Result<Option<String>, Failure> {
        let hash = self.announced().map(|_| Sha256::new());
        let (stream, teller) = (self.stream, self.teller);
        let mut progress = |bytes| teller.moved(bytes);
        let body = self.response.body();
        let mut checked = Checked { body, hash, stream, progress: &mut progress };
        match archive::unpack_noted(&mut checked, into, force, &UNFINISHED) {
            Ok(unpacked) => {
                teller.skipped(&unpacked.skipped);
                Ok(Some(into.display().to_string()))
            }
            Err(error) => Err(self.unpacked_badly(error)),
        }
    }

    /// Returns the failure for an error that passed through the archive reader.
    fn unpacked_badly(&self, error: io::Error) -> Failure {
        let error = match error.downcast::<Failure>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        broken(self.stream, error)
    }

    /// Returns the stream whose status will contain a digest.
    fn announced(&self) -> Option<&'d Stream> {
        self.stream.filter(|_| self.response.field(DIGEST_ANNOUNCED).is_some())
    }

    fn receive_body(
        &mut self,
        way: impl FnOnce(&mut Body, &mut dyn FnMut(u64)) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let teller = self.teller;
        way(self.response.body(), &mut |bytes| teller.moved(bytes))
            .map_err(|error| check::why_broken(self.stream, error))?;
        match self.stream {
            Some(stream) => check::ended_well(stream, self.response.body()),
            None => Ok(()),
        }
    }
}
