//! `rdv call` as a process: its requests, output, exit status, and memory.

use std::fs;
use std::io::{self, Read, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use http::Response;
use rdv::socket::{Body, SocketClient, SocketServer};

use crate::socket::pair::{echo, get, post, read};
use crate::support::{Authority, ClosedPort, Finished, Process, Terminator, peak_of};

/// Maximum memory in KiB, whatever the size of the transfer; the same as for other clients.
const PEAK_MAX_KIB: u64 = 24 << 10;

/// Length of the long bodies in bytes.
const LONG_BYTES: u64 = 64 << 20;

/// A server with a known API.
fn server() -> SocketServer {
    let builder = SocketServer::builder().serving(|connection, request| {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/metadata" => Response::new(connection.metadata().to_string().into()),
            "/long" => Response::new(Body::from_reader(io::repeat(b'x').take(LONG_BYTES))),
            "/count" => {
                let count = io::copy(&mut request.into_body(), &mut io::sink()).expect("a body");
                Response::new(count.to_string().into())
            }
            "/field" => {
                let value = request.headers()["X-Own"].to_str().expect("text").to_owned();
                Response::builder().header("X-Back", "1").body(value.into()).expect("one")
            }
            "/cut" => Response::new(Body::sized(&b"four"[..], 5)),
            "/missing" => Response::builder().status(404).body("nothing".into()).expect("one"),
            _ => echo(request),
        }
    });
    builder.bind("127.0.0.1:0").expect("a server")
}

/// `rdv call` at this server, without retries.
fn command(server: &SocketServer, arguments: &[&str]) -> Command {
    command_at(server.local_addr(), arguments)
}

fn command_at(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    let relay = format!("http://{address}");
    command.args(["call", "--relay", &relay, "--retries", "0"]).args(arguments);
    // An empty configuration file, whatever the machine has.
    command.env("RDV_CLIENT_CONFIG", "/dev/null");
    command
}

fn call(server: &SocketServer, arguments: &[&str]) -> Finished {
    Process::start(command(server, arguments)).finish()
}

#[test]
fn the_response_of_the_api_is_printed() {
    let server = server();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("data");
    fs::write(&file, "from a file").expect("a file");
    let at_file = format!("@{}", file.display());
    for (name, arguments, printed) in [
        ("a plain one", &["GET", "/a?b=1"][..], "GET /a?b=1 "),
        ("a body", &["POST", "/a", "-d", "text"], "POST /a text"),
        ("a file", &["PUT", "/a", "-d", &at_file], "PUT /a from a file"),
        ("nothing on standard input", &["POST", "/a", "-d", "@-"], "POST /a "),
        ("a field", &["GET", "/field", "-H", "X-Own: mine"], "mine"),
        ("its own metadata", &["GET", "/metadata", "--metadata", "{\"a\":1}"], "{\"a\":1}"),
        ("nothing", &["GET", "/metadata"], "null"),
    ] {
        let finished = call(&server, arguments);
        assert_eq!(finished.status.code(), Some(0), "{name}: {}", finished.stderr);
        assert_eq!(finished.stdout, printed, "{name}");
    }
    let finished = call(&server, &["GET", "/field", "-H", "X-Own: mine", "-i"]);
    let (head, body) = finished.stdout.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nx-back: 1"), "{head}");
    assert_eq!(body, "mine");
}

