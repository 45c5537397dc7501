//! `rdv post` as a process: its requests, output, and exit status.

use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use nix::sys::signal::Signal;

use crate::support::{
    Authority, ClosedPort, Finished, Process, Relay, TEST_TIMEOUT, Terminator, ask,
};
use crate::upload::server::{Request, Server, answer};

/// `rdv post` without retries.
fn command(arguments: &[&str]) -> Command {
    retrying("0", arguments)
}

/// `rdv post` with this number of retries.
fn retrying(retries: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["post", "--retries", retries]).args(arguments);
    // An empty configuration file, whatever the machine has.
    command.env("RDV_CLIENT_CONFIG", "/dev/null");
    command
}

fn post(arguments: &[&str]) -> Finished {
    Process::start(command(arguments)).finish()
}

/// Its exit status, and its only line on standard error.
fn refused(arguments: &[&str]) -> (i32, String) {
    let finished = post(arguments);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    (finished.status.code().expect("no signal"), finished.stderr)
}

/// A sparse file of 1 GiB.
fn large() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1 << 30).unwrap();
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[test]
fn files_are_sent_in_one_request_with_types_from_their_extensions() {
    let directory = tempfile::tempdir().unwrap();
    let files = ["a.csv", "b.png", "c"].map(|name| {
        let path = directory.path().join(name);
        std::fs::write(&path, name).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let server = Server::receiving("HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n\0\x01\n\x02");
    let url = server.url();
    let finished = post(&[&url, &files[0], &files[1], &files[2]]);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert_eq!((&*finished.stdout, &*finished.stderr), ("\0\x01\n\x02", ""));
    let request = server.request();
    assert!(request.field("content-length").is_some());
    let expected =
        [("a.csv", "text/csv"), ("b.png", "image/png"), ("c", "application/octet-stream")];
    let parts = request.parts();
    assert_eq!(parts.len(), expected.len());
    for ((head, content), (name, kind)) in parts.iter().zip(expected) {
        let wanted = format!("name=\"file\"; filename=\"{name}\"\r\nContent-Type: {kind}");
        assert!(head.ends_with(&wanted), "{head}");
        assert_eq!(content, name.as_bytes());
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn flags_set_method_fields_name_and_type() {
    let server = Server::receiving(answer(200));
    let flags =
        ["--field", "f", "--name", "n.csv", "--type", "a/b", "--method", "PUT", "-H", "X-A: b"];
    let url = server.url();
    let finished = post(&[&flags[..], &["--header", "X-C:d", &url, "/proc/self/comm"]].concat());
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let request = server.request();
    assert!(request.line.starts_with("PUT /files?to=here"), "{}", request.line);
    assert_eq!((request.field("x-a"), request.field("x-c")), (Some("b"), Some("d")));
    let (head, content) = request.parts().remove(0);
    assert!(head.ends_with("name=\"f\"; filename=\"n.csv\"\r\nContent-Type: a/b"), "{head}");
    assert_eq!(content, b"rdv\n");
}

#[test]
fn standard_input_may_be_a_file_or_a_pipe() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"content").unwrap();
    io::Seek::rewind(&mut file).unwrap();
    let (input, mut filler) = io::pipe().unwrap();
    filler.write_all(b"content").unwrap();
    drop(filler);
    for (name, input, known) in
        [("a file", Stdio::from(file), true), ("a pipe", Stdio::from(input), false)]
    {
        let server = Server::receiving(answer(200));
        let url = server.url();
        let finished = Process::reading(command(&[&url, "-", "--name", "x.txt"]), input).finish();
        assert_eq!(finished.status.code(), Some(0), "{name}: {}", finished.stderr);
        let request = server.request();
        assert_eq!(request.field("content-length").is_some(), known, "{name}");
        let (head, content) = request.parts().remove(0);
        assert!(head.ends_with("filename=\"x.txt\"\r\nContent-Type: text/plain"), "{head}");
        assert_eq!(content, b"content", "{name}");
    }
}

#[test]
fn a_named_pipe_is_sent_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let server = Server::receiving(answer(200));
    let url = server.url();
    let process = Process::start(command(&[&url, path.to_str().unwrap()]));
    std::fs::write(&path, "content").unwrap();
    let finished = process.finish();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert_eq!(server.request().parts()[0].1, b"content");
}

#[test]
fn a_form_can_be_sent_to_a_stream_of_a_relay() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    let url = relay.url(&format!("/stream/{id}"));
    let process = Process::start(command(&[&url, "/proc/self/comm"]));
    let received = destination.response();
    let content_type = received.head.get("Content-Type").expect("a type").to_owned();
    let fields = vec![("content-type".to_owned(), content_type)];
    let request = Request { line: String::new(), fields, body: received.body, is_complete: true };
    assert_eq!(request.parts()[0].1, b"rdv\n");
    assert_eq!(process.finish().status.code(), Some(0));
}

