//! Relays and proxies that send wrong, incomplete or truncated responses, which must not be taken
//! for a complete file.

use crate::support::{Process, Relay, UNKNOWN, ask, pattern};
use crate::workdir::{Workdir, assert_complete, assert_ended};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;

/// A server that sends the same response on each connection, and closes it.
fn server_sending(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut socket = socket;
            let mut head = [0; 4096];
            // One read returns the complete small request.
            let _ = socket.read(&mut head);
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn an_error_report_with_status_2xx_is_not_taken_for_a_download() {
    for (status, words) in [(200, "gone (200 NoFile)"), (204, "No Content (204 NoFile)")] {
        let relay = Relay::start(&["--retention", "0s"]);
        let workdir = Workdir::at(&relay);
        let id = relay.create();
        let report = json!({ "http_status": status, "name": "NoFile", "message": "gone" });
        let report = ask("POST", &format!("/stream/{id}/error")).body(report.to_string());
        assert_eq!(relay.exchange(&report).status(), 200);
        assert_ended("receive", &workdir.run(&["receive", &id, "-o", "a"]), 4, words);
        assert_eq!(workdir.names(), [""; 0], "{status}");
    }
}

#[test]
fn an_error_with_the_fields_of_a_download_is_not_taken_for_one() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    let adorned = "HTTP/1.1 200 OK\r\nContent-Security-Policy: sandbox\r\nConnection: close\r\n";
    let error = r#"{"name":"NoFile","message":"no such file"}"#;
    // A request for the status of the stream gets the same response.
    let status = format!(r#"{{"state":"CLIENT_ERROR","error":{error}}}"#);
    for (relays, field, body) in
        [("a relay", "Rdv-Error: NoFile\r\n", error), ("an older relay", "", &status)]
    {
        let json = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let answer = format!("{adorned}{json}{field}\r\n{body}");
        let url = format!("http://{}/stream/{UNKNOWN}", server_sending(answer.leak()));
        let got = workdir.run(&["receive", &url, "-o", "a"]);
        assert_ended(relays, &got, 4, "no such file");
        assert_eq!(workdir.names(), [""; 0], "{relays}");
    }
}

#[test]
fn a_close_delimited_body_is_verified_with_the_relay() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    let address =
        server_sending("HTTP/1.0 200 OK\r\nContent-Security-Policy: sandbox\r\n\r\nonly a part");
    let url = format!("http://{address}/stream/{UNKNOWN}");
    let got = workdir.run(&["receive", &url, "-o", "a"]);
    assert_ended("receive", &got, 4, "does not report");
    assert_eq!(workdir.names(), ["a.partial"]);
    // A server that is not a relay has no status to request.
    let plain = format!("http://{address}/a");
    assert_complete("receive", &workdir.run(&["receive", &plain, "-o", "b"]));
    assert_eq!(workdir.read("b"), b"only a part");
}

#[test]
fn a_server_cannot_send_interim_responses_indefinitely() {
    const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    let url = |count| {
        let answer = format!("{}{FINAL}", INTERIM.repeat(count));
        format!("http://{}/a", server_sending(answer.leak()))
    };
    assert_complete("receive", &workdir.run(&["receive", &url(16), "-o", "a"]));
    let endless = workdir.run(&["receive", &url(17), "-o", "b"]);
    assert_ended("receive", &endless, 7, "more than 16 interim responses");
    assert_eq!(workdir.names(), ["a"]);
}

#[test]
fn an_absurd_ttl_from_the_server_is_rejected() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    workdir.put("a", "x");
    let address = server_sending(concat!(
        "HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n",
        r#"{"stream":"00000000-0000-4000-8000-000000000000","ttl_seconds":18446744073709551615}"#,
    ));
    let got = workdir.run(&["send", "a", "--relay", &address.to_string()]);
    assert_ended("send", &got, 5, "201");
}

#[test]
fn a_digest_is_verified_through_a_non_blocking_pipe() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    let content = pattern(9, 3 << 20);
    workdir.put("a", &content);
    let (sending, id) = workdir.start_sending(&["a", "--digest"]);
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let flags = nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(writer.as_fd(), nix::fcntl::FcntlArg::F_SETFL(flags)).expect("a flag");
    let mut command = workdir.command(&["pipe", "receive", &id]);
    let mut receiving = command.stdout(writer).spawn().expect("rdv runs");
    drop(command);
    let mut got = Vec::new();
    reader.read_to_end(&mut got).expect("readable");
    assert_eq!(receiving.wait().expect("its end").code(), Some(0));
    assert!(got == content, "{} bytes received", got.len());
    assert_complete("send", &sending.finish());
}

#[test]
fn standard_input_at_end_of_file_is_an_empty_file() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    workdir.put("a", "read already");
    let mut input = std::fs::File::open(workdir.path("a")).expect("a file");
    input.read_to_end(&mut Vec::new()).expect("its end");
    let sending: Process = workdir.start_with_input(&["send", "-"], input);
    let id = crate::workdir::stream_of_sender(&sending);
    assert_complete("receive", &workdir.run(&["receive", &id, "-o", "b"]));
    assert_complete("send", &sending.finish());
    assert_eq!(workdir.read("b"), b"");
}

#[test]
fn passwords_are_not_shown_in_messages() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    workdir.put("a", "x");
    for arguments in [
        &["status", "http://me:secret@h/x"][..],
        &["cancel", "ftp://me:secret@h/x"],
        &["send", "a", "--stream", "http://me:secret@h/"],
        &["status", UNKNOWN, "-H", "Authorization secret"],
    ] {
        let got = workdir.run(arguments);
        assert_ended(&arguments.join(" "), &got, 2, "rdv:");
        assert!(!got.stderr.contains("secret"), "{}", got.stderr);
    }
}
