//! A new process takes over the listening sockets and the waiting streams, while the old one
//! completes its transfers: no request is refused, and no stream is lost.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::{
    Ask, ClosedPort, Ending, Framing, Lineage, Process, Relay, Response, Wire, ask, assert_error,
    await_end_of, eventually, is_alive, parse, stream_of, successors,
};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

fn exchange(address: SocketAddr, ask: &Ask) -> Response {
    Wire::connect(address).exchange(ask)
}

fn descriptors(process: Pid) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("/proc").count()
}

#[test]
fn a_new_process_serves_and_the_old_one_ends() {
    let port = ClosedPort::new();
    let first = Relay::listening(&[&port.address().to_string()], &[]);
    let mut line = Lineage { first, successors: Vec::new() };
    let before = line.serving();
    line.hand_over();
    let after = line.serving();
    assert_ne!(before, after);
    assert_eq!(exchange(line.address(), &ask("GET", "/ping")).status(), 200);
    line.await_end_of_first();

    line.hand_over();
    await_end_of(after);
    assert_eq!(exchange(line.address(), &ask("GET", "/ping")).status(), 200);

    line.order(Signal::SIGTERM);
    await_end_of(line.serving());
    assert!(TcpStream::connect(line.address()).is_err());
    assert!(!line.log().contains("panicked"), "{}", line.log());
}

#[test]
fn all_listeners_are_handed_over() {
    let first = Relay::listening(&["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"], &[]);
    let mut line = Lineage { first, successors: Vec::new() };
    line.hand_over();
    line.await_end_of_first();
    for address in line.first.addresses() {
        assert_eq!(exchange(*address, &ask("GET", "/ping")).status(), 200, "{address}");
    }
}

#[test]
fn the_old_process_completes_running_transfers_without_a_limit() {
    let mut line = Lineage::start(&["--drain-timeout", "0s"]);
    let mut begun = line.first.pair(Framing::Chunked);
    begun.pass_first(b"hello");
    let mut paired = line.first.pair(Framing::Length(5));
    line.hand_over();
    transfer_once(line.address(), b"in the new one");
    begun.pass(b"still served");
    begun.complete();
    paired.pass_first(b"12345");
    paired.complete();
    drop((begun, paired));
    line.await_end_of_first();
}

#[test]
fn the_old_process_can_be_given_a_limit() {
    let mut line = Lineage::start(&["--handover-drain-timeout", "0s"]);
    let mut pair = line.first.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    line.hand_over();
    assert_ne!(pair.destination.rest().1, Ending::Complete);
    assert_eq!(pair.source.response().status(), 503);

    let mut line = Lineage::start(&["--drain-timeout", "0s"]);
    let mut pair = line.first.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    line.hand_over();
    pair.pass(b"without a limit");
    line.first.signal(Signal::SIGTERM);
    assert_ne!(pair.destination.rest().1, Ending::Complete);
    drop(pair);
    line.await_end_of_first();
}

#[test]
fn the_first_sigterm_after_a_handover_interrupts_nothing() {
    let limits = ["--handover-drain-timeout", "1h", "--drain-timeout", "1h"];
    let mut line = Lineage::start(&limits);
    let mut pair = line.first.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    line.hand_over();
    line.first.signal(Signal::SIGTERM);
    line.await_log("SIGTERM: draining");
    pair.pass(b"still served");
    pair.complete();
    drop(pair);
    line.await_end_of_first();
}

#[test]
fn a_client_that_retries_does_not_notice_the_handover() {
    let mut line = Lineage::start(&[]);
    let id = line.first.create();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("upload");
    fs::write(&file, "from a file").expect("write");
    let mut curl = Command::new("curl")
        .args(["-sS", "--fail", "--retry", "3", "-T"])
        .arg(&file)
        .arg(line.first.url(&format!("/stream/{id}")))
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("curl");
    line.first.await_state(&id, "SRC_CONNECTED");
    line.hand_over();
    let downloaded = exchange(line.address(), &ask("GET", &format!("/stream/{id}")));
    assert_eq!((downloaded.status(), downloaded.text()), (200, "from a file"));
    assert!(curl.wait().expect("wait").success());
}