#[test]
fn refusals_are_printed_and_set_the_exit_status() {
    for (status, field, hint) in [
        (302, "Location: /elsewhere\r\n", "/elsewhere"),
        (401, "", "401 (Unauthorized)"),
        (500, "", "500 (Internal Server Error)"),
    ] {
        let text = format!("HTTP/1.1 {status} X\r\n{field}Content-Length: 3\r\n\r\nwhy");
        let server = Server::receiving(text);
        let finished = post(&[&server.url(), "/proc/self/comm"]);
        assert_eq!(finished.status.code(), Some(5), "{status}: {}", finished.stderr);
        assert_eq!(finished.stdout, "why", "{status}");
        assert!(finished.stderr.contains(hint), "{status}: {}", finished.stderr);
        assert_eq!(server.connections(), 1, "{status}");
    }
}

#[test]
fn an_early_response_is_printed_and_never_a_success() {
    for (status, hint) in [(413, "413"), (200, "not everything was sent")] {
        let server = Server::start(move |connection| {
            let request = connection.head()?;
            connection.send(answer(status))?;
            connection.await_release()?;
            Ok(Some(request))
        });
        let finished = post(&[&server.url(), path(&large())]);
        assert_eq!(finished.status.code(), Some(5), "{status}: {}", finished.stderr);
        assert_eq!(finished.stdout, format!("answer, {status}"));
        assert!(finished.stderr.contains(hint), "{status}: {}", finished.stderr);
    }
}

