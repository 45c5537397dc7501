//! Checking that the server is reachable before the first record; and wrong arguments.

use std::net::TcpListener;

use crate::destination::record_server::{
    RecordServer, Reply, acks, assert_ends, command, records, run,
};
use crate::server::Server;
use crate::support::{ClosedPort, Process};

#[test]
fn any_response_below_500_to_head_is_accepted() {
    for (name, head) in [
        ("not known", "HTTP/1.1 404 X\r\n\r\n"),
        ("not allowed", "HTTP/1.1 405 X\r\nAllow: POST\r\n\r\n"),
        ("elsewhere", "HTTP/1.1 301 X\r\nLocation: /there\r\n\r\n"),
    ] {
        let server = RecordServer::with_head(head, |_, _| Reply::Status(201));
        let finished = run(&["--url", &server.url()], &records(2));
        assert_ends(&finished, 0, &[]);
        assert_eq!(finished.stdout, acks(2), "{name}");
    }
}

#[test]
fn a_server_that_fails_the_check_receives_no_record() {
    for status in ["500", "501", "503"] {
        let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n");
        let server = RecordServer::with_head(head.leak(), |_, _| Reply::Status(201));
        let finished = run(&["--url", &server.url()], &records(1));
        if status == "501" {
            assert_ends(&finished, 0, &[]);
            continue;
        }
        assert_ends(&finished, 5, &["not available", status]);
        assert_eq!(finished.stdout, "");
        let finished = run(&["--url", &server.url(), "--no-ping"], &records(1));
        assert_ends(&finished, 0, &[]);
    }
}

#[test]
fn an_unreachable_server_is_reported_at_once() {
    let closed = ClosedPort::new();
    let address = closed.address();
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", deaf.local_addr().unwrap());
    for (name, url, hint) in [
        ("refused", format!("http://{address}"), "refused"),
        ("no such host", "http://nowhere.invalid/".into(), "nowhere.invalid"),
        ("no answer", silent.clone(), "nothing within 100ms"),
        ("no TLS", format!("https://{address}"), "refused"),
    ] {
        let finished = run(&["--url", &url, "--timeout", "100ms"], &records(1));
        assert_eq!(finished.status.code(), Some(7), "{name}: {}", finished.stderr);
        let printed = finished.stderr;
        assert!(printed.contains(hint) && printed.lines().count() == 1, "{name}: {printed}");
    }
}

#[test]
fn the_query_of_a_url_is_not_shown() {
    let closed = ClosedPort::new();
    let url = format!("http://{}?token=s3cret", closed.address());
    let flags = ["--url", &url, "--no-ping", "--retries", "0"];
    let finished = run(&flags, &records(1));
    assert_ends(&finished, 7, &["http://127.0.0.1"]);
    assert!(!finished.stderr.contains("s3cret"), "{}", finished.stderr);
}

#[test]
fn a_proxy_from_the_environment_is_used() {
    let server = RecordServer::accepting();
    let address = server.inner.address();
    let proxy = Server::start(move |connection| {
        let _ping = connection.head()?;
        connection.send("HTTP/1.1 200 X\r\n\r\n")?;
        let head = connection.head()?;
        let _first = connection.body(head);
        connection.send("HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n")?;
        let head = connection.head()?;
        let last = connection.body(head);
        connection.send("HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n")?;
        Ok(Some(last))
    });
    let proxied = |no_proxy: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), records(2)).unwrap();
        let mut command = command(&["--url", &server.url(), "--input"]);
        command.arg(file.path()).env("no_proxy", no_proxy);
        command.env("http_proxy", format!("http://me:pw@{}", proxy.address()));
        Process::start(command).finish()
    };
    let finished = proxied("");
    assert_ends(&finished, 0, &[]);
    assert_eq!(finished.stdout, acks(2));
    let request = proxy.request();
    assert_eq!(request.line, format!("POST http://{address}/files?to=here HTTP/1.1"));
    let authorization = request.field("proxy-authorization").unwrap();
    assert!(authorization.ends_with(" bWU6cHc="), "{authorization}");
    assert_ends(&proxied("127.0.0.1"), 0, &[]);
    assert_eq!(proxy.connections(), 1, "one for both records, and none for what is near");
}

#[test]
fn invalid_arguments_are_a_one_line_error_with_status_2() {
    for (name, flags, hint) in [
        ("no way", &[][..], "--url"),
        ("two ways", &["--url", "http://h", "--relay", "http://h"], "--relay"),
        ("no URL", &["--url", "h:80"], "begin it with http://"),
        ("no field", &["--url", "http://h", "-H", "secret"], "colon"),
        ("a field of the message", &["--url", "http://h", "-H", "Host: x"], "remove it"),
        ("no worker", &["--url", "http://h", "--parallel", "0"], "--parallel"),
        ("too many at work", &["--url", "http://h", "--parallel", "257"], "--parallel"),
        ("no status", &["--url", "http://h", "--success", "2xx"], "--success"),
        ("no time", &["--url", "http://h", "--timeout", "30"], "--timeout"),
    ] {
        let finished = run(flags, "");
        assert_ends(&finished, 2, &[hint]);
        assert!(!finished.stderr.contains("secret"), "{name}");
    }
}