#[test]
fn the_tokens_of_a_stream_and_the_key_of_its_creation_are_passed_on() {
    let mut line = Lineage::start(&["--ttl", "1h"]);
    let create = || {
        let request = ask("POST", "/stream").field("Idempotency-Key", "once");
        request.body(r#"{"tokens":true}"#)
    };
    let created = exchange(line.address(), &create());
    line.hand_over();
    line.await_end_of_first();
    let again = exchange(line.address(), &create());
    assert_eq!((again.status(), again.text()), (201, created.text()));
    let [id, put, get] = ["stream", "put_token", "get_token"]
        .map(|name| created.json()[name].as_str().expect(name).to_owned());
    let status = |token: &str| {
        exchange(line.address(), &ask("DELETE", &format!("/stream/{id}?t={token}"))).status()
    };
    assert_eq!([status(""), status(&put), status(&get)], [401, 403, 403]);
    let owner = created.json()["owner_token"].as_str().expect("a token").to_owned();
    assert_eq!(status(&owner), 204);
}

#[test]
fn waiting_streams_are_passed_to_the_new_process() {
    let mut line = Lineage::start(&["--ttl", "1h"]);
    let relay = &line.first;
    let headers = r#"{"download_headers":{"X-Mine":"kept"},"upload_headers":{"X-Yours":7}}"#;
    let created = relay.create_with(&parse(headers.as_bytes()));
    let (with_source, with_destination) = (relay.create(), relay.create());
    let reported = relay.create();
    assert_eq!(relay.report(&reported).status(), 200);
    let before = relay.status(&created);
    let put = |id: &str| Framing::Length(5).put(id).raw_body(b"hello");
    let mut source = relay.connect();
    source.ask(&put(&with_source));
    relay.await_state(&with_source, "SRC_CONNECTED");
    let mut destination = relay.waiting_destination(&with_destination);
    line.hand_over();

    for (name, wire) in [("source", &mut source), ("destination", &mut destination)] {
        let answer = wire.response();
        assert_error(name, &answer, (503, "TooBusyError", None));
        assert_eq!(answer.head.get("Retry-After"), Some("1"), "{name}");
        assert!(answer.head.closes(), "{name}: the next connection reaches the new process");
    }
    drop((source, destination));
    line.await_end_of_first();
    assert_eq!(line.first.status(&created), before, "the same in every member");
    for id in [&created, &with_source, &with_destination] {
        let mut destination = line.first.waiting_destination(id);
        let uploaded = exchange(line.address(), &put(id));
        let downloaded = destination.response();
        assert_eq!((uploaded.status(), downloaded.text()), (200, "hello"), "{id}");
        if *id == created {
            assert_eq!(uploaded.head.get("X-Yours"), Some("7"));
            assert_eq!(downloaded.head.get("X-Mine"), Some("kept"));
        }
    }
    assert_eq!(
        exchange(line.address(), &put(&reported)).status(),
        400,
        "the report was handed over"
    );
}

#[test]
fn the_sides_at_a_path_meet_again_in_the_new_process() {
    let mut line = Lineage::start(&["--paths"]);
    let mut waiting = line.first.connect();
    waiting.ask(&ask("GET", "/p/a"));
    eventually("the receiver waits", || {
        (line.first.exchange(&ask("HEAD", "/p/a")).status() == 200).then_some(())
    });
    line.hand_over();
    let answer = waiting.response();
    assert_eq!((answer.status(), answer.head.get("Retry-After")), (503, Some("1")));
    assert!(answer.head.closes(), "the next connection reaches the new process");
    drop(waiting);
    line.await_end_of_first();
    assert_eq!(exchange(line.address(), &ask("HEAD", "/p/a")).status(), 404, "it is free there");
    let mut receiver = Wire::connect(line.address());
    receiver.ask(&ask("GET", "/p/a"));
    assert_eq!(exchange(line.address(), &ask("PUT", "/p/a").body("hello")).status(), 200);
    assert_eq!(receiver.response().text(), "hello");
}

#[test]
fn the_ttl_continues_in_the_new_process() {
    let mut line = Lineage::start(&["--ttl", "2s"]);
    let id = line.first.create();
    line.hand_over();
    line.first.await_state(&id, "TIMEOUT_NO_SRC_NO_DST");
}

#[test]
fn an_individual_ttl_continues_in_the_new_process() {
    let mut line = Lineage::start(&["--ttl", "300ms"]);
    let long_lived = line.first.create_with(&parse(br#"{"ttl_seconds":600}"#));
    line.hand_over();
    let usual = stream_of(&exchange(line.address(), &ask("POST", "/stream")));
    line.await_end_of_first();
    line.first.await_state(&usual, "TIMEOUT_NO_SRC_NO_DST");
    assert_eq!(line.first.status(&long_lived)["state"], "CREATED");
}

#[test]
fn a_request_to_the_old_process_is_answered_and_redirected() {
    let mut line = Lineage::start(&[]);
    let mut fresh = line.first.connect();
    let mut used = line.first.connect();
    assert_eq!(used.exchange(&ask("GET", "/ping")).status(), 200);
    let moved = line.first.create();
    let mut others: Vec<Wire> = (0..4).map(|_| line.first.connect()).collect();
    line.first.await_turn();
    line.hand_over();
    let made = stream_of(&exchange(line.address(), &ask("POST", "/stream")));

    for (name, wire) in [("fresh", &mut fresh), ("used", &mut used)] {
        let answer = wire.exchange(&ask("GET", "/ping"));
        assert_eq!(answer.status(), 200, "{name}");
        assert!(answer.head.closes(), "{name}");
        wire.expect_end();
    }
    let rows = [
        ("a stream that moved", ask("GET", &format!("/stream/{moved}/status"))),
        ("a stream of the new one", ask("GET", &format!("/stream/{made}/status"))),
        ("a new stream", ask("POST", "/stream")),
        ("a side", Framing::Length(1).put(&made).raw_body(b"x")),
    ];
    for ((name, ask), wire) in rows.iter().zip(&mut others) {
        let answer = wire.exchange(ask);
        assert_error(name, &answer, (503, "TooBusyError", None));
        assert_eq!(answer.head.get("Retry-After"), Some("1"), "{name}");
        wire.expect_end();
    }
    drop(others);
    line.await_end_of_first();
}

/// Sends a request on new connections until it is not refused temporarily.
pub(super) fn retry_until_accepted(address: SocketAddr, ask: &Ask) -> Response {
    eventually("a response other than 503", || {
        let mut wire = Wire::connect(address);
        wire.ask(ask);
        let answer = wire.try_response().unwrap_or_else(|ending| panic!("no answer: {ending:?}"));
        assert_eq!(answer.ending, Ending::Complete, "{ask:?}", ask = ask.bytes());
        match answer.status() {
            503 => {
                assert_eq!(answer.head.get("Retry-After"), Some("1"));
                None
            }
            _ => Some(answer),
        }
    })
}

/// One stream from its creation to its end.
pub(super) fn transfer_once(address: SocketAddr, body: &[u8]) {
    let id = stream_of(&retry_until_accepted(address, &ask("POST", "/stream")));
    thread::scope(|scope| {
        let get = ask("GET", &format!("/stream/{id}"));
        let download = scope.spawn(move || retry_until_accepted(address, &get));
        let uploaded =
            retry_until_accepted(address, &ask("PUT", &format!("/stream/{id}")).body(body));
        assert_eq!(uploaded.status(), 200, "{}", uploaded.text());
        let downloaded = download.join().expect("the download");
        assert_eq!((downloaded.status(), &downloaded.body[..]), (200, body));
    });
}

/// Sends requests on one connection, as long as the relay keeps it open.
fn ping_on(address: SocketAddr, enough: &AtomicBool) {
    while !enough.load(Ordering::Relaxed) {
        let mut wire = Wire::connect(address);
        loop {
            let answer = wire.exchange(&ask("GET", "/ping"));
            assert_eq!(answer.status(), 200);
            if answer.head.closes() || enough.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[test]
fn under_load_every_request_is_answered_across_handovers() {
    let mut line = Lineage::start(&[]);
    let address = line.address();
    let mut long = line.first.pair(Framing::Chunked);
    long.pass_first(b"begun before");
    let (enough, met) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..3_u8 {
            let (enough, met) = (&enough, &met);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    transfer_once(address, &vec![number; 10_000]);
                    met.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| ping_on(address, &enough));
        // A panic during the hand-over must not leave the other threads running.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..5 {
                let before = met.load(Ordering::Relaxed);
                line.hand_over();
                eventually("streams go on", || {
                    (met.load(Ordering::Relaxed) > before + 5).then_some(())
                });
            }
        }));
        enough.store(true, Ordering::Relaxed);
        result.unwrap();
    });
    long.pass(b"still here, five processes later");
    long.complete();
    drop(long);
    line.await_end_of_first();
    for process in &line.successors[..4] {
        await_end_of(*process);
    }
}

