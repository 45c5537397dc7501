//! Streams that fail: both sides report it, each with the exit status for its cause, and a partial
//! file is never taken for a complete one.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::{Framing, Process, Relay, SmallDisk, ask, eventually, pattern};
use crate::workdir::{Workdir, assert_ended, stream_of_sender};
use nix::sys::signal::Signal;
use serde_json::json;

/// Bytes received before the end; no more are sent.
const SENT: usize = 300_000;

/// A transfer that stalls in the middle.
struct Midway {
    relay: Relay,
    id: String,
    sending: Process,
    receiving: Process,
    there: Workdir,
    _here: Workdir,
    /// Kept open, so that the sender waits for more input.
    _rest: std::io::PipeWriter,
}

impl Midway {
    /// To a file `a`.
    fn to_file() -> Midway {
        let midway = Midway::with(&["-o", "a"]);
        midway.there.await_bytes("a.partial", SENT as u64);
        midway
    }

    fn with(flags: &[&str]) -> Midway {
        let relay = Relay::start(&[]);
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        let (sending, id, mut rest) = here.pipe_send(&[]);
        let receiving = there.start(&[&["receive", &id], flags].concat());
        rest.write_all(&pattern(1, SENT)).expect("the sender reads");
        Midway { relay, id, sending, receiving, there, _here: here, _rest: rest }
    }

    /// Checks how the receiver ended, and that it left and named only a partial file.
    fn assert_partial_download(self, exit: i32, words: &str) {
        let got = self.receiving.finish();
        assert_ended("receive", &got, exit, words);
        assert!(got.stderr.trim_end().ends_with("partial data is in a.partial"), "{}", got.stderr);
        assert_eq!(self.there.names(), ["a.partial"]);
        assert!(self.there.read("a.partial") == pattern(1, SENT), "the received part is kept");
    }
}

#[test]
fn a_killed_sender_leaves_a_partial_file() {
    let midway = Midway::to_file();
    midway.sending.signal(Signal::SIGKILL);
    midway.assert_partial_download(4, "Stream source closed unexpectedly");
}

#[test]
fn a_truncated_upload_never_looks_complete() {
    let relay = Relay::start(&[]);
    for framing in [Framing::Length(10), Framing::Chunked] {
        for flags in [&["-o", "a"][..], &["-o", "-"]] {
            let there = Workdir::at(&relay);
            let id = relay.create();
            let receiving = there.await_receiver(&relay, &[&[&*id], flags].concat());
            let mut source = relay.connect();
            source.ask(&framing.put(&id));
            source.send(framing.piece(b"abc"));
            eventually("it is received", || {
                (relay.status(&id)["bytes_transferred"] == 3).then_some(())
            });
            drop(source);
            let words = "the response was interrupted after 3 B: Stream source closed unexpectedly";
            assert_ended(&format!("{framing:?} {flags:?}"), &receiving.finish(), 4, words);
            let kept = if flags[1] == "a" { vec!["a.partial".to_owned()] } else { vec![] };
            assert_eq!(there.names(), kept);
        }
    }
}

#[test]
fn a_file_that_changes_while_the_sender_waits_is_sent_as_it_is_then() {
    let relay = Relay::start(&[]);
    for flags in [&[][..], &["--digest"]] {
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        for bytes in [120_000, 5000, 0] {
            here.put("a", pattern(3, 100_000));
            let (sending, id) = here.start_sending(&[&["a"], flags].concat());
            relay.await_state(&id, "SRC_CONNECTED");
            here.put("a", pattern(3, bytes));
            assert_ended("receive", &there.run(&["receive", &id, "-f"]), 0, "");
            assert_ended("send", &sending.finish(), 0, "");
            assert!(there.read("a") == pattern(3, bytes), "{flags:?} {bytes}");
        }
    }
}

