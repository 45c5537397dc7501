//! The file that lines are written to. A failure is logged once, and so is the recovery; the relay
//! continues in both cases.

use super::settings::LogTarget;
use crate::ops::cause;
use crate::ops::line_queue::Sink;
use crate::ops::places;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Log lines contain addresses and requests, so only the owner may read them.
const MODE: u32 = 0o600;

/// An open log.
#[derive(Debug)]
pub struct LogFile {
    place: LogTarget,
    file: File,
    /// Lines lost since the last write failed; `None` if it succeeded.
    failing: Option<u64>,
    /// Reopening failed; lines go to the old file meanwhile.
    stale: bool,
    /// A write was interrupted within a line.
    torn: bool,
}

impl LogFile {
    /// Opens or creates the file for appending.
    ///
    /// # Errors
    /// One line with the path and what to do.
    pub fn open(place: LogTarget) -> io::Result<Self> {
        let file = open(&place).map_err(|error| not_opened(&place, &error))?;
        Ok(Self { place, file, failing: None, stale: false, torn: false })
    }

    /// Whether [`open`](Self::open) would succeed; creates no file.
    ///
    /// # Errors
    /// The error that `open` would return.
    pub fn check(place: &LogTarget) -> io::Result<()> {
        let opened = match place {
            LogTarget::File(path) if !path.exists() => places::creatable(path),
            LogTarget::File(_) | LogTarget::Stdout | LogTarget::Stderr => open(place).map(drop),
        };
        opened.map_err(|error| not_opened(place, &error))
    }

    /// Writes all bytes; on an error, also returns how many bytes were written before it.
    fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.write(&bytes[done..]) {
                Ok(0) => return Err((done, ErrorKind::WriteZero.into())),
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.await_room(),
                Err(error) => return Err((done, error)),
            }
        }
        Ok(())
    }

    /// Waits until the file is writable: another process can make standard output non-blocking.
    fn await_room(&self) {
        let mut question = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        let _ = poll(&mut question, PollTimeout::NONE);
    }

    fn well_again(&mut self) {
        if let Some(lost) = self.failing.take() {
            log::info!(
                "the access log {} is written again; {lost} lines were lost",
                name(&self.place)
            );
        }
    }

    fn try_again(&mut self) {
        match open(&self.place) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
                if std::mem::take(&mut self.stale) {
                    log::info!("the access log {} is open again", name(&self.place));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.stale, true) {
                    log::error!(
                        "cannot reopen the access log {}: {}; still writing to the old file",
                        name(&self.place),
                        cause(&error)
                    );
                }
            }
        }
    }
}

impl Sink for LogFile {
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.stale {
            self.try_again();
        }
        let result = if self.torn { self.put(b"\n") } else { Ok(()) };
        let result = result.map_err(|(_, error)| (0, error)).and_then(|()| {
            self.torn = false;
            self.put(lines)
        });
        let Err((done, error)) = result else {
            self.well_again();
            return 0;
        };
        self.torn |= done > 0 && lines[done - 1] != b'\n';
        let lost = memchr::memchr_iter(b'\n', &lines[done..]).count().max(1) as u64;
        if self.failing.is_none() {
            log::error!(
                "cannot write the access log {}: {}; lines are lost until it can be written",
                name(&self.place),
                cause(&error)
            );
        }
        self.failing = Some(self.failing.unwrap_or_default() + lost);
        lost
    }

    fn reopen(&mut self) {
        if matches!(self.place, LogTarget::File(_)) {
            self.try_again();
        }
    }
}

fn open(place: &LogTarget) -> io::Result<File> {
    match place {
        LogTarget::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        LogTarget::Stderr => Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?)),
        LogTarget::File(path) => open_path(path),
    }
}

fn not_opened(place: &LogTarget, error: &io::Error) -> io::Error {
    let advice = "name a file that this user may write to";
    let why = format!("cannot open the access log {}: {}; {advice}", name(place), cause(error));
    io::Error::new(error.kind(), why)
}

/// Opens the file. A FIFO is opened for reading as well: otherwise opening it would block until a
/// reader opens it, and writing would fail when that reader closes it.
fn open_path(path: &Path) -> io::Result<File> {
    let is_fifo = fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo());
    let mut options = OpenOptions::new();
    if is_fifo {
        options.read(true).write(true);
    } else {
        options.append(true).create(true).mode(MODE);
    }
    options.open(path)
}

fn name(place: &LogTarget) -> String {
    match place {
        LogTarget::Stdout => "on standard output".into(),
        LogTarget::Stderr => "on standard error".into(),
        LogTarget::File(path) => path.display().to_string(),
    }
}
