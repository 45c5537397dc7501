//! Disconnects in the middle of the body.

use crate::phases::scene::{
    BODY_BROKEN, BODY_STALLED, DESTINATION_CLOSED, DESTINATION_ERRED, WAYS, Way, assert_ended,
    assert_truncated, framings, http_version, with_relay,
};
use crate::support::{Ending, Framing, Pair, assert_error, eventually, is_pattern, pattern};

#[test]
fn a_source_that_half_closes_during_its_body_gets_an_error() {
    with_relay(&[], |relay| {
        for sent in [5, 200_000] {
            for (framing, old) in
                framings(sent + 1).into_iter().flat_map(|f| [(f, false), (f, true)])
            {
                let what = format!("{sent} bytes, {framing:?}, old: {old}");
                let mut pair = relay.pair_with(framing, http_version(old));
                pair.pass_first(&pattern(31, sent));
                pair.source.finish_sending();
                let (rest, ending) = pair.destination.rest();
                assert!(rest.is_empty(), "{what}: {} more bytes", rest.len());
                assert_truncated(&what, old, framing, ending);
                assert_error(&what, &pair.source.response(), BODY_BROKEN);
                assert_ended(relay, &what, &pair.id, ("SRC_DISCONNECTED", sent));
            }
        }
    });
}

#[test]
fn a_destination_lost_during_the_body_is_detected_at_once() {
    with_relay(&[], |relay| {
        for (framing, old) in framings(1 << 20).into_iter().flat_map(|f| [(f, false), (f, true)]) {
            for (sent, way) in WAYS.into_iter().flat_map(|way| [(5, way), (200_000, way)]) {
                let what = format!("{sent} bytes, {framing:?}, {way:?}, old: {old}");
                let mut pair = relay.pair_with(framing, http_version(old));
                pair.pass_first(&pattern(32, sent));
                let left = way.disconnect(pair.destination);
                assert_error(&what, &pair.source.response(), DESTINATION_CLOSED);
                assert_ended(relay, &what, &pair.id, ("DST_DISCONNECTED", sent));
                if let Some(mut wire) = left {
                    assert_truncated(&what, old, framing, wire.rest().1);
                }
            }
        }
    });
}

#[test]
fn both_sides_may_disconnect_at_once() {
    with_relay(&[], |relay| {
        for framing in framings(1 << 20) {
            for (one, other) in WAYS.into_iter().flat_map(|one| WAYS.map(|other| (one, other))) {
                let mut pair = relay.pair(framing);
                pair.pass_first(b"hello");
                let Pair { id, source, destination, .. } = pair;
                let left =
                    relay.while_stopped(|| (one.disconnect(source), other.disconnect(destination)));
                let ended = |state: &str| state.ends_with("_DISCONNECTED").then_some(());
                eventually("it ends", || {
                    ended(relay.status(&id)["state"].as_str().expect("a state"))
                });
                if let Some(mut source) = left.0 {
                    assert!(!source.succeeded());
                }
                if let Some(mut destination) = left.1 {
                    assert_ne!(destination.rest().1, Ending::Complete);
                }
            }
        }
    });
}

#[test]
fn a_source_that_stalls_within_its_framing_gets_a_timeout() {
    with_relay(&["--idle-timeout", "1s"], |relay| {
        let rows = ["5", "5\r", "5\r\n", "5\r\nhe", "5\r\nhello", "5\r\nhello\r\n0\r\n"];
        let rows = rows.into_iter().flat_map(|sent| [(sent, false), (sent, true)]);
        let stalled = rows.map(|(sent, old)| {
            let mut pair = relay.pair_with(Framing::Chunked, http_version(old));
            pair.pass_first(b"first");
            pair.source.send(sent);
            (sent, old, pair)
        });
        for (sent, old, mut pair) in stalled.collect::<Vec<_>>() {
            let (rest, ending) = pair.destination.rest();
            assert!(b"hello".starts_with(&rest), "{sent:?}: {rest:?}");
            assert_truncated(sent, old, Framing::Chunked, ending);
            assert_error(sent, &pair.source.response(), BODY_STALLED);
            assert_ended(relay, sent, &pair.id, ("SRC_ERROR", 5 + rest.len()));
        }
    });
}

#[test]
fn a_stalled_destination_is_disconnected() {
    with_relay(&["--idle-timeout", "1s", "--linger-timeout", "5s"], |relay| {
        let data = pattern(33, 16 << 20);
        for framing in framings(data.len()) {
            let what = format!("{framing:?}");
            let mut pair = relay.narrow_pair(framing);
            relay.fill(&mut pair.source, &framing.piece(&data));
            assert_error(&what, &pair.source.response(), DESTINATION_ERRED);
            assert_eq!(relay.status(&pair.id)["state"], "DST_ERROR", "{what}");
            assert_eq!(pair.destination.head().status, 200, "{what}");
            let (got, ending) = pair.destination.rest();
            is_pattern(33, got.len(), &got).unwrap_or_else(|why| panic!("{what}: {why}"));
            assert_truncated(&what, false, framing, ending);
        }
    });
}

#[test]
fn a_source_lost_while_its_destination_stalls_is_reported() {
    with_relay(&[], |relay| {
        // More than a destination's small buffer, less than the kernel accepts for it.
        let data = pattern(34, 100_000);
        for (framing, way) in framings(1 << 30).into_iter().flat_map(|f| WAYS.map(|way| (f, way))) {
            let what = format!("{framing:?}, {way:?}");
            let mut pair = relay.narrow_pair(framing);
            pair.source.send(framing.piece(&data));
            relay.await_turn();
            let left = way.disconnect(pair.source);
            assert_eq!(pair.destination.head().status, 200, "{what}");
            let (got, ending) = pair.destination.rest();
            is_pattern(34, got.len(), &got).unwrap_or_else(|why| panic!("{what}: {why}"));
            assert_truncated(&what, false, framing, ending);
            // A reset can overtake bytes; a FIN cannot.
            assert!(way == Way::Reset || got.len() == data.len(), "{what}: {}", got.len());
            assert_ended(relay, &what, &pair.id, ("SRC_DISCONNECTED", got.len()));
            if let Some(mut source) = left {
                assert_error(&what, &source.response(), BODY_BROKEN);
            }
        }
    });
}
