//! `rdv send`: any input arrives byte for byte, whichever side connects first, with any receiver.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::process::Stdio;

use crate::support::{Process, Relay, pattern, unprivileged_command};
use crate::workdir::{Workdir, assert_complete, assert_ended, stream_of_sender};
use nix::sys::stat::Mode;

/// Receives a stream in another directory; afterwards it contains only this file.
fn received(relay: &Relay, id: &str) -> (String, Vec<u8>) {
    let there = Workdir::at(relay);
    assert_complete("receive", &there.run(&["receive", id]));
    let names = there.names();
    assert_eq!(names.len(), 1, "{names:?}");
    (names[0].clone(), there.read(&names[0]))
}

#[test]
fn a_file_of_any_size_arrives_byte_for_byte() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    for size in [0, 1, 40 << 20] {
        let content = pattern(1, size);
        here.put("a.bin", &content);
        let (sending, id) = here.start_sending(&["a.bin"]);
        let (name, bytes) = received(&relay, &id);
        assert_eq!(name, "a.bin");
        assert!(bytes == content, "{size} bytes");
        assert_complete("send", &sending.finish());
        assert_eq!(relay.await_state(&id, "FINISHED")["bytes_transferred"], size);
    }
}

#[test]
fn standard_input_is_sent_from_a_pipe_or_from_a_file_offset() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let content = pattern(2, 3 << 20);
    here.put("in", &content);

    let mut cat = here.other_command("cat").arg("in").stdout(Stdio::piped()).spawn().expect("cat");
    let output = cat.stdout.take().expect("its output");
    let sending = Process::reading(here.command(&["send", "-"]), output.into());
    let id = stream_of_sender(&sending);
    let (name, bytes) = received(&relay, &id);
    assert_eq!(name, format!("rdv-{}", &id[..8]), "nothing has a name, so the stream gives one");
    assert!(bytes == content, "a pipe");
    assert_complete("send from a pipe", &sending.finish());
    assert!(cat.wait().expect("cat").success());

    let mut file = File::open(here.path("in")).expect("a file");
    file.seek(SeekFrom::Start(1000)).expect("seek");
    let sending = here.start_with_input(&["send", "-"], file);
    let (_, bytes) = received(&relay, &stream_of_sender(&sending));
    assert!(bytes == content[1000..], "a file from its current offset");
    assert_complete("send from a file", &sending.finish());
}

#[test]
fn input_without_a_size_is_sent_to_its_end() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let fifo = here.path("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
    let writing = std::thread::spawn(move || {
        let mut fifo = File::options().write(true).open(fifo).expect("the FIFO");
        fifo.write_all(&pattern(3, 300_000)).expect("the FIFO takes it");
    });
    let (sending, id) = here.start_sending(&["fifo"]);
    assert_eq!(received(&relay, &id), ("fifo".into(), pattern(3, 300_000)));
    assert_complete("send a FIFO", &sending.finish());
    writing.join().expect("the writer");

    let (sending, id) = here.start_sending(&["/proc/version"]);
    assert_eq!(received(&relay, &id), ("version".into(), fs::read("/proc/version").expect("it")));
    assert_complete("send a file of /proc", &sending.finish());
}

#[test]
fn either_side_may_join_an_existing_stream_first() {
    let relay = Relay::start(&[]);
    for receiver_first in [true, false] {
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        here.put("a", "abc");
        let id = relay.create();
        let (sending, receiving) = if receiver_first {
            let receiving = there.await_receiver(&relay, &[&id]);
            (here.start(&["send", "a", "--stream", &id]), receiving)
        } else {
            let sending =
                here.start(&["send", "a", "--stream", &relay.url(&format!("/stream/{id}"))]);
            relay.await_state(&id, "SRC_CONNECTED");
            (sending, there.start(&["receive", &id]))
        };
        assert_complete("send", &sending.finish());
        assert_complete("receive", &receiving.finish());
        assert_eq!(there.read("a"), b"abc", "the receiver first: {receiver_first}");
    }
}

#[test]
fn curl_gets_the_name_and_the_type() {
    let relay = Relay::start(&[]);
    for (flags, name, media_type) in [
        (&["a b.csv"][..], "a b.csv", "text/csv"),
        (&["a b.csv", "--name", "x.pdf"], "x.pdf", "application/pdf"),
        (&["a b.csv", "--type", "text/x-y; charset=utf-8"], "a b.csv", "text/x-y; charset=utf-8"),
        (&["none"], "none", "application/octet-stream"),
    ] {
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        here.put("a b.csv", "1,2\n");
        here.put("none", "1,2\n");
        let (sending, id) = here.start_sending(flags);
        let url = relay.url(&format!("/stream/{id}"));
        let got = there.curl(&["-fOJ", "-w", "%{content_type}", &url]).finish();
        assert_complete("curl", &got);
        assert_complete("send", &sending.finish());
        assert_eq!((there.names(), got.stdout.as_str()), (vec![name.to_owned()], media_type));
        assert_eq!(there.read(name), b"1,2\n");
    }
}

