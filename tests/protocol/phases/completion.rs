//! Disconnects in the last bytes, and after the end.

use crate::phases::scene::{
    BODY_BROKEN, DESTINATION_CLOSED, WAYS, assert_ended, assert_transfers, assert_truncated,
    framings, http_version, with_relay,
};
use crate::support::{
    Ending, Framing, Pair, assert_error, assert_uploaded, eventually, is_pattern, pattern,
};

#[test]
fn a_source_lost_in_its_last_bytes_never_looks_complete() {
    with_relay(&[], |relay| {
        let data = pattern(35, 300_000);
        let chunk = Framing::Chunked.piece(&data);
        let rows = [
            ("the last byte", Framing::Length(data.len()), data[..data.len() - 1].to_vec()),
            ("the last byte of a chunk", Framing::Chunked, chunk[..chunk.len() - 3].to_vec()),
            ("the end of the last chunk", Framing::Chunked, chunk[..chunk.len() - 1].to_vec()),
            ("the empty chunk", Framing::Chunked, chunk.clone()),
            ("the size line's end", Framing::Chunked, [&chunk[..], b"0"].concat()),
            ("the last line", Framing::Chunked, [&chunk[..], b"0\r\n"].concat()),
            ("the last byte of the last line", Framing::Chunked, [&chunk[..], b"0\r\n\r"].concat()),
        ];
        for (missing, framing, sent) in &rows {
            for (way, old) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
                let what = format!("without {missing}, {way:?}, old: {old}");
                let mut pair = relay.pair_with(*framing, http_version(old));
                pair.source.send(sent);
                assert_eq!(pair.destination.head().status, 200, "{what}");
                let complete =
                    if missing.starts_with("the last byte") { data.len() - 1 } else { data.len() };
                let mut got = pair.destination.body(complete.min(200_000));
                let left = way.disconnect(pair.source);
                let (rest, ending) = pair.destination.rest();
                got.extend_from_slice(&rest);
                is_pattern(35, data.len(), &[&got[..], &data[got.len()..]].concat())
                    .unwrap_or_else(|why| panic!("{what}: {why}"));
                assert_truncated(&what, old, *framing, ending);
                relay.await_state(&pair.id, "SRC_DISCONNECTED");
                if let Some(mut source) = left {
                    assert_error(&what, &source.response(), BODY_BROKEN);
                }
            }
        }
    });
}

#[test]
fn a_destination_lost_before_the_last_byte_is_detected() {
    with_relay(&[], |relay| {
        for (framing, way) in framings(6).into_iter().flat_map(|f| WAYS.map(|way| (f, way))) {
            let what = format!("{framing:?}, {way:?}");
            let mut pair = relay.pair(framing);
            pair.pass_first(b"hello");
            let last = [&framing.piece(b"!"), framing.end()].concat();
            let Pair { id, mut source, destination, .. } = pair;
            // The disconnect and the last byte are read in the same turn.
            let left = relay.while_stopped(|| {
                let left = way.disconnect(destination);
                source.send(&last);
                left
            });
            let status = eventually("it ends", || {
                let status = relay.status(&id);
                (status["active"] == false).then_some(status)
            });
            // Whichever the relay notices first, both sides see the same.
            if status["state"] == "FINISHED" {
                assert_uploaded(&source.response());
                if let Some(mut wire) = left {
                    assert_eq!(wire.rest(), (b"!".to_vec(), Ending::Complete), "{what}");
                }
            } else {
                assert_eq!(status["state"], "DST_DISCONNECTED", "{what}");
                assert_error(&what, &source.response(), DESTINATION_CLOSED);
                if let Some(mut wire) = left {
                    assert_truncated(&what, false, framing, wire.rest().1);
                }
            }
        }
    });
}

// After the end.

#[test]
fn a_source_lost_after_its_response_does_not_truncate_the_download() {
    with_relay(&[], |relay| {
        let data = pattern(36, 30_000);
        for (framing, way) in framings(data.len()).into_iter().flat_map(|f| WAYS.map(|w| (f, w))) {
            let what = format!("{framing:?}, {way:?}");
            let mut pair = relay.narrow_pair(framing);
            pair.source.send([&framing.piece(&data), framing.end()].concat());
            assert_uploaded(&pair.source.response());
            let left = way.disconnect(pair.source);
            relay.await_turn();
            let download = pair.destination.response();
            assert_eq!(download.ending, Ending::Complete, "{what}");
            is_pattern(36, data.len(), &download.body).unwrap_or_else(|why| panic!("{why}"));
            assert_ended(relay, &what, &pair.id, ("FINISHED", data.len()));
            if let Some(mut source) = left {
                source.expect_end();
            }
        }
    });
}

#[test]
fn a_destination_lost_after_the_complete_body_does_not_fail_the_upload() {
    with_relay(&[], |relay| {
        let data = pattern(37, 300_000);
        for (framing, old) in framings(data.len()).into_iter().flat_map(|f| [(f, false), (f, true)])
        {
            for way in WAYS {
                let what = format!("{framing:?}, {way:?}, old: {old}");
                let mut pair = relay.pair_with(framing, http_version(old));
                pair.source.send([&framing.piece(&data), framing.end()].concat());
                let download = pair.destination.response();
                assert_eq!(download.ending, Ending::Complete, "{what}");
                let left = way.disconnect(pair.destination);
                assert_uploaded(&pair.source.response());
                assert_ended(relay, &what, &pair.id, ("FINISHED", data.len()));
                if let Some(mut destination) = left {
                    destination.expect_end();
                }
            }
        }
    });
}

#[test]
fn after_a_late_reset_of_the_source_both_sides_agree_on_the_outcome() {
    with_relay(&[], |relay| {
        let data = pattern(38, 200_000);
        for framing in framings(data.len()) {
            let what = format!("{framing:?}");
            let mut pair = relay.narrow_pair(framing);
            pair.source.send([&framing.piece(&data), framing.end()].concat());
            pair.source.reset();
            let state = eventually("the reset is noticed", || {
                let status = relay.status(&pair.id);
                (status["state"] != "STREAMING").then(|| status["state"].clone())
            });
            if state == "DST_CONNECTED" {
                // The reset discarded the entire body: none of it was delivered.
                let Pair { id, destination, .. } = pair;
                assert_transfers(
                    &what,
                    relay.pair_with_new_source(id, Framing::Chunked, destination),
                );
                continue;
            }
            let download = pair.destination.try_response();
            let complete = matches!(&download, Ok(download)
                if download.status() == 200 && download.ending == Ending::Complete);
            let state = if complete { "FINISHED" } else { "SRC_DISCONNECTED" };
            relay.await_state(&pair.id, state);
            if let Ok(download) = download.as_ref()
                && download.status() == 200
            {
                let got = &download.body;
                is_pattern(38, got.len(), got).unwrap_or_else(|why| panic!("{what}: {why}"));
                assert!(!complete || got.len() == data.len(), "{what}: {}", got.len());
            }
        }
    });
}
