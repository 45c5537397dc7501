//! Output on standard error: for terminals, as JSON, and with `--quiet`.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{
    Framing, Process, Relay, UNKNOWN, assert_uploaded, eventually, pattern, skip,
};
use crate::workdir::{Workdir, assert_complete, assert_ended, stream_of_sender};
use serde_json::Value;

/// Every line as an object, and the names of all events.
fn json_events(process: &str) -> (Vec<Value>, Vec<String>) {
    let parse = |line: &str| -> Value { serde_json::from_str(line).expect(line) };
    let objects: Vec<Value> = process.lines().map(parse).collect();
    let event = |object: &Value| object["event"].as_str().expect("an event").to_owned();
    let events = objects.iter().map(event).collect();
    (objects, events)
}

/// The events of every transfer: what limits its rate depends on the machine.
fn without_variable_events(events: &[String]) -> Vec<&str> {
    let passing = ["bottleneck", "progress"];
    events.iter().map(String::as_str).filter(|event| !passing.contains(event)).collect()
}

#[test]
fn json_output_has_one_line_per_event() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", pattern(1, 100_000));
    let (sending, id) = here.start_sending(&["a", "--json", "--ttl", "2m"]);
    let received = there.run(&["receive", &id, "--json"]);
    let sent = sending.finish();
    assert_eq!((sent.status.code(), received.status.code()), (Some(0), Some(0)));

    let (objects, events) = json_events(&sent.stderr);
    assert_eq!(without_variable_events(&events), ["created", "waiting", "started", "complete"]);
    let url = relay.url(&format!("/stream/{id}"));
    assert_eq!((&objects[0]["url"], &objects[0]["stream"]), (&url.clone().into(), &id.into()));
    assert_eq!(objects[0]["receive"], format!("rdv receive {url}"));
    assert_eq!(objects[0]["curl"], format!("curl -fOJ {url}"));
    assert_eq!(objects[0]["ttl_seconds"], 120);
    assert_eq!(objects.last().expect("one")["bytes"], 100_000);

    let (objects, events) = json_events(&received.stderr);
    assert_eq!(without_variable_events(&events), ["waiting", "started", "complete"]);
    let started = objects.iter().find(|object| object["event"] == "started").expect("one");
    assert_eq!(started["total_bytes"], 100_000);
    let last = objects.last().expect("one");
    assert_eq!((&last["bytes"], &last["output"]), (&100_000.into(), &"a".into()));
}

#[test]
fn json_output_reports_progress_and_the_outcome() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let (sending, id, mut rest) = here.pipe_send(&["--json"]);
    let receiving = there.start(&["receive", &id, "--json"]);
    eventually("both tell of progress", || {
        rest.write_all(b"x").expect("the sender reads");
        let tells = |process: &Process| process.stderr().contains("\"progress\"");
        (tells(&sending) && tells(&receiving)).then_some(())
    });
    let (objects, _) = json_events(receiving.stderr().rsplit_once('\n').expect("a line").0);
    let progress = objects.iter().find(|object| object["event"] == "progress").expect("one");
    assert!(progress["bytes"].as_u64() > Some(0) && progress["total_bytes"].is_null());
    assert!(progress["bytes_per_second"].is_u64(), "{progress}");
    assert_eq!(there.run(&["cancel", &id]).status.code(), Some(0));
    for finished in [sending.finish(), receiving.finish()] {
        let (objects, _) = json_events(&finished.stderr);
        let last = objects.last().expect("one");
        assert_eq!((&last["event"], &last["exit_status"]), (&"failed".into(), &4.into()));
        assert!(last["message"].is_string(), "{last}");
    }
}

#[test]
fn json_output_reports_errors_before_a_stream_exists() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    for (arguments, exit) in
        [(&["send", "none"][..], 1), (&["receive", "x"], 2), (&["receive", UNKNOWN], 5)]
    {
        let got = here.run(&[arguments, &["--json"]].concat());
        let (objects, events) = json_events(&got.stderr);
        assert_eq!(got.status.code(), Some(exit));
        assert_eq!(events.last().map(String::as_str), Some("failed"), "{events:?}");
        assert_eq!(objects.last().expect("one")["exit_status"], exit);
    }
}