#[test]
fn the_exit_status_reflects_the_outcome() {
    let server = server();
    for (name, arguments, status, message) in [
        ("an error of the API", &["GET", "/missing"][..], 5, "the API answered 404 (Not Found)"),
        ("a broken answer", &["GET", "/cut"], 4, "the response was interrupted"),
        ("no path", &["GET", "a"], 2, "must begin with a slash"),
        ("no method", &["G T", "/"], 2, "invalid HTTP method"),
        ("no JSON", &["GET", "/", "--metadata", "{"], 2, "not valid JSON"),
        ("a field that frames", &["GET", "/", "-H", "Content-Length: 7"], 2, "remove it"),
        ("no file", &["PUT", "/", "-d", "@/nowhere/x"], 1, "/nowhere/x"),
        ("no token", &["GET", "/", "--token-file", "/nowhere/x"], 1, "/nowhere/x"),
        ("no such directory", &["GET", "/", "-o", "/nowhere/x"], 1, "/nowhere"),
        ("two relays", &["GET", "/", "--relay", "http://127.0.0.1:1"], 2, "--relay"),
    ] {
        let finished = call(&server, arguments);
        assert_eq!(finished.status.code(), Some(status), "{name}: {}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(message), "{name}: {}", finished.stderr);
    }
    let closed = ClosedPort::new();
    let finished = Process::start(command_at(closed.address(), &["GET", "/"])).finish();
    assert_eq!(finished.status.code(), Some(7), "{}", finished.stderr);
}

#[test]
fn a_file_is_replaced_once_the_response_is_complete() {
    let server = server();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("out");
    let output = path.to_str().expect("a path");
    fs::write(&path, "before").expect("a file");
    assert_eq!(call(&server, &["GET", "/cut", "-o", output]).status.code(), Some(4));
    assert_eq!(fs::read_to_string(&path).expect("it"), "before");
    let finished = call(&server, &["GET", "/a", "-o", output]);
    assert_eq!((finished.status.code(), finished.stdout.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(&path).expect("it"), "GET /a ");
}

#[test]
fn long_bodies_use_little_memory_in_either_direction() {
    let server = server();
    // Standard output is not read until the process blocks on it: it must not read ahead.
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let down = command(&server, &["GET", "/long"]);
    let down = Process::between(down, Stdio::null(), writer.into());
    let read = std::thread::spawn(move || {
        let (mut count, mut buffer) = (0, [0; 16 << 10]);
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            count += read as u64;
        }
        count
    });
    let (finished, down_kib) = peak_of(down);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert_eq!(read.join().expect("no panic"), LONG_BYTES);

    let (reader, mut writer) = io::pipe().expect("a pipe");
    let up = command(&server, &["POST", "/count", "-d", "@-"]);
    let up = Process::reading(up, reader.into());
    let written = std::thread::spawn(move || {
        let piece = [b'x'; 16 << 10];
        (0..LONG_BYTES / (16 << 10)).try_for_each(|_| writer.write_all(&piece))
    });
    let (finished, up_kib) = peak_of(up);
    assert_eq!(finished.stdout, LONG_BYTES.to_string(), "{}", finished.stderr);
    written.join().expect("no panic").expect("all of it is taken");
    println!("down {down_kib} KiB, up {up_kib} KiB");
    for peak_kib in [down_kib, up_kib] {
        assert!((1..=PEAK_MAX_KIB).contains(&peak_kib), "{peak_kib} KiB");
    }
}

#[test]
fn tls_requires_a_trusted_certificate() {
    let server = server();
    let authority = Authority::new();
    let front = Terminator::start(&authority.server("localhost"), server.local_addr(), &[]);
    let url = format!("wss://localhost:{}", front.address().port());
    let client = SocketClient::new(&url).expect("a URL");
    let error = client.connect().expect_err("it is not trusted").to_string();
    assert!(error.contains("TLS"), "{error}");
    let client = client.with_options(authority.trusted());
    let connection = client.connect().expect("a connection");
    let long = connection.round_trip(get("/long")).expect("an answer").into_body();
    assert_eq!(long.into_bytes(LONG_BYTES).expect("all of it").len() as u64, LONG_BYTES);
    let sent = Body::from_reader(io::repeat(b'x').take(LONG_BYTES));
    let counted = connection.round_trip(post("/count", sent)).expect("an answer");
    assert_eq!(read(counted), (200, LONG_BYTES.to_string()));
}
