//! `rdv receive`: receives from a stream, and keeps the result only if it is complete.

mod check;
mod download;
mod receipt;
mod sync;
mod target;

use self::download::{Download, Saved};
use self::sync::WriteBehind;
use self::target::Target;
use super::common::{AtRelay, Connecting, persistently, reported, reported_in};
use super::reporter::{OutputArgs, Reporter};
use super::settings::Preferences;
use super::{Exit, Failure, watching};
use crate::api::ERROR_FIELD;
use crate::api::receipt::FIELD as RECEIPT;
use crate::client::archive::{self, Limits};
use crate::client::relay::{self, Refusal, Stream};
use crate::client::{Error, Options, Response, Url};
use crate::ops::cause;
use crate::ops::human::size;
use crate::ops::units;
use clap::Args;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

/// The arguments of `rdv receive`.
#[derive(Args, Clone, Debug)]
pub struct Receive {
    /// URL of the stream or of its page, or its ID at the relay
    #[arg(value_name = "URL|ID")]
    pub place: String,

    /// Output file, directory, or - for standard output
    ///
    /// In a directory, the file gets the name that the sender gave it; the default is the current directory.
    #[arg(long, short, value_name = "FILE|DIRECTORY|-")]
    pub output: Option<PathBuf>,

    /// Extract a received archive (tar, optionally Zstandard or gzip)
    ///
    /// Anything else is kept as a file.
    #[arg(long, short = 'x')]
    pub extract: bool,

    /// Overwrite an existing file
    ///
    /// An empty directory is replaced, too; one with files in it never is. Without it, a taken name gets a number: `big (1).bin`.
    #[arg(long, short)]
    pub force: bool,

    /// Maximum size of the file, or of the extracted archive [default: unlimited; 100 times the received size of a compressed archive]
    #[arg(long, value_name = "BYTES", value_parser = units::bytes(1..=units::PIB))]
    pub max_size: Option<usize>,

    /// Maximum number of entries of an archive
    #[arg(long, value_name = "N", default_value_t = archive::ENTRIES_MAX, value_parser = units::count(1))]
    pub max_entries: usize,

    #[command(flatten)]
    pub(super) at: AtRelay,
    #[command(flatten)]
    pub(super) connecting: Connecting,
    #[command(flatten)]
    pub(super) reporting: OutputArgs,
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
        let reporter = Reporter::new(self.reporting);
        watching(&reporter, || self.receive(&reporter))
    }

    pub(super) fn receive(&self, reporter: &Reporter) -> Result<(), Failure> {
        let preferences = Preferences::read()?;
        let options = self.at.options(&self.connecting, &preferences)?;
        let target = Target::of(self.output.as_deref(), self.extract, self.force)?;
        let origin = self.origin(&options, &preferences)?;
        if let Some(mut announced) = origin.stream.as_ref().and_then(Stream::head) {
            // Joining uses the stream up, so look first, if the sender is connected already.
            self.check_size(&mut announced, &target)?;
        }
        reporter.waiting("waiting for the other side");
        let mut response = self.join((&origin, target.is_kept()), &options, reporter)?;
        let fits = self.check_size(&mut response, &target);
        reporter.begins(target::size_bytes(&mut response));
        if let Some(stream) = &origin.stream {
            reporter.follow(stream);
        }
        let (stream, max_bytes) = (origin.stream.as_ref(), self.max_bytes());
        let behind = WriteBehind::default();
        let mut download = Download { response, stream, reporter, max_bytes, behind };
        let saved = fits.and_then(|()| self.save(&mut download, &target)).and_then(Saved::synced);
        let bytes = download.response.body().received_bytes();
        if let Some(stream) = stream.filter(|_| target.is_kept()) {
            receipt::send(stream, bytes, &saved);
        }
        saved?.report(bytes, reporter)
    }

    /// Saves the download in its target.
    fn save(&self, download: &mut Download<'_>, target: &Target) -> Result<Saved, Failure> {
        match target {
            Target::StandardOutput => {
                download.write_through(io::stdout().as_fd())?;
                Ok(Saved::default())
            }
            Target::Redirected(file) => {
                download.write_redirected(file)?;
                Ok(Saved::default())
            }
            Target::Special(path, file) => {
                download.write_through(file.as_fd())?;
                Ok(Saved::through(path.clone()))
            }
            Target::File(path) => download.keep(path, self.force).map(Saved::at),
            Target::Into(directory) => download.keep_named(directory, self.force),
            Target::Extracted(directory) => {
                let bytes = self.max_bytes();
                let limits = Limits { bytes, entries: self.max_entries as u64 };
                download.extract(directory, limits, self.force)
            }
        }
    }

    /// Checks the declared size against the limit and the space of the target.
    fn check_size(&self, head: &mut Response, target: &Target) -> Result<(), Failure> {
        let Some(bytes) = target::size_bytes(head) else { return Ok(()) };
        if let Some(max) = self.max_bytes().filter(|max| bytes > *max) {
            let why = format!("{} declared, more than --max-size {}", size(bytes), size(max));
            return Err(Failure::new(Exit::Local, why));
        }
        target.check_space(bytes)
    }

    fn max_bytes(&self) -> Option<u64> {
        self.max_size.map(|bytes| bytes as u64)
    }

    fn origin(&self, options: &Options, preferences: &Preferences) -> Result<Origin, Failure> {
        if let Ok(url) = self.place.parse::<Url>() {
            let stream = Stream::of_url(&url, options.clone());
            // The link of its page, or one with a file name, is enough to find the stream.
            let url = stream.as_ref().map_or(url, Stream::url);
            return Ok(Origin { url, stream });
        }
        let stream = self.at.stream(&self.place, options.clone(), preferences)?;
        Ok(Origin { url: stream.url(), stream: Some(stream) })
    }

    /// Joins the stream as its destination, and waits for the head of the download.
    fn join(
        &self,
        (origin, has_receipt): (&Origin, bool),
        options: &Options,
        reporter: &Reporter,
    ) -> Result<Response, Failure> {
        let announced = origin.stream.as_ref().filter(|_| has_receipt);
        let fields: Vec<_> = announced.map(|_| RECEIPT).into_iter().collect();
        // A temporary refusal (503) consumes no byte of the stream.
        persistently(self.connecting.retries, reporter, || {
            let response = relay::download(origin.url.clone(), options, &fields)?;
            Ok(judged(response, origin.stream.as_ref()))
        })
    }
}

/// Returns the failure for an error of a download that was read through [`Read`](io::Read).
pub(crate) fn broken(stream: Option<&Stream>, error: io::Error) -> Failure {
    match error.downcast::<Error>() {
        Ok(error) => check::why_broken(stream, error),
        Err(error) => Failure::new(Exit::Local, cause(&error)),
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
