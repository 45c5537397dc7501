//! Endings: when one side disconnects, the other is notified, and no truncated body looks complete.

use std::io::Write;
use std::thread::{self, JoinHandle};

use crate::support::{
    Ask, DISCONNECTS, Ending, Framing, Handle, Relay, Wire, ask, assert_error, assert_uploaded,
    eventually, is_pattern, pattern,
};

const SOURCE_ERRED: &str = "Stream source raised an error";
const DESTINATION_CLOSED: &str = "Stream destination closed unexpectedly";
const LENGTH_10: Framing = Framing::Length(10);

type Change = fn(Ask) -> Ask;

const NEW: Change = |get| get;
const OLD: Change = Ask::http10;

/// What a destination that already received the head sees of a truncated upload.
fn assert_truncated(name: &str, old: bool, framing: Framing, ending: Ending) {
    match (old, framing) {
        (true, Framing::Chunked) => assert_eq!(ending, Ending::Reset, "{name}"),
        (true, Framing::Length(_)) | (false, _) => assert_ne!(ending, Ending::Complete, "{name}"),
    }
}

/// A source for a stream with a waiting destination; the destination receives everything.
fn assert_paired(name: &str, relay: &Relay, id: &str, destination: &mut Wire) {
    assert_uploaded(&relay.exchange(&LENGTH_10.put(id).raw_body(b"0123456789")));
    let download = destination.response();
    assert_eq!((download.text(), download.ending), ("0123456789", Ending::Complete), "{name}");
    relay.await_state(id, "FINISHED");
}

#[test]
fn a_source_lost_before_its_first_byte_keeps_the_destination_waiting() {
    let relay = Relay::start(&[]);
    for framing in [LENGTH_10, Framing::Chunked] {
        for (way, change) in DISCONNECTS.into_iter().flat_map(|way| [(way, NEW), (way, OLD)]) {
            let name = format!("{framing:?}, {way:?}");
            let mut pair = relay.pair_with(framing, change);
            pair.source.leave(way);
            let status = relay.await_state(&pair.id, "DST_CONNECTED");
            assert_eq!(status["active"], true, "{name}");
            pair.destination.assert_silent();
            assert_paired(&name, &relay, &pair.id, &mut pair.destination);
        }
    }
}

/// A source has its 200 while the tail of its body is still in flight. Closing with an unread
/// request would make the kernel send a reset, which would drop the tail.
#[test]
fn a_failed_download_does_not_truncate_the_previous_one() {
    let relay = Relay::start(&[]);
    let ids = [relay.create(), relay.create()];
    let body = pattern(0, 300_000);
    let mut destination = Wire::connect_narrow(relay.address());
    for id in &ids {
        destination.ask(&ask("GET", &format!("/stream/{id}")));
    }
    assert_uploaded(&relay.exchange(&Framing::Length(body.len()).put(&ids[0]).raw_body(&body)));
    let mut source = relay.connect();
    source.ask(&Framing::Length(1000).put(&ids[1]).raw_body(b"0123456789"));
    eventually("the second download has begun", || {
        (relay.status(&ids[1])["bytes_transferred"] == 10).then_some(())
    });
    // It is not read before the current download ends.
    destination.ask(&ask("GET", "/ping"));
    relay.await_turn();
    drop(source);
    relay.await_state(&ids[1], "SRC_DISCONNECTED");
    assert!(destination.response().body == body, "the first one is complete");
    let head = destination.head();
    assert_eq!((head.status, destination.rest()), (200, (b"0123456789".to_vec(), Ending::Closed)));
}

/// HTTP/1.0 has no pipelined requests: a body delimited by the end of the connection can end with a
/// reset, which would drop the tail of the previous response.
#[test]
fn a_pipelining_http_1_0_client_is_served_once() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let mut client = relay.connect();
    let keep_alive = |path: &str| ask("GET", path).http10().field("Connection", "keep-alive");
    client.ask(&keep_alive(&format!("/stream/{id}")));
    client.ask(&keep_alive("/ping"));
    relay.await_turn();
    assert_uploaded(&relay.exchange(&LENGTH_10.put(&id).raw_body(b"0123456789")));
    assert_eq!(client.response().text(), "0123456789");
    client.expect_end();
}

#[test]
fn a_source_lost_during_its_body_never_looks_complete() {
    let relay = Relay::start(&[]);
    for sent in [1, 100_000] {
        for framing in [Framing::Length(sent + 1), Framing::Length(1 << 30), Framing::Chunked] {
            for (way, old) in DISCONNECTS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
                let name = format!("{sent} bytes sent, {framing:?}, {way:?}, old: {old}");
                let mut pair = relay.pair_with(framing, if old { OLD } else { NEW });
                let data = pattern(5, sent);
                pair.pass_first(&data);
                pair.source.leave(way);
                let (rest, ending) = pair.destination.rest();
                assert!(rest.is_empty(), "{name}: {} more bytes", rest.len());
                assert_truncated(&name, old, framing, ending);
                let status = relay.await_state(&pair.id, "SRC_DISCONNECTED");
                assert_eq!(status["bytes_transferred"], sent, "{name}");
            }
        }
    }
}

