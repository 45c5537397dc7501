//! Both sides are connected, no byte was transferred, and one disconnects: data already read is
//! kept, and no side gets a response or 100-continue twice.

use crate::phases::scene::{WAYS, Way, assert_ended, assert_transfers, framings, get, with_relay};
use crate::support::{Ask, Ending, Framing, Pair, Wire, ask, assert_error, assert_uploaded};

#[test]
fn sides_may_alternately_disconnect_a_hundred_times() {
    with_relay(&[], |relay| {
        for framing in framings(5) {
            let mut pair = relay.pair(framing);
            for round in 0..100 {
                let Pair { id, source, destination, .. } = pair;
                pair = if round % 2 == 0 {
                    WAYS[round % 3].disconnect(destination);
                    relay.await_state(&id, "SRC_CONNECTED");
                    relay.pair_with_new_destination(id, framing, source)
                } else {
                    WAYS[round % 3].disconnect(source);
                    relay.await_state(&id, "DST_CONNECTED");
                    relay.pair_with_new_source(id, framing, destination)
                };
            }
            let id = pair.id.clone();
            assert_transfers("after all", pair);
            assert_ended(relay, "after all", &id, ("FINISHED", 5));
        }
    });
}

#[test]
fn both_sides_may_disconnect_before_the_first_byte() {
    with_relay(&[], |relay| {
        for (one, other) in WAYS.into_iter().flat_map(|one| WAYS.map(|other| (one, other))) {
            let Pair { id, source, destination, .. } = relay.pair(Framing::Length(5));
            let _left =
                relay.while_stopped(|| (one.disconnect(source), other.disconnect(destination)));
            relay.await_state(&id, "CREATED");
            let destination = relay.waiting_destination(&id);
            let pair = relay.pair_with_new_source(id, Framing::Chunked, destination);
            assert_transfers(&format!("{one:?}, {other:?}"), pair);
        }
    });
}

/// A destination of a waiting source disconnects before the relay notices it.
fn visit_briefly(relay: &crate::support::Relay, id: &str) {
    relay.while_stopped(|| {
        let mut destination = relay.connect();
        destination.ask(&get(id));
        Way::Close.disconnect(destination)
    });
    relay.await_turn();
    relay.await_state(id, "SRC_CONNECTED");
}

/// A source whose head and start of body were sent at once, for a destination that disconnected
/// before it received any of it.
fn waiting_source_with_data(
    relay: &crate::support::Relay,
    framing: Framing,
    start: &[u8],
) -> (String, Wire) {
    let id = relay.create();
    let mut source = relay.connect();
    source.send([&framing.put(&id).bytes(), start].concat());
    relay.await_state(&id, "SRC_CONNECTED");
    visit_briefly(relay, &id);
    (id, source)
}

#[test]
fn data_received_with_the_head_is_kept_for_the_next_destination() {
    with_relay(&[], |relay| {
        for (framing, start, rest) in [
            (Framing::Length(10), &b"01234"[..], &b"56789"[..]),
            (Framing::Length(10), b"0123456789", b""),
            (Framing::Chunked, b"5\r\n01234\r\n", b"5\r\n56789\r\n0\r\n\r\n"),
            (Framing::Chunked, b"a\r\n0123", b"456789\r\n0\r\n\r\n"),
            (Framing::Chunked, b"a", b"\r\n0123456789\r\n0\r\n\r\n"),
        ] {
            let what = format!("{framing:?}, {:?}", String::from_utf8_lossy(start));
            let (id, mut source) = waiting_source_with_data(relay, framing, start);
            source.send(rest);
            let download = relay.get(&format!("/stream/{id}"));
            assert_eq!(
                (download.text(), download.ending),
                ("0123456789", Ending::Complete),
                "{what}"
            );
            assert_uploaded(&source.response());
            assert_ended(relay, &what, &id, ("FINISHED", 10));
        }
    });
}

#[test]
fn framing_read_before_the_destination_disconnects_is_not_reread() {
    with_relay(&[], |relay| {
        for start in ["5", "5\r\n", "5;a=b", "5;a=b\r\n"] {
            let mut pair = relay.pair(Framing::Chunked);
            pair.source.send(start);
            relay.await_turn();
            let Pair { id, mut source, destination, .. } = pair;
            drop(destination);
            relay.await_state(&id, "SRC_CONNECTED");
            source.send(
                [if start.ends_with('\n') { "" } else { "\r\n" }, "hello\r\n0\r\n\r\n"].concat(),
            );
            let download = relay.get(&format!("/stream/{id}"));
            assert_eq!(
                (download.text(), download.ending),
                ("hello", Ending::Complete),
                "{start:?}"
            );
            assert_uploaded(&source.response());
        }
    });
}

