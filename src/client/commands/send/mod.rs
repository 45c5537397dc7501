//! `rdv send`: creates a stream, prints the command for the other side, waits for it, and sends.

mod body;
mod input;
mod offer;
mod receipt;

use self::body::{BodyStats, SendMode};
use self::input::Input;
use self::offer::Kind;
use super::common::{AtRelay, Connecting, persistently, reported};
use super::reporter::{OutputArgs, Reporter};
use super::settings::Preferences;
use super::{Exit, Failure, watching};
use crate::client::connection::Sent;
use crate::client::file_name::printable;
use crate::client::outgoing::{Outgoing, Request, UNLIMITED};
use crate::client::redirect::Redirects;
use crate::client::relay::{CreateOptions, Refusal, Stream};
use crate::client::{Error, Options, archive, clock};
use crate::http::disposition::attachment_named;
use crate::http::fields::is_field_value;
use crate::http::framing::Framing;
use crate::ops::units;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The arguments of `rdv send`.
#[derive(Args, Clone, Debug)]
pub struct Send {
    /// File or directory to send, or - for standard input; several are sent as one archive
    #[arg(value_name = "FILE|DIRECTORY|-", required = true)]
    pub what: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) sending: Sending,
}

/// The arguments common to all inputs.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "flags, independent of each other")]
pub struct Sending {
    /// Existing stream to send through [default: a new one]
    #[arg(long, value_name = "URL|ID")]
    pub stream: Option<String>,

    /// Timeout for the receiver to connect; the relay may allow less
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = units::time(units::SECOND))]
    pub ttl: Duration,

    /// File name for the receiver [default: that of the file]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Media type, such as text/csv [default: by the file name]
    #[arg(long = "type", value_name = "TYPE")]
    pub content_type: Option<String>,

    /// Send a SHA-256 digest, which the receiver verifies
    #[arg(long)]
    pub digest: bool,

    /// Compress an archive with Zstandard
    #[arg(long)]
    pub zstd: bool,

    /// Show the link as a QR code
    #[arg(long)]
    pub qr: bool,

    /// Give the receiver a token of its own, in the link: the ID of the stream is not enough
    #[arg(long, conflicts_with = "stream")]
    pub private: bool,

    /// Timeout for the receiver to confirm that it has stored the data; 0s: do not wait
    ///
    /// Plain clients such as curl do not confirm.
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Connection",
          value_parser = units::time(Duration::ZERO))]
    pub receipt_timeout: Duration,

    #[command(flatten)]
    pub(super) at: AtRelay,
    #[command(flatten)]
    pub(super) connecting: Connecting,
    #[command(flatten)]
    pub(super) reporting: OutputArgs,
}

/// Header field of the download that announces a digest in the stream's status.
pub(super) const DIGEST_ANNOUNCED: &str = "Rdv-Digest";

/// Time for the relay to report the end of the waiting time.
const GRACE: Duration = Duration::from_secs(10);

/// Pause between attempts to join a stream while its relay is being replaced.
const REJOIN_AFTER: Duration = Duration::from_millis(500);

/// Maximum number of attempts to declare the length of a file that keeps changing.
const REMEASURED_MAX: u32 = 3;

impl Send {
    /// Sends and returns the exit status.
    pub fn run(&self) -> Exit {
        let reporter = Reporter::new(self.sending.reporting);
        watching(&reporter, || self.sending.run(&self.what, &reporter))
    }
}

/// A stream to send through.
struct TargetStream {
    stream: Stream,
    /// Whether it was created here, and is to be cancelled on failure.
    own: bool,
    /// When the waiting time for a receiver ends.
    deadline: Instant,
    /// Whether this sender has left it to join again; the relay may notice that late.
    is_rejoined: bool,
}

impl Sending {
    pub(super) fn run(&self, what: &[PathBuf], reporter: &Reporter) -> Result<(), Failure> {
        let preferences = Preferences::read()?;
        let options = self.at.options(&self.connecting, &preferences)?;
        let mut input = Input::open(what)?;
        let mut upload = Upload::of(self, what, &input)?;
        let mut meeting = self.open_stream(&options, &preferences, &upload, reporter)?;
        let result = self.join_at_length(&mut meeting, &mut upload, (what, &mut input), reporter);
        let result = result.and_then(|outgoing| {
            self.send_body(&meeting, (&upload, outgoing), &mut input, reporter)
        });
        if meeting.own && matches!(&result, Err(failure) if failure.exit != Exit::OtherSide) {
            // The stream may have ended already; if not, no receiver must wait for it in vain.
            let _ = meeting.stream.cancel();
        }
        let (bytes, digest) = result?;
        let confirmation = receipt::wait(&meeting.stream, self.receipt_timeout)?;
        let name = match what {
            [what] if input::is_standard_input(what) => "standard input".to_owned(),
            [what] => printable(&what.to_string_lossy()),
            several => format!("{} files", several.len()),
        };
        let text = format!("sent {name} ({}), {}", reporter.summary(bytes), confirmation.text());
        let event = json!({
            "event": "complete",
            "bytes": bytes,
            "repr_digest": digest,
            "receipt": confirmation.name(),
        });
        reporter.done(&text, &event);
        Ok(())
    }

