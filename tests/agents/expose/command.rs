//! The command, with the library's server in place of a relay: lost connections and reconnects,
//! refusals, and the end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread;

use http::{Method, Request, Response};
use nix::sys::signal::Signal;
use rdv::socket::{Body, ConnectionEvent, EventKind, SocketConnection, SocketServer};
use serde_json::{Value, json};

use crate::expose::server::Server;
use crate::support::{Finished, Process, TEST_TIMEOUT, eventually, is_pattern, pattern};

/// A relay without names.
struct RelayLike {
    server: SocketServer,
    events: Receiver<ConnectionEvent>,
}

impl RelayLike {
    fn new() -> RelayLike {
        let server = SocketServer::bind("127.0.0.1:0").expect("bind");
        let events = server.events();
        RelayLike { server, events }
    }

    fn url(&self) -> String {
        format!("ws://{}", self.server.local_addr())
    }

    /// The next agent.
    fn agent(&self) -> SocketConnection {
        loop {
            let event = self.events.recv_timeout(TEST_TIMEOUT).expect("an agent");
            if event.kind == EventKind::ConnectionReceived {
                return self.server.connection(event.connection).expect("an open connection");
            }
        }
    }
}

/// The command with the name `billing`.
pub(crate) fn expose(api: &str, relay: &str, flags: &[&str]) -> Process {
    Process::rdv(&[&["expose", "billing", api, "--relay", relay], flags].concat())
}

/// Address of this API.
pub(crate) fn url(api: &Server) -> String {
    format!("http://{}", api.address())
}

/// An API that echoes what it receives.
pub(crate) fn echo() -> Server {
    Server::start(|connection| {
        loop {
            let request = connection.request()?;
            if !request.is_complete {
                return Ok(Some(request));
            }
            let length = request.body.len();
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
            connection.send(&request.body)?;
        }
    })
}

/// An API that answers one request before it is complete, and echoes its chunks, one line each.
pub(crate) fn echo_chunks() -> Server {
    Server::start(|connection| {
        connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let mut size = connection.size_line()?;
        while size > 0 {
            let line = connection.line()?;
            connection.send(format!("{size:x}\r\n{line}\r\n"))?;
            size = connection.size_line()?;
        }
        connection.line()?;
        connection.send("0\r\n\r\n")?;
        Ok(None)
    })
}

fn ask(
    agent: &SocketConnection,
    method: Method,
    path: &str,
    body: impl Into<Body>,
) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).header("x-correlation-id", "c-1");
    agent.round_trip(request.body(body.into()).expect("a request")).expect("an answer")
}

fn bytes(answer: Response<Body>) -> Vec<u8> {
    answer.into_body().into_bytes(1 << 30).expect("a complete body")
}

/// Ends it as a service manager does.
pub(crate) fn end(process: Process) -> Finished {
    process.signal(Signal::SIGTERM);
    let finished = process.finish();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    finished
}

