//! `--digest`: the receiver verifies the data, and reports a mismatch.

use std::io::Write as _;

use crate::support::{Framing, Process, Relay, pattern};
use crate::workdir::{Workdir, assert_complete, assert_ended};
use serde_json::json;

/// A digest of other data.
const FALSE: &str = "Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n";

/// A hand-written upload with this trailer, to a stream with or without a declared digest.
fn uploaded(relay: &Relay, announced: bool, body: &[u8], trailer: &str) -> String {
    let id = if announced {
        relay.create_with(&json!({ "download_headers": { "Rdv-Digest": "sha-256" } }))
    } else {
        relay.create()
    };
    let mut source = relay.waiting_source(&id, Framing::Chunked);
    source.send(Framing::Chunked.piece(body));
    source.send(format!("0\r\n{trailer}\r\n"));
    // The connection stays open until the response, which this function does not read.
    std::thread::spawn(move || source.response());
    id
}

#[test]
fn a_complete_download_is_verified_for_every_output() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    for size in [0, 1, 1 << 20] {
        let content = pattern(1, size);
        here.put("a", &content);
        for flags in [&[][..], &["-o", "-"], &["-o", "/dev/null"]] {
            let there = Workdir::at(&relay);
            let (sending, id) = here.start_sending(&["a", "--digest"]);
            let got = there.run(&[&["receive", &id], flags].concat());
            assert_complete("receive", &got);
            assert_complete("send", &sending.finish());
            let status = relay.await_state(&id, "FINISHED");
            assert!(status["repr_digest"].is_string(), "{status}");
            match flags {
                [] => assert!(there.read("a") == content, "{size}"),
                [_, "-"] => assert!(got.output == content, "{size}"),
                _ => assert_eq!(there.names(), Vec::<String>::new()),
            }
        }
    }
}

#[test]
fn standard_input_has_a_digest_too() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let (sending, id, mut rest) = here.pipe_send(&["--digest"]);
    let receiving = there.start(&["pipe", "receive", &id]);
    rest.write_all(&pattern(2, 300_000)).expect("the sender reads");
    drop(rest);
    let got = receiving.finish();
    assert_complete("receive", &got);
    assert!(got.output == pattern(2, 300_000));
    assert_complete("send", &sending.finish());
}

#[test]
fn data_with_a_wrong_or_missing_digest_is_kept_as_partial_only() {
    let relay = Relay::start(&[]);
    for (what, announced, trailer, words) in [
        ("a false digest", true, FALSE, "digest mismatch"),
        ("a wrong one that was not declared", false, FALSE, "digest mismatch"),
        ("an announced one that does not come", true, "", "digest missing"),
    ] {
        let there = Workdir::at(&relay);
        let id = uploaded(&relay, announced, b"abc", trailer);
        let got = there.run(&["receive", &id, "-o", "a"]);
        assert_ended(what, &got, 6, words);
        assert!(got.stderr.contains("partial data is in a.partial"), "{what}: {}", got.stderr);
        assert_eq!(
            (there.names(), there.read("a.partial")),
            (vec!["a.partial".into()], b"abc".into())
        );
        if announced {
            let id = uploaded(&relay, announced, b"abc", trailer);
            assert_ended(what, &there.run(&["receive", &id, "-o", "-"]), 6, words);
        }
    }
}

#[test]
fn nothing_is_extracted_if_the_digest_does_not_match() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    std::fs::create_dir(here.path("tree")).expect("a directory");
    here.put("tree/a", "abc");
    let (sending, id) = here.start_sending(&["tree", "--zstd"]);
    assert_complete("receive", &here.run(&["receive", &id]));
    assert_complete("send", &sending.finish());
    let tar = here.other_command("tar").args(["c", "tree"]).output().expect("tar").stdout;
    for (what, archive) in [("plain", tar), ("compressed", here.read("tree.tar.zst"))] {
        let false_words = "digest mismatch";
        for (trailer, words) in [(FALSE, false_words), ("", "digest missing")] {
            let there = Workdir::at(&relay);
            let id = uploaded(&relay, true, &archive, trailer);
            assert_ended(what, &there.run(&["receive", &id, "-x"]), 6, words);
            assert_eq!(there.names(), Vec::<String>::new(), "{what}");
        }
    }
}

#[test]
fn a_trailer_sent_by_curl_is_verified_for_files() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    // printf abc | sha256sum, in base 64.
    let right = "Repr-Digest: sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:\r\n";
    let id = uploaded(&relay, false, b"abc", right);
    assert_complete("receive", &there.run(&["receive", &id, "-o", "a"]));
    assert_eq!(there.read("a"), b"abc");
}

#[test]
fn json_output_contains_the_digest() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    let sending: Process = here.start(&["send", "a", "--digest", "--json"]);
    let id = crate::workdir::stream_of_sender(&sending);
    assert_complete("receive", &there.run(&["receive", &id]));
    let sent = sending.finish().stderr;
    let value = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    assert!(sent.lines().last().is_some_and(|line| line.contains(value)), "{sent}");
}