#[test]
fn invalid_framing_is_a_source_error_and_not_a_disconnect() {
    with_relay(&[], |relay| {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send("xyz\r\n");
        assert_error("source", &pair.source.response(), (400, "BadRequestError", None));
        assert_error("destination", &pair.destination.response(), (502, "StreamSourceError", None));
        assert_ended(relay, "nonsense", &pair.id, ("SRC_ERROR", 0));
    });
}

#[test]
fn a_100_continue_is_sent_only_once() {
    with_relay(&[], |relay| {
        let id = relay.create();
        let mut source = relay.connect();
        source.ask(&Framing::Length(5).put(&id).field("Expect", "100-continue"));
        relay.await_state(&id, "SRC_CONNECTED");
        source.assert_silent();
        let destination = relay.waiting_paired(&id);
        assert_eq!(source.head().status, 100);
        Way::Close.disconnect(destination);
        relay.await_state(&id, "SRC_CONNECTED");
        let mut destination = relay.waiting_paired(&id);
        relay.await_turn();
        source.assert_silent();
        source.send("hello");
        assert_eq!(destination.response().text(), "hello");
        assert_uploaded(&source.response());
    });
}

#[test]
fn a_body_sent_after_100_continue_is_kept_for_the_next_destination() {
    with_relay(&[], |relay| {
        let id = relay.create();
        let mut source = relay.connect();
        source.ask(&Framing::Length(5).put(&id).field("Expect", "100-continue"));
        relay.await_state(&id, "SRC_CONNECTED");
        let destination = relay.waiting_paired(&id);
        assert_eq!(source.head().status, 100);
        relay.while_stopped(|| {
            drop(destination);
            source.send("hello");
        });
        relay.await_state(&id, "SRC_CONNECTED");
        assert_eq!(relay.get(&format!("/stream/{id}")).text(), "hello");
        assert_uploaded(&source.response());
    });
}

#[test]
fn an_empty_body_also_waits_for_the_next_destination() {
    with_relay(&[], |relay| {
        for (what, put) in [
            ("a length of 0", Framing::Length(0).put("")),
            ("HTTP/1.0", ask("PUT", "/stream/").http10().length(0)),
        ] {
            let id = relay.create();
            let mut source = relay.connect();
            let request = String::from_utf8(put.bytes()).expect("text");
            source.send(request.replacen("/stream/", &format!("/stream/{id}"), 1));
            relay.await_state(&id, "SRC_CONNECTED");
            visit_briefly(relay, &id);
            let download = relay.get(&format!("/stream/{id}"));
            assert_eq!((download.status(), download.text()), (200, ""), "{what}");
            assert_uploaded(&source.response());
        }
    });
}

#[test]
fn a_half_closed_source_outlasts_a_destination_disconnect() {
    with_relay(&[], |relay| {
        for framing in framings(5) {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            source.send([&framing.piece(b"hello"), framing.end()].concat());
            source.finish_sending();
            visit_briefly(relay, &id);
            assert_eq!(relay.get(&format!("/stream/{id}")).text(), "hello", "{framing:?}");
            assert_uploaded(&source.response());
        }
    });
}

#[test]
fn a_side_left_alone_after_the_ttl_is_answered_504() {
    with_relay(&["--ttl", "3s"], |relay| {
        let expired = (504, "SessionTimeoutError", None);
        for framing in framings(5) {
            let mut left = relay.pair(framing);
            let mut stays = relay.pair_with(framing, Ask::http10);
            // Another stream of the same age has timed out: these would have, too.
            relay.await_state(&relay.create(), "TIMEOUT_NO_SRC_NO_DST");
            drop(left.destination);
            assert_error("source", &left.source.response(), expired);
            relay.await_state(&left.id, "TIMEOUT_NO_DST");
            drop(stays.source);
            assert_error("destination", &stays.destination.response(), expired);
            relay.await_state(&stays.id, "TIMEOUT_NO_SRC");
        }
    });
}

#[test]
fn a_side_left_waiting_is_answered_like_any_waiting_side() {
    with_relay(&[], |relay| {
        let mut reported = relay.pair(Framing::Length(5));
        drop(reported.destination);
        relay.await_state(&reported.id, "SRC_CONNECTED");
        assert_eq!(relay.report(&reported.id).status(), 200);
        assert_error("reported", &reported.source.response(), (400, "Error", None));

        let mut deleted = relay.pair_with(Framing::Chunked, Ask::http10);
        drop(deleted.source);
        relay.await_state(&deleted.id, "DST_CONNECTED");
        let delete = ask("DELETE", &format!("/stream/{}", deleted.id));
        assert_eq!(relay.exchange(&delete).status(), 204);
        let gone = (410, "StreamDeletedError", None);
        assert_error("deleted", &deleted.destination.response(), gone);
    });
}
