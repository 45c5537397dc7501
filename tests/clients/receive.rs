//! `rdv receive`: the destination, which files are replaced, and that a partial file is never taken
//! for a complete one.

use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{
    Framing, Process, Relay, SmallDisk, eventually, pattern, unprivileged_command,
};
use crate::workdir::{Workdir, assert_complete, assert_ended, without_root};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

#[test]
fn the_output_is_written_to_the_given_path() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
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
        let there = Workdir::at(&relay);
        fs::create_dir(there.path("sub")).expect("a directory");
        let (sending, id) = here.start_sending(&["a.bin"]);
        let flags = output.map_or(vec![], |output| vec!["-o", output]);
        let got = there.run(&[&["receive", &id], &flags[..]].concat());
        assert_complete("receive", &got);
        let place = made.unwrap_or("/dev/null");
        let printed = format!("received {place} (98 KiB");
        assert!(got.stderr.starts_with(&printed), "{output:?}: {}", got.stderr);
        assert_eq!(got.stderr.lines().count(), 1, "{output:?}: {}", got.stderr);
        assert_complete("send", &sending.finish());
        match made {
            Some(made) => assert!(there.read(made) == content, "{output:?}"),
            None => assert_eq!(there.names(), ["sub"], "{output:?}"),
        }
    }
    assert!(!fs::metadata("/dev/null").expect("it").is_file(), "no device was replaced");
}

#[test]
fn standard_output_may_be_a_pipe_or_a_file() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let content = pattern(2, 2 << 20);
    here.put("a", &content);

    let (sending, id) = here.start_sending(&["a"]);
    let got = there.run(&["receive", &id, "-o", "-"]);
    assert_complete("a pipe", &got);
    assert!(got.output == content, "a pipe");
    assert_complete("send", &sending.finish());

    there.put("log", "before\n");
    let (sending, id) = here.start_sending(&["a"]);
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
fn special_files_are_written_to_and_never_replaced() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    nix::unistd::mkfifo(&there.path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let mut reader = reader_of(&there.path("fifo"));
    let (sending, id) = here.start_sending(&["a"]);
    assert_complete("receive", &there.run(&["receive", &id, "-o", "fifo", "--force"]));
    assert_complete("send", &sending.finish());
    let mut read = String::new();
    reader.read_to_string(&mut read).expect("what was written");
    assert_eq!(read, "abc");

    let (_sending, id) = here.start_sending(&["a"]);
    let got = there.run(&["receive", &id, "-o", "/dev/full", "--force"]);
    assert_ended("/dev/full", &got, 1, "cannot write the received data: no space left on device");
    assert!(!fs::metadata("/dev/full").expect("it").is_file());
    assert_eq!(there.names(), ["fifo"]);
}

/// A reader of a named pipe that does not wait for a writer.
fn reader_of(fifo: &Path) -> File {
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    File::options().read(true).custom_flags(flags).open(fifo).expect("the FIFO")
}

#[test]
fn a_named_pipe_with_a_slow_reader_gets_everything() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    // More than a pipe holds: the write blocks.
    let content = pattern(5, 1 << 20);
    here.put("a", &content);
    nix::unistd::mkfifo(&there.path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let mut reader = reader_of(&there.path("fifo"));
    // With a digest, the bytes are written and not spliced.
    for flags in [&[][..], &["--digest"]] {
        let (sending, id) = here.start_sending(&[&["a"], flags].concat());
        let receiving = there.start(&["receive", &id, "-o", "fifo"]);
        let writer = File::options().write(true).open(there.path("fifo")).expect("the FIFO");
        eventually("it is full", || {
            let mut room = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
            (poll(&mut room, PollTimeout::ZERO).expect("poll") == 0).then_some(())
        });
        drop(writer);
        let mut received = Vec::new();
        eventually("all of it comes", || {
            // No data is available now, or the read fails with an error of its kind.
            let _ = reader.read_to_end(&mut received);
            (received.len() >= content.len()).then_some(())
        });
        assert!(received == content, "{flags:?}");
        assert_complete("receive", &receiving.finish());
        assert_complete("send", &sending.finish());
    }
}

