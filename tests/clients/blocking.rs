//! Non-blocking standard input and output, as set on a terminal or a pipe by another process: no
//! bytes are lost, and no command fails.

use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use crate::support::{Process, Relay, eventually, pattern};
use crate::workdir::{Workdir, assert_complete, stream_of_sender};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

fn unblock(end: impl AsFd) {
    fcntl(end.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a flag");
}

/// A small pipe that is full, with a non-blocking writer.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    fcntl(writer.as_fd(), FcntlArg::F_SETPIPE_SZ(4096)).expect("a size");
    writer.write_all(&[b'-'; 4096]).expect("room");
    unblock(&writer);
    (reader, writer)
}

/// Whether this process is blocked, or has exited.
fn is_idle(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['R', 'D']))
}

/// The output of a command to a pipe that is full at first, and its exit status.
fn output_of(mut command: Command) -> (Vec<u8>, Option<i32>) {
    let (mut reader, writer) = full_pipe();
    let mut running = command.stdout(writer).spawn().expect("rdv runs");
    drop(command);
    eventually("it waits for its reader", || is_idle(running.id()).then_some(()));
    let mut got = Vec::new();
    reader.read_to_end(&mut got).expect("its output");
    got.drain(..4096);
    (got, running.wait().expect("its end").code())
}

#[test]
fn every_command_waits_for_a_standard_output_that_does_not_block() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    let content = pattern(4, 300_000);
    workdir.put("a", &content);
    let id = relay.create();
    for arguments in [
        &["--help"][..],
        &["completions", "bash"],
        &["print-config", "--reference"],
        &["status", "--json", &id],
    ] {
        let expected = workdir.command(arguments).output().expect("rdv").stdout;
        let (got, status) = output_of(workdir.command(arguments));
        assert_eq!(status, Some(0), "{arguments:?}");
        assert!(got == expected && !got.is_empty(), "{arguments:?}: {} bytes", got.len());
    }
    for flags in [&[][..], &["--digest"]] {
        let (sending, id) = workdir.start_sending(&[&["a"], flags].concat());
        let (got, status) = output_of(workdir.command(&["pipe", "receive", &id]));
        assert_eq!((status, got == content), (Some(0), true), "{flags:?}");
        assert_complete("send", &sending.finish());
    }
}

#[test]
fn every_command_waits_for_a_standard_input_that_does_not_block() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    let content = pattern(5, 300_000);
    for flags in [&[][..], &["--digest"]] {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        unblock(&reader);
        let command = workdir.command(&[&["pipe", "send"], flags].concat());
        let sending = Process::reading(command, Stdio::from(reader));
        let receiving = workdir.start(&["receive", &stream_of_sender(&sending), "-o", "b", "-f"]);
        writer.write_all(&content).expect("a reader");
        drop(writer);
        assert_complete("receive", &receiving.finish());
        assert_complete("send", &sending.finish());
        assert!(workdir.read("b") == content, "{flags:?}");
    }
    // The input is silent at first: a reader that does not wait would fail.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    unblock(&reader);
    let command = workdir.command(&["destination", "--url", &relay.url("/ping")]);
    let reading = Process::reading(command, Stdio::from(reader));
    eventually("it waits for records", || is_idle(reading.id()).then_some(()));
    drop(writer);
    assert_complete("destination", &reading.finish());
}