    /// Checks that the given name and type can be sent in header fields.
    fn check(&self) -> Result<(), Failure> {
        let wrong = |why: &str| Err(Failure::new(Exit::Usage, why));
        if self.name.as_ref().is_some_and(|name| attachment_named(name, None).is_none()) {
            return wrong("--name is not a valid file name");
        }
        match &self.content_type {
            Some(given) if given.trim().is_empty() || !is_field_value(given.as_bytes()) => {
                wrong("--type needs a media type such as text/csv, in visible ASCII")
            }
            Some(_) | None => Ok(()),
        }
    }

    fn open_stream(
        &self,
        options: &Options,
        preferences: &Preferences,
        upload: &Upload,
        reporter: &Reporter,
    ) -> Result<TargetStream, Failure> {
        let deadline = |waits: Duration| clock::now() + waits + GRACE;
        if let Some(place) = &self.stream {
            let stream = self.at.stream(place, options.clone(), preferences)?;
            return Ok(TargetStream {
                stream,
                own: false,
                deadline: deadline(self.ttl),
                is_rejoined: false,
            });
        }
        let relay = self.at.url(preferences)?;
        let mut request = CreateOptions {
            ttl: Some(self.ttl),
            private: self.private,
            ..CreateOptions::default()
        };
        if self.digest {
            request.download_headers.insert(DIGEST_ANNOUNCED.into(), "sha-256".into());
        }
        let (stream, waits) = persistently(self.connecting.retries, reporter, || {
            Stream::create(&relay, options, &request)
        })?;
        let capped = waits.is_some_and(|waits| waits < self.ttl);
        offer::print(reporter, &stream, upload.kind, (waits, capped), self.qr);
        Ok(TargetStream {
            stream,
            own: true,
            deadline: deadline(waits.unwrap_or(self.ttl)),
            is_rejoined: false,
        })
    }

    fn send_body(
        &self,
        meeting: &TargetStream,
        (upload, mut outgoing): (&Upload, Outgoing),
        input: &mut Input,
        reporter: &Reporter,
    ) -> Result<(u64, Option<String>), Failure> {
        reporter.begins(upload.expected_bytes);
        reporter.follow(&meeting.stream);
        let counting = reporter.clone();
        outgoing.report_to(Box::new(move |bytes| counting.moved(bytes)));
        let way = SendMode { digest: self.digest, zstd: self.zstd };
        let BodyStats { sent, digest, left_out } = body::send(input, &mut outgoing, way)?;
        reporter.skipped(&left_out);
        let bytes = outgoing.sent_bytes();
        let response = match sent {
            Sent::All => outgoing.finish(digest.as_deref().map(|value| ("Repr-Digest", value)))?,
            Sent::Stopped => outgoing.answer()?,
        };
        if !response.is_success() || sent == Sent::Stopped {
            return Err(receipt::explain(&meeting.stream, Refusal::of(response)));
        }
        if let Some(digest) = &digest {
            check_digest_received(&meeting.stream, digest)?;
        }
        Ok((bytes, digest))
    }

    /// Joins the stream, and again if the declared length is no longer that of the file once the
    /// other side has connected: as nothing was sent yet, that side keeps waiting.
    fn join_at_length(
        &self,
        meeting: &mut TargetStream,
        upload: &mut Upload,
        (what, input): (&[PathBuf], &mut Input),
        reporter: &Reporter,
    ) -> Result<Outgoing, Failure> {
        reporter.waiting("waiting for the other side");
        let mut outgoing = self.join(meeting, upload, reporter)?;
        for _ in 0..REMEASURED_MAX {
            if !input.measure()? {
                break;
            }
            *upload = Upload::of(self, what, input)?;
            drop(outgoing);
            meeting.is_rejoined = true;
            outgoing = self.join(meeting, upload, reporter)?;
        }
        Ok(outgoing)
    }