#[test]
fn a_file_sent_by_curl_is_received_with_its_name() {
    let relay = Relay::start(&[]);
    for (place, chunked, name) in [("/", false, "a b.txt"), ("/", true, "a b.txt"), ("", false, "")]
    {
        let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
        let content = pattern(4, 2 << 20);
        here.put("a b.txt", &content);
        let id = relay.create();
        let url = relay.url(&format!("/stream/{id}{place}"));
        let coding = if chunked { "Transfer-Encoding: chunked" } else { "X: y" };
        let sending = here.curl(&["-f", "-H", coding, "-T", "a b.txt", &url]);
        assert_complete("receive", &there.run(&["receive", &id]));
        assert_complete("curl", &sending.finish());
        let name = if name.is_empty() { format!("rdv-{}", &id[..8]) } else { name.into() };
        assert_eq!(there.names(), std::slice::from_ref(&name));
        assert!(there.read(&name) == content, "{name}, chunked: {chunked}");
    }
}

#[test]
fn an_unprivileged_user_can_send_and_receive() {
    let relay = Relay::start(&[]);
    let desks = [Workdir::at(&relay), Workdir::at(&relay)];
    let [here, there] = &desks;
    here.put("a", pattern(5, 1 << 20));
    let without_root = |workdir: &Workdir, arguments: &[&str]| {
        let (mut command, directory) = unprivileged_command();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(workdir.directory(), open).expect("permissions");
        command.args(arguments).current_dir(workdir.directory());
        command.env("RDV_RELAY", relay.url("")).env("RDV_CLIENT_CONFIG", "/dev/null");
        (Process::start(command), directory)
    };
    let (sending, _binary) = without_root(here, &["send", "a", "--digest"]);
    let (receiving, _binary) = without_root(there, &["receive", &stream_of_sender(&sending)]);
    assert_complete("send", &sending.finish());
    assert_complete("receive", &receiving.finish());
    assert!(there.read("a") == here.read("a"));
}

#[test]
fn a_capped_ttl_is_reported_and_a_url_needs_no_scheme() {
    let relay = Relay::start(&["--max-ttl", "90s"]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", "abc");
    let (sending, id) = here.start_sending(&["a"]);
    let printed = sending.stderr();
    assert!(printed.contains(", within 90 s (the relay's maximum):"), "{printed}");
    let place = format!("{}/stream/{id}", relay.address());
    assert_complete("receive", &there.run(&["receive", &place]));
    assert_complete("send", &sending.finish());
    let late = there.run(&["receive", "--force", &place]);
    assert_ended("used", &late, 5, "does not exist: used at ");
    let (sending, id) = here.start_sending(&["a", "--ttl", "80s"]);
    assert!(sending.stderr().contains(", within 80 s:"), "{}", sending.stderr());
    assert_complete("receive", &there.run(&["receive", "--force", &id]));
}

#[test]
fn several_files_are_sent_as_one_archive() {
    let relay = Relay::start(&[]);
    let (here, there, tar) = (Workdir::at(&relay), Workdir::at(&relay), Workdir::at(&relay));
    fs::create_dir_all(here.path("below/tree")).expect("directories");
    here.put("a.txt", "A");
    here.put("below/tree/b", "B");
    std::os::unix::fs::symlink("a.txt", here.path("link")).expect("a link");
    let (sending, id) = here.start_sending(&["a.txt", "below/tree", "link"]);
    assert!(sending.stderr().contains("receive --extract "), "{}", sending.stderr());
    assert_complete("receive", &there.run(&["receive", "-x", &id]));
    assert_complete("send", &sending.finish());
    assert_eq!(there.names(), ["a.txt", "link", "tree"]);
    let found = ["a.txt", "link", "tree/b"].map(|name| there.read(name));
    assert_eq!(found, [&b"A"[..], b"A", b"B"], "a link that was named is followed");

    let (sending, id) = here.start_sending(&["a.txt", "below/tree", "--zstd"]);
    assert_complete("receive", &tar.run(&["receive", &id]));
    assert_complete("send", &sending.finish());
    assert_eq!(tar.names(), ["files.tar.zst"]);
    let unpacked = tar.other_command("tar").args(["-xf", "files.tar.zst"]).status().expect("tar");
    assert!(unpacked.success());
    assert_eq!(tar.names(), ["a.txt", "files.tar.zst", "tree"]);

    here.put("below/a.txt", "another");
    for (what, exit, words) in [
        (&["a.txt", "below/a.txt"][..], 2, "cannot send two files named a.txt together"),
        (&["a.txt", "-"], 2, "standard input cannot be sent together with files"),
        (&["a.txt", "none"], 1, "cannot read none: no such file"),
    ] {
        assert_ended(&format!("{what:?}"), &here.run(&[&["send"], what].concat()), exit, words);
    }
}

#[test]
fn files_that_do_not_tell_their_size_are_sent_with_what_can_be_read() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let sizes = ["/sys/class/net/lo/mtu", "/proc/sys/kernel/ostype"];
    for path in sizes {
        let content = fs::read(path).expect("a file of the kernel");
        for flags in [&[][..], &["--digest"]] {
            let (sending, id) = here.start_sending(&[&[path], flags].concat());
            assert_eq!(received(&relay, &id).1, content, "{path} {flags:?}");
            assert_complete("send", &sending.finish());
        }
    }
    let there = Workdir::at(&relay);
    let (sending, id) =
        here.start_sending(&[&sizes[..], &["/sys/class/net/lo/statistics"]].concat());
    assert_complete("receive", &there.run(&["receive", "-x", &id]));
    assert_complete("send", &sending.finish());
    assert_eq!(there.read("mtu"), fs::read(sizes[0]).expect("a file"));
    assert_eq!(there.read("ostype"), fs::read(sizes[1]).expect("a file"));
    let bytes = String::from_utf8(there.read("statistics/rx_bytes")).expect("a number");
    assert!(bytes.trim_end().parse::<u64>().is_ok(), "{bytes:?}");
}
