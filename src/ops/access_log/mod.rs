//! The access log: one line for each request when its response has ended, and optionally one for
//! each stream. The format is compiled once; formatting a line never blocks, and one thread writes
//! all lines.
//!
//! | file | holds |
//! |---|---|
//! | `settings` | flags |
//! | `entry` | the data of a request, and the part of its head that is kept |
//! | `item` | one value of a line |
//! | `text`, `json` | the two kinds of lines |
//! | `layout`, `go_layout` | how times are written |
//! | `escape`, `shorten` | characters and identifiers that must not appear unchanged in a line |
//! | `file` | the file, its errors, its rotation |

mod entry;
mod escape;
mod file;
mod go_layout;
mod item;
mod json;
mod layout;
mod settings;
mod shorten;
#[cfg(test)]
mod tests;
mod text;

use crate::ops::cause;
pub use entry::{Capture, Entry, StreamEnd, StreamEntry, StreamPart};
pub use settings::{AccessLogSettings, Choice, Entries, LogTarget, Preset};
pub use shorten::short_id;

use self::file::LogFile;
use self::item::{Item, LogContext};
use self::json::JsonFormat;
use self::layout::Layout;
use self::text::TextFormat;
use super::line_queue::{LineQueue, PushOutcome, Sink as _};
use crate::http::head::RequestHead;
use jiff::tz::TimeZone;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The format of lines.
#[derive(Debug)]
enum Format {
    Text(TextFormat),
    Json(JsonFormat),
}

/// The writer of lines.
#[derive(Debug)]
enum Writer {
    /// A thread with a bounded buffer.
    Behind(Arc<LineQueue>),
    /// The caller writes each line itself; counts lost lines.
    Direct(Arc<Mutex<(LogFile, u64)>>),
}

/// An open access log.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    around: LogContext,
    /// The layout of the end time in a stream's line; `None`: no lines for streams.
    streams: Option<Layout>,
    /// The names of the header fields in its lines.
    headers: Vec<Box<str>>,
    writer: Writer,
    line: Vec<u8>,
    value: Vec<u8>,
    /// Whether lines were added since the thread was last woken.
    added: bool,
}

impl AccessLog {
    /// Opens the log, if one is configured.
    ///
    /// # Errors
    /// One line: the file cannot be opened, a JSON field is repeated, or the time zone of this
    /// machine is unknown.
    pub fn open(settings: &AccessLogSettings) -> io::Result<Option<Self>> {
        let Some(place) = settings.place().cloned() else { return Ok(None) };
        // First: an invalid format creates no file.
        compile(settings)?;
        let file = LogFile::open(place)?;
        let writer = match settings.access_log_buffer {
            0 => Writer::Direct(Arc::new(Mutex::new((file, 0)))),
            max_lines => {
                let lines = LineQueue::start("access-log", max_lines, file).map_err(|error| {
                    let why = format!("cannot start the access log: {}", cause(&error));
                    io::Error::new(error.kind(), why)
                })?;
                Writer::Behind(Arc::new(lines))
            }
        };
        Self::with(settings, writer).map(Some)
    }

    /// Returns one more writer of this log, for another worker.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the file.
    pub fn another(&self, settings: &AccessLogSettings) -> io::Result<Self> {
        let writer = match &self.writer {
            Writer::Behind(lines) => Writer::Behind(Arc::clone(lines)),
            Writer::Direct(file) => Writer::Direct(Arc::clone(file)),
        };
        Self::with(settings, writer)
    }

    fn with(settings: &AccessLogSettings, writer: Writer) -> io::Result<Self> {
        let (mut format, layout, around) = compile(settings)?;
        let headers = format.place_headers();
        Ok(Self {
            format,
            around,
            streams: settings.access_log_streams.then_some(layout),
            headers,
            writer,
            line: Vec::new(),
            value: Vec::new(),
            added: false,
        })
    }

    /// Whether [`open`](Self::open) would succeed; creates no file.
    ///
    /// # Errors
    /// The error that `open` would return.
    pub fn check(settings: &AccessLogSettings) -> io::Result<()> {
        let Some(place) = settings.place() else { return Ok(()) };
        compile(settings)?;
        LogFile::check(place)
    }

    /// Captures the parts of a request's head that its line needs.
    pub fn capture(&self, head: &RequestHead<'_, '_>) -> Capture {
        Capture::new(head, &self.headers, self.around.full_ids)
    }

    /// Adds the line of a request.
    pub fn record(&mut self, entry: &Entry<'_>) {
        self.line.clear();
        match &self.format {
            Format::Text(format) => {
                format.write(entry, &self.around, &mut self.value, &mut self.line);
            }
            Format::Json(format) => {
                format.write(entry, &self.around, &mut self.value, &mut self.line);
            }
        }
        self.add();
    }