#[test]
fn nothing_but_the_listening_sockets_is_inherited() {
    let mut line = Lineage::start(&[]);
    let process = line.serving();
    let idle = descriptors(process);
    // Connections, pipes that hold bytes, and sockets of all kinds.
    let wires: Vec<Wire> = (0..50).map(|_| line.first.connect()).collect();
    let mut stalled = line.first.narrow_pair(Framing::Length(4 << 20));
    line.first.fill(&mut stalled.source, &vec![7; 4 << 20]);
    assert!(descriptors(process) > idle + 50);
    line.hand_over();
    assert_eq!(exchange(line.address(), &ask("GET", "/ping")).status(), 200);
    let successor = line.serving();
    eventually("as few descriptors as a relay that just started has", || {
        (descriptors(successor) <= idle).then_some(())
    });
    drop((wires, stalled));
}

/// A directory with a replaceable copy of the program.
struct Installation {
    folder: tempfile::TempDir,
}

impl Installation {
    fn new() -> Installation {
        let installation = Installation { folder: tempfile::tempdir().expect("a folder") };
        installation.install(Path::new(env!("CARGO_BIN_EXE_rdv")));
        installation
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("rdv")
    }

    /// Replaces the program as a package manager does: the old file is unlinked, not overwritten.
    /// Another process copies it: a child started here at the same time would inherit the open
    /// file, and a file open for writing cannot be executed.
    fn install(&self, program: &Path) {
        let new = self.folder.path().join("rdv.new");
        let status = Command::new("cp").arg(program).arg(&new).status().expect("cp");
        assert!(status.success());
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::rename(new, self.path()).expect("rename");
    }