#[test]
fn local_errors_are_reported_before_connecting() {
    let server = Server::receiving(answer(200));
    let url = &*server.url();
    let good = "/proc/self/comm";
    for (name, arguments, status, hint) in [
        ("no such file", &[url, good, "/nowhere/a"][..], 1, "/nowhere/a"),
        ("a directory", &[url, good, "/"], 1, "directory"),
        ("no file", &[url], 2, "FILE"),
        ("no URL", &["files.example", good], 2, "http://"),
        ("a name for two", &[url, good, good, "--name", "x"], 2, "--name"),
        ("standard input twice", &[url, "-", "-"], 2, "once"),
        ("no header", &[url, good, "-H", "X"], 2, "Name: value"),
        ("the form's own type", &[url, good, "-H", "Content-Type: a/b"], 2, "boundary"),
        ("no type", &[url, good, "--type", "text"], 2, "text/plain"),
        ("no method", &[url, good, "--method", "HEAD"], 2, "POST"),
    ] {
        let (got, line) = refused(arguments);
        assert_eq!(got, status, "{name}: {line}");
        assert!(line.starts_with("rdv: ") && line.contains(hint), "{name}: {line}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn network_errors_have_their_exit_status() {
    let port = ClosedPort::new();
    let closed = port.address();
    let silent = Server::start(|connection| connection.request().map(Some));
    let strange = Server::receiving("SSH-2.0-x\r\n");
    for (name, url, hint) in [
        ("no server", format!("http://{closed}/"), closed.to_string()),
        ("no answer", silent.url(), "without an answer".into()),
        ("no HTTP", strange.url(), "is the URL right?".into()),
        ("no TLS", strange.url().replace("http:", "https:"), "TLS".into()),
    ] {
        let (status, line) = refused(&[&url, "/proc/self/comm", "--connect-timeout", "2s"]);
        assert_eq!(status, 7, "{name}: {line}");
        assert!(line.contains(&hint), "{name}: {line}");
    }
}

#[test]
fn a_failed_connection_is_retried() {
    let authority = Authority::new();
    let server = Server::receiving(answer(201));
    let front = Terminator::start(&authority.server("localhost"), server.address(), &[]);
    let (address, attempts) = (front.address(), AtomicUsize::new(0));
    let flaky = Server::start(move |connection| {
        // The first connection is closed during the TLS handshake.
        if attempts.fetch_add(1, Ordering::SeqCst) > 0 {
            connection.join(address)?;
        }
        Ok(None)
    });
    let url = format!("https://localhost:{}/", flaky.address().port());
    let cacert = authority.file();
    let arguments = [&url, "/proc/self/comm", "--cacert", cacert.to_str().unwrap()];
    let finished = Process::start(retrying("1", &arguments)).finish();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert_eq!(flaky.connections(), 2);
    assert_eq!(server.request().parts()[0].1, b"rdv\n");
}

#[test]
fn https_accepts_a_given_certificate_authority() {
    let authority = Authority::new();
    let server = Server::receiving(answer(201));
    let front = Terminator::start(&authority.server("localhost"), server.address(), &[]);
    let cacert = authority.file();
    let finished = post(&[&front.url(), "/proc/self/comm", "--cacert", cacert.to_str().unwrap()]);
    assert_eq!((finished.status.code(), &*finished.stdout), (Some(0), "answer, 201"));
    let (status, line) = refused(&[&front.url(), "/proc/self/comm"]);
    assert_eq!(status, 7, "{line}");
    assert!(line.contains("--cacert"), "{line}");
}

#[test]
fn a_killed_process_leaves_an_incomplete_request() {
    for (name, signal, status) in [
        ("killed", Signal::SIGKILL, None),
        ("Ctrl-C", Signal::SIGINT, Some(130)),
        ("ended", Signal::SIGTERM, Some(143)),
    ] {
        for known in [true, false] {
            let (tell, begun) = mpsc::channel();
            let (go_on, over) = mpsc::channel::<()>();
            let over = Mutex::new(over);
            let server = Server::start(move |connection| {
                let head = connection.head()?;
                let _ = tell.send(());
                // It reads until the process exits, so no more was sent than sockets hold.
                let _ = over.lock().unwrap().recv();
                Ok(Some(connection.body(head)))
            });
            let (input, mut filler) = io::pipe().unwrap();
            filler.write_all(b"some").unwrap();
            let file = large();
            let url = server.url();
            let source = if known { path(&file) } else { "-" };
            let process = Process::reading(command(&[&url, source]), input.into());
            begun.recv_timeout(TEST_TIMEOUT).expect("it sends");
            process.signal(signal);
            let finished = process.finish();
            assert_eq!(finished.status.code(), status, "{name}: {}", finished.stderr);
            drop(go_on);
            let request = server.request();
            assert_eq!(request.field("content-length").is_some(), known, "{name}");
            assert!(!request.is_complete, "{name}, {known}");
            drop(filler);
        }
    }
}

#[test]
fn a_response_that_cannot_be_printed_is_an_error() {
    let server = Server::receiving(answer(200));
    let (reader, stdout) = io::pipe().unwrap();
    drop(reader);
    let mut child = command(&[&server.url(), "/proc/self/comm"])
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    child.stderr.take().unwrap().read_to_string(&mut line).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{line}");
    assert!(line.contains("broken pipe") && line.lines().count() == 1, "{line}");
    assert!(server.request().is_complete);
}

#[test]
fn json_output_reports_a_failure() {
    let server = Server::receiving(answer(404));
    let finished = post(&["--json", &server.url(), "/proc/self/comm"]);
    assert_eq!(finished.status.code(), Some(5));
    let last = finished.stderr.lines().last().expect("a line");
    let printed: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(
        (&printed["event"], &printed["exit_status"]),
        (&"failed".into(), &5.into()),
        "{last}"
    );
}

#[test]
fn an_early_refusal_by_a_relay_is_reported() {
    let relay = Relay::start(&[]);
    let url = relay.url(&format!("/stream/{}", crate::support::UNKNOWN));
    let finished = post(&[&url, path(&large())]);
    assert_eq!(finished.status.code(), Some(5), "{}", finished.stderr);
    assert!(finished.stdout.contains("SessionNotFoundError"), "{}", finished.stdout);
    assert_eq!(relay.exchange(&ask("GET", "/ping")).status(), 200);
}
