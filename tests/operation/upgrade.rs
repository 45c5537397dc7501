//! Upgrades from each released version, and the way back: hand-overs, settings, and clients.
//! `released/install` builds the versions.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::handover::{retry_until_accepted, transfer_once};
use crate::support::{
    Framing, Lineage, Pair, Process, Relay, Wire, ask, assert_error, await_end_of, eventually,
    installation, parse,
};
use serde_json::Value;

/// The program under test.
fn current() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rdv"))
}

/// The programs of the released versions, or `None` if they are not built.
fn installed() -> Option<Vec<PathBuf>> {
    let folder = installation("operation/released")?;
    let versions = fs::read_to_string(folder.join("installed")).expect("the list of versions");
    let names = versions.lines().filter_map(|line| line.split_once(' '));
    Some(names.map(|(version, _)| folder.join(version).join("rdv")).collect())
}

/// A relay whose program is exchanged by changing a link, as `docs/lifecycle.md` describes.
struct Upgraded {
    line: Lineage,
    folder: tempfile::TempDir,
}

impl Upgraded {
    /// Starts this program.
    fn start(program: &Path, flags: &[&str]) -> Upgraded {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rdv");
        symlink(program, &path).expect("symlink");
        let line = Lineage::of_program(&path, flags);
        let upgraded = Upgraded { line, folder };
        upgraded.assert_runs(program);
        upgraded
    }

    /// Hands over to this program.
    fn hand_over_to(&mut self, program: &Path) {
        let link = self.folder.path().join("new");
        symlink(program, &link).expect("symlink");
        fs::rename(&link, self.folder.path().join("rdv")).expect("rename");
        self.line.hand_over();
        self.assert_runs(program);
    }

    fn assert_runs(&self, program: &Path) {
        let running = fs::read_link(format!("/proc/{}/exe", self.line.serving())).expect("/proc");
        assert_eq!(running, fs::canonicalize(program).expect("the program"));
    }

    /// A connection to the process that serves.
    fn connect(&self) -> Wire {
        Wire::connect(self.line.address())
    }
}

/// Streams that wait: with neither side, with a source, with a destination, with a report.
struct Waiting {
    created: String,
    status: Value,
    with_source: (String, Wire),
    with_destination: (String, Wire),
    reported: String,
}

impl Waiting {
    fn start(relay: &Relay) -> Waiting {
        let body = r#"{"download_headers":{"X-Mine":"kept"},"upload_headers":{"X-Yours":7},
            "ttl_seconds":600,"receipt":"acked"}"#;
        let created = relay.create_with(&parse(body.as_bytes()));
        let (with_source, with_destination) = (relay.create(), relay.create());
        let source = relay.waiting_source(&with_source, Framing::Length(5));
        let destination = relay.waiting_destination(&with_destination);
        let reported = relay.create();
        assert_eq!(relay.report(&reported).status(), 200);
        Waiting {
            status: relay.status(&created),
            created,
            with_source: (with_source, source),
            with_destination: (with_destination, destination),
            reported,
        }
    }

    /// After a hand-over: the clients are answered to retry, and find their streams.
    fn assert_moved(self, relay: &Relay) {
        assert_eq!(relay.status(&self.created), self.status, "the same in every member");
        let put = |id: &str| Framing::Length(5).put(id).raw_body(b"hello");
        let (with_source, mut source) = self.with_source;
        let (with_destination, mut destination) = self.with_destination;
        for (name, wire) in [("source", &mut source), ("destination", &mut destination)] {
            let answer = wire.response();
            assert_error(name, &answer, (503, "TooBusyError", None));
            assert_eq!(answer.head.get("Retry-After"), Some("1"), "{name}");
        }
        for id in [&self.created, &with_source, &with_destination] {
            let mut destination = relay.waiting_destination(id);
            let uploaded = relay.exchange(&put(id));
            let downloaded = destination.response();
            assert_eq!((uploaded.status(), downloaded.text()), (200, "hello"), "{id}");
            if *id == self.created {
                assert_eq!(uploaded.head.get("X-Yours"), Some("7"));
                assert_eq!(downloaded.head.get("X-Mine"), Some("kept"));
            }
        }
        assert_eq!(relay.exchange(&put(&self.reported)).status(), 400, "the report was kept");
    }
}

/// A transfer in progress.
fn begun(relay: &Relay, framing: Framing) -> Pair {
    let mut pair = relay.pair(framing);
    pair.pass_first(b"begun");
    pair
}

#[test]
fn an_upgrade_and_the_way_back_lose_no_stream() {
    let Some(released) = installed() else { return };
    for old in released {
        for (from, to) in [(&*old, current()), (current(), &*old)] {
            let mut upgraded = Upgraded::start(from, &[]);
            let mut first = begun(&upgraded.line.first, Framing::Chunked);
            let waiting = Waiting::start(&upgraded.line.first);
            upgraded.hand_over_to(to);
            waiting.assert_moved(&upgraded.line.first);
            first.pass(b"by the first process");

            let middle = upgraded.line.serving();
            let mut second = begun(&upgraded.line.first, Framing::Length(5 + 11));
            let waiting = Waiting::start(&upgraded.line.first);
            upgraded.hand_over_to(from);
            waiting.assert_moved(&upgraded.line.first);
            first.pass(b"by the first process, two hand-overs later");
            first.complete();
            second.pass(b"the others'");
            second.complete();
            drop((first, second));
            upgraded.line.await_end_of_first();
            await_end_of(middle);
            transfer_once(upgraded.line.address(), b"by the third");
            let log = upgraded.line.log();
            assert!(!log.contains("panicked") && !log.contains("no hand-over"), "{log}");
        }
    }
}