#[test]
fn quiet_prints_only_the_receive_command_and_errors() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    let (sending, id) = here.start_sending(&["a", "-q"]);
    let got = there.run(&["receive", &id, "-q"]);
    assert_complete("receive", &got);
    assert_eq!((got.stdout.as_str(), got.stderr.as_str()), ("", ""));
    let sent = sending.finish();
    assert!(sent.stderr.contains(&format!("rdv receive {}/stream/{id}", relay.url(""))));
    assert_ended("receive", &there.run(&["receive", &id, "-q"]), 5, "rdv: ");
}

#[test]
fn a_full_standard_error_is_not_a_failure() {
    let relay = Relay::start(&[]);
    for flags in [&[][..], &["--json"]] {
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        here.put("a", "abc");
        let id = relay.create();
        let full = || File::options().write(true).open("/dev/full").expect("/dev/full");
        let mut receive = there.command(&[&["receive", &id], flags].concat());
        let mut receiving = receive.stdin(Stdio::null()).stderr(full()).spawn().expect("rdv");
        let mut send = here.command(&[&["send", "a", "--stream", &id], flags].concat());
        assert!(send.stdin(Stdio::null()).stderr(full()).status().expect("rdv").success());
        assert!(receiving.wait().expect("rdv").success());
        assert_eq!(there.read("a"), b"abc");
        let mut status = here.command(&["cancel", UNKNOWN]);
        assert_eq!(status.stderr(full()).status().expect("rdv").code(), Some(5));
    }
}

/// The output of `rdv` on a terminal created by script(1); the test is skipped without that program.
fn on_terminal(workdir: &Workdir, arguments: &str, keys: Stdio) -> Option<Process> {
    on_terminal_of(80, workdir, arguments, keys)
}

fn on_terminal_of(
    columns: u16,
    workdir: &Workdir,
    arguments: &str,
    keys: Stdio,
) -> Option<Process> {
    if Command::new("script").arg("--version").output().is_err() {
        skip("terminal", "script(1) is not installed");
        return None;
    }
    let mut script = workdir.other_command("script");
    let rdv = env!("CARGO_BIN_EXE_rdv");
    let command = format!("stty cols {columns} rows 24; exec '{rdv}' {arguments}");
    script.args(["-qec", &command, "/dev/null"]);
    script.env("TERM", "xterm");
    Some(Process::reading(script, keys))
}

fn await_shown(process: &Process, words: &str) {
    eventually(&format!("{words:?} on the terminal"), || {
        process.stdout().contains(words).then_some(())
    });
}

#[test]
fn a_terminal_shows_the_wait_and_the_progress() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let id = relay.create();
    let receive = format!("receive {id} -o a");
    let Some(receiving) = on_terminal(&there, &receive, Stdio::null()) else { return };
    await_shown(&receiving, "waiting for the other side");
    let (reader, mut rest) = std::io::pipe().expect("a pipe");
    let command = here.command(&["pipe", "send", "--stream", &id]);
    let sending = Process::reading(command, reader.into());
    rest.write_all(&pattern(2, 300 << 10)).expect("the sender reads");
    await_shown(&receiving, "300.00 KiB");
    drop(rest);
    assert_complete("send", &sending.finish());
    let shown = receiving.finish();
    assert_eq!(shown.status.code(), Some(0), "{}", shown.stdout);
    assert!(shown.stdout.contains("received a (300 KiB"), "{:?}", shown.stdout);
    assert!(shown.stdout.ends_with(")\r\n"), "{:?}", shown.stdout);
    let (_, end) = shown.stdout.rsplit_once("received a").expect("the end");
    assert!(!end.contains('\u{1b}'), "nothing is drawn after the end: {:?}", shown.stdout);
}

#[test]
fn progress_fits_a_narrow_terminal() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    let id = relay.create();
    let receive = format!("receive {id} -o a");
    let Some(receiving) = on_terminal_of(40, &there, &receive, Stdio::null()) else { return };
    await_shown(&receiving, "waiting for the other side");
    let mut source = relay.connect();
    source.ask(&Framing::Length(1000).put(&id));
    source.send(pattern(2, 300));
    await_shown(&receiving, "300 B/1000 B");
    // The bottleneck is named after a while, if there is space for it.
    await_shown(&receiving, " limited");
    source.send(pattern(2, 700));
    assert_uploaded(&source.response());
    let shown = receiving.finish();
    assert_eq!(shown.status.code(), Some(0), "{}", shown.stdout);
    for line in shown.stdout.split(['\r', '\n']) {
        let mut pieces = line.split('\u{1b}');
        let mut text = pieces.next().unwrap_or_default().to_owned();
        // Each part starts with the rest of an escape sequence, which ends in a letter.
        let end = |c: char| c.is_ascii_alphabetic();
        text.extend(pieces.filter_map(|piece| Some(piece.split_once(end)?.1)));
        assert!(text.chars().count() <= 40, "{text:?}");
    }
}

