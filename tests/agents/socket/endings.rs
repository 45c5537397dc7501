//! Closed connections, and what pending requests return.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use http::Response;
use rdv::socket::{Body, Dialect, Error, EventKind, SocketClient, SocketServer};

use crate::socket::pair::{
    DIALECTS, client, echo, get, never, pair, pair_at, post, read, serving, url,
};
use crate::support::{ClosedPort, eventually};

#[test]
fn closing_ends_pending_requests_at_both_ends() {
    for dialect in DIALECTS {
        for (name, closes_here) in [("the requesting end", true), ("the other end", false)] {
            let ends = pair(dialect);
            let (begun, has_begun) = channel();
            let served = serving(&ends.dialled, move |request| {
                let _ = begun.send(());
                // It waits for a body that never arrives.
                let _ = request.into_body().into_bytes(100);
                Response::new(Body::empty())
            });
            let caller = ends.accepted.clone();
            let (feed, waiting) = std::os::unix::net::UnixStream::pair().expect("a pair");
            let body = Body::from_reader(waiting);
            let answer = thread::spawn(move || caller.round_trip(post("/", body)));
            if dialect == Dialect::V1 {
                has_begun.recv().expect("the handler runs");
            }
            let closing = if closes_here { &ends.accepted } else { &ends.dialled };
            closing.close();
            let error = answer.join().expect("no panic").expect_err("there is no answer");
            let Error::Closed { code: 1000, .. } = error else { panic!("{name}: {error}") };
            served.join().expect("no panic").expect("an orderly end");
            assert!(!ends.dialled.is_open() && !ends.accepted.is_open(), "{name}");
            let error = ends.accepted.round_trip(get("/")).expect_err("it is over");
            assert!(matches!(error, Error::Closed { code: 1000, .. }), "{name}: {error}");
            drop(feed);
        }
    }
}

#[test]
fn a_stopping_server_closes_with_going_away() {
    for dialect in DIALECTS {
        let port = ClosedPort::new();
        let ends = pair_at(port.address(), dialect);
        let served = serving(&ends.dialled, echo);
        assert_eq!(read(ends.accepted.round_trip(get("/")).expect("an answer")).0, 200);
        ends.server.stop();
        let served = served.join().expect("no panic");
        let error = ends.dialled.round_trip(get("/")).expect_err("it is over");
        match dialect {
            Dialect::V1 => {
                served.expect("an orderly end");
                let Error::Closed { code: 1001, reason } = error else { panic!("{error}") };
                assert_eq!(reason, "the server stops");
            }
            // The original would take a close frame as final.
            Dialect::Text => {
                served.expect_err("closed without a close frame");
                assert!(matches!(error, Error::Network { .. }), "{error}");
            }
        }
        // A process that another test is about to start has a copy of the listener until execve(2).
        eventually("a closed port", || TcpStream::connect(port.address()).err());
        let closed = ends.events.recv().expect("an event");
        assert_eq!(
            (closed.kind, closed.connection),
            (EventKind::ConnectionClosed, ends.dialled.id())
        );
    }
}

#[test]
fn dropping_all_handles_closes_the_connection() {
    let ends = pair(Dialect::V1);
    drop(ends.dialled);
    let closed = ends.events.recv().expect("an event");
    assert_eq!(closed.kind, EventKind::ConnectionClosed);
    assert!(ends.server.active_connections().is_empty());
}

#[test]
fn a_body_keeps_its_connection_open() {
    let server = SocketServer::builder()
        .serving(|_, _| Response::new(Body::from_reader(std::io::repeat(7).take(4 << 20))))
        .bind("127.0.0.1:0")
        .expect("a server");
    let client = SocketClient::new(&url(&server)).expect("a URL");
    let answer = client.connect().expect("a connection").round_trip(get("/")).expect("a head");
    drop(client);
    let body = answer.into_body().into_bytes(8 << 20).expect("all of it");
    assert_eq!(body.len(), 4 << 20);
}

#[test]
fn a_silent_peer_is_detected_by_the_heartbeat() {
    for (name, dialect) in [("text", Dialect::Text), ("v1", Dialect::V1)] {
        let server = SocketServer::builder()
            .with_heartbeat(Duration::from_secs(1))
            .with_heartbeat_data(b"there?")
            .bind("127.0.0.1:0")
            .expect("a server");
        let events = server.events();
        // It receives nothing after its handshake, as if its machine had disappeared.
        let mut silent = crate::socket::upgrades::Peer::open(server.local_addr(), dialect);
        let received = events.recv().expect("an event");
        assert_eq!(received.kind, EventKind::ConnectionReceived, "{name}");
        let caller = server.connection(received.connection).expect("it is known");
        let error = caller.round_trip(get("/")).expect_err("no answer comes");
        let Error::Network { source, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::TimedOut, "{name}");
        assert_eq!(events.recv().expect("an event").kind, EventKind::ConnectionFailure, "{name}");
        let mut rest = Vec::new();
        let closed = silent.socket().read_to_end(&mut rest);
        assert_eq!(closed.is_ok(), dialect == Dialect::V1, "{name}: {closed:?}");
        assert!(rest.windows(8).any(|frame| frame == b"\x89\x06there?"), "{name}: a ping was sent");
    }
}