#[test]
fn an_api_is_reached_through_the_relay() {
    let (api, relay) = (echo(), RelayLike::new());
    let process = expose(&url(&api), &relay.url(), &["--metadata", r#"{"team":"x"}"#]);
    let agent = relay.agent();
    let metadata = agent.metadata();
    assert_eq!((&metadata["name"], &metadata["team"]), (&json!("billing"), &json!("x")));
    assert!(metadata["secret"].as_str().is_some_and(|secret| secret.len() > 30));

    let answer = ask(&agent, Method::POST, "/a?b", "hello");
    assert_eq!(answer.status(), 200);
    assert_eq!(bytes(answer), b"hello");
    let shown = format!("http://{}/socket/{}\n", relay.server.local_addr(), agent.id());
    eventually("the URL is printed", || (process.stdout() == shown).then_some(()));
    let finished = end(process);
    assert_eq!(finished.stdout, shown);
    assert!(finished.stderr.contains(" connected to http://"), "{}", finished.stderr);
    let line = finished.stderr.lines().find(|line| line.contains("POST")).expect("a line");
    assert!(line.contains(" POST /a?b 200 5 bytes ") && line.ends_with(" ms c-1"), "{line}");
}

#[test]
fn large_bodies_pass_concurrently_in_both_directions() {
    const BYTES: usize = 3 << 20;
    let (api, relay) = (echo(), RelayLike::new());
    let process = expose(&url(&api), &relay.url(), &["--quiet"]);
    let agent = relay.agent();
    thread::scope(|scope| {
        for seed in 0..4 {
            let agent = &agent;
            scope.spawn(move || {
                let back = bytes(ask(agent, Method::PUT, "/", pattern(seed, BYTES)));
                is_pattern(seed, BYTES, &back).expect("what was sent");
            });
        }
    });
    assert_eq!(end(process).stderr, "");
}

#[test]
fn a_head_response_has_the_content_length() {
    let api = Server::start(|connection| {
        connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")?;
        Ok(None)
    });
    let relay = RelayLike::new();
    let process = expose(&url(&api), &relay.url(), &[]);
    let answer = ask(&relay.agent(), Method::HEAD, "/", ());
    assert_eq!(answer.headers()["content-length"], "7");
    assert_eq!(bytes(answer), b"");
    end(process);
}

#[test]
fn an_interrupted_response_is_incomplete_at_the_client() {
    let api = Server::start(|connection| {
        connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")?;
        Ok(None)
    });
    let relay = RelayLike::new();
    let process = expose(&url(&api), &relay.url(), &[]);
    let mut body = ask(&relay.agent(), Method::GET, "/", ()).into_body();
    let mut got = Vec::new();
    assert!(body.read_to_end(&mut got).is_err());
    assert_eq!(got, b"half");
    assert!(end(process).stderr.contains("interrupted"));
}

#[test]
fn events_are_forwarded_as_they_are_sent() {
    let api = Server::start(|connection| {
        connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")?;
        connection.await_release()?;
        connection.send("data: 2\n\n")?;
        Ok(None)
    });
    let relay = RelayLike::new();
    let process = expose(&url(&api), &relay.url(), &[]);
    let mut body = ask(&relay.agent(), Method::GET, "/events", ()).into_body();
    let mut first = [0; 9];
    body.read_exact(&mut first).expect("an event");
    api.release();
    let mut rest = String::new();
    body.read_to_string(&mut rest).expect("the end");
    assert_eq!((&first, rest.as_str()), (b"data: 1\n\n", "data: 2\n\n"));
    end(process);
}

/// A child that is killed by its id.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn files_of_a_common_web_server_are_reached() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("a.bin"), pattern(3, 1 << 20)).expect("a file");
    let log = directory.path().join("log");
    let child = Command::new("python3")
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
        .current_dir(directory.path())
        .stdout(fs::File::create(&log).expect("a file"))
        .stderr(Stdio::null())
        .spawn();
    let _python = Ended(child.expect("python3"));
    let address = eventually("it listens", || {
        let text = fs::read_to_string(&log).expect("the log");
        Some(text.split_once("(http://")?.1.split_once("/)")?.0.to_owned())
    });
    let relay = RelayLike::new();
    let process = expose(&format!("http://{address}"), &relay.url(), &[]);
    let agent = relay.agent();
    for _ in 0..2 {
        let back = bytes(ask(&agent, Method::GET, "/a.bin", ()));
        is_pattern(3, 1 << 20, &back).expect("the file");
    }
    assert_eq!(ask(&agent, Method::GET, "/b.bin", ()).status(), 404);
    // It responds early, and closes.
    let refused = ask(&agent, Method::PUT, "/a.bin", vec![0; 1 << 20]);
    assert!(matches!(refused.status().as_u16(), 501 | 502), "{}", refused.status());
    end(process);
}

#[test]
fn a_lost_connection_is_reestablished_with_the_same_secret() {
    let (api, relay) = (echo(), RelayLike::new());
    let process = expose(&url(&api), &relay.url(), &[]);
    let first = relay.agent();
    let secret = first.metadata()["secret"].clone();
    first.close_with(1011, "the relay failed");
    let second = relay.agent();
    assert_ne!(first.id(), second.id());
    assert_eq!(second.metadata()["secret"], secret);
    assert_eq!(bytes(ask(&second, Method::POST, "/", "again")), b"again");
    eventually("the new URL is printed", || {
        process.stdout().ends_with(&format!("{}\n", second.id())).then_some(())
    });
    let finished = end(process);
    assert_eq!(finished.stdout.lines().count(), 2);
    let line = finished.stderr.lines().find(|line| line.contains("next attempt in "));
    assert!(line.expect("a line").contains("the relay failed"), "{}", finished.stderr);
}

#[test]
fn permanent_close_codes_end_the_command() {
    for (name, code, reason, hint) in [
        ("name taken", 4009, "billing is somebody else's", "choose another name"),
        ("replaced", 4001, "another connection took billing over", "4001"),
        ("not allowed", 1008, "no such agents here", "1008"),
    ] {
        let (api, relay) = (echo(), RelayLike::new());
        let process = expose(&url(&api), &relay.url(), &["--name-timeout", "0s"]);
        relay.agent().close_with(code, reason);
        let finished = process.finish();
        assert_eq!(finished.status.code(), Some(5), "{name}: {}", finished.stderr);
        let last = finished.stderr.lines().last().expect("a line");
        assert!(last.starts_with("rdv: ") && last.contains(reason), "{name}: {last}");
        assert!(last.contains(hint), "{name}: {last}");
    }
}

/// Sends this response on every connection after the head of the request.
fn relay_answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            let mut buffer = [0; 1024];
            while !head.ends_with(b"\r\n\r\n") {
                match socket.read(&mut buffer) {
                    Ok(count @ 1..) => head.extend_from_slice(&buffer[..count]),
                    Ok(_) | Err(_) => break,
                }
            }
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn a_refused_upgrade_is_reported_with_the_message_of_the_relay() {
    for (name, answer, hint) in [
        (
            "no token",
            "HTTP/1.1 401 X\r\nContent-Type: application/json\r\nContent-Length: 52\r\n\r\n\
             {\"name\":\"UnauthorizedError\",\"message\":\"a token, now\"}",
            "a token, now",
        ),
        ("no relay", "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", "404"),
        (
            "a page",
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
            "a proxy did not pass the WebSocket upgrade, or the URL is not that of a relay (the answer was 200)",
        ),
        (
            "no upgrade",
            "HTTP/1.1 426 X\r\nContent-Length: 0\r\n\r\n",
            "a proxy did not pass the WebSocket upgrade, or the URL is not that of a relay (the answer was 426)",
        ),
    ] {
        let relay = relay_answering(answer);
        let finished = expose("http://127.0.0.1:9", &relay, &[]).finish();
        assert_eq!(finished.status.code(), Some(5), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(hint), "{name}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{name}");
    }
}

#[test]
fn a_signal_ends_the_pause_between_attempts() {
    let relay = relay_answering("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
    let process = expose("http://127.0.0.1:9", &relay, &[]);
    eventually("it tries again", || {
        (process.stderr().matches("next attempt in ").count() > 1).then_some(())
    });
    end(process);
}

#[test]
fn once_makes_a_single_attempt() {
    let (api, relay) = (echo(), RelayLike::new());
    let process = expose(&url(&api), &relay.url(), &["--once"]);
    relay.agent().close_with(1001, "away");
    let finished = process.finish();
    assert_eq!(finished.status.code(), Some(7), "{}", finished.stderr);
    let busy = relay_answering("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n");
    let finished = expose(&url(&api), &busy, &["--once"]).finish();
    assert_eq!(finished.status.code(), Some(5), "{}", finished.stderr);
}

/// An API that responds on request, the client, and the command that serves.
fn call_in_flight() -> (Server, RelayLike, Process, thread::JoinHandle<Option<Vec<u8>>>) {
    let api = Server::start(|connection| {
        let head = connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")?;
        connection.await_release()?;
        connection.send("llo")?;
        Ok(Some(head))
    });
    let relay = RelayLike::new();
    let process = expose(&url(&api), &relay.url(), &[]);
    let agent = relay.agent();
    let mut body = ask(&agent, Method::GET, "/slow", ()).into_body();
    let mut begun = vec![0; 2];
    body.read_exact(&mut begun).expect("it has begun");
    let call = thread::spawn(move || {
        body.read_to_end(&mut begun).ok()?;
        Some(begun)
    });
    process.signal(Signal::SIGINT);
    eventually("the agent starts to drain", || agent.is_draining().then_some(()));
    (api, relay, process, call)
}

#[test]
fn requests_in_flight_are_completed_before_the_exit() {
    let (api, relay, process, call) = call_in_flight();
    api.release();
    assert_eq!(call.join().expect("a thread").as_deref(), Some(&b"hello"[..]));
    let finished = process.finish();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains(" GET /slow 200 5 bytes "), "{}", finished.stderr);
    let closed = relay.events.recv_timeout(TEST_TIMEOUT).expect("an event");
    assert_eq!(closed.kind, EventKind::ConnectionClosed, "a close frame was sent");
}

#[test]
fn a_second_signal_exits_at_once() {
    let (_api, _relay, process, call) = call_in_flight();
    process.signal(Signal::SIGINT);
    let finished = process.finish();
    assert_eq!(finished.status.signal(), Some(2), "{}", finished.stderr);
    assert_eq!(call.join().expect("a thread"), None);
}

#[test]
fn the_secret_and_the_token_are_read_from_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret");
    fs::write(&secret, "mine\n").expect("a file");
    let (api, relay) = (echo(), RelayLike::new());
    let process =
        expose(&url(&api), &relay.url(), &["--secret-file", secret.to_str().expect("UTF-8")]);
    assert_eq!(relay.agent().metadata()["secret"], Value::from("mine"));
    assert!(!end(process).stderr.contains("mine"));
}

