//! The sources of records: standard input, a file, a FIFO that is reopened after each writer, or a
//! socket that serves one source after the other.

use super::acks::Acks;
use super::workers::Dispatch;
use crate::client::commands::{Exit, Failure};
use crate::client::file_name::printable;
use crate::connector::record::{ReadError, Reader};
use crate::connector::spill::SpillSpace;
use crate::ops::stdio::{self, Waiting};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The prefix of a socket path.
const UNIX: &str = "unix:";

/// An opened input.
#[derive(Debug)]
pub(super) enum Input {
    /// An input that ends, and its name.
    Once(Waiting<File>, String),
    /// A FIFO, opened for each writer.
    Fifo(PathBuf),
    /// A socket that sources connect to.
    Socket(UnixListener, String),
}

/// The socket file, removed on drop.
#[derive(Debug)]
pub(super) struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens the named input; `None` or `-` is standard input.
///
/// # Errors
/// Returns an error if it cannot be opened, or another process listens on the socket.
pub(super) fn open(named: Option<&str>) -> Result<(Input, Option<Bound>), Failure> {
    match named {
        None | Some("-") => {
            use std::os::fd::AsFd as _;
            let opened = io::stdin().as_fd().try_clone_to_owned();
            let opened =
                opened.map_err(|error| Failure::local("cannot read standard input", error))?;
            Ok((Input::Once(Waiting(File::from(opened)), "standard input".into()), None))
        }
        Some(named) => match named.strip_prefix(UNIX) {
            Some(path) => {
                let listener = bind(Path::new(path))?;
                Ok((Input::Socket(listener, named.to_owned()), Some(Bound(path.into()))))
            }
            None => open_path(Path::new(named)).map(|input| (input, None)),
        },
    }
}

fn open_path(path: &Path) -> Result<Input, Failure> {
    let failed = |error| Failure::local(format!("cannot open {}", path.display()), error);
    if fs::metadata(path).map_err(failed)?.file_type().is_fifo() {
        return Ok(Input::Fifo(path.to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    Ok(Input::Once(Waiting(file), path.display().to_string()))
}

/// Listens on a socket of this path. Replaces the file of a process that has ended.
fn bind(path: &Path) -> Result<UnixListener, Failure> {
    let failed = |error| Failure::local(format!("cannot listen on {}", path.display()), error);
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {}
        bound => return bound.map_err(failed),
    }
    let is_socket = fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket();
    let stale = |error: &io::Error| error.kind() == ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(|error| stale(&error)) {
        fs::remove_file(path).map_err(failed)?;
        return UnixListener::bind(path).map_err(failed);
    }
    let why = if is_socket {
        "another process listens there; name another path"
    } else {
        "a file that is not a socket exists; use another path, or remove it"
    };
    Err(Failure::new(Exit::Local, format!("cannot listen on {}: {why}", path.display())))
}

/// Reads an input.
pub(super) struct InputReader {
    pub(super) dispatch: Dispatch,
    pub(super) acks: Arc<Acks>,
    /// The space for large content.
    pub(super) space: Arc<SpillSpace>,
    /// Maximum time for a source to read an acknowledgement.
    pub(super) ack_timeout: Duration,
}

impl InputReader {
    /// Reads records until the input ends for good.
    ///
    /// # Errors
    /// Returns an error if the input cannot be read or contains an invalid record.
    pub(super) fn run(mut self, input: Input) -> Result<(), Failure> {
        match input {
            Input::Once(file, name) => {
                let acks = Arc::clone(&self.acks);
                self.copy_body(file, &name, &acks)?.map_or(Ok(()), |cut| Err(cut.failure(&name)))
            }
            Input::Fifo(path) => self.fifo(&path),
            Input::Socket(listener, name) => self.socket(&listener, &name),
        }
    }

    /// Keeps the first file descriptor open, so that nothing is lost between two writers.
    fn fifo(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.display().to_string();
        let failed = |error| Failure::local(format!("cannot open {name}"), error);
        let fifo = File::open(path).map_err(failed)?;
        let acks = Arc::clone(&self.acks);
        while !self.dispatch.shared.halt.is_asked() {
            note(self.copy_body(&fifo, &name, &acks)?, &name);
            // Blocks until the next writer opens the FIFO.
            drop(File::open(path).map_err(failed)?);
        }
        Ok(())
    }

    fn socket(&mut self, listener: &UnixListener, name: &str) -> Result<(), Failure> {
        let failed = |error| Failure::local(name, error);
        while !self.dispatch.shared.halt.is_asked() {
            let source = match listener.accept() {
                Ok((source, _)) => source,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            let answers = source.try_clone().map_err(failed)?;
            answers.set_write_timeout(Some(self.ack_timeout)).map_err(failed)?;
            let acks = Acks::new(Answers(answers), false);
            note(self.copy_body(&source, name, &acks)?, name);
            // The next source may resend the same records; they must follow these.
            self.dispatch.shared.room.wait_until_empty();
        }
        Ok(())
    }

    /// Passes records to the workers until this input ends. Returns how it was cut short, if it
    /// was.
    fn copy_body(
        &mut self,
        input: impl Read,
        name: &str,
        acks: &Arc<Acks>,
    ) -> Result<Option<TruncatedLine>, Failure> {
        let mut reader = Reader::with_space(input, Arc::clone(&self.space));
        loop {
            match reader.read() {
                Ok(None) => return Ok(None),
                Ok(Some(incoming)) => {
                    if !self.dispatch.give(incoming, acks)? {
                        return Ok(None);
                    }
                }
                Err(error @ (ReadError::Unfinished | ReadError::Input(_))) => {
                    return Ok(Some(TruncatedLine { line: reader.line(), error }));
                }
                Err(error @ (ReadError::Record(_) | ReadError::TooLong | ReadError::Spill(_))) => {
                    return Err(TruncatedLine { line: reader.line(), error }.failure(name));
                }
            }
        }
    }
}

/// The responses to a source. Closes the connection when dropped.
struct Answers(UnixStream);

impl Write for Answers {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// An input that ended within a line.
struct TruncatedLine {
    line: u64,
    error: ReadError,
}

impl TruncatedLine {
    fn failure(&self, name: &str) -> Failure {
        Failure::new(Exit::Local, format!("{name}, line {}: {}", self.line, self.error))
    }
}

/// Reports a source that disconnected. It resends the record, which was not acknowledged.
fn note(cut: Option<TruncatedLine>, name: &str) {
    let Some(cut) = cut else { return };
    let said = match &cut.error {
        // The position within a line is unknown; complete records before it are sent.
        ReadError::Input(error) => {
            format!("{name}: the source disconnected ({error}); waiting for the next one")
        }
        ReadError::Unfinished | ReadError::Record(_) | ReadError::TooLong | ReadError::Spill(_) => {
            let why = "nothing of that line is sent; waiting for the next source";
            format!("{}; {why}", cut.failure(name))
        }
    };
    stdio::error_line(format_args!("rdv: {}", printable(&said)));
}