    /// Joins the stream as its source, and waits for the other side. Nothing is sent before that
    /// connects, so the attempt can be repeated.
    fn join(
        &self,
        meeting: &TargetStream,
        upload: &Upload,
        reporter: &Reporter,
    ) -> Result<Outgoing, Failure> {
        let mut place = Redirects::new(meeting.stream.url(), meeting.stream.options());
        loop {
            let request = Request {
                method: "PUT",
                url: place.url(),
                framing: upload.framing,
                fields: upload.fields(self.digest),
                expect_continue: true,
            };
            let mut outgoing = persistently(self.connecting.retries, reporter, || {
                Outgoing::open(&request, place.options()).map(Ok)
            })?;
            let left = meeting.deadline.saturating_duration_since(clock::now());
            outgoing.set_stall_timeout(left);
            match outgoing.await_continue() {
                Ok(Sent::All) => {
                    outgoing.set_stall_timeout(UNLIMITED);
                    return Ok(outgoing);
                }
                Ok(Sent::Stopped) => {
                    let response = outgoing.answer()?;
                    if place.follow_response(&response)? {
                        continue;
                    }
                    let refusal = Refusal::of(response);
                    if refusal.name.is_empty()
                        && let Some(refusal) = reported(&meeting.stream, refusal.status)
                    {
                        return Err(refusal.into());
                    }
                    let is_left_over = meeting.is_rejoined && refusal.status == 429;
                    let may_pass = refusal.is_passing() || is_left_over;
                    if !may_pass || clock::now() >= meeting.deadline {
                        return Err(refusal.into());
                    }
                    std::thread::sleep(REJOIN_AFTER);
                }
                Err(Error::Network { .. }) if clock::now() >= meeting.deadline => {
                    return Err(Failure::new(Exit::NoPeer, "no receiver connected"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Checks that the relay received the digest. Proxies may drop trailers.
fn check_digest_received(stream: &Stream, digest: &str) -> Result<(), Failure> {
    let status = stream.status().ok().and_then(Result::ok);
    if status.is_some_and(|status| status["repr_digest"] == *digest) {
        return Ok(());
    }
    let why = "all data was sent, but the relay did not receive the digest, so the receiver cannot verify it; does a proxy drop trailers?";
    Err(Failure::new(Exit::Digest, why))
}

/// The metadata of the upload, for the relay and the other side.
struct Upload {
    kind: Kind,
    framing: Framing,
    disposition: Option<String>,
    content_type: String,
    /// For progress; not always exact.
    expected_bytes: Option<u64>,
}

impl Upload {
    fn of(sending: &Sending, what: &[PathBuf], input: &Input) -> Result<Self, Failure> {
        let own_name = match what {
            [what] if !input::is_standard_input(what) => input::name_of(what),
            _ => None,
        };
        let (kind, known_bytes, suffix) = match input {
            Input::File(_, bytes) => (Kind::File, Some(*bytes), ""),
            Input::Stream(_) if own_name.is_none() => (Kind::Bytes, None, ""),
            Input::Stream(_) => (Kind::File, None, ""),
            Input::Archive(paths) => {
                let suffix = if sending.zstd { ".tar.zst" } else { ".tar" };
                (Kind::Archive { zstd: sending.zstd }, archive::size_of_all(paths).ok(), suffix)
            }
        };
        if sending.zstd && !matches!(kind, Kind::Archive { .. }) {
            let why =
                "--zstd is for directories and several files; compress it before, or remove it";
            return Err(Failure::new(Exit::Usage, why));
        }
        let own_name = own_name
            .or_else(|| matches!(kind, Kind::Archive { .. }).then(|| "files".to_owned()))
            .map(|name| name + suffix);
        sending.check()?;
        let name = sending.name.clone().or(own_name);
        let content_type = match (&sending.content_type, kind) {
            (Some(given), _) => given.clone(),
            (None, Kind::Archive { zstd: false }) => "application/x-tar".into(),
            (None, Kind::Archive { zstd: true }) => "application/zstd".into(),
            (None, Kind::File | Kind::Bytes) => super::common::media_type(name.as_deref()),
        };
        let framing = match (input, known_bytes) {
            // A digest computed on the way can only follow the last chunk.
            (Input::File(_, 1..), Some(bytes)) if !sending.digest => Framing::Length(bytes),
            (Input::File(..) | Input::Archive(_) | Input::Stream(_), _) => Framing::Chunked,
        };
        // The compressed size differs from that of the archive.
        let declared_bytes = known_bytes.filter(|_| !sending.zstd);
        let name_for_all = name.or_else(|| declared_bytes.map(|_| "data".to_owned()));
        Ok(Self {
            kind,
            framing,
            disposition: name_for_all.and_then(|name| attachment_named(&name, declared_bytes)),
            content_type,
            expected_bytes: declared_bytes,
        })
    }

    fn fields(&self, digest: bool) -> Vec<(&'static str, String)> {
        let mut fields = vec![("Content-Type", self.content_type.clone())];
        fields.extend(self.disposition.clone().map(|value| ("Content-Disposition", value)));
        if digest {
            fields.push(("Trailer", "Repr-Digest".into()));
        }
        fields
    }
}
