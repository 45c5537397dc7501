//! Invalid requests: each ends with one clear line and the exit status for its kind, and consumes
//! no stream.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use crate::support::{
    ADMIN, ClosedPort, Nginx, Observed, Process, Relay, UNKNOWN, ask, eventually,
    unprivileged_command,
};
use crate::workdir::{Workdir, assert_complete, assert_ended};
use nix::sys::signal::Signal;

/// A server that sends this response to each request until the test ends; its URL.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(connection.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    url
}

fn assert_one_line(what: &str, printed: &str) {
    assert_eq!(printed.lines().count(), 1, "{what}: {printed}");
}

#[test]
fn invalid_arguments_are_a_one_line_error_and_create_no_stream() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    for (what, arguments, words) in [
        ("nothing to send", &["send"][..], "FILE|DIRECTORY|-"),
        ("an unknown flag", &["send", "a", "--nothing"], "--nothing"),
        ("no time", &["send", "a", "--ttl", "5"], "expected a number with a unit"),
        ("a relay without a host", &["send", "a", "--relay", "http://"], "host"),
        ("another protocol", &["send", "a", "--relay", "ftp://h"], "begin it with http://"),
        ("no stream", &["send", "a", "--stream", "x"], "neither a stream's identifier nor a URL"),
        ("no field", &["send", "a", "-H", "x"], "write 'Name: value'"),
        ("no directory to compress", &["send", "a", "--zstd"], "--zstd is for directories"),
        ("a type with a line break", &["send", "a", "--type", "a/b\r\nX: y"], "visible ASCII"),
        ("a type that is not ASCII", &["send", "a", "--type", "ü"], "visible ASCII"),
        ("a name of nothing", &["send", "a", "--name", ".."], "--name"),
        ("nothing to receive", &["receive"], "URL|ID"),
        ("no stream to receive", &["receive", "x"], "neither a stream's identifier nor a URL"),
        ("extract to a pipe", &["receive", UNKNOWN, "-x", "-o", "-"], "--extract"),
        ("no end of a pipe", &["pipe", "x"], "unrecognized subcommand 'x'"),
        ("no stream to ask about", &["status", "x"], "neither a stream's identifier nor a URL"),
        ("no stream to cancel", &["cancel", "http://h/x"], "ends in /stream/ID"),
    ] {
        let got = here.run(arguments);
        assert_ended(what, &got, 2, words);
        assert_one_line(what, &got.stderr);
        assert_eq!(got.stdout, "", "{what}");
    }
    assert_eq!(relay.admin_get("/stream").json(), serde_json::json!([]), "no stream was made");
}

#[test]
fn unreadable_input_creates_no_stream() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("secret", "abc");
    fs::set_permissions(here.path("secret"), Permissions::from_mode(0o000)).expect("permissions");
    fs::set_permissions(here.directory(), Permissions::from_mode(0o755)).expect("permissions");
    let (mut program, _binary) = unprivileged_command();
    program.args(["send", "secret"]).current_dir(here.directory());
    program.env("RDV_RELAY", relay.url("")).env("RDV_CLIENT_CONFIG", "/dev/null");
    let got = Process::start(program).finish();
    assert_ended("unreadable", &got, 1, "cannot read secret: permission denied");
    assert_one_line("unreadable", &got.stderr);
    for (what, path, words) in [
        ("missing", "none", "cannot read none: no such file"),
        ("below a file", "secret/x", "not a directory"),
        ("a name that acts on terminals", "\u{1b}[2J", "cannot read \\u{1b}[2J: no such file"),
    ] {
        let got = here.run(&["send", path]);
        assert_ended(what, &got, 1, words);
        assert_one_line(what, &got.stderr);
    }
    let directory = File::open(here.directory()).expect("a directory");
    let got = here.start_with_input(&["pipe", "send"], directory).finish();
    assert_ended("a directory as input", &got, 1, "directory");
    assert_eq!(relay.admin_get("/stream").json(), serde_json::json!([]), "no stream was made");
}