#[test]
fn an_unwritable_output_is_refused_before_the_stream_is_consumed() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    fs::set_permissions(there.directory(), Permissions::from_mode(0o755)).expect("permissions");
    nix::unistd::mkfifo(&there.path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    nix::unistd::mkfifo(&there.path("closed"), nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
    let (_sending, id) = here.start_sending(&["a"]);
    let (program, _binary) = unprivileged_command();
    for (name, is_nobody, words) in [
        ("fifo", false, "fifo: no process reads from this named pipe; start the reader first"),
        ("closed", true, "closed: permission denied; choose another place"),
    ] {
        let mut command = there.command(&["receive", &id, "-o", name]);
        if is_nobody {
            command = Command::new(program.get_program());
            command.args(program.get_args());
            command.args(["receive", &id, "-o", name]).current_dir(there.directory());
            command.env("RDV_RELAY", relay.url("")).env("RDV_CLIENT_CONFIG", "/dev/null");
            without_root(&mut command);
        }
        assert_ended(name, &Process::start(command).finish(), 1, words);
        assert_eq!(relay.await_state(&id, "SRC_CONNECTED")["active"], true, "{name}");
    }
}

#[test]
fn a_symlink_is_not_followed() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "new");
    there.put("old", "old");
    symlink("old", there.path("a")).expect("a link");
    symlink("nowhere", there.path("b")).expect("a link");
    symlink("old", there.path("c.partial")).expect("a link");
    for name in ["a", "b"] {
        let (_sending, id) = here.start_sending(&["a"]);
        let got = there.run(&["receive", &id, "-o", name]);
        assert_ended(name, &got, 1, "exists already; --force replaces it");
    }
    for name in ["a", "b", "c"] {
        let (sending, id) = here.start_sending(&["a"]);
        assert_complete(name, &there.run(&["receive", &id, "-o", name, "--force"]));
        assert_complete("send", &sending.finish());
        assert!(fs::symlink_metadata(there.path(name)).expect("it").is_file(), "{name}");
        assert_eq!((there.read(name), there.read("old")), (b"new".to_vec(), b"old".to_vec()));
    }
    assert_eq!(there.names(), ["a", "b", "c", "c.partial", "old"]);
}

#[test]
fn a_closed_standard_output_is_an_error_on_both_sides() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", pattern(3, 20 << 20));
    let (sending, id) = here.start_sending(&["a"]);
    let mut receiving = here.command(&["receive", &id, "-o", "-"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    receiving.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let got = receiving.output().expect("rdv");
    let printed = String::from_utf8_lossy(&got.stderr);
    assert_eq!(got.status.code(), Some(1), "{printed}");
    assert!(printed.contains("cannot write the received data: broken pipe"), "{printed}");
    assert_ended("send", &sending.finish(), 4, "Stream destination closed unexpectedly");
}

#[test]
fn an_existing_output_is_refused_before_the_stream_is_consumed() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "new");
    there.put("old", "old");
    fs::create_dir(there.path("dir")).expect("a directory");
    let (sending, id) = here.start_sending(&["a"]);
    for (what, flags, words) in [
        ("a file", &["-o", "old"][..], "old exists already; --force replaces it"),
        ("no directory for it", &["-o", "none/a"], "none: no such directory"),
        ("no such directory", &["-o", "none/"], "none/: no such directory; create it first"),
        ("below a file", &["-o", "old/a"], "old"),
        ("nowhere to extract", &["-x", "-o", "none"], "no such directory"),
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
fn an_unwritable_directory_is_refused_before_the_stream_is_consumed() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "new");
    fs::set_permissions(there.directory(), Permissions::from_mode(0o555)).expect("permissions");
    let (sending, id) = here.start_sending(&["a"]);
    let (program, _binary) = unprivileged_command();
    for flags in [&[][..], &["-o", "a"], &["-o", "."], &["-x"]] {
        let mut command = Command::new(program.get_program());
        command.args(program.get_args()).args(["receive", &id]).args(flags);
        command.current_dir(there.directory());
        command.env("RDV_RELAY", relay.url("")).env("RDV_CLIENT_CONFIG", "/dev/null");
        without_root(&mut command);
        let got = Process::start(command).finish();
        assert_ended(&format!("{flags:?}"), &got, 1, "no file can be created there");
        assert_eq!(relay.await_state(&id, "SRC_CONNECTED")["active"], true, "{flags:?}");
    }
    drop(sending);
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a.bin", "new");
    there.put("a.bin", "old");
    fs::create_dir(there.path("b")).expect("a directory");
    symlink("nowhere", there.path("c")).expect("a link");
    for (name, flags, made) in [
        ("a.bin", &[][..], "a (1).bin"),
        ("a.bin", &[], "a (2).bin"),
        ("b", &[], "b (1)"),
        ("b", &["--force"], "b (2)"),
        ("c", &[], "c (1)"),
    ] {
        let (sending, id) = here.start_sending(&["a.bin", "--name", name]);
        let got = there.run(&[&["receive", &id], flags].concat());
        assert_complete(name, &got);
        let (begin, end) = (format!("received {made} (3 B"), format!("); {name} exists already\n"));
        assert!(got.stderr.starts_with(&begin) && got.stderr.ends_with(&end), "{}", got.stderr);
        assert_complete("send", &sending.finish());
        assert_eq!(there.read(made), b"new", "{name}");
    }
    assert_eq!(there.read("a.bin"), b"old");
    assert!(there.path("b").is_dir() && there.path("c").is_symlink());
    // The same for a name that is taken during the transfer.
    let id = relay.create();
    let receiving = there.await_receiver(&relay, &[&id, "--json"]);
    let mut source = relay.connect();
    let field = "attachment; filename=\"d\"";
    source.ask(&Framing::Length(6).put(&id).field("Content-Disposition", field));
    source.send("abc");
    there.await_bytes("d.partial", 3);
    there.put("d", "theirs");
    source.send("def");
    let got = receiving.finish();
    assert_ended("receive", &got, 0, "\"output\":\"d (1)\"");
    assert_eq!((there.read("d"), there.read("d (1)")), (b"theirs".to_vec(), b"abcdef".to_vec()));

    let (sending, id) = here.start_sending(&["a.bin"]);
    assert_complete("receive", &there.run(&["receive", &id, "--force"]));
    assert_complete("send", &sending.finish());
    assert_eq!(there.read("a.bin"), b"new");
}