#[test]
fn a_stream_waits_from_the_released_version_to_the_new_one_and_back() {
    let Some(released) = installed() else { return };
    for old in released {
        let mut upgraded = Upgraded::start(&old, &[]);
        let waiting = Waiting::start(&upgraded.line.first);
        upgraded.hand_over_to(current());
        upgraded.hand_over_to(&old);
        waiting.assert_moved(&upgraded.line.first);
    }
}

#[test]
fn under_load_every_request_is_answered_during_an_upgrade_and_the_way_back() {
    let Some(released) = installed() else { return };
    for old in released {
        let mut upgraded = Upgraded::start(&old, &[]);
        let address = upgraded.line.address();
        let (enough, met) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for number in 0..2_u8 {
                let (enough, met) = (&enough, &met);
                scope.spawn(move || {
                    while !enough.load(Ordering::Relaxed) {
                        transfer_once(address, &vec![number; 10_000]);
                        met.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            // A panic must not leave the other threads running.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for next in [current(), &old, current()] {
                    let before = met.load(Ordering::Relaxed);
                    upgraded.hand_over_to(next);
                    eventually("streams continue", || {
                        (met.load(Ordering::Relaxed) > before + 5).then_some(())
                    });
                }
            }));
            enough.store(true, Ordering::Relaxed);
            result.unwrap();
        });
    }
}

#[test]
fn a_suspended_relay_stays_suspended_during_an_upgrade_and_the_way_back() {
    let Some(released) = installed() else { return };
    for old in released {
        let mut upgraded = Upgraded::start(&old, &[]);
        let control = |order: &str| {
            let answer = upgraded.line.first.admin_exchange(&ask("POST", order));
            assert_eq!(answer.status(), 200, "{order}: {}", answer.text());
        };
        control("/control/suspend");
        for next in [current(), &old] {
            upgraded.hand_over_to(next);
            let refused = upgraded.connect().exchange(&ask("POST", "/stream"));
            assert_error("a new stream", &refused, (503, "TooBusyError", None));
        }
        let answer = upgraded.line.first.admin_exchange(&ask("POST", "/control/resume"));
        assert_eq!(answer.status(), 200, "the admin socket was handed over twice");
        let address = upgraded.line.address();
        assert_eq!(retry_until_accepted(address, &ask("POST", "/stream")).status(), 201);
    }
}

#[test]
fn agents_of_either_version_reconnect_after_an_upgrade_and_the_way_back() {
    let Some(released) = installed() else { return };
    for old in released {
        for agent in [&*old, current()] {
            let api = Relay::start(&[]);
            let mut upgraded = Upgraded::start(&old, &[]);
            let mut command = Command::new(agent);
            let relay = upgraded.line.first.url("");
            command.args(["expose", "billing", &api.url(""), "--relay", &relay]);
            let _agent = Process::start(command);
            let call = ask("GET", "/api/billing/ping");
            let reach = |upgraded: &Upgraded| {
                eventually("the API is reached", || {
                    (upgraded.connect().exchange(&call).status() == 200).then_some(())
                });
            };
            reach(&upgraded);
            for next in [current(), &old] {
                upgraded.hand_over_to(next);
                reach(&upgraded);
            }
            upgraded.line.await_end_of_first();
        }
    }
}

/// What a program prints.
fn printed(program: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    let finished = Process::start(command).finish();
    assert!(finished.status.success(), "{arguments:?}: {}", finished.stderr);
    finished.stdout
}

#[test]
fn the_settings_of_a_released_version_are_accepted() {
    let Some(released) = installed() else { return };
    for old in released {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rdv.toml");
        let settings = printed(&old, &["print-config", "--listen", "127.0.0.1:0"]);
        fs::write(&file, &settings).expect("write");
        let file = file.to_str().expect("UTF-8");
        printed(current(), &["check-config", "--config", file]);
    }
}

#[test]
fn clients_and_relays_of_different_versions_understand_each_other() {
    let Some(released) = installed() else { return };
    for old in released {
        let rows = [
            ("old relay", &*old, current(), current()),
            ("old sender", current(), &*old, current()),
            ("old receiver", current(), current(), &*old),
        ];
        for (name, relay, sender, receiver) in rows {
            let relay = &Lineage::of_program(relay, &[]).first;
            let folder = tempfile::tempdir().expect("a folder");
            let (sent, received) = (folder.path().join("sent"), folder.path().join("received"));
            fs::write(&sent, "from a file").expect("write");
            let url = relay.url(&format!("/stream/{}", relay.create()));
            let mut sending = Command::new(sender);
            sending.arg("send").arg(&sent).args(["--stream", &url]);
            let sending = Process::start(sending);
            let mut receiving = Command::new(receiver);
            receiving.args(["receive", &url, "-o"]).arg(&received);
            for (side, process) in [("receiver", Process::start(receiving)), ("sender", sending)] {
                let finished = process.finish();
                assert!(finished.status.success(), "{name}: {side}: {}", finished.stderr);
            }
            assert_eq!(fs::read_to_string(&received).expect("a file"), "from a file", "{name}");
        }
    }
}