#[test]
fn a_terminal_shows_the_progress_of_a_file() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", pattern(3, 1 << 20));
    let Some(sending) = on_terminal(&here, "send a", Stdio::null()) else { return };
    await_shown(&sending, "waiting for the other side");
    let (_, rest) = sending
        .stdout()
        .split_once("/stream/")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a URL");
    assert_complete("receive", &there.run(&["receive", &rest[..36]]));
    let shown = sending.finish();
    assert_eq!(shown.status.code(), Some(0), "{}", shown.stdout);
    assert!(shown.stdout.contains("sent a (1.0 MiB"), "{:?}", shown.stdout);
    assert!(shown.stdout.ends_with("), confirmed by the receiver\r\n"), "{:?}", shown.stdout);
}

#[test]
fn ctrl_c_ends_a_waiting_command_on_a_terminal() {
    let relay = Relay::start(&[]);
    for flags in ["", " -q"] {
        let there = Workdir::at(&relay);
        let id = relay.create();
        let (reader, mut keys) = std::io::pipe().expect("a pipe");
        let receive = format!("receive {id} -o a{flags}");
        let Some(receiving) = on_terminal(&there, &receive, reader.into()) else { return };
        relay.await_state(&id, "DST_CONNECTED");
        keys.write_all(b"\x03").expect("a key");
        let shown = receiving.finish();
        assert_eq!(shown.status.code(), Some(130), "{:?}", shown.stdout);
        assert!(shown.stdout.ends_with("rdv: interrupted\r\n"), "{:?}", shown.stdout);
        relay.await_state(&id, "CREATED");
    }
}

/// A code of half blocks as a camera sees it on a dark terminal, where blocks are bright.
fn decoded(rows: &[&str]) -> String {
    const SCALE: usize = 4;
    let width = rows[0].chars().count();
    let shines = |x: usize, y: usize| {
        let block = rows[y / 2].chars().nth(x).expect("rows of one length");
        matches!((block, y % 2), ('█', _) | ('▀', 0) | ('▄', 1))
    };
    let pixel = |x: usize, y: usize| if shines(x / SCALE, y / SCALE) { 255 } else { 0 };
    let (w, h) = (width * SCALE, rows.len() * 2 * SCALE);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(w, h, pixel);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one code");
    grids[0].decode().expect("a code").1
}

#[test]
fn the_qr_code_contains_the_link_for_a_browser() {
    for (flags, path) in [(&[][..], "/s/"), (&["--no-pages"], "/stream/")] {
        let relay = Relay::start(flags);
        let here = Workdir::at(&relay);
        here.put("a", "abc");
        let (sending, id) = here.start_sending(&["a", "--qr"]);
        relay.await_state(&id, "SRC_CONNECTED");
        assert_qr_code(&sending.stderr(), &relay.url(&format!("{path}{id}")));
    }
}

/// Asserts that the output has a QR code of this link, for a terminal.
fn assert_qr_code(stderr: &str, link: &str) {
    let is_code = |line: &&str| line.contains(['█', '▀', '▄']);
    let rows: Vec<&str> = stderr.lines().filter(is_code).collect();
    let blocks = rows.iter().flat_map(|row| row.chars());
    assert!(blocks.into_iter().all(|char| " █▀▄".contains(char)), "{stderr}");
    assert_eq!(decoded(&rows), link);
}

#[test]
fn a_sender_shows_the_page_that_its_relay_has() {
    for (flags, has_page) in [(&[][..], true), (&["--no-pages"], false)] {
        let relay = Relay::start(flags);
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        here.put("a", "abc");
        let (sending, id) = here.start_sending(&["a"]);
        let page = relay.url(&format!("/s/{id}"));
        assert_eq!(sending.stderr().contains(&page), has_page, "{}", sending.stderr());
        let received = there.run(&["receive", &page]);
        assert_eq!(received.status.code(), Some(0), "the link of a page is enough");
        assert_eq!(sending.finish().status.code(), Some(0));
    }
}

#[test]
fn no_qr_code_is_printed_by_default() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    let sending = here.start(&["send", "a"]);
    relay.await_state(&stream_of_sender(&sending), "SRC_CONNECTED");
    let stderr = sending.stderr();
    assert!(!stderr.contains(['█', '▀', '▄']), "{stderr}");
}
