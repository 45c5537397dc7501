//! Consumers of records: a program at a FIFO, or one that listens on a Unix socket.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::sys::stat::Mode;
use tempfile::TempDir;

use crate::source::process::record;
use crate::support::{TEST_TIMEOUT, eventually};

/// A directory with a name for a FIFO or a socket.
pub(crate) struct Place {
    directory: TempDir,
}

/// Reads complete lines.
pub(crate) struct Lines<R>(BufReader<R>);

/// A consumer that the source has connected to.
pub(crate) struct Consumer {
    lines: Lines<UnixStream>,
    socket: UnixStream,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { directory: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("records")
    }

    /// The output argument for a file or a FIFO.
    pub(crate) fn output(&self) -> String {
        self.path().to_str().expect("text").to_owned()
    }

    /// The output argument for a socket.
    pub(crate) fn socket(&self) -> String {
        format!("unix:{}", self.output())
    }

    pub(crate) fn make_fifo(&self) {
        nix::unistd::mkfifo(&self.path(), Mode::S_IRWXU).expect("a FIFO");
    }

    /// Opens the FIFO for reading, whether it has a writer or not; its reads block from then on.
    pub(crate) fn read_fifo(&self) -> Lines<File> {
        let flags = nix::fcntl::OFlag::O_NONBLOCK;
        let fifo = OpenOptions::new().read(true).custom_flags(flags.bits()).open(self.path());
        let fifo = fifo.expect("the FIFO");
        nix::fcntl::fcntl(&fifo, nix::fcntl::F_SETFL(nix::fcntl::OFlag::empty())).expect("F_SETFL");
        Lines::of(fifo)
    }

    /// Starts a consumer.
    pub(crate) fn listen(&self) -> UnixListener {
        let _ = std::fs::remove_file(self.path());
        let listener = UnixListener::bind(self.path()).expect("a socket");
        listener.set_nonblocking(true).expect("O_NONBLOCK");
        listener
    }
}

/// Waits until the source has connected.
pub(crate) fn accept(listener: &UnixListener) -> Consumer {
    let (socket, _) = eventually("the source connects", || listener.accept().ok());
    socket.set_nonblocking(false).expect("O_NONBLOCK");
    socket.set_read_timeout(Some(TEST_TIMEOUT)).expect("SO_RCVTIMEO");
    let lines = Lines::of(socket.try_clone().expect("dup"));
    Consumer { lines, socket }
}

impl<R: Read> Lines<R> {
    pub(crate) fn of(reader: R) -> Lines<R> {
        Lines(BufReader::new(reader))
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        if line.is_empty() {
            return None;
        }
        assert!(line.ends_with('\n'), "a torn line of {} bytes", line.len());
        line.pop();
        Some(line)
    }

    /// Reads to the end; returns the number of lines.
    pub(crate) fn count(mut self) -> usize {
        std::iter::from_fn(|| self.next()).count()
    }

    /// The next line, which must arrive.
    pub(crate) fn line(&mut self) -> String {
        self.next().expect("one more line")
    }

    /// Waits until a line has started, and then stalls.
    pub(crate) fn stalled_within_line(mut reader: R) -> Lines<impl Read> {
        let mut first = [0; 1];
        reader.read_exact(&mut first).expect("a line begins");
        Lines::of(std::io::Cursor::new(first).chain(reader))
    }
}

impl Consumer {
    pub(crate) fn line(&mut self) -> String {
        self.lines.line()
    }

    /// The connection; for a consumer that reads no lines.
    pub(crate) fn into_socket(self) -> UnixStream {
        self.socket
    }

    pub(crate) fn lines(&mut self) -> &mut Lines<UnixStream> {
        &mut self.lines
    }

    /// Acknowledges this record.
    pub(crate) fn acknowledge(&mut self, line: &str) {
        self.send_text(&acknowledgement(line));
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("the source hears");
    }
}

/// The acknowledgement of the record in this line.
pub(crate) fn acknowledgement(line: &str) -> String {
    let position = BASE64_STANDARD.encode(record(line).position);
    format!("{{\"ack\":\"{position}\"}}\n")
}

/// The lines of a file.
pub(crate) fn lines_of(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("the file");
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line: {text:.200}");
    text.lines().map(str::to_owned).collect()
}
