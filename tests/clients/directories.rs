//! Directories: sent as an archive, extracted by `rdv receive --extract` and by tar, completely or
//! not at all.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Stdio;

use crate::support::{Process, Relay, pattern, skip};
use crate::workdir::{Workdir, assert_complete, assert_ended};

/// A tree with nested, empty, linked, protected and long entries.
fn plant(workdir: &Workdir) {
    let long = "l".repeat(120);
    fs::create_dir_all(workdir.path(&format!("tree/sub/{long}/{long}"))).expect("directories");
    fs::create_dir(workdir.path("tree/empty")).expect("a directory");
    workdir.put("tree/a b.bin", pattern(1, 2 << 20));
    workdir.put("tree/none", "");
    workdir.put(&format!("tree/sub/{long}/{long}/x"), "deep");
    workdir.put("tree/.hidden", "h");
    symlink("a b.bin", workdir.path("tree/link")).expect("a link");
    symlink("/nowhere", workdir.path("tree/dangling")).expect("a link");
    fs::hard_link(workdir.path("tree/none"), workdir.path("tree/twin")).expect("a link");
    for (name, mode) in [("a b.bin", 0o640), (".hidden", 0o755), ("sub", 0o750)] {
        let path = workdir.path("tree").join(name);
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("permissions");
    }
}

/// Each path with its kind, permissions, modification time and contents.
fn inventory(workdir: &Workdir, top: &str) -> Vec<(String, u32, i64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(name) = open.pop() {
        let path = workdir.path(&name);
        let metadata = fs::symlink_metadata(&path).expect("it");
        let content = if metadata.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory").flatten();
            open.extend(entries.map(|entry| format!("{name}/{}", entry.file_name().display())));
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).expect("a link").to_string_lossy().into_owned().into_bytes()
        } else {
            fs::read(&path).expect("a file")
        };
        let mtime = if metadata.is_symlink() { 0 } else { metadata.mtime() };
        found.push((name, metadata.mode(), mtime, content));
    }
    found.sort();
    found
}

#[test]
fn a_directory_arrives_unchanged() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    plant(&here);
    for arguments in [
        &["tree"][..],
        &["tree/"],
        &["tree/."],
        &["tree", "--zstd"],
        &["tree", "--digest"],
        &["tree", "--zstd", "--digest"],
    ] {
        let there = Workdir::at(&relay);
        let (sending, id) = here.start_sending(arguments);
        assert!(sending.stderr().contains("receive --extract "), "{}", sending.stderr());
        let got = there.run(&["receive", "-x", &id]);
        assert_complete("receive", &got);
        assert!(got.stderr.starts_with("extracted into . ("), "{arguments:?}: {}", got.stderr);
        assert_complete("send", &sending.finish());
        assert_eq!(there.names(), ["tree"], "{arguments:?}");
        assert!(inventory(&there, "tree") == inventory(&here, "tree"), "{arguments:?}");
    }
}

#[test]
fn sent_and_received_directories_are_compatible_with_tar() {
    let relay = Relay::start(&[]);
    let (here, there, back) = (Workdir::at(&relay), Workdir::at(&relay), Workdir::at(&relay));
    plant(&here);
    let (sending, id) = here.start_sending(&["tree"]);
    let mut curl = there.other_command("curl");
    curl.args(["-q", "-fsS", "--noproxy", "*", &relay.url(&format!("/stream/{id}"))]);
    let mut downloading = curl.stdout(Stdio::piped()).spawn().expect("curl");
    let mut tar = there.other_command("tar");
    tar.args(["x", "-p"]).stdin(downloading.stdout.take().expect("its output"));
    assert!(tar.status().expect("tar").success());
    assert!(downloading.wait().expect("curl").success());
    assert_complete("send", &sending.finish());
    assert!(inventory(&there, "tree") == inventory(&here, "tree"), "tar x");

    let mut tar = there.other_command("tar");
    let mut packing = tar.args(["c", "tree"]).stdout(Stdio::piped()).spawn().expect("tar");
    let output = packing.stdout.take().expect("its output");
    let sending = Process::reading(there.command(&["pipe", "send"]), output.into());
    let id = crate::workdir::stream_of_sender(&sending);
    assert_complete("receive", &back.run(&["receive", "-x", &id]));
    assert_complete("send", &sending.finish());
    assert!(packing.wait().expect("tar").success());
    assert!(inventory(&back, "tree") == inventory(&here, "tree"), "tar c");
}

#[test]
fn an_archive_that_is_not_extracted_is_a_file() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    fs::create_dir(here.path("empty")).expect("a directory");
    for (flags, name) in [(&[][..], "empty.tar"), (&["--zstd"], "empty.tar.zst")] {
        let there = Workdir::at(&relay);
        let (sending, id) = here.start_sending(&[&["empty"], flags].concat());
        assert_complete("receive", &there.run(&["receive", &id]));
        assert_complete("send", &sending.finish());
        assert_eq!(there.names(), [name]);
        let listed = there.other_command("tar").args(["tf", name]).output().expect("tar");
        if listed.status.success() {
            assert_eq!(listed.stdout, b"empty/\n");
        } else {
            skip("tar", &String::from_utf8_lossy(&listed.stderr));
        }
    }
}

