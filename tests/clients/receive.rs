//! `rdv receive`: where it goes, what is replaced, and that nobody takes a part for the whole.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use crate::desk::{Desk, assert_complete, assert_ended};
use crate::support::{Framing, Process, Relay, nobody, pattern};

#[test]
fn it_goes_where_it_is_wanted() {
    let relay = Relay::start(&[]);
    let here = Desk::at(&relay);
    let content = pattern(1, 100_000);
    here.put("a.bin", &content);
    for (output, made) in [
        (None, Some("a.bin")),
        (Some("b.bin"), Some("b.bin")),
        (Some("sub"), Some("sub/a.bin")),
        (Some("sub/"), Some("sub/a.bin")),
        (Some("sub/c"), Some("sub/c")),
        (Some("/dev/null"), None),
    ] {
        let there = Desk::at(&relay);
        fs::create_dir(there.path("sub")).expect("a directory");
        let (sending, id) = here.offer(&["a.bin"]);
        let flags = output.map_or(vec![], |output| vec!["-o", output]);
        let got = there.run(&[&["receive", &id], &flags[..]].concat());
        assert_complete("receive", &got);
        assert_eq!(got.stderr, "", "{output:?}: without a terminal there is nothing to say");
        assert_complete("send", &sending.finish());
        match made {
            Some(made) => assert!(there.read(made) == content, "{output:?}"),
            None => assert_eq!(there.names(), ["sub"], "{output:?}"),
        }
    }
    assert!(!fs::metadata("/dev/null").expect("it").is_file(), "no device was replaced");
}

#[test]
fn standard_output_gets_it_whatever_it_is() {
    let relay = Relay::start(&[]);
    let (here, there) = (Desk::at(&relay), Desk::at(&relay));
    let content = pattern(2, 2 << 20);
    here.put("a", &content);

    let (sending, id) = here.offer(&["a"]);
    let got = there.run(&["receive", &id, "-o", "-"]);
    assert_complete("a pipe", &got);
    assert!(got.output == content, "a pipe");
    assert_complete("send", &sending.finish());

    there.put("log", "before\n");
    let (sending, id) = here.offer(&["a"]);
    let log = File::options().append(true).open(there.path("log")).expect("the log");
    let mut receiving = there.command(&["receive", &id, "-o", "-"]);
    receiving.stdin(Stdio::null()).stdout(log);
    assert!(receiving.status().expect("rdv").success());
    assert!(
        there.read("log") == [b"before\n", &content[..]].concat(),
        "a file that is appended to"
    );
    assert_complete("send", &sending.finish());
}