#[test]
fn an_unknown_stream_is_an_error() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    for arguments in [
        &["receive", UNKNOWN][..],
        &["pipe", "receive", UNKNOWN],
        &["send", "a", "--stream", UNKNOWN],
        &["status", UNKNOWN],
        &["status", "--follow", UNKNOWN],
        &["cancel", UNKNOWN],
    ] {
        let got = here.run(arguments);
        assert_ended(&format!("{arguments:?}"), &got, 5, "create a new one");
        assert_one_line(&format!("{arguments:?}"), &got.stderr);
    }
    assert_eq!(here.names(), ["a"]);
}

#[test]
fn a_second_client_is_refused_and_the_first_is_served() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    let id = relay.create();
    let first = there.await_receiver(&relay, &[&id]);
    let other = Workdir::at(&relay);
    assert_ended(
        "second receiver",
        &other.run(&["receive", &id]),
        5,
        "another client is connected already",
    );
    assert_complete("send", &here.run(&["send", "a", "--stream", &id]));
    assert_complete("first receiver", &first.finish());
    assert_eq!((there.read("a"), other.names()), (b"abc".to_vec(), vec![]));

    let (sending, id) = here.start_sending(&["a"]);
    relay.await_state(&id, "SRC_CONNECTED");
    let second = here.run(&["send", "a", "--stream", &id]);
    assert_ended("second sender", &second, 5, "another client is connected already");
    assert_complete("receive", &there.run(&["receive", &id, "--force"]));
    assert_complete("first sender", &sending.finish());
    assert_ended("too late", &there.run(&["receive", &id]), 5, "create a new one");
}

#[test]
fn an_unreachable_relay_is_a_network_error() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    let closed = ClosedPort::new();
    let address = closed.address().to_string();
    for arguments in [&["send", "a"][..], &["receive", UNKNOWN], &["status", UNKNOWN]] {
        let mut arguments = [arguments, &["--relay", &address]].concat();
        if arguments[0] != "status" {
            arguments.extend(["--retries", "0"]);
        }
        let got = here.run(&arguments);
        let words = format!("cannot connect to {address}: connection refused; is the");
        assert_ended(&format!("{arguments:?}"), &got, 7, &words);
        assert_one_line(&format!("{arguments:?}"), &got.stderr);
    }
}

#[test]
fn a_server_that_is_not_a_relay_is_named_as_such() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    for (what, answer, exit) in [
        ("a web server", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nhtml", 5),
        ("one that takes it", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml", 5),
        ("one that makes things", "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nhtml", 7),
        ("other JSON", "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", 7),
        ("another protocol", "SSH-2.0-x\r\n\r\n", 7),
        ("silence", "", 7),
    ] {
        let url = server(answer);
        let got = here.run(&["send", "a", "--relay", &url, "--retries", "0"]);
        assert_ended(what, &got, exit, "");
        assert_one_line(what, &got.stderr);
        if !answer.is_empty() {
            let printed = &got.stderr;
            let advised = printed.contains("URL");
            assert!(advised, "{what}: {printed}");
        }
    }
    let moved = server("HTTP/1.1 308 x\r\nLocation: https://h/stream\r\nContent-Length: 0\r\n\r\n");
    let got = here.run(&["send", "a", "--relay", &moved]);
    assert_ended("a redirect", &got, 5, "308 (Permanent Redirect to https://h/stream); redirects");
    let html = server("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nhtml");
    assert_ended("receive", &here.run(&["receive", &html]), 5, "the server answered 404");
    assert_eq!(here.names(), ["a"]);
}

#[test]
fn a_response_of_a_proxy_names_the_setting_to_change_there() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    for (answer, setting) in [
        ("HTTP/1.1 408 x\r\nContent-Length: 4\r\n\r\nhtml", "timeout http-request"),
        ("HTTP/1.1 413 x\r\nContent-Length: 4\r\n\r\nhtml", "client_max_body_size"),
        ("HTTP/1.1 502 x\r\nContent-Length: 4\r\n\r\nhtml", "proxy_request_buffering off"),
        ("HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nhtml", "HAProxy: server"),
        ("HTTP/1.1 504 x\r\nContent-Length: 4\r\n\r\nhtml", "proxy_read_timeout"),
    ] {
        let url = server(answer);
        for command in [
            &["send", "a", "--relay", &url, "--retries", "0"][..],
            &["receive", &format!("{url}/stream/{UNKNOWN}"), "--retries", "0"],
            &["source", "--relay", &url],
        ] {
            let got = here.run(command);
            assert_ended(setting, &got, 5, "not the relay's but of a proxy");
            assert!(got.stderr.contains(setting), "{command:?}: {}", got.stderr);
        }
    }
    let url = server("HTTP/1.1 400 x\r\nContent-Length: 6\r\n\r\n<html>");
    let got = here.run(&["expose", "8080", "--relay", &url]);
    assert_ended("expose", &got, 5, "proxy_set_header Upgrade");
}