    /// Replaces it with this script.
    fn install_script(&self, script: &str) {
        let text = self.folder.path().join("script");
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).expect("write");
        self.install(&text);
    }
}

#[test]
fn the_currently_installed_program_is_started() {
    let installation = Installation::new();
    let alias = installation.folder.path().join("alias");
    symlink(installation.path(), &alias).expect("symlink");
    for (name, program) in [("a file", installation.path()), ("a link", alias.clone())] {
        let mut line = Lineage::of_program(&program, &[]);
        let before = fs::metadata(format!("/proc/{}/exe", line.serving())).expect("/proc");
        installation.install(Path::new(env!("CARGO_BIN_EXE_rdv")));
        line.hand_over();
        let after = fs::metadata(format!("/proc/{}/exe", line.serving())).expect("/proc");
        let inode = std::os::unix::fs::MetadataExt::ino;
        assert_ne!(inode(&before), inode(&after), "{name}: not the old file");
        let there = fs::metadata(installation.path()).expect("the new file");
        assert_eq!(inode(&after), inode(&there), "{name}");
    }
}

#[test]
fn a_new_process_that_fails_to_start_changes_nothing() {
    for (name, script, why) in [
        ("it ends", "exit 3", "ended with exit status: 3"),
        ("it is silent", "exec sleep 60", "was not ready in time"),
        (
            "its flags are wrong",
            &format!("exec {} --wrong", env!("CARGO_BIN_EXE_rdv")),
            "ended with",
        ),
    ] {
        let installation = Installation::new();
        let mut line = Lineage::of_program(&installation.path(), &["--handover-timeout", "3s"]);
        let mut pair = line.first.pair(Framing::Chunked);
        pair.pass_first(b"hello");
        let waiting = line.first.create();
        let mut destination = line.first.waiting_destination(&waiting);
        installation.install_script(script);
        line.order(Signal::SIGUSR2);
        line.await_log(why);
        line.await_log("this process goes on serving");
        line.first.await_turn();
        pair.pass(b"still served");
        destination.assert_silent();
        pair.complete();

        installation.install(Path::new(env!("CARGO_BIN_EXE_rdv")));
        line.hand_over();
        assert_eq!(exchange(line.address(), &ask("GET", "/ping")).status(), 200, "{name}");
    }
}

#[test]
fn a_missing_program_is_reported() {
    let installation = Installation::new();
    let line = Lineage::of_program(&installation.path(), &[]);
    fs::remove_file(installation.path()).expect("remove");
    line.order(Signal::SIGUSR2);
    line.await_log("cannot be started");
    line.first.await_turn();
}

