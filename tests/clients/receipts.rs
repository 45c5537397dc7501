//! Receipts: whether the receiver has the data, as reported by the sender.

use crate::support::{Relay, Wire, ask, eventually, parse};
use crate::workdir::{Workdir, assert_complete, assert_ended};
use serde_json::{Value, json};

/// The last line of `--json`.
fn last(json: &str) -> Value {
    parse(json.lines().last().expect("a line").as_bytes())
}

/// A receiver that announced a receipt and read everything.
fn receiver(relay: &Relay, id: &str) -> Wire {
    let mut wire = relay.connect();
    wire.ask(&ask("GET", &format!("/stream/{id}")).field("Rdv-Receipt", "expected"));
    assert_eq!(wire.response().text(), "abc");
    wire
}

#[test]
fn a_receiver_confirms_what_it_has_stored() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    std::fs::create_dir(here.path("tree")).expect("a directory");
    here.put("tree/b", "bcd");
    for (what, flags) in [("a", &[][..]), ("a", &["--digest"]), ("tree", &["--zstd"])] {
        let (sending, id) = here.start_sending(&[&[what, "--json"], flags].concat());
        let flags = if what == "tree" { &["-x"][..] } else { &["--force"] };
        assert_complete(what, &there.run(&[&["receive", &id], flags].concat()));
        let sent = sending.finish();
        assert_complete(what, &sent);
        assert_eq!(last(&sent.stderr)["receipt"], "confirmed", "{what} {flags:?}");
        assert_eq!(relay.status(&id)["receipt"], "confirmed", "{what} {flags:?}");
    }
}

#[test]
fn a_plain_client_confirms_nothing() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    for name in ["curl", "standard output"] {
        let (sending, id) = here.start_sending(&["a", "--json"]);
        let receiving = match name {
            "curl" => there.curl(&["-fo", "a", &relay.url(&format!("/stream/{id}"))]),
            _ => there.start(&["pipe", "receive", &id]),
        };
        assert_complete(name, &receiving.finish());
        let sent = sending.finish();
        assert_complete(name, &sent);
        assert_eq!(last(&sent.stderr)["receipt"], "none", "{name}");
    }
}

#[test]
fn the_acknowledgement_of_a_plain_clients_tcp_is_no_confirmation() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    let id = relay.create_with(&json!({ "receipt": "acked" }));
    let sending = here.start(&["send", "a", "--json", "--stream", &id]);
    let received = there.curl(&["-f", &relay.url(&format!("/stream/{id}"))]).finish();
    assert_eq!((received.status.code(), received.stdout.as_str()), (Some(0), "abc"));
    let sent = sending.finish();
    assert_complete("sent", &sent);
    assert_eq!(last(&sent.stderr)["receipt"], "acked");

    here.put("b", "b".repeat(300_000));
    let id = relay.create_with(&json!({ "receipt": "acked" }));
    let mut destination = Wire::connect_narrow(relay.address());
    destination.ask(&ask("GET", &format!("/stream/{id}")));
    let sending = here.start(&["send", "b", "--stream", &id]);
    eventually("all bytes are handed over", || {
        (relay.status(&id)["bytes_transferred"] == 300_000).then_some(())
    });
    destination.reset();
    assert_ended("reset", &sending.finish(), 4, "rdv: Stream destination closed unexpectedly (502");
}

#[test]
fn a_receiver_that_fails_or_is_silent_fails_the_sender() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    let (sending, id) = here.start_sending(&["a"]);
    let _wire = receiver(&relay, &id);
    let receipt =
        ask("POST", &format!("/stream/{id}/receipt")).body(r#"{"error":"no space left"}"#);
    assert_eq!(relay.exchange(&receipt).status(), 200);
    assert_ended("failed", &sending.finish(), 4, "rdv: failed at the receiver: no space left\n");

    // It was killed before it stored the received data.
    let (sending, id) = here.start_sending(&["a", "--receipt-timeout", "100ms"]);
    drop(receiver(&relay, &id));
    assert_ended("silent", &sending.finish(), 4, "did not confirm within 100ms");

    let (sending, id) = here.start_sending(&["a", "--receipt-timeout", "0s"]);
    drop(receiver(&relay, &id));
    assert_complete("not awaited", &sending.finish());
}

#[test]
fn a_relay_that_forgets_the_stream_does_not_confirm_it() {
    let relay = Relay::start(&["--retention", "2s"]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    let (sending, id) = here.start_sending(&["a"]);
    drop(receiver(&relay, &id));
    assert_ended("forgotten", &sending.finish(), 4, "within the retention time of the relay");
}

#[test]
fn an_archive_that_is_none_is_reported_to_the_sender() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a.txt", "abc");
    let (sending, id) = here.start_sending(&["a.txt"]);
    assert_ended("receive", &there.run(&["receive", "-x", &id]), 8, "not extracted");
    let words = "failed at the receiver: not extracted: not a tar archive, but text/plain";
    assert_ended("send", &sending.finish(), 4, words);
}
