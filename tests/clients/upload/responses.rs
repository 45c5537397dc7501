//! Responses of servers, and missing responses.

use std::io::{self, Read as _};
use std::time::Duration;

use rdv::client::{Error, Response, Upload};

use crate::support::ClosedPort;
use crate::upload::server::Server;

fn ask(answer: &'static str) -> (Server, Result<Response, Error>) {
    let server = Server::start(move |connection| {
        let request = connection.request()?;
        connection.send(answer)?;
        Ok(Some(request))
    });
    let answer = Upload::new("POST", &server.url()).unwrap().send("content".as_bytes());
    (server, answer)
}

#[test]
fn responses_of_every_framing_are_read() {
    for (name, answer) in [
        ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere"),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nth\r\n3\r\nere\r\n0\r\nT: x\r\n\r\n",
        ),
        ("the close", "HTTP/1.1 200 OK\r\n\r\nthere"),
        ("HTTP/1.0 and the close", "HTTP/1.0 200 OK\r\n\r\nthere"),
        ("HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nthere"),
        ("no reason", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nthere"),
        (
            "after others",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere",
        ),
    ] {
        let (_server, answer) = ask(answer);
        let mut answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut text = String::new();
        answer.body().read_to_string(&mut text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((answer.status(), &*text), (200, "there"), "{name}");
        assert!(answer.is_success());
    }
}

#[test]
fn a_response_without_a_body_is_empty() {
    let (_server, answer) = ask("HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n");
    let mut answer = answer.unwrap();
    assert_eq!((answer.status(), answer.text("x-a")), (204, Some("b")));
    assert_eq!(answer.body().read(&mut [0; 9]).unwrap(), 0);
}

#[test]
fn refusals_and_redirects_are_returned_as_responses() {
    for status in [302, 404, 500] {
        let server = Server::receiving(crate::upload::server::answer(status));
        let answer = Upload::new("POST", &server.url()).unwrap().send("x".as_bytes()).unwrap();
        assert_eq!((answer.status(), answer.is_success()), (status, false));
        assert_eq!(server.connections(), 1, "no retry");
    }
}

#[test]
fn interim_responses_do_not_end_the_upload() {
    let server = Server::start(|connection| {
        connection.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")?;
        let request = connection.request()?;
        connection.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")?;
        Ok(Some(request))
    });
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    let answer = upload.send(vec![1; 3_000_000].as_slice()).unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(server.request().parts()[0].1.len(), 3_000_000);
}

#[test]
fn a_truncated_response_is_an_error() {
    for (name, answer) in [
        ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nthere"),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthere\r\n"),
        ("within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nthere"),
    ] {
        let (_server, answer) = ask(answer);
        let mut text = Vec::new();
        let error = answer.unwrap().body().read_to_end(&mut text).unwrap_err();
        assert_eq!((error.kind(), &*text), (io::ErrorKind::UnexpectedEof, &b"there"[..]), "{name}");
        let error = error.downcast::<Error>().expect("the library's own error");
        assert!(matches!(error, Error::Truncated { received_bytes: 5 }), "{name}: {error}");
    }
}

#[test]
fn an_invalid_response_is_reported_as_such() {
    for (name, answer, hint) in [
        ("nothing", "", "without an answer"),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP/1.1 response"),
        ("half a head", "HTTP/1.1 200 OK\r\nA:", "incomplete"),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "Content-Length",
        ),
        ("a strange coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "coding"),
    ] {
        let (_server, answer) = ask(answer);
        let error = answer.expect_err(name).to_string();
        assert!(error.contains(hint) && !error.contains('\n'), "{name}: {error}");
    }
}

#[test]
fn an_invalid_response_during_the_upload_is_reported_as_such() {
    let server = Server::start(|connection| {
        connection.head()?;
        connection.send("220 mail.example ESMTP\r\n")?;
        Ok(None)
    });
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    let error = upload.send(io::repeat(1)).unwrap_err();
    assert!(matches!(error, Error::Answer(_)), "{error}");
}

#[test]
fn a_server_disconnect_during_the_upload_is_an_error() {
    for reset in [false, true] {
        let server = Server::start(move |connection| {
            connection.head()?;
            if reset {
                connection.reset()?;
            }
            Ok(None)
        });
        let mut upload = Upload::new("POST", &server.url()).unwrap();
        let error = upload.send(io::repeat(1)).unwrap_err();
        assert!(matches!(error, Error::Network { .. }), "reset {reset}: {error}");
    }
}

#[test]
fn an_unreachable_server_is_named() {
    let closed = ClosedPort::new();
    let address = closed.address();
    for (name, url, hint) in [
        ("a closed port", format!("http://{address}/"), address.to_string()),
        ("no such host", "http://host.invalid/".into(), "cannot resolve host.invalid".into()),
    ] {
        let error = Upload::new("POST", &url).unwrap().send("x".as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Network { .. }), "{name}: {error}");
        assert!(error.to_string().contains(&hint), "{name}: {error}");
    }
}

#[test]
fn an_unresponsive_server_times_out() {
    for (name, size) in [("after the request", 1), ("while it is being sent", 1 << 30)] {
        let server = Server::start(|connection| {
            connection.head()?;
            connection.await_release()?;
            Ok(None)
        });
        let mut upload = Upload::new("POST", &server.url()).unwrap();
        upload.options().set_stall_timeout(Duration::from_millis(100));
        let error = upload.send(io::repeat(1).take(size)).unwrap_err();
        assert!(
            matches!(&error, Error::Network { source, .. }
            if source.kind() == io::ErrorKind::TimedOut),
            "{name}: {error}"
        );
        assert!(error.to_string().contains("100ms"), "{name}: {error}");
    }
}