#[test]
fn an_interrupted_sender_is_reported_to_the_receiver() {
    let midway = Midway::to_file();
    let Midway { relay, id, sending, receiving, there, .. } = midway;
    sending.signal(Signal::SIGINT);
    assert_ended("send", &sending.finish(), 130, "rdv: interrupted");
    assert_ended("receive", &receiving.finish(), 4, "Stream source closed unexpectedly");
    assert_eq!(there.names(), ["a.partial"]);
    relay.await_state(&id, "SRC_DISCONNECTED");
}

#[test]
fn a_killed_relay_is_a_network_error_on_both_sides() {
    let midway = Midway::to_file();
    let Midway { relay, sending, receiving, there, .. } = midway;
    relay.signal(Signal::SIGKILL);
    assert_ended("send", &sending.finish(), 7, "the server closed the connection");
    let got = receiving.finish();
    assert_ended("receive", &got, 7, "the response was interrupted after 293 KiB");
    assert!(got.stderr.contains("partial data is in a.partial"), "{}", got.stderr);
    assert_eq!(there.names(), ["a.partial"]);
}

#[test]
fn a_killed_receiver_is_reported_to_the_sender() {
    let midway = Midway::to_file();
    let Midway { relay, id, sending, receiving, .. } = midway;
    receiving.signal(Signal::SIGKILL);
    assert_ended("send", &sending.finish(), 4, "Stream destination closed unexpectedly");
    relay.await_state(&id, "DST_DISCONNECTED");
}

#[test]
fn a_receiver_disconnect_is_reported_to_the_sender_of_a_large_file() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let file = std::fs::File::create(here.path("a")).expect("a file");
    file.set_len(1 << 30).expect("a sparse file");
    for flags in [&[][..], &["--digest"]] {
        let (sending, id) = here.start_sending(&[&["a"], flags].concat());
        let mut destination = relay.connect();
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        destination.head();
        drop(destination);
        assert_ended("send", &sending.finish(), 4, "Stream destination closed unexpectedly");
    }
}

#[test]
fn cancelling_a_stream_ends_a_running_transfer_on_both_sides() {
    let midway = Midway::to_file();
    let got = midway.there.run(&["cancel", &midway.id]);
    assert_ended("cancel", &got, 0, "");
    midway.relay.await_state(&midway.id, "CLIENT_ERROR");
    let Midway { sending, receiving, there, .. } = midway;
    assert_ended("send", &sending.finish(), 4, "(410 StreamDeletedError)");
    let got = receiving.finish();
    assert_ended("receive", &got, 4, "deleted");
    assert_eq!(there.names(), ["a.partial"]);
}

#[test]
fn cancelling_a_stream_ends_a_waiting_side() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    let (sending, id) = here.start_sending(&["a"]);
    relay.await_state(&id, "SRC_CONNECTED");
    assert_ended("cancel", &there.run(&["cancel", &id]), 0, "");
    assert_ended("send", &sending.finish(), 4, "(410 StreamDeletedError)");

    let id = relay.create();
    let receiving = there.await_receiver(&relay, &[&id]);
    assert_ended("cancel", &here.run(&["cancel", &relay.url(&format!("/stream/{id}"))]), 0, "");
    assert_ended("receive", &receiving.finish(), 4, "(410 StreamDeletedError)");
    assert_eq!(there.names(), Vec::<String>::new());
}

#[test]
fn an_error_reported_by_the_other_side_is_attributed_to_it() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    for (status, name) in [
        (404, "FileNotFoundError"),
        (503, "BackupError"),
        (429, "X"),
        (200, "Y"),
        (204, "Z"),
        (304, "W"),
    ] {
        let body = json!({ "http_status": status, "name": name, "message": "not \u{1b}[2J here" });
        let report = |id: &str| {
            let report = ask("POST", &format!("/stream/{id}/error")).body(body.to_string());
            assert_eq!(relay.exchange(&report).status(), 200);
        };
        let words = "not \\u{1b}[2J here";
        let (sending, id) = here.start_sending(&["a"]);
        relay.await_state(&id, "SRC_CONNECTED");
        report(&id);
        assert_ended(&format!("send {status}"), &sending.finish(), 4, words);

        let id = relay.create();
        let receiving = there.await_receiver(&relay, &[&id]);
        report(&id);
        assert_ended(&format!("receive {status}"), &receiving.finish(), 4, words);
        assert_eq!(there.names(), Vec::<String>::new(), "{status}");
    }
}

