//! Before a byte has moved: within a head, while one side waits, and when both have just met.

use crate::scene::{
    BODY_BROKEN, DESTINATION_CLOSED, SOURCE_CLOSED, WAYS, Way, aged, assert_ended, assert_torso,
    framings, get, with_relay,
};
use crate::support::{Ask, Ending, Framing, Relay, Wire, assert_error, assert_uploaded};

// Before a head is complete.

/// One side waits, the other's head stops short of its end and `fail` happens to it; then a whole
/// request comes, as if nothing had been.
fn stop_short(relay: &Relay, framing: Framing, source_waits: bool, fail: impl FnOnce(Wire)) {
    let id = relay.create();
    let head = if source_waits { get(&id).bytes() } else { framing.put(&id).bytes() };
    let waiting = if source_waits {
        relay.waiting_source(&id, framing)
    } else {
        relay.waiting_destination(&id)
    };
    let mut short = relay.connect();
    short.send(&head[..head.len() - 2]);
    relay.turn();
    fail(short);
    relay.turn();
    let state = if source_waits { "SRC_CONNECTED" } else { "DST_CONNECTED" };
    assert_eq!(relay.status(&id)["state"], state);

    let mut late = relay.connect();
    late.send(&head);
    let (mut source, mut destination) =
        if source_waits { (waiting, late) } else { (late, waiting) };
    source.send([&framing.piece(b"hello"), framing.end()].concat());
    assert_eq!(destination.response().text(), "hello");
    assert_uploaded(&source.response());
}

#[test]
fn whoever_leaves_within_its_head_was_never_there() {
    with_relay(&[], |relay| {
        for framing in framings(5) {
            for way in WAYS {
                for source_waits in [true, false] {
                    stop_short(relay, framing, source_waits, |short| {
                        if let Some(mut short) = way.go(short) {
                            short.expect_end();
                        }
                    });
                }
            }
        }
    });
}

#[test]
fn whoever_stalls_within_its_head_was_never_there() {
    with_relay(&["--header-timeout", "300ms"], |relay| {
        for source_waits in [true, false] {
            stop_short(relay, Framing::Chunked, source_waits, |mut short| {
                assert_error("stalled", &short.response(), (408, "RequestTimeoutError", None));
                short.expect_end();
            });
        }
    });
}

// While one side waits.

#[test]
fn a_waiting_source_that_half_closes_too_early_ends_its_stream() {
    with_relay(&[], |relay| {
        let rows: [(Framing, &str); 4] = [
            (Framing::Length(10), ""),
            (Framing::Length(10), "012345678"),
            (Framing::Length(1 << 40), "0123456789"),
            (Framing::Chunked, ""),
        ];
        for (framing, sent) in rows {
            let what = format!("{framing:?}, {sent:?}");
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            source.send(sent);
            source.finish_sending();
            assert_ended(relay, &what, &id, ("SRC_DISCONNECTED", 0));
            assert!(!source.succeeded(), "{what}");
            let late = relay.get(&format!("/stream/{id}"));
            assert_error(&what, &late, (404, "SessionNotFoundError", None));
        }
    });
}

#[test]
fn a_waiting_destination_that_half_closes_ends_its_stream() {
    with_relay(&[], |relay| {
        let id = relay.create();
        let mut destination = relay.waiting_destination(&id);
        destination.finish_sending();
        destination.expect_end();
        assert_ended(relay, "half-closed", &id, ("DST_DISCONNECTED", 0));
    });
}

#[test]
fn a_waiting_source_that_left_its_whole_body_behind_is_still_met() {
    with_relay(&[], |relay| {
        for framing in framings(10) {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            source.send([&framing.piece(b"0123456789"), framing.end()].concat());
            drop(source);
            relay.turn();
            let download = relay.get(&format!("/stream/{id}"));
            assert_eq!((download.text(), download.ending), ("0123456789", Ending::Complete));
            assert_ended(relay, "left behind", &id, ("FINISHED", 10));
        }
    });
}

#[test]
fn a_waiting_source_that_resets_takes_its_body_along() {
    with_relay(&[], |relay| {
        for framing in framings(10) {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            source.send([&framing.piece(b"0123456789"), framing.end()].concat());
            relay.turn();
            source.reset();
            assert_ended(relay, "reset", &id, ("SRC_DISCONNECTED", 0));
        }
    });
}

