//! The library, and `rdv call`, with a relay.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use http::{Request, Response};
use rdv::socket::{Body, Dialect, SocketClient};
use serde_json::json;

use crate::socket::pair::{DIALECTS, client, echo, get, post, read, serving};
use crate::support::{ClosedPort, Finished, Process, Relay, ask, eventually};

/// An API behind the relay: it echoes what it receives, and at `/slow` sends the second half of its
/// response on request.
fn api() -> (SocketAddr, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let (go_on, gate) = mpsc::channel();
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            answer(&mut socket, &gate).expect("a client that reads");
        }
    });
    (address, go_on)
}

fn answer(socket: &mut std::net::TcpStream, gate: &Receiver<()>) -> std::io::Result<()> {
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    let complete = |received: &[u8]| {
        let text = String::from_utf8_lossy(received).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        (body.len() == length).then(|| (head.to_owned(), body.to_owned()))
    };
    let (head, body) = loop {
        if let Some(request) = complete(&received) {
            break request;
        }
        let count = socket.read(&mut piece)?;
        received.extend_from_slice(&piece[..count]);
    };
    let line = head.lines().next().expect("a request line");
    if line.starts_with("GET /slow ") {
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\nfirst ")?;
        gate.recv().expect("the test goes on");
        return socket.write_all(b"second");
    }
    let text = format!("{line}: {body}");
    let length = text.len();
    write!(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}")
}

fn ws(relay: &Relay) -> String {
    format!("ws://{}", relay.address())
}

/// `rdv call` at this relay, without retries.
fn command(relay: &Relay, arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["call", "--relay", &relay.url(""), "--retries", "0"]).args(arguments);
    command.env("RDV_CLIENT_CONFIG", "/dev/null");
    Process::start(command)
}

fn call(relay: &Relay, arguments: &[&str]) -> Finished {
    command(relay, arguments).finish()
}

#[test]
fn the_command_calls_the_api_of_the_relay() {
    let (address, go_on) = api();
    let relay = Relay::start(&["--socket-api", &address.to_string()]);
    for (name, arguments, printed) in [
        ("a plain one", &["GET", "/a?b"][..], "GET /a?b HTTP/1.1: "),
        ("a body", &["POST", "/a", "-d", "text"], "POST /a HTTP/1.1: text"),
    ] {
        let finished = call(&relay, arguments);
        assert_eq!(finished.status.code(), Some(0), "{name}: {}", finished.stderr);
        assert_eq!(finished.stdout, printed, "{name}");
    }
    let slow = command(&relay, &["GET", "/slow"]);
    eventually("the first half is printed", || (slow.stdout() == "first ").then_some(()));
    go_on.send(()).expect("it waits");
    let finished = slow.finish();
    assert_eq!((finished.status.code(), finished.stdout.as_str()), (Some(0), "first second"));
}

#[test]
fn the_command_closes_its_connection_properly() {
    let relay = Relay::start(&[]);
    for _ in 0..20 {
        call(&relay, &["GET", "/a"]);
    }
    let away = || relay.process().stderr().matches("agent disconnected path=").count();
    eventually("all have disconnected", || (away() == 20).then_some(()));
    let log = relay.process().stderr();
    assert_eq!(log.matches("the agent closed it").count(), 20, "{log}");
}

#[test]
fn an_unreachable_an_absent_and_a_refusing_api_differ() {
    let closed = ClosedPort::new();
    let down = Relay::start(&["--socket-api", &closed.address().to_string()]);
    let none = Relay::start(&[]);
    for (name, relay, message) in
        [("down", &down, "the API answered 502"), ("none", &none, "the API answered 404")]
    {
        let finished = call(relay, &["GET", "/a"]);
        assert_eq!(finished.status.code(), Some(5), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(message), "{name}: {}", finished.stderr);
        assert!(finished.stdout.contains("\"message\""), "{name}: {}", finished.stdout);
    }
}