#[test]
fn a_stream_that_no_other_side_joins_times_out() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    let id = relay.create_with(&json!({ "ttl_seconds": 3 }));
    let receiving = there.start(&["receive", &id]);
    let (sending, sent) = here.start_sending(&["a", "--ttl", "3s"]);
    assert_ended("send", &sending.finish(), 3, "retry");
    assert_ended("receive", &receiving.finish(), 3, "retry");
    relay.await_state(&id, "TIMEOUT_NO_SRC");
    relay.await_state(&sent, "TIMEOUT_NO_DST");
    assert_eq!(there.names(), Vec::<String>::new());
}

#[test]
fn an_upload_with_invalid_framing_is_kept_as_partial_only() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    let id = relay.create();
    let receiving = there.await_receiver(&relay, &[&id, "-o", "a"]);
    let mut source = relay.connect();
    source.ask(&Framing::Chunked.put(&id));
    source.send(Framing::Chunked.piece(b"abc"));
    there.await_bytes("a.partial", 3);
    source.send("no chunk\r\n");
    assert_ended("receive", &receiving.finish(), 4, "Stream source raised an error");
    assert_eq!(there.names(), ["a.partial"]);
}

/// The sender's output when the receiver's disk is full.
const FULL: &str =
    "failed at the receiver: cannot write the received data: no space left on device";

#[test]
fn a_full_disk_is_reported_on_both_sides() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let Some(disk) = SmallDisk::mount(there.directory(), 2) else { return };
    // More than all buffers in between, or the sender would not notice.
    here.put("a", pattern(2, 40 << 20));
    for flags in [&[][..], &["--digest"]] {
        // Declared, and the receiver connects first: it gets the size with the head.
        let id = relay.create();
        let receiving = there.await_receiver(&relay, &[&id, "-o", "a"]);
        let sending = here.start(&[&["send", "a", "--stream", &id], flags].concat());
        assert_ended("receive", &receiving.finish(), 1, ".: 40 MiB needed, 2.0 MiB available");
        assert_ended("send", &sending.finish(), 4, "failed at the receiver: .: 40 MiB needed");
        assert_eq!(there.names(), Vec::<String>::new(), "{flags:?}");

        let mut cat =
            here.other_command("cat").arg("a").stdout(Stdio::piped()).spawn().expect("cat");
        let input = cat.stdout.take().expect("its output");
        let command = here.command(&[&["pipe", "send"], flags].concat());
        let sending = Process::reading(command, input.into());
        let id = stream_of_sender(&sending);
        let got = there.run(&["receive", &id, "-o", "a"]);
        assert_ended("receive", &got, 1, "no space left on device");
        assert!(got.stderr.contains("partial data is in a.partial"), "{}", got.stderr);
        assert_ended("send", &sending.finish(), 4, FULL);
        let _ = cat.wait();
        assert_eq!(there.names(), ["a.partial"], "{flags:?}");
        std::fs::remove_file(there.path("a.partial")).expect("remove");
    }
    std::fs::create_dir(here.path("tree")).expect("a directory");
    std::fs::rename(here.path("a"), here.path("tree/a")).expect("a file");
    let (sending, id) = here.start_sending(&["tree", "--zstd"]);
    let got = there.run(&["receive", "-x", &id]);
    assert_ended("extract", &got, 1, "no space left on device");
    let words = "failed at the receiver: no space left on device";
    assert_ended("send", &sending.finish(), 4, words);
    assert_eq!(there.names(), Vec::<String>::new());
    drop(disk);
}
