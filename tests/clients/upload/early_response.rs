//! Responses during an upload of 1 GiB: they are returned, whatever the server does with the rest,
//! and no upload hangs.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::sync::mpsc;

use rdv::client::{Error, Options, Part, Upload};

use crate::support::{Authority, TEST_TIMEOUT, Terminator, eventually};
use crate::upload::server::{Connection, Request, Server, answer};

const LENGTH: u64 = 1 << 30;

/// What a server does after its response.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It stops reading, and keeps the connection open.
    Stop,
    /// It continues to read until the client disconnects.
    ReadOn,
    /// It closes at once; the kernel sends a reset in reply to more data.
    Close,
}

impl Then {
    const ALL: [Then; 3] = [Then::Stop, Then::ReadOn, Then::Close];

    fn act(self, connection: &mut Connection) -> io::Result<()> {
        match self {
            Then::Stop => connection.await_release()?,
            Then::ReadOn => drop(connection.drain()?),
            Then::Close => {}
        }
        Ok(())
    }
}

/// A server that reads only the head.
fn refusing(status: u16, then: Then) -> Server {
    Server::start(move |connection| {
        let request: Request = connection.head()?;
        connection.send(answer(status))?;
        then.act(connection)?;
        Ok(Some(request))
    })
}

/// Source of the bytes of a request.
#[derive(Clone, Copy, Debug)]
enum From {
    File,
    Reader,
    Pipe,
}

/// The server's response to a request with 1 GiB from there.
fn refused(url: &str, options: Options, from: From) -> (u16, String) {
    let mut upload = Upload::new("POST", url).unwrap().with_options(options);
    let file = tempfile::tempfile().unwrap();
    file.set_len(LENGTH).unwrap();
    let zero = File::open("/dev/zero").unwrap();
    let answer = match from {
        From::File => upload.send(Part::open_file(file).unwrap()),
        From::Reader => upload.send(io::repeat(0).take(LENGTH)),
        From::Pipe => upload.send(Part::descriptor(zero.as_fd())),
    };
    let mut answer = answer.unwrap_or_else(|error| panic!("{from:?}: {error}"));
    let mut text = String::new();
    let read = answer.body().read_to_string(&mut text);
    read.unwrap_or_else(|error| panic!("{from:?}: {error}"));
    (answer.status(), text)
}

#[test]
fn an_early_response_is_returned_whatever_the_server_does_next() {
    for then in Then::ALL {
        for (status, from) in [(413, From::File), (401, From::Reader), (413, From::Pipe)] {
            let server = refusing(status, then);
            let got = refused(&server.url(), Options::default(), from);
            assert_eq!(got, (status, format!("answer, {status}")), "{then:?} {from:?}");
            server.release();
            server.request();
        }
    }
}

#[test]
fn an_early_response_is_returned_over_tls_whatever_the_server_does_next() {
    let authority = Authority::new();
    for then in Then::ALL {
        for (status, from) in [(413, From::File), (401, From::Reader), (413, From::Pipe)] {
            let server = refusing(status, then);
            let front = Terminator::start(&authority.server("localhost"), server.address(), &[]);
            let got = refused(&front.url(), authority.trusted(), from);
            assert_eq!(got, (status, format!("answer, {status}")), "{then:?} {from:?}");
            server.release();
            server.request();
        }
    }
}

/// A server that responds when this thread is blocked, since the server reads nothing and all
/// buffers are full.
fn refusing_when_full() -> Server {
    let stat = format!("/proc/self/task/{}/stat", nix::unistd::gettid());
    Server::start(move |connection| {
        let request = connection.head()?;
        eventually("the client waits for room", || {
            let stat = std::fs::read_to_string(&stat).ok()?;
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S")).then_some(())
        });
        connection.send(answer(413))?;
        connection.await_release()?;
        Ok(Some(request))
    })
}

#[test]
fn a_response_is_noticed_when_the_send_buffer_is_full() {
    let authority = Authority::new();
    for from in [From::File, From::Reader, From::Pipe] {
        let server = refusing_when_full();
        assert_eq!(refused(&server.url(), Options::default(), from).0, 413, "{from:?}");
        server.release();
        server.request();
        let server = refusing_when_full();
        let front = Terminator::start(&authority.server("localhost"), server.address(), &[]);
        assert_eq!(refused(&front.url(), authority.trusted(), from).0, 413, "{from:?}, TLS");
        server.release();
        server.request();
    }
}

#[test]
fn a_response_is_noticed_while_the_send_buffer_has_room() {
    /// Returns one byte, and another after the server's response.
    struct Slow(mpsc::Receiver<()>);
    impl io::Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let _ = self.0.recv_timeout(TEST_TIMEOUT);
            Ok(1.min(buffer.len()))
        }
    }
    let (sender, receiver) = mpsc::channel();
    let server = Server::start(move |connection| {
        let request = connection.head()?;
        sender.send(()).expect("the first byte");
        connection.send(answer(413))?;
        sender.send(()).expect("the second byte");
        let _ = connection.drain()?;
        Ok(Some(request))
    });
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    let answer = upload.send(Slow(receiver).take(2)).unwrap();
    assert_eq!((answer.status(), answer.is_early()), (413, true));
}

#[test]
fn a_response_after_the_last_byte_is_not_early() {
    for part in [Part::from("x".as_bytes()), Part::from("x".as_bytes()).size_bytes(1)] {
        let server = Server::receiving(answer(200));
        let mut upload = Upload::new("POST", &server.url()).unwrap();
        assert!(!upload.send(part).unwrap().is_early());
    }
}

#[test]
fn an_early_response_is_noticed_while_a_pipe_is_idle() {
    for (name, first) in [("before any content", &b""[..]), ("after some", b"some")] {
        let server = refusing(413, Then::Stop);
        let (input, mut filler) = io::pipe().unwrap();
        io::Write::write_all(&mut filler, first).unwrap();
        let mut upload = Upload::new("POST", &server.url()).unwrap();
        let answer = upload.send(Part::descriptor(input.as_fd())).unwrap();
        assert_eq!(answer.status(), 413, "{name}");
        drop(filler);
    }
}

#[test]
fn an_early_response_is_noticed_while_a_pipe_of_known_length_is_idle() {
    let server = refusing(413, Then::Stop);
    let (input, _filler) = io::pipe().unwrap();
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    let part = Part::descriptor(input.as_fd()).size_bytes(1000);
    assert_eq!(upload.send(part).unwrap().status(), 413);
}

#[test]
fn an_early_response_is_noticed_over_tls_while_a_pipe_is_idle() {
    let authority = Authority::new();
    let server = refusing(413, Then::Stop);
    let front = Terminator::start(&authority.server("localhost"), server.address(), &[]);
    let (input, _filler) = io::pipe().unwrap();
    let mut upload = Upload::new("POST", &front.url()).unwrap().with_options(authority.trusted());
    assert_eq!(upload.send(Part::descriptor(input.as_fd())).unwrap().status(), 413);
}

#[test]
fn an_early_response_to_an_open_request_is_the_error_of_the_file() {
    let server = refusing(413, Then::Stop);
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    let Err(Error::Answered(answer)) = upload.send_unclose(io::repeat(0).take(LENGTH)) else {
        panic!("it was not noticed");
    };
    assert_eq!(answer.status(), 413);
    // The request is complete: the next file is another request.
    assert_eq!(upload.send("x".as_bytes()).unwrap().status(), 413);
    assert_eq!(server.connections(), 2);
    let error = upload.close().expect_err("there is nothing to close");
    assert!(error.to_string().contains("over"), "{error}");
}