#[test]
fn what_cannot_hold_it_is_found_out_before_the_stream_is_joined() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    fs::create_dir(there.path("disk")).expect("a directory");
    let disk = SmallDisk::mount(&there.path("disk"), 1);
    for (bytes, flags, words) in [
        (2 << 20, &["-o", "disk"][..], "disk: 2.0 MiB needed, "),
        (2 << 20, &["-o", "disk/b"], "disk: 2.0 MiB needed, "),
        (2 << 20, &["-x", "-o", "disk"], "disk: 2.0 MiB needed, "),
        (100_000, &["--max-size", "64KiB"], "98 KiB declared, more than --max-size 64 KiB"),
        (100_000, &["-o", "-", "--max-size", "64KiB"], "more than --max-size"),
    ] {
        if disk.is_none() && bytes > 100_000 {
            continue;
        }
        here.put("a", pattern(6, bytes));
        let (sending, id) = here.start_sending(&["a"]);
        relay.await_state(&id, "SRC_CONNECTED");
        let got = there.run(&[&["receive", &id], flags].concat());
        assert_ended(&format!("{flags:?}"), &got, 1, words);
        assert_eq!(relay.await_state(&id, "SRC_CONNECTED")["active"], true, "{flags:?}");
        assert_complete("elsewhere", &there.run(&["receive", &id, "-o", "there", "-f"]));
        assert_complete("send", &sending.finish());
    }
}

#[test]
fn more_than_the_limit_is_refused_when_no_size_was_declared() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    let id = relay.create();
    let receiving = there.await_receiver(&relay, &[&id, "-o", "a", "--max-size", "1000"]);
    let mut source = relay.connect();
    source.ask(&Framing::Chunked.put(&id));
    source.send(Framing::Chunked.piece(&[b'x'; 1001]));
    assert_ended("receive", &receiving.finish(), 1, "received more than --max-size 1000 B");
}

#[test]
fn a_file_gets_its_final_name_once_complete() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    for framing in [Framing::Length(200_000), Framing::Chunked] {
        let id = relay.create();
        let receiving = there.await_receiver(&relay, &[&id, "-o", "whole", "--force"]);
        assert!(!there.names().contains(&"whole.partial".into()), "nothing is received yet");
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
    let there = Workdir::at(&relay);
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
    assert_eq!(there.read("a"), b"abcdef", "the first complete file has the name");
    assert_eq!(there.names().len(), 2, "the received part is kept: {:?}", there.names());
}