#[test]
fn what_is_no_file_is_written_and_never_replaced() {
    let relay = Relay::start(&[]);
    let (here, there) = (Desk::at(&relay), Desk::at(&relay));
    here.put("a", "abc");
    nix::unistd::mkfifo(&there.path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let (sending, id) = here.offer(&["a"]);
    let receiving = there.start(&["receive", &id, "-o", "fifo", "--force"]);
    assert_eq!(there.read("fifo"), b"abc");
    assert_complete("receive", &receiving.finish());
    assert_complete("send", &sending.finish());

    let (_sending, id) = here.offer(&["a"]);
    let got = there.run(&["receive", &id, "-o", "/dev/full", "--force"]);
    assert_ended("/dev/full", &got, 1, "writing what came: No space left on device");
    assert!(!fs::metadata("/dev/full").expect("it").is_file());
    assert_eq!(there.names(), ["fifo"]);
}

#[test]
fn a_link_is_not_followed() {
    let relay = Relay::start(&[]);
    let (here, there) = (Desk::at(&relay), Desk::at(&relay));
    here.put("a", "new");
    there.put("old", "old");
    symlink("old", there.path("a")).expect("a link");
    symlink("nowhere", there.path("b")).expect("a link");
    symlink("old", there.path("c.partial")).expect("a link");
    for name in ["a", "b"] {
        let (_sending, id) = here.offer(&["a"]);
        let got = there.run(&["receive", &id, "-o", name]);
        assert_ended(name, &got, 1, "exists already; --force replaces it");
    }
    for name in ["a", "b", "c"] {
        let (sending, id) = here.offer(&["a"]);
        assert_complete(name, &there.run(&["receive", &id, "-o", name, "--force"]));
        assert_complete("send", &sending.finish());
        assert!(fs::symlink_metadata(there.path(name)).expect("it").is_file(), "{name}");
        assert_eq!((there.read(name), there.read("old")), (b"new".to_vec(), b"old".to_vec()));
    }
    assert_eq!(there.names(), ["a", "b", "c", "c.partial", "old"]);
}

#[test]
fn a_reader_that_goes_away_is_an_error_on_both_sides() {
    let relay = Relay::start(&[]);
    let here = Desk::at(&relay);
    here.put("a", pattern(3, 20 << 20));
    let (sending, id) = here.offer(&["a"]);
    let mut receiving = here.command(&["receive", &id, "-o", "-"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    receiving.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let got = receiving.output().expect("rdv");
    let said = String::from_utf8_lossy(&got.stderr);
    assert_eq!(got.status.code(), Some(1), "{said}");
    assert!(said.contains("writing what came: Broken pipe"), "{said}");
    assert_ended("send", &sending.finish(), 4, "Stream destination closed unexpectedly");
}

#[test]
fn what_is_in_the_way_is_said_before_the_stream_is_used_up() {
    let relay = Relay::start(&[]);
    let (here, there) = (Desk::at(&relay), Desk::at(&relay));
    here.put("a", "new");
    there.put("old", "old");
    fs::create_dir(there.path("dir")).expect("a directory");
    let (sending, id) = here.offer(&["a"]);
    for (what, flags, words) in [
        ("a file", &["-o", "old"][..], "old exists already; --force replaces it"),
        ("no directory for it", &["-o", "none/a"], "none: there is no such directory"),
        ("no such directory", &["-o", "none/"], "none/: there is no such directory; make it first"),
        ("below a file", &["-o", "old/a"], "old"),
        ("nowhere to extract", &["-x", "-o", "none"], "there is no such directory"),
    ] {
        let got = there.run(&[&["receive", &id], flags].concat());
        assert_ended(what, &got, 1, words);
        assert_eq!(relay.await_state(&id, "SRC_CONNECTED")["active"], true, "{what}");
    }
    assert_eq!(there.names(), ["dir", "old"]);
    assert_eq!(there.read("old"), b"old");
    assert_complete("--force", &there.run(&["receive", &id, "-o", "old", "--force"]));
    assert_complete("send", &sending.finish());
    assert_eq!(there.read("old"), b"new");
    assert_eq!(there.names(), ["dir", "old"]);
}

#[test]
fn a_directory_that_takes_no_files_is_found_out_before_the_stream_is_used_up() {
    let relay = Relay::start(&[]);
    let (here, there) = (Desk::at(&relay), Desk::at(&relay));
    here.put("a", "new");
    fs::set_permissions(there.directory(), Permissions::from_mode(0o555)).expect("permissions");
    let (sending, id) = here.offer(&["a"]);
    let (program, _binary) = nobody();
    for flags in [&[][..], &["-o", "a"], &["-o", "."], &["-x"]] {
        let mut command = Command::new(program.get_program());
        command.args(["receive", &id]).args(flags).current_dir(there.directory());
        command.env("RDV_RELAY", relay.url("")).env("RDV_CLIENT_CONFIG", "/dev/null");
        as_nobody(&mut command);
        let got = Process::start(command).finish();
        assert_ended(&format!("{flags:?}"), &got, 1, "no file can be made there");
        assert_eq!(relay.await_state(&id, "SRC_CONNECTED")["active"], true, "{flags:?}");
    }
    drop(sending);
}

fn as_nobody(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    if nix::unistd::geteuid().is_root() {
        let user = nix::unistd::User::from_name("nobody").expect("users").expect("nobody");
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
}

#[test]
fn a_name_that_is_taken_is_not_overwritten() {
    let relay = Relay::start(&[]);
    let (here, there) = (Desk::at(&relay), Desk::at(&relay));
    // More than the buffers on the way hold: a sender does not know of less that it was not kept.
    here.put("a", pattern(6, 40 << 20));
    there.put("a", "old");
    let (sending, id) = here.offer(&["a"]);
    let got = there.run(&["receive", &id]);
    assert_ended("receive", &got, 1, "a exists already; --force replaces it");
    assert_ended("send", &sending.finish(), 4, "Stream destination closed unexpectedly");
    assert_eq!((there.names(), there.read("a")), (vec!["a".into()], b"old".to_vec()));

    here.put("a", "new");
    let (sending, id) = here.offer(&["a"]);
    assert_complete("receive", &there.run(&["receive", &id, "--force"]));
    assert_complete("send", &sending.finish());
    assert_eq!((there.names(), there.read("a")), (vec!["a".into()], b"new".to_vec()));
}

#[test]
fn a_file_has_its_name_only_when_it_is_complete() {
    let relay = Relay::start(&[]);
    let there = Desk::at(&relay);
    for framing in [Framing::Length(200_000), Framing::Chunked] {
        let id = relay.create();
        let receiving = there.await_receiver(&relay, &[&id, "-o", "whole", "--force"]);
        assert!(!there.names().contains(&"whole.partial".into()), "nothing came yet");
        let before = there.names();
        let mut source = relay.connect();
        source.ask(&framing.put(&id));
        source.send(framing.piece(&pattern(4, 150_000)));
        there.await_bytes("whole.partial", 150_000);
        assert_eq!(there.names().len(), before.len() + 1, "{framing:?}");
        source.send(framing.piece(&pattern(5, 50_000)));
        source.send(framing.end());
        assert_complete("receive", &receiving.finish());
        assert_eq!(there.names(), ["whole"]);
        assert!(there.read("whole") == [pattern(4, 150_000), pattern(5, 50_000)].concat());
    }
}

#[test]
fn two_downloads_of_one_name_do_not_mix() {
    let relay = Relay::start(&[]);
    let there = Desk::at(&relay);
    let mut downloads: Vec<_> = (0..2)
        .map(|_| {
            let id = relay.create();
            let receiving = there.await_receiver(&relay, &[&id, "-o", "a"]);
            let mut source = relay.connect();
            source.ask(&Framing::Length(6).put(&id));
            source.send("abc");
            (receiving, source)
        })
        .collect();
    there.await_bytes("a.partial", 3);
    there.await_bytes("a.2.partial", 3);
    let (second, mut source) = downloads.pop().expect("two");
    source.send("def");
    assert_complete("the second", &second.finish());
    let (first, mut source) = downloads.pop().expect("two");
    source.send("xyz");
    assert_ended("the first", &first.finish(), 1, "a exists already");
    assert_eq!(there.read("a"), b"abcdef", "who was complete first has the name");
    assert_eq!(there.names().len(), 2, "what came is kept: {:?}", there.names());
}
