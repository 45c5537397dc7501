//! A server with a specified response to each record, the command, and records to send.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

use rdv::connector::record::json;

use crate::server::{Connection, Request, Server};
use crate::support::{Finished, Process, TEST_TIMEOUT};

/// What the server does with a record.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Responds with this status, and keeps the connection.
    Status(u16),
    /// Sends these bytes, and keeps the connection.
    Text(String),
    /// Responds with this status, and closes the connection without a `Connection: close`.
    Closing(u16),
    /// Sends these bytes and resets the connection.
    Reset(&'static str),
    /// Responds with this status after [`Server::release`].
    Held(u16),
    /// Never responds.
    Silent,
}

/// A server of records.
pub(crate) struct RecordServer {
    pub(crate) inner: Server,
    taken: Receiver<Request>,
}

pub(crate) fn answer(status: u16) -> String {
    let body = if status == 204 || status == 304 { "" } else { "Content-Length: 4\r\n\r\nsaid" };
    let end = if body.is_empty() { "\r\n" } else { "" };
    format!("HTTP/1.1 {status} X\r\n{body}{end}")
}

impl RecordServer {
    /// A server with a function that chooses the action for each POST, counted from 0; a HEAD
    /// always gets 200.
    pub(crate) fn new(
        reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> RecordServer {
        RecordServer::with_head("HTTP/1.1 200 X\r\n\r\n", reply)
    }

    /// The same with another response to HEAD.
    pub(crate) fn with_head(
        head: &'static str,
        reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static,
    ) -> RecordServer {
        let (sender, taken) = mpsc::channel();
        let sender = Mutex::new(sender);
        let count = AtomicUsize::new(0);
        let server = Server::start(move |connection| {
            loop {
                let request = request(connection)?;
                if request.line.starts_with("HEAD ") {
                    connection.send(head)?;
                    continue;
                }
                let reply = reply(count.fetch_add(1, Ordering::SeqCst), &request);
                sender.lock().unwrap().send(request).expect("the test receives");
                match reply {
                    Reply::Status(status) => connection.send(answer(status))?,
                    Reply::Text(text) => connection.send(text)?,
                    Reply::Closing(status) => {
                        connection.send(answer(status))?;
                        return Ok(None);
                    }
                    Reply::Reset(text) => {
                        connection.send(text)?;
                        connection.reset()?;
                        return Ok(None);
                    }
                    Reply::Held(status) => {
                        connection.await_release()?;
                        connection.send(answer(status))?;
                    }
                    Reply::Silent => {
                        connection.drain()?;
                        return Ok(None);
                    }
                }
            }
        });
        RecordServer { inner: server, taken }
    }

    /// A server that accepts every record.
    pub(crate) fn accepting() -> RecordServer {
        RecordServer::new(|_, _| Reply::Status(201))
    }

    pub(crate) fn url(&self) -> String {
        self.inner.url()
    }

    /// The next record received.
    pub(crate) fn recv_request(&self) -> Request {
        self.taken.recv_timeout(TEST_TIMEOUT).expect("a record")
    }

    /// All records received and not taken yet.
    pub(crate) fn all(&self) -> Vec<Request> {
        self.taken.try_iter().collect()
    }

    /// Their bodies as text.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.all().into_iter().map(|one| String::from_utf8(one.body).unwrap()).collect()
    }
}

/// A request with its body; a client that sends `Expect: 100-continue` gets a 100.
fn request(connection: &mut Connection) -> io::Result<Request> {
    let head = connection.head()?;
    if head.field("expect").is_some() {
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let request = connection.body(head);
    if request.is_complete { Ok(request) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A record as a line: its position, its key and the bytes of its content.
pub(crate) fn record(position: &str, key: &str, content: &[u8]) -> String {
    let mut line = b"{\"position\":".to_vec();
    json::base64(&mut line, position.as_bytes());
    line.extend_from_slice(b",\"operation\":\"create\",\"metadata\":{},\"key\":");
    json::base64(&mut line, key.as_bytes());
    line.extend_from_slice(b",\"payload\":{\"before\":null,\"after\":");
    json::base64(&mut line, content);
    line.extend_from_slice(b"}}\n");
    String::from_utf8(line).unwrap()
}

/// This number of records of one key; position and content are their number.
pub(crate) fn records(count: usize) -> String {
    (0..count).map(|at| record(&at.to_string(), "k", at.to_string().as_bytes())).collect()
}

/// The acknowledgement of this position.
pub(crate) fn ack(position: &str) -> String {
    let mut line = b"{\"ack\":".to_vec();
    json::base64(&mut line, position.as_bytes());
    line.extend_from_slice(b"}\n");
    String::from_utf8(line).unwrap()
}

/// Acknowledgements of the numbers up to this one.
pub(crate) fn acks(count: usize) -> String {
    (0..count).map(|at| ack(&at.to_string())).collect()
}

/// The command with short backoffs.
pub(crate) fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.arg("destination").args(["--backoff", "1ms", "--backoff-max", "2ms"]).args(flags);
    command
}

/// A running command, and its standard input.
pub(crate) fn start(flags: &[&str]) -> (Process, io::PipeWriter) {
    let (input, writer) = io::pipe().unwrap();
    (Process::reading(command(flags), Stdio::from(input)), writer)
}

/// Runs the command with this as its input.
pub(crate) fn run(flags: &[&str], input: &str) -> Finished {
    let (process, mut writer) = start(flags);
    let input = Arc::new(input.to_owned());
    let written = Arc::clone(&input);
    // It can exit before it has read everything.
    let writing = thread::spawn(move || drop(writer.write_all(written.as_bytes())));
    let finished = process.finish();
    writing.join().unwrap();
    finished
}

pub(crate) fn assert_ends(finished: &Finished, status: i32, hints: &[&str]) {
    assert_eq!(finished.status.code(), Some(status), "{}", finished.stderr);
    for hint in hints {
        assert!(finished.stderr.contains(hint), "{hint}: {}", finished.stderr);
    }
    if status != 0 {
        assert_eq!(finished.stderr.lines().count(), 1, "one line: {}", finished.stderr);
    }
}
