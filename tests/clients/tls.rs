//! A relay with TLS, as is usual for remote ones: the same commands, with the same words.

use crate::support::{Authority, Process, Relay, Terminator, is_pattern, pattern};
use crate::workdir::{Workdir, assert_complete, assert_ended, stream_of_sender};
use nix::sys::signal::Signal;

/// A relay with TLS, and a client that trusts it or does not.
struct Setup {
    relay: Relay,
    authority: Authority,
    front: Terminator,
    workdir: Workdir,
}

impl Setup {
    fn new() -> Setup {
        let relay = Relay::start(&[]);
        let authority = Authority::new();
        let front = Terminator::start(&authority.server("localhost"), relay.address(), &[]);
        let workdir = Workdir::at(&relay);
        Setup { relay, authority, front, workdir }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.front.address().port())
    }

    /// `rdv` with the relay's authority as trusted.
    fn start(&self, arguments: &[&str]) -> Process {
        let mut command = self.workdir.command(arguments);
        command.env("RDV_RELAY", self.url()).env("RDV_CACERT", self.authority.file());
        Process::start(command)
    }
}

#[test]
fn files_and_directories_are_transferred_over_tls() {
    let setup = Setup::new();
    let content = pattern(3, 3 << 20);
    setup.workdir.put("a.bin", &content);
    for flags in [&[][..], &["--digest"]] {
        let sending = setup.start(&[&["send", "a.bin"], flags].concat());
        let id = stream_of_sender(&sending);
        assert!(sending.stderr().contains(&setup.url()), "{}", sending.stderr());
        assert_complete("receive", &setup.start(&["receive", "-f", "-o", "b", &id]).finish());
        assert_complete("send", &sending.finish());
        is_pattern(3, content.len(), &setup.workdir.read("b")).expect("what was sent");
    }
    std::fs::create_dir(setup.workdir.path("site")).expect("a directory");
    setup.workdir.put("site/index.html", "hello");
    std::fs::create_dir(setup.workdir.path("there")).expect("a directory");
    let sending = setup.start(&["send", "--zstd", "site"]);
    let id = stream_of_sender(&sending);
    let receiving = setup.start(&["receive", "--extract", "-o", "there", &id]);
    assert_complete("receive", &receiving.finish());
    assert_complete("send", &sending.finish());
    assert_eq!(setup.workdir.read("there/site/index.html"), b"hello");
}

#[test]
fn pipes_are_transferred_over_tls() {
    let setup = Setup::new();
    let content = pattern(5, 1 << 20);
    setup.workdir.put("in", &content);
    let input = std::fs::File::open(setup.workdir.path("in")).expect("a file");
    let mut command = setup.workdir.command(&["pipe", "send"]);
    command.env("RDV_RELAY", setup.url()).env("RDV_CACERT", setup.authority.file());
    let sending = Process::reading(command, input.into());
    let id = stream_of_sender(&sending);
    let mut command = setup.workdir.command(&["pipe", "receive", &id]);
    command.env("RDV_RELAY", setup.url()).env("RDV_CACERT", setup.authority.file());
    let got = command.output().expect("rdv runs");
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    is_pattern(5, content.len(), &got.stdout).expect("what was sent");
    assert_complete("send", &sending.finish());
}

#[test]
fn an_untrusted_relay_receives_nothing() {
    let setup = Setup::new();
    setup.workdir.put("a", "x");
    let url = setup.url();
    for (name, arguments) in [
        ("send", &["send", "a", "--relay", &url][..]),
        ("status", &["status", crate::support::UNKNOWN, "--relay", &url]),
    ] {
        assert_ended(name, &setup.workdir.run(arguments), 7, "--cacert");
    }
    assert_eq!(
        setup.relay.admin_get("/stream").json(),
        serde_json::json!([]),
        "no stream was made"
    );
}

#[test]
fn a_receiver_disconnect_is_reported_to_a_sender_over_tls() {
    let setup = Setup::new();
    let file = std::fs::File::create(setup.workdir.path("big")).expect("a file");
    file.set_len(1 << 30).expect("a sparse file");
    let sending = setup.start(&["send", "big"]);
    let id = stream_of_sender(&sending);
    let mut receiving = setup.relay.connect();
    receiving.ask(&crate::support::ask("GET", &format!("/stream/{id}")));
    // After the first byte: before it, the stream would wait for another receiver.
    assert_eq!(receiving.head().status, 200);
    drop(receiving);
    assert_ended("send", &sending.finish(), 4, "destination");
}

#[test]
fn a_killed_sender_is_reported_to_a_receiver_over_tls() {
    let setup = Setup::new();
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut command = setup.workdir.command(&["pipe", "send"]);
    command.env("RDV_RELAY", setup.url()).env("RDV_CACERT", setup.authority.file());
    let sending = Process::reading(command, reader.into());
    let id = stream_of_sender(&sending);
    let receiving = setup.start(&["receive", "-o", "a", &id]);
    setup.relay.await_state(&id, "STREAMING");
    std::io::Write::write_all(&mut writer, b"a part").expect("a write");
    setup.workdir.await_bytes("a.partial", 6);
    sending.signal(Signal::SIGKILL);
    assert_ended("receive", &receiving.finish(), 4, "a.partial");
    assert!(!setup.workdir.path("a").exists(), "a partial file has another name");
}