#[test]
fn the_library_serves_and_sends_requests_through_the_relay() {
    let (address, _go_on) = api();
    for dialect in DIALECTS {
        let relay = Relay::start(&["--socket-api", &address.to_string()]);
        let metadata = json!({ "name": "lib", "secret": "kept", "team": "x" });
        let connection = client(&ws(&relay), dialect).with_metadata(metadata).connect();
        let connection = connection.expect("a connection");
        serving(&connection, echo);
        let answer = connection.round_trip(post("/asked", "hällo")).expect("an answer");
        assert_eq!(read(answer), (200, "POST /asked HTTP/1.1: hällo".into()), "{dialect:?}");
        for path in ["/api/lib".to_owned(), format!("/socket/{}", connection.id())] {
            // The end of the handshake and this request can be read in one turn.
            let answer = eventually("it is found", || {
                let answer = relay.exchange(&ask("PUT", &format!("{path}/b?c")).body("text"));
                (answer.status() != 404).then_some(answer)
            });
            assert_eq!((answer.status(), answer.text()), (200, "PUT /b?c text"), "{dialect:?}");
        }
        let shown = relay.admin_get("/socket").json();
        let shown = &shown.as_array().expect("a list")[0];
        assert_eq!(shown["id"], connection.id().to_string(), "{dialect:?}");
        assert_eq!((&shown["name"], &shown["spares"]), (&json!("lib"), &json!(0)), "{dialect:?}");
        assert_eq!(shown["metadata"], json!({ "name": "lib", "team": "x" }), "{dialect:?}");
        let welcome = connection.welcome();
        let v1 = dialect == Dialect::V1;
        assert_eq!(welcome.path, v1.then(|| "/api/lib".into()), "{dialect:?}");
        assert_eq!(welcome.tunnel_secret.is_some(), v1, "{dialect:?}");
    }
}

#[test]
fn an_oversized_head_fails_only_its_own_request() {
    let (address, _go_on) = api();
    for dialect in DIALECTS {
        let relay = Relay::start(&["--socket-api", &address.to_string(), "--max-head", "1MiB"]);
        let metadata = json!({ "name": "lib" });
        let connection = client(&ws(&relay), dialect).with_metadata(metadata).connect();
        let connection = connection.expect("a connection");
        serving(&connection, |request| {
            let fields = request.uri().path().trim_start_matches('/').parse().expect("a number");
            let builder = (0..fields).fold(Response::builder(), |one, _| one.header("a", "b"));
            builder.body(Body::from_reader(&b"x"[..])).expect("a response")
        });
        let long = Request::get("/").header("a", "x".repeat(64 << 10)).body(()).expect("one");
        let error = connection.round_trip(long).expect_err("too long").to_string();
        assert!(error.contains("the head is too large"), "{dialect:?}: {error}");
        for (name, request, status) in [
            ("few fields", ask("GET", "/api/lib/9"), 200),
            (
                "100 fields",
                ask("GET", "/api/lib/100"),
                if dialect == Dialect::V1 { 200 } else { 502 },
            ),
            ("101 fields", ask("GET", "/api/lib/101"), 502),
            ("a long head", ask("GET", "/api/lib/9").field("a", &"x".repeat(64 << 10)), 431),
        ] {
            let answer = eventually("it is found", || {
                let answer = relay.exchange(&request);
                (answer.status() != 404).then_some(answer)
            });
            assert_eq!(answer.status(), status, "{name}, {dialect:?}");
        }
        let answer = connection.round_trip(get("/still")).expect("an answer");
        assert_eq!(read(answer), (200, "GET /still HTTP/1.1: ".into()), "{dialect:?}");
    }
}

#[test]
fn a_name_in_use_by_another_agent_is_refused() {
    let relay = Relay::start(&[]);
    let named = |secret: &str| {
        let metadata = json!({ "name": "lib", "secret": secret });
        SocketClient::new(&ws(&relay)).expect("a URL").with_metadata(metadata).connect()
    };
    let _first = named("one").expect("a connection");
    let error = named("two").expect_err("it is taken").to_string();
    assert!(error.contains("4009") && error.contains("another agent has the name"), "{error}");
}