#[test]
fn handlers_are_called_for_pings_and_pongs() {
    for dialect in DIALECTS {
        let (request, pings) = channel();
        let (answered, received) = channel();
        let server = SocketServer::builder()
            .with_heartbeat(Duration::from_secs(1))
            .with_heartbeat_data(b"there?")
            .with_pong_handler(move |payload| answered.send(payload.to_vec()).unwrap_or_default())
            .bind("127.0.0.1:0")
            .expect("a server");
        let client = client(&url(&server), dialect)
            .with_ping_handler(move |payload| request.send(payload.to_vec()).unwrap_or_default());
        let _connection = client.connect().expect("a connection");
        assert_eq!(pings.recv().expect("a ping"), b"there?", "{dialect:?}");
        assert_eq!(received.recv().expect("a pong"), b"there?", "{dialect:?}");
    }
}

#[test]
fn a_peer_that_disconnects_without_a_close_frame_is_a_failure() {
    let server = SocketServer::bind("127.0.0.1:0").expect("a server");
    let events = server.events();
    let peer = crate::socket::upgrades::Peer::open(server.local_addr(), Dialect::V1);
    let id = events.recv().expect("an event").connection;
    let connection = server.connection(id).expect("it is known");
    let serving = serving(&connection, echo);
    drop(peer);
    assert_eq!(events.recv().expect("an event").kind, EventKind::ConnectionFailure);
    let error = serving.join().expect("no panic").expect_err("it broke");
    assert!(error.to_string().contains("closed without a close frame"), "{error}");
}

#[test]
fn a_response_that_takes_too_long_times_out() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        let (sender, receiver) = channel();
        let (release, released) = channel::<()>();
        let released = std::sync::Mutex::new(released);
        serving(&ends.dialled, move |request| {
            let _ = sender.send(request.uri().path().to_owned());
            let _ = released.lock().expect("it").recv();
            Response::new(Body::from("late"))
        });
        let hurried = ends.accepted.clone().with_timeout(Duration::from_millis(50));
        let error = hurried.round_trip(get("/slow")).expect_err("it is late");
        assert!(matches!(error, Error::Timeout(_)), "{dialect:?}: {error}");
        assert_eq!(receiver.recv().expect("the handler runs"), "/slow");
        drop(release);
        // The late response is dropped.
        let answer = ends.accepted.round_trip(get("/next")).expect("an answer");
        assert_eq!(read(answer), (200, "late".into()), "{dialect:?}");
        assert_eq!(receiver.recv().expect("the handler runs"), "/next");
    }
}

#[test]
fn a_draining_end_receives_no_new_requests() {
    let ends = pair(Dialect::V1);
    serving(&ends.dialled, echo);
    ends.dialled.drain();
    eventually("the other end knows", || ends.accepted.is_draining().then_some(()));
    let error = ends.accepted.round_trip(get("/")).expect_err("it drains");
    assert!(matches!(error, Error::Draining), "{error}");
    assert!(ends.accepted.is_open(), "and nothing else ends");
}

#[test]
fn backoff_continues_until_a_server_answers_or_it_is_stopped() {
    let port = ClosedPort::new();
    let address = port.address();
    let place = TcpListener::bind(address).expect("a place");
    let (failed, has_failed) = channel();
    thread::spawn(move || {
        // The first attempt reaches a server that closes the connection.
        drop(place.accept());
        drop(place);
        let _ = failed.send(());
    });
    let dialling = thread::spawn(move || {
        client(&format!("ws://{address}"), Dialect::V1).connect_with_backoff(&never())
    });
    has_failed.recv().expect("one attempt");
    let server = eventually("the place is free", || SocketServer::bind(address).ok());
    let connection = dialling.join().expect("no panic").expect("a connection");
    let known = eventually("it is known", || server.connection(connection.id()));
    assert_eq!(known.remote_addr().ip(), address.ip());

    let stop = never();
    stop.set();
    let nowhere = client("ws://127.0.0.1:1", Dialect::V1);
    let error = nowhere.connect_with_backoff(&stop).expect_err("it is stopped");
    assert!(matches!(error, Error::Stopped), "{error}");
}

#[test]
fn permanent_refusals_are_reported_without_retrying() {
    let place = TcpListener::bind("127.0.0.1:0").expect("a place");
    let address = place.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut socket, _) = place.accept().expect("a connection");
        let mut head = [0; 1000];
        let _ = socket.read(&mut head);
        let body = r#"{"name":"UnauthorizedError","message":"who are you?"}"#;
        let length = body.len();
        let head = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {length}\r\n\r\n");
        let _ = socket.write_all(format!("{head}{body}").as_bytes());
    });
    let client = client(&format!("ws://{address}"), Dialect::V1);
    let error = client.connect_with_backoff(&never()).expect_err("it is refused");
    let Error::Refused { status: 401, message } = &error else { panic!("{error}") };
    assert_eq!(message, "who are you?");
}
