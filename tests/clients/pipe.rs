//! `rdv pipe`: the output of a program reaches the program at the other end while it is written.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::{Process, Relay, eventually, pattern};
use crate::workdir::{Workdir, assert_complete, assert_ended, stream_of_sender};

#[test]
fn a_shell_pipeline_spans_two_machines() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", pattern(1, 5 << 20));
    let mut shell = here.other_command("sh");
    shell.args(["-c", "cat a | \"$RDV\" pipe send"]).env("RDV", env!("CARGO_BIN_EXE_rdv"));
    let sending = Process::start(shell);
    let id = stream_of_sender(&sending);
    assert!(sending.stderr().contains("rdv pipe receive http"), "{}", sending.stderr());
    let mut shell = there.other_command("sh");
    shell.args(["-c", "\"$RDV\" pipe receive \"$0\" | cat > a", &id]);
    let receiving = Process::start({
        shell.env("RDV", env!("CARGO_BIN_EXE_rdv"));
        shell
    });
    assert_complete("receive", &receiving.finish());
    assert_complete("send", &sending.finish());
    assert!(there.read("a") == here.read("a"));
}

#[test]
fn each_line_arrives_before_the_next_one_is_written() {
    let relay = Relay::start(&[]);
    for flags in [&[][..], &["--digest"]] {
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        let (sending, id, mut lines) = here.pipe_send(flags);
        let receiving = there.start(&["pipe", "receive", &id]);
        let mut wanted = String::new();
        for line in ["one\n", "two\n", "three\n"] {
            lines.write_all(line.as_bytes()).expect("the sender reads");
            wanted += line;
            eventually(line, || (receiving.stdout() == wanted).then_some(()));
        }
        drop(lines);
        assert_complete("receive", &receiving.finish());
        assert_complete("send", &sending.finish());
    }
}

#[test]
fn empty_input_is_a_complete_transfer() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let sending = Process::reading(here.command(&["pipe", "send"]), Stdio::null());
    let got = there.run(&["pipe", "receive", &stream_of_sender(&sending)]);
    assert_complete("receive", &got);
    assert_eq!(got.stdout, "");
    assert_complete("send", &sending.finish());
}

#[test]
fn curl_receives_a_pipe_as_it_is_written() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let (sending, id, mut lines) = here.pipe_send(&[]);
    let receiving = there.curl(&["-fN", &relay.url(&format!("/stream/{id}"))]);
    lines.write_all(b"one\n").expect("the sender reads");
    eventually("one", || (receiving.stdout() == "one\n").then_some(()));
    drop(lines);
    assert_complete("curl", &receiving.finish());
    assert_complete("send", &sending.finish());
}

#[test]
fn a_sender_with_idle_input_notices_a_receiver_disconnect() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    for flags in [&[][..], &["--digest"]] {
        let (sending, id, mut lines) = here.pipe_send(flags);
        let receiving = there.start(&["pipe", "receive", &id]);
        lines.write_all(b"one\n").expect("the sender reads");
        eventually("one", || (receiving.stdout() == "one\n").then_some(()));
        drop(receiving);
        // The input stays open and idle.
        let words = "Stream destination closed unexpectedly";
        assert_ended("send", &sending.finish(), 4, words);
        drop(lines);
    }
}