#[test]
fn the_default_body_limit_of_nginx_is_named() {
    let relay = Relay::start(&[]);
    let Some(nginx) = Nginx::start(relay.address(), "") else { return };
    let here = Workdir::at(&relay);
    here.put("big", vec![b'x'; 2 << 20]);
    let url = format!("http://{}", nginx.address());
    let got = here.run(&["send", "big", "--relay", &url, "--retries", "0"]);
    assert_ended("413", &got, 5, "client_max_body_size 0");
}

#[test]
fn a_busy_relay_is_retried_and_then_reported() {
    let relay = Observed::start(&["--max-streams", "1"]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    let id = relay.create();
    let got = here.run(&["send", "a", "--retries", "0"]);
    assert_ended("busy", &got, 5, "try again later");
    let sending = here.start(&["send", "a", "--retries", "9"]);
    eventually("it retries", || sending.stderr().contains("; retry 1 of 9 in ").then_some(()));
    let url = relay.url(&format!("/stream/{id}"));
    assert_complete("cancel", &here.run(&["cancel", &url]));
    let id = crate::workdir::stream_of_sender(&sending);
    assert_complete("receive", &here.run(&["receive", &id, "-o", "b"]));
    assert_ended("send", &sending.finish(), 0, "retry 1 of 9");
    assert_eq!(relay.admin_exchange(&ask("POST", "/control/suspend")).status() / 100, 2);
    assert_ended("suspended", &here.run(&["send", "a", "--retries", "0"]), 5, "try again later");
}

#[test]
fn a_waiting_client_reconnects_to_the_successor() {
    for sender_waits in [true, false] {
        let relay = Relay::start(&ADMIN);
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        here.put("a", "abc");
        let id = relay.create();
        let send = || here.start(&["send", "a", "--stream", &id]);
        let state = if sender_waits { "SRC_CONNECTED" } else { "DST_CONNECTED" };
        let waiting = if sender_waits { send() } else { there.start(&["receive", &id]) };
        relay.await_state(&id, state);
        let successor = Successor::of(&relay);
        relay.await_state(&id, state);
        let other = if sender_waits { there.start(&["receive", &id]) } else { send() };
        assert_complete("the later side", &other.finish());
        // It can print a notice that it reconnects.
        assert_ended("the waiting side", &waiting.finish(), 0, "");
        assert_eq!(there.read("a"), b"abc", "{state}");
        drop(successor);
    }
}

/// A relay that is not a child of this process; terminated when dropped.
struct Successor(i32);

impl Successor {
    /// Starts a hand-over and waits until it is complete.
    fn of(relay: &Relay) -> Successor {
        relay.signal(Signal::SIGUSR2);
        Successor(eventually("another process serves", || {
            let log = relay.process().stderr();
            let (before, _) = log.split_once(" serves now")?;
            before.rsplit(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
        }))
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.0), Signal::SIGINT);
    }
}
