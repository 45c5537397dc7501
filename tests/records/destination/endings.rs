//! Ends before the end of the input: signals, and a closed output for acknowledgements.

use std::io::Write as _;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::destination::record_server::{
    RecordServer, Reply, acks, command, record, records, start,
};
use crate::server::Server;
use crate::support::{TEST_TIMEOUT, eventually};

#[test]
fn requests_in_flight_are_completed_and_no_new_ones_sent() {
    for (signal, status) in [(Signal::SIGTERM, 0), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let server =
            RecordServer::new(|at, _| if at == 1 { Reply::Held(201) } else { Reply::Status(201) });
        let (process, mut input) = start(&["--url", &server.url()]);
        input.write_all(records(10).as_bytes()).unwrap();
        assert_eq!(server.recv_request().body, b"0");
        assert_eq!(server.recv_request().body, b"1");
        // The thread that waits for it has its name once it runs, and ends with the signal.
        let waits = || threads(process.id()).iter().any(|name| name == "signals");
        eventually("it waits for signals", || waits().then_some(()));
        process.signal(signal);
        eventually("the signal is taken", || (!waits()).then_some(()));
        server.inner.release();
        let finished = process.finish();
        assert_eq!(finished.status.code(), Some(status), "{}", finished.stderr);
        assert_eq!(finished.stdout, acks(2), "what was under way is acknowledged");
        assert_eq!(server.all().len(), 0, "nothing else is sent");
    }
}

/// The names of the threads of a process.
fn threads(process: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn a_signal_ends_the_pause_between_attempts() {
    let asks = "HTTP/1.1 503 X\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    let server = RecordServer::new(move |_, _| Reply::Text(asks.into()));
    let flags = ["--url", &server.url(), "--backoff", "1h", "--backoff-max", "1h"];
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.arg("destination").args(flags);
    let (reader, mut input) = std::io::pipe().unwrap();
    let process = crate::support::Process::reading(command, Stdio::from(reader));
    input.write_all(records(1).as_bytes()).unwrap();
    server.recv_request();
    process.signal(Signal::SIGTERM);
    let finished = process.finish();
    assert_eq!((finished.status.code(), &*finished.stdout), (Some(0), ""));
}

#[test]
fn a_signal_before_the_first_record_exits_and_removes_the_socket() {
    for (signal, status) in [(Signal::SIGTERM, 0), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        let server = Server::start(move |connection| {
            connection.head()?;
            sender.lock().unwrap().send(()).expect("the test receives");
            // The HEAD gets no response.
            connection.drain()?;
            Ok(None)
        });
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("records");
        let input = format!("unix:{}", socket.display());
        let (process, _input) = start(&["--url", &server.url(), "--input", &input]);
        receiver.recv_timeout(TEST_TIMEOUT).expect("a HEAD");
        assert!(socket.exists());
        process.signal(signal);
        let finished = process.finish();
        assert_eq!(finished.status.code(), Some(status), "{}", finished.stderr);
        assert!(!socket.exists(), "{signal}");
    }
}

#[test]
fn a_refusal_before_the_first_record_removes_the_socket() {
    let server = RecordServer::with_head("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", |_, _| {
        Reply::Silent
    });
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("records");
    let input = format!("unix:{}", socket.display());
    let (process, _input) = start(&["--url", &server.url(), "--input", &input]);
    let finished = process.finish();
    assert!(finished.status.code().is_some_and(|status| status != 0), "{}", finished.stderr);
    assert!(!socket.exists());
}

#[test]
fn a_closed_acknowledgement_output_ends_the_command() {
    let server = RecordServer::accepting();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (records, mut input) = std::io::pipe().unwrap();
    let mut command = command(&["--url", &server.url()]);
    command.stdin(records).stdout(writer).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(command);
    input.write_all(record("p", "k", b"x").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("acknowledgements") && printed.lines().count() == 1, "{printed}");
}
