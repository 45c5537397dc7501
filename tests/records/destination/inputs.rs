//! Inputs that outlive their writers: FIFOs and sockets.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::destination::record_server::{
    RecordServer, ack, acks, assert_ends, record, records, run, start,
};
use crate::support::{TEST_TIMEOUT, close, eventually};

fn connect(path: &Path) -> UnixStream {
    let socket = eventually("the socket exists", || UnixStream::connect(path).ok());
    socket.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    socket
}

/// Sends records as a source does; returns everything received until the other side closes.
fn source(path: &Path, input: &str) -> String {
    let mut socket = connect(path);
    socket.write_all(input.as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).unwrap();
    answers
}

#[test]
fn successive_sources_are_served_on_a_socket() {
    let server = RecordServer::accepting();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.sock");
    let input = format!("unix:{}", path.display());
    let (process, _input) = start(&["--url", &server.url(), "--input", &input]);
    assert_eq!(source(&path, &records(3)), acks(3));
    let mut second = connect(&path);
    second.write_all(record("p", "k", b"x").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(&second).read_line(&mut line).unwrap();
    assert_eq!(line, ack("p"), "while the source stays");
    drop(second);
    // A writer that disconnects within a line affects no other records.
    assert_eq!(source(&path, &(records(1) + "{\"position\":")), acks(1));
    assert_eq!(source(&path, &records(2)), acks(2));
    eventually("the line is noted", || process.stderr().contains("line 2").then_some(()));
    assert_eq!(process.stdout(), "", "acknowledgements are sent over the socket of the records");
    process.signal(Signal::SIGTERM);
    assert_eq!(process.finish().status.code(), Some(0));
    assert!(!path.exists(), "the socket is taken away");
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_refused() {
    let server = RecordServer::accepting();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.sock");
    let input = format!("unix:{}", path.display());
    let flags = ["--url", &server.url(), "--input", &input];
    let listener = UnixListener::bind(&path).unwrap();
    assert_ends(&run(&flags, ""), 1, &["another process listens"]);
    close(listener);
    let (process, _input) = start(&flags);
    assert_eq!(source(&path, &records(1)), acks(1));
    drop(process);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    assert_ends(&run(&flags, ""), 1, &["not a socket"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn a_fifo_is_reopened_after_its_writer_closes() {
    let server = RecordServer::accepting();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records");
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let (process, _input) = start(&["--url", &server.url(), "--input", path.to_str().unwrap()]);
    let mut expected = String::new();
    for round in 0..3 {
        // Opening waits for the reader.
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        let position = round.to_string();
        writer.write_all(record(&position, "k", b"x").as_bytes()).unwrap();
        drop(writer);
        expected += &ack(&position);
        eventually("it is acknowledged", || (process.stdout() == expected).then_some(()));
    }
    process.signal(Signal::SIGTERM);
    assert_eq!(process.finish().status.code(), Some(0));
}