#[test]
fn wrong_arguments_say_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("empty");
    fs::write(&empty, "").expect("a file");
    let empty = empty.to_str().expect("UTF-8");
    let api = "http://127.0.0.1:9";
    for (arguments, status, hint) in [
        (&["Billing", api][..], 2, "a-z"),
        (&["..", api], 2, "not only dots"),
        (&["x", "https://127.0.0.1/?a"], 2, "leave its query"),
        (&["x", "here"], 2, "HOST:PORT"),
        (&["billing"], 2, "'billing' is not a valid address"),
        (&["x", api, "--relay", "ftp://h"], 2, "expected wss://"),
        (&["x", api, "--metadata", "[]"], 2, "not a JSON object"),
        (&["x", api, "--metadata", "{"], 2, "not valid JSON"),
        (&["x", api, "--host", "a b"], 2, "api, client"),
        (&["x", api, "--token-file", empty], 2, "is empty"),
        (
            &["x", api, "--secret-file", "/nowhere/x"],
            1,
            "cannot read /nowhere/x: no such file or directory",
        ),
    ] {
        let finished = Process::rdv(&[&["expose"], arguments].concat()).finish();
        assert_eq!(finished.status.code(), Some(status), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(hint), "{arguments:?}: {}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{arguments:?}: {}", finished.stderr);
    }
}