    /// Adds the line of a stream, if lines for streams are enabled.
    pub fn record_stream(&mut self, entry: &StreamEntry) {
        let Some(layout) = &self.streams else { return };
        self.line.clear();
        match &self.format {
            Format::Text(_) => text::write_stream(entry, layout, &self.around, &mut self.line),
            Format::Json(format) => {
                format.write_stream(entry, layout, &self.around, &mut self.line);
            }
        }
        self.add();
    }

    fn add(&mut self) {
        match &mut self.writer {
            Writer::Direct(file) => {
                let (file, lost) = &mut *locked(file);
                *lost += file.write(&self.line);
            }
            Writer::Behind(lines) => match lines.add(&self.line) {
                PushOutcome::Taken => self.added = true,
                PushOutcome::Dropped { first: true } => log::warn!(
                    "the access log is written too slowly; lines are dropped until none waits \
                     (--access-log-buffer is how many may)"
                ),
                PushOutcome::Dropped { first: false } => {}
            },
        }
    }

    /// Wakes the writer if lines were added; called once per loop iteration.
    pub fn wake(&mut self) {
        if std::mem::take(&mut self.added)
            && let Writer::Behind(lines) = &self.writer
        {
            lines.wake();
        }
    }

    /// Reopens the file after a rotation.
    pub fn reopen(&mut self) {
        match &mut self.writer {
            Writer::Direct(file) => locked(file).0.reopen(),
            Writer::Behind(lines) => lines.reopen(),
        }
    }

    /// Returns how many lines were dropped or could not be written since the start.
    pub fn dropped(&self) -> u64 {
        match &self.writer {
            Writer::Direct(file) => locked(file).1,
            Writer::Behind(lines) => lines.dropped(),
        }
    }
}

/// Only another worker can hold it, for one line.
fn locked(file: &Mutex<(LogFile, u64)>) -> MutexGuard<'_, (LogFile, u64)> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compiles the format of lines, the layout of a stream's end time, and their context.
fn compile(settings: &AccessLogSettings) -> io::Result<(Format, Layout, LogContext)> {
    let format = Format::new(settings).map_err(io::Error::other)?;
    let layout = match format {
        Format::Text(_) => layout::COMMON,
        Format::Json(_) => json::ENDED,
    };
    let layout = Layout::compile(layout).map_err(io::Error::other)?;
    Ok((format, layout, LogContext::new(settings)?))
}

impl Drop for AccessLog {
    /// Writes the remaining lines, and logs how many were lost. Its last writer does this.
    fn drop(&mut self) {
        let closed = match &mut self.writer {
            Writer::Behind(lines) => Arc::get_mut(lines).map(LineQueue::close),
            Writer::Direct(file) => Arc::get_mut(file).map(|_| true),
        };
        if closed == Some(false) {
            log::error!("the last lines of the access log are lost: it cannot be written now");
        }
        if closed.is_some() && self.dropped() > 0 {
            log::warn!("{} lines of the access log were dropped in all", self.dropped());
        }
    }
}

impl Format {
    fn new(settings: &AccessLogSettings) -> Result<Self, String> {
        Ok(match settings.access_log_entry {
            Entries::Text => Self::Text(match &settings.access_log_format {
                Some(format) => format.clone(),
                None => settings.access_log_preset.format().parse()?,
            }),
            Entries::Json => {
                let prefix = settings.access_log_prefix.clone();
                let suffix = settings.access_log_suffix.clone();
                let format = JsonFormat::new(settings.access_log_field.clone(), prefix, suffix);
                Self::Json(format.map_err(|error| format!("--access-log-field: {error}"))?)
            }
        })
    }

    fn items(&mut self) -> Box<dyn Iterator<Item = &mut Item> + '_> {
        match self {
            Self::Text(format) => Box::new(format.items.iter_mut()),
            Self::Json(format) => Box::new(format.fields.iter_mut().map(|field| &mut field.item)),
        }
    }

    /// Assigns an index to each header; returns the names in that order.
    fn place_headers(&mut self) -> Vec<Box<str>> {
        let mut names: Vec<Box<str>> = Vec::new();
        for item in self.items() {
            if let Item::Header { name, place } = item {
                let known = names.iter().position(|known| known.eq_ignore_ascii_case(name));
                *place = known.unwrap_or_else(|| {
                    names.push(name.clone());
                    names.len() - 1
                });
            }
        }
        names
    }
}

impl LogContext {
    fn new(settings: &AccessLogSettings) -> io::Result<Self> {
        let zone = if settings.access_log_utc {
            TimeZone::UTC
        } else {
            TimeZone::try_system().map_err(|error| {
                io::Error::other(format!(
                    "--access-log-utc=false: the time zone of this machine is unknown: {error}; \
                     set TZ or /etc/localtime"
                ))
            })?
        };
        Ok(Self {
            zone,
            instance_id: settings.instance_id.as_str().into(),
            full_ids: settings.log_full_ids,
        })
    }
}
