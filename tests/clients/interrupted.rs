//! Ctrl-C and similar signals: the relay and the other side are notified at once, and the partial
//! file is named.

use std::io::{PipeReader, PipeWriter, Write as _};
use std::process::Command;

use crate::support::{Framing, Process, Relay, eventually, pattern};
use crate::workdir::{Workdir, assert_complete, assert_ended, stream_of_sender};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;

/// With the exit status for each: 128 plus its number.
const SIGNALS: [(Signal, i32); 3] =
    [(Signal::SIGHUP, 129), (Signal::SIGINT, 130), (Signal::SIGTERM, 143)];

#[test]
fn an_interrupted_waiting_sender_frees_the_stream() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    for (signal, exit) in SIGNALS {
        let (sending, id) = here.start_sending(&["a"]);
        relay.await_state(&id, "SRC_CONNECTED");
        sending.signal(signal);
        assert_ended("send", &sending.finish(), exit, "rdv: interrupted\n");
        relay.await_state(&id, "CREATED");
    }
}

#[test]
fn an_interrupted_waiting_receiver_leaves_no_file() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    let id = relay.create();
    let receiving = there.await_receiver(&relay, &[&id, "-o", "a"]);
    receiving.signal(Signal::SIGINT);
    assert_ended("receive", &receiving.finish(), 130, "rdv: interrupted\n");
    assert_eq!(there.names(), Vec::<String>::new());
    relay.await_state(&id, "CREATED");
}

#[test]
fn an_interrupted_download_names_the_partial_file() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    let id = relay.create();
    let receiving = there.await_receiver(&relay, &[&id, "-o", "a"]);
    let mut source = relay.connect();
    source.ask(&Framing::Length(10).put(&id));
    source.send("abc");
    there.await_bytes("a.partial", 3);
    receiving.signal(Signal::SIGINT);
    let words = "rdv: interrupted; partial data is in a.partial\n";
    assert_ended("receive", &receiving.finish(), 130, words);
    assert_eq!((there.names(), there.read("a.partial")), (vec!["a.partial".into()], b"abc".into()));
    relay.await_state(&id, "DST_DISCONNECTED");
}

#[test]
fn an_interrupted_extraction_leaves_nothing() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    std::fs::create_dir(here.path("tree")).expect("a directory");
    here.put("tree/a", pattern(1, 100_000));
    let tar = here.other_command("tar").args(["c", "tree"]).output().expect("tar");
    let (sending, id, mut rest) = here.pipe_send(&[]);
    let receiving = there.start(&["receive", "-x", &id]);
    rest.write_all(&tar.stdout[..50_000]).expect("the sender reads");
    eventually("something is extracted", || (!there.names().is_empty()).then_some(()));
    receiving.signal(Signal::SIGINT);
    assert_ended("receive", &receiving.finish(), 130, "rdv: interrupted\n");
    assert_eq!(there.names(), Vec::<String>::new());
    drop(rest);
    assert_ended("send", &sending.finish(), 4, "Stream destination closed unexpectedly");
}

#[test]
fn an_extraction_interrupted_while_writing_leaves_nothing() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    for at in 0..2000 {
        let name = format!("tree/{at}");
        std::fs::create_dir_all(here.path(&name)).expect("a directory");
        here.put(&format!("{name}/a"), "abc");
    }
    let tar = here.other_command("tar").args(["c", "tree"]).output().expect("tar");
    // Without its end, so it is never complete, however fast the transfer is.
    let endless = &tar.stdout[..tar.stdout.len() - 10 * 1024];
    for (signal, exit) in SIGNALS {
        let (sending, id, mut rest) = here.pipe_send(&[]);
        let receiving = there.start(&["receive", "-x", &id]);
        std::thread::scope(|threads| {
            // Kept open: there is more to send until the sender exits.
            let writing = threads.spawn(move || (rest.write_all(endless), rest));
            eventually("something is extracted", || (!there.names().is_empty()).then_some(()));
            receiving.signal(signal);
            assert_ended("receive", &receiving.finish(), exit, "rdv: interrupted\n");
            assert_ended("send", &sending.finish(), 4, "Stream destination closed unexpectedly");
            drop(writing);
        });
        assert_eq!(there.names(), Vec::<String>::new(), "{signal}");
    }
}

#[test]
fn json_output_reports_an_interruption_as_a_failure() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    for (signal, exit) in SIGNALS {
        let (sending, id) = here.start_sending(&["a", "--json"]);
        relay.await_state(&id, "SRC_CONNECTED");
        sending.signal(signal);
        let ended = sending.finish();
        assert_eq!(ended.status.code(), Some(exit), "{}", ended.stderr);
        let last = ended.stderr.lines().last().expect("a line");
        let last: serde_json::Value = serde_json::from_str(last).expect(last);
        assert_eq!((&last["event"], &last["exit_status"]), (&"failed".into(), &exit.into()));
    }
}

#[test]
fn signals_ignored_by_the_shell_stay_ignored() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    let program = env!("CARGO_BIN_EXE_rdv");
    let mut shell: Command = here.other_command("sh");
    shell.args(["-c", "trap '' INT HUP; exec \"$0\" send a"]).arg(program);
    let sending = Process::start(shell);
    let id = stream_of_sender(&sending);
    relay.await_state(&id, "SRC_CONNECTED");
    sending.signal(Signal::SIGINT);
    sending.signal(Signal::SIGHUP);
    assert_complete("receive", &there.run(&["receive", &id]));
    assert_complete("send", &sending.finish());
}

/// A full pipe: writing to it blocks.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("fcntl");
    while writer.write(&[b'x'; 4096]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).expect("fcntl");
    (reader, writer)
}

#[test]
fn a_full_standard_error_does_not_block_an_interruption() {
    for (flag, (signal, exit)) in ["--json", "--quiet", "--json"].into_iter().zip(SIGNALS) {
        let relay = Relay::start(&[]);
        let here = Workdir::at(&relay);
        here.put("a", "abc");
        let (_reader, writer) = full_pipe();
        let sender = here.command(&["send", "a", flag]);
        let mut shell = here.other_command("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" 2>&0 </dev/null"]);
        shell.arg(sender.get_program()).args(sender.get_args());
        let sending = Process::reading(shell, writer.into());
        // It created its stream, so its signal handlers are installed; it also prints the stream.
        eventually("a stream", || {
            relay.admin_get("/stream").text().contains("CREATED").then_some(())
        });
        sending.signal(signal);
        let ended = sending.finish();
        assert_eq!(ended.status.code(), Some(exit), "{flag}, {signal}: {}", ended.status);
    }
}
