//! Before the first byte: within a head, while one side waits, and when both are connected.

use crate::phases::scene::{
    BODY_BROKEN, WAYS, Way, assert_ended, assert_pairable, assert_transfers, assert_truncated,
    framings, get, http_version, with_relay,
};
use crate::support::{
    Ask, Ending, Framing, Pair, Relay, Wire, assert_error, assert_uploaded, pattern,
};

// Before a head is complete.

/// One side waits, the other's head is incomplete and `fail` is applied to it; then a complete
/// request succeeds.
fn fail_within_head(relay: &Relay, framing: Framing, source_waits: bool, fail: impl FnOnce(Wire)) {
    let id = relay.create();
    let head = if source_waits { get(&id).bytes() } else { framing.put(&id).bytes() };
    let waiting = if source_waits {
        relay.waiting_source(&id, framing)
    } else {
        relay.waiting_destination(&id)
    };
    let mut short = relay.connect();
    short.send(&head[..head.len() - 2]);
    relay.await_turn();
    fail(short);
    relay.await_turn();
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
fn a_client_lost_within_its_head_does_not_join() {
    with_relay(&[], |relay| {
        for framing in framings(5) {
            for way in WAYS {
                for source_waits in [true, false] {
                    fail_within_head(relay, framing, source_waits, |short| {
                        if let Some(mut short) = way.disconnect(short) {
                            short.expect_end();
                        }
                    });
                }
            }
        }
    });
}

#[test]
fn a_client_that_stalls_within_its_head_does_not_join() {
    with_relay(&["--header-timeout", "1s"], |relay| {
        for source_waits in [true, false] {
            fail_within_head(relay, Framing::Chunked, source_waits, |mut short| {
                assert_error("stalled", &short.response(), (408, "RequestTimeoutError", None));
                short.expect_end();
            });
        }
    });
}

// While one side waits.

#[test]
fn a_waiting_source_that_half_closes_too_early_frees_its_side() {
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
            relay.await_state(&id, "CREATED");
            assert!(!source.succeeded(), "{what}");
            assert_pairable(relay, &what, &id);
        }
    });
}

#[test]
fn a_waiting_destination_that_half_closes_frees_its_side() {
    with_relay(&[], |relay| {
        let id = relay.create();
        let mut destination = relay.waiting_destination(&id);
        destination.finish_sending();
        destination.expect_end();
        relay.await_state(&id, "CREATED");
        assert_pairable(relay, "half-closed", &id);
    });
}

#[test]
fn either_side_may_reconnect_a_hundred_times() {
    with_relay(&[], |relay| {
        for framing in framings(5) {
            let id = relay.create();
            for round in 0..100 {
                let waiting = if round % 2 == 0 {
                    relay.waiting_source(&id, framing)
                } else {
                    relay.waiting_destination(&id)
                };
                WAYS[round % 3].disconnect(waiting);
                relay.await_state(&id, "CREATED");
            }
            assert_pairable(relay, "after all", &id);
        }
    });
}

#[test]
fn the_ttl_starts_at_the_creation_despite_disconnects() {
    with_relay(&["--ttl", "3s"], |relay| {
        let id = relay.create();
        drop(relay.waiting_source(&id, Framing::Chunked));
        relay.await_state(&id, "CREATED");
        relay.await_state(&id, "TIMEOUT_NO_SRC_NO_DST");
    });
}

#[test]
fn a_source_that_closed_after_its_complete_body_is_still_paired() {
    with_relay(&[], |relay| {
        for framing in framings(10) {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            source.send([&framing.piece(b"0123456789"), framing.end()].concat());
            drop(source);
            relay.await_turn();
            let download = relay.get(&format!("/stream/{id}"));
            assert_eq!((download.text(), download.ending), ("0123456789", Ending::Complete));
            assert_ended(relay, "left behind", &id, ("FINISHED", 10));
        }
    });
}

#[test]
fn a_reset_of_a_waiting_source_discards_its_body() {
    with_relay(&[], |relay| {
        for framing in framings(10) {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            source.send([&framing.piece(b"0123456789"), framing.end()].concat());
            relay.await_turn();
            source.reset();
            relay.await_state(&id, "CREATED");
            assert_pairable(relay, "with another source", &id);
        }
    });
}

#[test]
fn a_truncated_body_of_a_waiting_source_is_detected_when_read() {
    with_relay(&[], |relay| {
        for sent in ["5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "6\r\nhello"] {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, Framing::Chunked);
            source.send(sent);
            source.finish_sending();
            relay.await_turn();
            let mut destination = relay.connect();
            destination.ask(&get(&id));
            assert_error(sent, &source.response(), BODY_BROKEN);
            relay.await_state(&id, "DST_CONNECTED");
            destination.assert_silent();
            assert_transfers(sent, relay.pair_with_new_source(id, Framing::Chunked, destination));
        }
    });
}