#[test]
fn special_files_are_skipped_and_named() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    fs::create_dir(here.path("tree")).expect("a directory");
    here.put("tree/a", "abc");
    nix::unistd::mkfifo(&here.path("tree/fi\u{1b}fo"), nix::sys::stat::Mode::S_IRWXU).expect("it");
    let (sending, id) = here.start_sending(&["tree"]);
    assert_complete("receive", &there.run(&["receive", "-x", &id]));
    let sent = sending.finish();
    assert_ended("send", &sent, 0, "rdv: skipped (not a regular file): tree/fi\\u{1b}fo");
    assert_eq!(fs::read_dir(there.path("tree")).expect("it").count(), 1);

    let there = Workdir::at(&relay);
    let (sending, id) = here.start_sending(&["tree", "--quiet"]);
    assert_complete("receive", &there.run(&["receive", "-x", &id]));
    assert!(!sending.finish().stderr.contains("skipped"), "quiet");
}

#[test]
fn an_existing_file_is_replaced_only_with_force() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    plant(&here);
    there.put("tree", "mine");
    let (sending, id) = here.start_sending(&["tree"]);
    let got = there.run(&["receive", "-x", &id]);
    assert_complete("receive", &got);
    assert!(got.stderr.starts_with("extracted into ./tree (1) ("), "{}", got.stderr);
    assert!(got.stderr.ends_with("; ./tree exists already\n"), "{}", got.stderr);
    assert_complete("send", &sending.finish());
    assert_eq!(
        (there.names(), there.read("tree")),
        (vec!["tree".into(), "tree (1)".into()], b"mine".to_vec())
    );
    fs::remove_dir_all(there.path("tree (1)")).expect("a directory");
    let (sending, id) = here.start_sending(&["tree"]);
    assert_complete("receive", &there.run(&["receive", "-x", &id, "--force"]));
    assert_complete("send", &sending.finish());
    assert_eq!(there.names(), ["tree"]);
    assert!(inventory(&there, "tree") == inventory(&here, "tree"));
}

#[test]
fn a_non_empty_directory_is_not_replaced_even_with_force() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    plant(&here);
    fs::create_dir(there.path("tree")).expect("a directory");
    there.put("tree/mine", "mine");
    for (flags, made) in [(&[][..], "tree (1)"), (&["--force"], "tree (2)")] {
        let (sending, id) = here.start_sending(&["tree"]);
        assert_complete("receive", &there.run(&[&["receive", "-x", &id], flags].concat()));
        assert_complete("send", &sending.finish());
        assert!(there.path(made).join("a b.bin").is_file(), "{made}");
        assert_eq!(there.read("tree/mine"), b"mine");
    }
}

#[test]
fn a_cut_archive_leaves_nothing() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    plant(&here);
    let tar = here.other_command("tar").args(["c", "tree"]).output().expect("tar").stdout;
    here.put("cut", &tar[..tar.len() / 2]);
    let (_sending, id) = here.start_sending(&["cut"]);
    assert_ended("receive", &there.run(&["receive", "-x", &id]), 1, "archive");
    assert_eq!(there.names(), Vec::<String>::new());
}

#[test]
fn what_is_no_archive_is_kept_as_a_file_that_is_named() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let text = pattern(8, 3 << 20);
    here.put("text.csv", &text);
    here.put("nothing", "");
    here.put("a.xz", b"\xfd7zXZ\0rest");
    here.put("small.zst", zstd(&here, "nothing"));
    for (flags, kind) in [
        (&["text.csv"][..], "text/csv"),
        (&["text.csv", "--digest"], "text/csv"),
        (&["nothing"], "empty"),
        (&["a.xz"], "xz-compressed data"),
        (&["small.zst"], "Zstandard-compressed data"),
    ] {
        let (sending, id) = here.start_sending(flags);
        let got = there.run(&["receive", "-x", &id]);
        let words = format!(", not extracted: not a tar archive, but {kind}\n");
        assert_ended(flags[0], &got, 8, &words);
        assert!(got.stderr.starts_with(&format!("rdv: received {} (", flags[0])), "{}", got.stderr);
        assert_ended("send", &sending.finish(), 4, "failed at the receiver: not extracted: not a");
        assert_eq!(there.names(), [flags[0]]);
        assert!(there.read(flags[0]) == here.read(flags[0]), "{flags:?}");
        fs::remove_file(there.path(flags[0])).expect("a file");
    }
}

/// A file of this directory, compressed.
fn zstd(workdir: &Workdir, name: &str) -> Vec<u8> {
    workdir.other_command("zstd").args(["-c", name]).output().expect("zstd").stdout
}