#[test]
fn while_a_new_process_starts_the_old_one_serves_and_starts_no_more() {
    let installation = Installation::new();
    let line = Lineage::of_program(&installation.path(), &["--handover-timeout", "1h"]);
    let started = installation.folder.path().join("started");
    installation.install_script(&format!("echo $$ >> {}; exec sleep 60", started.display()));
    line.order(Signal::SIGUSR2);
    let process = eventually("it is started", || {
        fs::read_to_string(&started).ok()?.trim().parse().ok().map(Pid::from_raw)
    });
    line.first.await_turn();
    line.order(Signal::SIGUSR2);
    line.await_log("no second hand-over");
    line.first.await_turn();
    assert!(is_alive(process));

    // A shutdown signal applies to both.
    line.order(Signal::SIGTERM);
    await_end_of(process);
    await_end_of(line.serving());
    assert_eq!(fs::read_to_string(&started).expect("the list").lines().count(), 1);
}

#[test]
fn a_draining_process_does_not_hand_over() {
    let mut line = Lineage::start(&[]);
    let mut pair = line.first.pair(Framing::Chunked);
    pair.pass_first(b"hello");
    line.order(Signal::SIGTERM);
    line.await_log("draining");
    line.order(Signal::SIGUSR2);
    line.await_log("no hand-over: this process is about to end");
    pair.complete();
    drop(pair);
    line.await_end_of_first();
    assert_eq!(successors(&line.log(), "").into_iter().collect::<BTreeSet<_>>().len(), 0);
}

/// The output of `rdv ctl` from the process that serves operators at this address.
fn ctl(place: &str, arguments: &[&str]) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["ctl", "--json", "--admin", place]).args(arguments);
    let finished = Process::start(command).finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    parse(finished.stdout.as_bytes())
}

#[test]
fn the_new_process_serves_the_same_admin_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    let place = path.to_str().expect("UTF-8");
    let mut line = Lineage::start(&["--admin-listen", place]);
    let stays = line.first.pair(Framing::Chunked);
    line.hand_over();
    assert_eq!(ctl(place, &["status"])["pid"], line.serving().as_raw());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", place];
    let refused = Process::rdv(&arguments).finish().stderr;
    assert!(refused.contains(&format!("process {} is serving there", line.serving())), "{refused}");
    drop(stays);
    line.await_end_of_first();
    assert!(path.exists(), "the end of the old process takes nothing away");
    line.order(Signal::SIGTERM);
    await_end_of(line.serving());
    assert!(!path.exists(), "that of the last one does");
}

#[test]
fn the_default_admin_socket_is_handed_over() {
    let mut line = Lineage::start(&[]);
    let path = line.first.admin_socket();
    let place = path.to_str().expect("UTF-8").to_owned();
    line.hand_over();
    line.await_end_of_first();
    assert_eq!(ctl(&place, &["status"])["pid"], line.serving().as_raw());
    line.hand_over();
    assert_eq!(ctl(&place, &["status"])["pid"], line.serving().as_raw());
    line.order(Signal::SIGTERM);
    await_end_of(line.serving());
    assert!(!path.exists(), "it goes with the last process");
}

#[test]
fn after_a_failed_handover_the_admin_socket_stays_served() {
    let installation = Installation::new();
    let path = installation.folder.path().join("admin.sock");
    let place = path.to_str().expect("UTF-8");
    let line = Lineage::of_program(&installation.path(), &["--admin-listen", place]);
    installation.install_script("exit 3");
    line.order(Signal::SIGUSR2);
    line.await_log("no hand-over:");
    assert_eq!(ctl(place, &["status"])["state"], "serving");
}

#[test]
fn a_suspended_relay_hands_over_to_a_suspended_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    let place = path.to_str().expect("UTF-8");
    let mut line = Lineage::start(&["--admin-listen", place]);
    let made = line.first.create();
    ctl(place, &["suspend"]);
    line.hand_over();
    let refused = exchange(line.address(), &ask("POST", "/stream"));
    assert_error("a new stream", &refused, (503, "TooBusyError", None));
    let status = exchange(line.address(), &ask("GET", &format!("/stream/{made}/status")));
    assert_eq!(status.json()["state"], "CREATED", "waiting streams were handed over");
    assert_eq!(ctl(place, &["resume"])["state"], "serving");
    assert_eq!(exchange(line.address(), &ask("POST", "/stream")).status(), 201);
}