#[test]
fn a_long_truncated_body_of_a_waiting_source_stays_truncated() {
    with_relay(&[], |relay| {
        let id = relay.create();
        let mut source = relay.waiting_source(&id, Framing::Chunked);
        let data = pattern(39, 600_000);
        source.send(Framing::Chunked.piece(&data));
        source.finish_sending();
        relay.await_turn();
        let download = relay.get(&format!("/stream/{id}"));
        assert_eq!(download.status(), 200);
        assert_truncated("long", false, Framing::Chunked, download.ending);
        assert_error("long", &source.response(), BODY_BROKEN);
        assert_ended(relay, "long", &id, ("SRC_DISCONNECTED", data.len()));
    });
}

#[test]
fn a_first_side_that_disconnects_at_once_does_not_join() {
    with_relay(&[], |relay| {
        for way in [Way::Close, Way::HalfClose] {
            for request in [
                get as fn(&str) -> Ask,
                |id: &str| Framing::Length(5).put(id),
                |id: &str| Framing::Chunked.put(id),
            ] {
                let id = relay.create();
                let left = relay.while_stopped(|| {
                    let mut wire = relay.connect();
                    wire.ask(&request(&id));
                    way.disconnect(wire)
                });
                if let Some(mut wire) = left {
                    wire.expect_end();
                }
                relay.await_state(&id, "CREATED");
                assert_pairable(relay, &format!("{way:?}"), &id);
            }
        }
    });
}

// Both sides are connected, and no byte was transferred.

#[test]
fn a_destination_that_joins_and_leaves_at_once_does_not_end_the_stream() {
    with_relay(&[], |relay| {
        for (framing, way) in framings(5).into_iter().flat_map(|f| WAYS.map(|way| (f, way))) {
            let what = format!("{framing:?}, {way:?}");
            let id = relay.create();
            let source = relay.waiting_source(&id, framing);
            let left = relay.while_stopped(|| {
                let mut destination = relay.connect();
                destination.ask(&get(&id));
                way.disconnect(destination)
            });
            if let Some(mut wire) = left {
                wire.read_to_end();
            }
            relay.await_turn();
            relay.await_state(&id, "SRC_CONNECTED");
            assert_transfers(&what, relay.pair_with_new_destination(id, framing, source));
        }
    });
}

#[test]
fn a_source_that_joins_and_leaves_at_once_does_not_end_the_stream() {
    with_relay(&[], |relay| {
        for (framing, way) in framings(5).into_iter().flat_map(|f| WAYS.map(|way| (f, way))) {
            let what = format!("{framing:?}, {way:?}");
            let id = relay.create();
            let destination = relay.waiting_destination(&id);
            let left = relay.while_stopped(|| {
                let mut source = relay.connect();
                source.ask(&framing.put(&id));
                way.disconnect(source)
            });
            if let Some(mut source) = left {
                assert_error(&what, &source.response(), BODY_BROKEN);
            }
            relay.await_turn();
            relay.await_state(&id, "DST_CONNECTED");
            assert_transfers(&what, relay.pair_with_new_source(id, framing, destination));
        }
    });
}

#[test]
fn a_paired_source_that_half_closes_before_its_first_byte_gets_a_400() {
    with_relay(&[], |relay| {
        for (framing, old) in framings(5).into_iter().flat_map(|f| [(f, false), (f, true)]) {
            let what = format!("{framing:?}, old: {old}");
            let mut pair = relay.pair_with(framing, http_version(old));
            pair.source.finish_sending();
            assert_error(&what, &pair.source.response(), BODY_BROKEN);
            relay.await_state(&pair.id, "DST_CONNECTED");
            let Pair { id, destination, .. } = pair;
            assert_transfers(&what, relay.pair_with_new_source(id, framing, destination));
        }
    });
}

#[test]
fn a_paired_destination_that_half_closes_early_does_not_end_the_stream() {
    with_relay(&[], |relay| {
        for (framing, old) in framings(5).into_iter().flat_map(|f| [(f, false), (f, true)]) {
            let what = format!("{framing:?}, old: {old}");
            let mut pair = relay.pair_with(framing, http_version(old));
            pair.destination.finish_sending();
            pair.destination.expect_end();
            relay.await_state(&pair.id, "SRC_CONNECTED");
            let Pair { id, source, .. } = pair;
            assert_transfers(&what, relay.pair_with_new_destination(id, framing, source));
        }
    });
}