#[test]
fn archives_of_tar_are_extracted_whatever_compressed_them_and_names_stay() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    for name in [".git", "-x"] {
        fs::create_dir(here.path(name)).expect("a directory");
        here.put(&format!("{name}/a"), name);
    }
    here.put(".env", "secret");
    symlink(".git/a", here.path("link")).expect("a link");
    let names = ["-x", ".env", ".git", "link"];
    for (flag, archive) in [("-c", "a.tar"), ("-cz", "a.tar.gz"), ("--zstd", "a.tar.zst")] {
        let there = Workdir::at(&relay);
        let packed =
            here.other_command("tar").args(["-c", flag, "-f", archive, "--"]).args(names).output();
        assert!(packed.expect("tar").status.success(), "{archive}");
        let (sending, id) = here.start_sending(&[archive]);
        assert_complete(archive, &there.run(&["receive", "-x", &id]));
        assert_complete("send", &sending.finish());
        assert_eq!(there.names(), names, "{archive}");
        assert_eq!((there.read("link"), there.read("-x/a")), (b".git".to_vec(), b"-x".to_vec()));
    }
}

#[test]
fn what_leaves_the_target_is_skipped_named_and_shown_by_the_exit_status() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    fs::create_dir(here.path("below")).expect("a directory");
    here.put("evil", "x");
    here.put("below/good", "y");
    let mut tar = here.other_command("tar");
    tar.args(["cPf", "a.tar", "../evil", "good"]).current_dir(here.path("below"));
    assert!(tar.status().expect("tar").success());
    for json in [false, true] {
        let sending = here.start_sending(&["below/a.tar"]);
        let flags = if json { &["--json"][..] } else { &[] };
        let got = there.run(&[&["receive", "-x", "-f", &sending.1], flags].concat());
        let words = if json {
            r#"{"event":"left_out","path":"../evil","reason":"outside of the target directory"}"#
        } else {
            "rdv: skipped (outside of the target directory): ../evil\n"
        };
        assert_ended("receive", &got, 8, words);
        let words = "failed at the receiver: 1 entry was skipped\n";
        assert_ended("send", &sending.0.finish(), 4, words);
        assert_eq!((there.names(), there.read("good")), (vec!["good".into()], b"y".to_vec()));
    }
}

#[test]
fn a_bomb_is_refused() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    fs::create_dir(here.path("tree")).expect("a directory");
    here.put("tree/zeros", vec![0; 20 << 20]);
    for (flags, exit, words) in [
        (&[][..], 1, "100 times its size"),
        (&["--max-size", "1MiB"], 1, "--max-size 1.0 MiB"),
        (&["--max-entries", "1"], 1, "--max-entries"),
        (&["--max-size", "1GiB"], 0, "extracted into ."),
    ] {
        let (sending, id) = here.start_sending(&["tree", "--zstd"]);
        assert_ended(
            "receive",
            &there.run(&[&["receive", "-x", &id], flags].concat()),
            exit,
            words,
        );
        assert_eq!(there.names().is_empty(), exit == 1);
        drop(sending);
    }
}

#[test]
fn a_killed_sender_leaves_nothing_extracted() {
    use std::io::Write as _;
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    plant(&here);
    let tar = here.other_command("tar").args(["c", "tree"]).output().expect("tar").stdout;
    for signal in [nix::sys::signal::Signal::SIGKILL, nix::sys::signal::Signal::SIGINT] {
        let (sending, id, mut rest) = here.pipe_send(&[]);
        let receiving = there.start(&["receive", "-x", &id]);
        rest.write_all(&tar[..tar.len() / 2]).expect("the sender reads");
        crate::support::eventually("something is extracted", || {
            (!there.names().is_empty()).then_some(())
        });
        sending.signal(signal);
        let got = receiving.finish();
        assert_ended("receive", &got, 4, "Stream source closed unexpectedly");
        assert_eq!(there.names(), Vec::<String>::new());
    }
}

#[test]
fn a_sender_killed_between_two_files_is_not_an_invalid_archive() {
    use std::io::Write as _;
    const BLOCK_BYTES: usize = 512;
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    fs::create_dir(here.path("tree")).expect("a directory");
    for number in 0..100 {
        here.put(&format!("tree/{number}"), [b'x'; BLOCK_BYTES]);
    }
    let tar = here.other_command("tar").args(["c", "tree"]).output().expect("tar").stdout;
    // The directory, and 50 files with a header and a block each: the process blocks at a header.
    let half = &tar[..(1 + 50 * 2) * BLOCK_BYTES];
    let (sending, id, mut rest) = here.pipe_send(&[]);
    let receiving = there.start(&["receive", "-x", &id]);
    rest.write_all(half).expect("the sender reads");
    crate::support::eventually("50 files are extracted", || {
        let files = fs::read_dir(there.path(".tree.partial/new/tree")).ok()?.flatten();
        let is_complete = |file: &fs::DirEntry| {
            file.metadata().is_ok_and(|file| file.len() == BLOCK_BYTES as u64)
        };
        (files.filter(is_complete).count() == 50).then_some(())
    });
    sending.signal(nix::sys::signal::Signal::SIGKILL);
    let got = receiving.finish();
    assert_ended("receive", &got, 4, "Stream source closed unexpectedly; retry");
    assert_eq!(there.names(), Vec::<String>::new());
}