#[test]
fn a_waiting_source_s_broken_body_is_found_out_when_it_is_read() {
    with_relay(&[], |relay| {
        for sent in ["5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "6\r\nhello"] {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, Framing::Chunked);
            source.send(sent);
            source.finish_sending();
            relay.turn();
            let download = relay.get(&format!("/stream/{id}"));
            assert_eq!(download.status(), 200, "{sent:?}");
            assert_torso(sent, false, Framing::Chunked, download.ending);
            assert_error(sent, &source.response(), BODY_BROKEN);
            assert_ended(relay, sent, &id, ("SRC_DISCONNECTED", 5));
        }
    });
}

#[test]
fn whoever_comes_first_and_leaves_in_one_breath_ends_its_stream() {
    with_relay(&[], |relay| {
        for way in [Way::Close, Way::HalfClose] {
            for (request, state) in [
                (get as fn(&str) -> Ask, "DST_DISCONNECTED"),
                (|id: &str| Framing::Length(5).put(id), "SRC_DISCONNECTED"),
                (|id: &str| Framing::Chunked.put(id), "SRC_DISCONNECTED"),
            ] {
                let id = relay.create();
                let left = relay.while_stopped(|| {
                    let mut wire = relay.connect();
                    wire.ask(&request(&id));
                    way.go(wire)
                });
                assert_ended(relay, &format!("{way:?}"), &id, (state, 0));
                if let Some(mut wire) = left {
                    wire.expect_end();
                }
            }
        }
    });
}

// Both sides are there, and no byte has moved.

#[test]
fn a_destination_that_comes_second_and_leaves_in_one_breath_is_missed() {
    with_relay(&[], |relay| {
        for (framing, way) in framings(10).into_iter().flat_map(|f| WAYS.map(|way| (f, way))) {
            let what = format!("{framing:?}, {way:?}");
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            let left = relay.while_stopped(|| {
                let mut destination = relay.connect();
                destination.ask(&get(&id));
                way.go(destination)
            });
            assert_error(&what, &source.response(), DESTINATION_CLOSED);
            assert_ended(relay, &what, &id, ("DST_DISCONNECTED", 0));
            if let Some(mut wire) = left {
                wire.everything();
            }
        }
    });
}

#[test]
fn a_source_that_comes_second_and_leaves_in_one_breath_is_missed() {
    with_relay(&[], |relay| {
        for (framing, way) in framings(10).into_iter().flat_map(|f| WAYS.map(|way| (f, way))) {
            let what = format!("{framing:?}, {way:?}");
            let id = relay.create();
            let mut destination = relay.waiting_destination(&id);
            let left = relay.while_stopped(|| {
                let mut source = relay.connect();
                source.ask(&framing.put(&id));
                way.go(source)
            });
            assert_error(&what, &destination.response(), SOURCE_CLOSED);
            assert_ended(relay, &what, &id, ("SRC_DISCONNECTED", 0));
            if let Some(mut source) = left {
                assert_error(&what, &source.response(), BODY_BROKEN);
            }
        }
    });
}

#[test]
fn a_paired_source_that_half_closes_before_its_first_byte_is_a_502() {
    with_relay(&[], |relay| {
        for (framing, old) in framings(10).into_iter().flat_map(|f| [(f, false), (f, true)]) {
            let what = format!("{framing:?}, old: {old}");
            let mut pair = relay.pair_with(framing, aged(old));
            pair.source.finish_sending();
            assert_error(&what, &pair.destination.response(), SOURCE_CLOSED);
            assert_error(&what, &pair.source.response(), BODY_BROKEN);
            assert_ended(relay, &what, &pair.id, ("SRC_DISCONNECTED", 0));
        }
    });
}

#[test]
fn a_paired_destination_that_half_closes_before_the_first_byte_is_a_502() {
    with_relay(&[], |relay| {
        for (framing, old) in framings(10).into_iter().flat_map(|f| [(f, false), (f, true)]) {
            let what = format!("{framing:?}, old: {old}");
            let mut pair = relay.pair_with(framing, aged(old));
            pair.destination.finish_sending();
            assert_error(&what, &pair.source.response(), DESTINATION_CLOSED);
            pair.destination.expect_end();
            assert_ended(relay, &what, &pair.id, ("DST_DISCONNECTED", 0));
        }
    });
}