#[test]
fn a_source_lost_within_a_chunk_never_looks_complete() {
    let relay = Relay::start(&[]);
    // Each ends before the empty line after the last chunk.
    let rows = ["5\r\nhel", "5\r\nhello", "5\r\nhello\r", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n"];
    for (sent, old) in rows.into_iter().flat_map(|sent| [(sent, false), (sent, true)]) {
        let mut pair = relay.pair_with(Framing::Chunked, if old { OLD } else { NEW });
        pair.source.send(sent);
        assert_eq!(pair.destination.head().status, 200, "{sent:?}");
        pair.source.leave(DISCONNECTS[0]);
        assert_truncated(sent, old, Framing::Chunked, pair.destination.rest().1);
        relay.await_state(&pair.id, "SRC_DISCONNECTED");
    }
}

#[test]
fn invalid_framing_before_the_first_byte_is_a_400_and_a_502() {
    let relay = Relay::start(&[]);
    for change in [NEW, OLD] {
        let mut pair = relay.pair_with(Framing::Chunked, change);
        pair.source.send("nonsense\r\n");
        assert_error("source", &pair.source.response(), (400, "BadRequestError", None));
        pair.source.expect_end();
        let wanted = (502, "StreamSourceError", Some(SOURCE_ERRED));
        assert_error("destination", &pair.destination.response(), wanted);
        relay.await_state(&pair.id, "SRC_ERROR");
    }
}

#[test]
fn invalid_framing_during_the_body_is_a_400_and_a_truncation() {
    let relay = Relay::start(&[]);
    for (name, nonsense) in [
        ("a size that is none", "xyz\r\nhello\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "2\r\nhello\r\n0\r\n\r\n"),
        ("a chunk shorter than its size", "7\r\nhello\r\n0\r\n\r\n"),
        ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
    ] {
        for old in [false, true] {
            let mut pair = relay.pair_with(Framing::Chunked, if old { OLD } else { NEW });
            pair.pass_first(b"good so far");
            pair.source.send(nonsense);
            assert_error(name, &pair.source.response(), (400, "BadRequestError", None));
            pair.source.expect_end();
            let (_, ending) = pair.destination.rest();
            assert_truncated(name, old, Framing::Chunked, ending);
            let status = relay.await_state(&pair.id, "SRC_ERROR");
            assert_eq!(status["active"], false, "{name}");
        }
    }
}

#[test]
fn a_waiting_source_that_disconnects_frees_its_side() {
    let relay = Relay::start(&[]);
    for (framing, way) in [LENGTH_10, Framing::Chunked].into_iter().zip(DISCONNECTS) {
        for sent in ["", "4\r\n"] {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            source.send(sent);
            source.leave(way);
            let status = relay.await_state(&id, "CREATED");
            assert_eq!(status["active"], true, "{framing:?}, {way:?}");
            let mut destination = relay.waiting_destination(&id);
            assert_paired("after it", &relay, &id, &mut destination);
        }
    }
}

#[test]
fn a_waiting_destination_that_disconnects_frees_its_side() {
    let relay = Relay::start(&[]);
    for way in DISCONNECTS {
        let id = relay.create();
        relay.waiting_destination(&id).leave(way);
        relay.await_state(&id, "CREATED");
        let mut destination = relay.waiting_destination(&id);
        assert_paired(&format!("{way:?}"), &relay, &id, &mut destination);
    }
}

#[test]
fn a_destination_lost_before_the_first_byte_keeps_the_source_waiting() {
    let relay = Relay::start(&[]);
    for framing in [LENGTH_10, Framing::Chunked] {
        for way in DISCONNECTS {
            let name = format!("{framing:?}, {way:?}");
            let mut pair = relay.pair(framing);
            pair.destination.leave(way);
            relay.await_state(&pair.id, "SRC_CONNECTED");
            pair.source.assert_silent();
            let mut pair = relay.pair_with_new_destination(pair.id, framing, pair.source);
            pair.pass_first(&[b'x'; 10]);
            pair.complete();
            assert_eq!(relay.status(&pair.id)["state"], "FINISHED", "{name}");
        }
    }
}

/// Sends pieces with this framing until the connection breaks.
fn send_without_end(mut socket: Handle, framing: Framing) -> JoinHandle<()> {
    thread::spawn(move || {
        let piece = framing.piece(&vec![b'x'; 65_536]);
        while socket.write_all(&piece).is_ok() {}
    })
}

#[test]
fn a_source_that_keeps_sending_still_receives_its_502() {
    let relay = Relay::start(&["--linger-timeout", "500ms"]);
    for framing in [Framing::Length(1 << 40), Framing::Chunked] {
        for (way, old) in DISCONNECTS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
            let name = format!("{framing:?}, {way:?}, old: {old}");
            let mut pair = relay.pair_with(framing, if old { OLD } else { NEW });
            let sending = send_without_end(pair.source.handle(), framing);
            assert_eq!(pair.destination.head().status, 200, "{name}");
            pair.destination.body(3 << 20);
            pair.destination.leave(way);
            let wanted = (502, "StreamDestinationError", Some(DESTINATION_CLOSED));
            assert_error(&name, &pair.source.response(), wanted);
            pair.source.expect_end();
            drop(pair.source);
            sending.join().expect("the sender");
            relay.await_state(&pair.id, "DST_DISCONNECTED");
        }
    }
}

#[test]
fn a_second_client_leaves_the_first_ones_alone() {
    let relay = Relay::start(&[]);
    let message =
        |side| format!("A client has already connected to the {side} side of this stream");
    let assert_taken = |id: &str, source: bool| {
        let (side, answer) = if source {
            ("source", relay.exchange(&LENGTH_10.put(id).raw_body(b"0123456789")))
        } else {
            ("destination", relay.get(&format!("/stream/{id}")))
        };
        assert_error(side, &answer, (429, "AlreadyConnectedError", Some(&message(side))));
    };

    let id = relay.create();
    let mut source = relay.waiting_source(&id, LENGTH_10);
    assert_taken(&id, true);
    let mut destination = relay.connect();
    destination.ask(&crate::support::ask("GET", &format!("/stream/{id}")));
    relay.await_state(&id, "STREAMING");
    assert_taken(&id, true);
    assert_taken(&id, false);
    source.send("01234");
    assert_eq!(destination.head().status, 200);
    assert_eq!(destination.body(5), b"01234");
    assert_taken(&id, true);
    assert_taken(&id, false);
    source.send("56789");
    assert_eq!(destination.rest(), (b"56789".to_vec(), Ending::Complete));
    assert_uploaded(&source.response());

    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    assert_taken(&id, false);
    assert_uploaded(&relay.exchange(&LENGTH_10.put(&id).raw_body(b"0123456789")));
    assert_eq!(destination.response().text(), "0123456789");
}

#[test]
fn an_ended_stream_is_not_found() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(LENGTH_10);
    pair.source.send("0123456789");
    assert_eq!(pair.destination.response().status(), 200);
    assert_uploaded(&pair.source.response());
    relay.await_state(&pair.id, "FINISHED");
    for wire in [&mut pair.source, &mut pair.destination] {
        let again = LENGTH_10.put(&pair.id).raw_body(b"0123456789");
        assert_error("again", &wire.exchange(&again), (404, "SessionNotFoundError", None));
    }
    let answer = relay.get(&format!("/stream/{}", pair.id));
    assert_error("again", &answer, (404, "SessionNotFoundError", None));
}

#[test]
fn a_source_may_half_close_after_its_body() {
    let relay = Relay::start(&[]);
    let data = pattern(6, 5 << 20);
    for framing in [Framing::Length(data.len()), Framing::Chunked] {
        let mut pair = relay.pair(framing);
        let (mut sender, piece) = (pair.source.handle(), framing.piece(&data));
        let sending = thread::spawn(move || {
            sender.write_all(&[&piece, framing.end()].concat()).expect("the upload");
            sender.finish_sending();
        });
        let download = pair.destination.response();
        assert_eq!(download.ending, Ending::Complete, "{framing:?}");
        is_pattern(6, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
        assert_uploaded(&pair.source.response());
        sending.join().expect("the sender");
        relay.await_state(&pair.id, "FINISHED");
    }
}

#[test]
fn a_waiting_source_may_half_close_after_its_body() {
    let relay = Relay::start(&[]);
    for framing in [LENGTH_10, Framing::Chunked] {
        let id = relay.create();
        let mut source = relay.connect();
        source.send(
            [&framing.put(&id).bytes(), &framing.piece(b"0123456789")[..], framing.end()].concat(),
        );
        source.finish_sending();
        relay.await_state(&id, "SRC_CONNECTED");
        relay.await_turn();
        let download = relay.get(&format!("/stream/{id}"));
        assert_eq!((download.status(), download.text()), (200, "0123456789"), "{framing:?}");
        assert_uploaded(&source.response());
    }
}

#[test]
fn a_source_closed_after_its_last_byte_does_not_truncate_the_download() {
    let relay = Relay::start(&[]);
    let data = pattern(7, 1 << 20);
    for framing in [Framing::Length(data.len()), Framing::Chunked] {
        let mut pair = relay.pair(framing);
        let mut source = pair.source;
        let body = [&framing.piece(&data), framing.end()].concat();
        let sending = thread::spawn(move || source.send(body));
        let download = pair.destination.response();
        sending.join().expect("the sender");
        assert_eq!(download.ending, Ending::Complete, "{framing:?}");
        is_pattern(7, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
    }
}
