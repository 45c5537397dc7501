//! Received data on its way to the disk.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;

use crate::support::{
    Finished, Framing, Process, Relay, SmallDisk, Wire, eventually, pattern, unprivileged_command,
};
use crate::workdir::{Workdir, assert_complete, assert_ended, without_root};

/// Bytes after which data must be on its way to the disk, however long the download is.
const STEP_BYTES: usize = 64 << 20;

/// `rdv receive` under strace(1), which notes these calls or makes them fail.
fn traced(there: &Workdir, option: &str, arguments: &[&str]) -> Process {
    let plain = there.command(&[&["receive"], arguments].concat());
    let mut command: Command = there.other_command("strace");
    // -D: the process under the id that we know is the receiver itself.
    command.args(["-D", "-f", "-qq", "-o", "log", option]);
    command.arg(plain.get_program()).args(plain.get_args());
    Process::start(command)
}

/// An upload of which this much is sent, and the same again is declared.
fn begin(relay: &Relay, id: &str, sent: &[u8]) -> Wire {
    let mut source = relay.connect();
    source.ask(&Framing::Length(2 * sent.len()).put(id));
    source.send(sent);
    source
}

/// A tar archive of one file of this size, without its end.
fn archive(bytes: usize) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("a").expect("a path");
    header.set_mode(0o600);
    header.set_size(bytes as u64);
    header.set_cksum();
    [&header.as_bytes()[..], &pattern(1, bytes)].concat()
}

#[test]
fn data_is_written_to_the_disk_while_more_is_received() {
    let relay = Relay::start(&[]);
    let half = pattern(1, STEP_BYTES);
    for (call, sent, flags) in
        [("fdatasync", &half, &["-o", "a"][..]), ("syncfs", &archive(STEP_BYTES), &["-x"])]
    {
        let there = Workdir::at(&relay);
        let id = relay.create();
        let receiving = traced(&there, &format!("--trace={call}"), &[&[&*id], flags].concat());
        relay.await_state(&id, "DST_CONNECTED");
        let source = begin(&relay, &id, sent);
        eventually(call, || {
            std::str::from_utf8(&there.read("log"))
                .ok()?
                .contains(&format!("{call}("))
                .then_some(())
        });
        assert_eq!(relay.status(&id)["state"], "STREAMING", "{call}");
        drop(source);
        assert_ended(call, &receiving.finish(), 4, "");
    }
}

#[test]
fn an_error_of_the_disk_while_more_is_received_is_reported_on_both_sides() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", pattern(1, STEP_BYTES + 1));
    let (sending, id) = here.start_sending(&["a"]);
    // The system reports it once: the last sync succeeds.
    let fault = "--inject=fdatasync:error=EIO:when=1";
    let receiving = traced(&there, fault, &[&id, "-o", "a"]);
    let why = "cannot write the received data to the disk: I/O error";
    assert_ended("receive", &receiving.finish(), 1, why);
    assert_ended("send", &sending.finish(), 4, why);
    assert_eq!(there.names(), ["a.partial", "log"]);
}

#[test]
fn an_archive_of_few_files_does_not_wait_for_the_data_of_others() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    fs::create_dir_all(here.path("tree/sub")).expect("a directory");
    for name in 0..3 {
        here.put(&format!("tree/sub/{name}"), "abc");
    }
    std::os::unix::fs::symlink("nowhere", here.path("tree/link")).expect("a link");
    for (files, synced, not_synced) in [(3, "fsync(", "syncfs("), (1001, "syncfs(", "nothing")] {
        for name in 3..files {
            here.put(&format!("tree/sub/{name}"), "abc");
        }
        let there = Workdir::at(&relay);
        let (sending, id) = here.start_sending(&["tree"]);
        let receiving = traced(&there, "--trace=fsync,syncfs", &[&id, "-x"]);
        assert_complete("receive", &receiving.finish());
        assert_complete("send", &sending.finish());
        let log = String::from_utf8(there.read("log")).expect("text");
        assert!(log.contains(synced) && !log.contains(not_synced), "{files}: {log}");
        // Each file, both directories, and the directories that hold the tree.
        let count = log.matches("fsync(").count();
        assert!(files > 3 || count == 3 + 2 + 2, "{count}: {log}");
    }
}

/// `rdv receive` with its standard output in a file.
fn redirected(there: &Workdir, id: &str, file: File) -> Finished {
    let receiving = there.command(&["pipe", "receive", id]);
    Process::between(receiving, Stdio::null(), file.into()).finish()
}

#[test]
fn standard_output_that_is_a_file_is_treated_as_one() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let Some(disk) = SmallDisk::mount(there.directory(), 1) else { return };
    here.put("fits", pattern(1, 1 << 20));
    here.put("large", pattern(1, (1 << 20) + 1));
    let create = || File::create(there.path("out")).expect("a file");

    let (sending, id) = here.start_sending(&["fits", "--json"]);
    assert_complete("receive", &redirected(&there, &id, create()));
    let sent = sending.finish();
    assert_complete("send", &sent);
    assert!(sent.stderr.contains(r#""receipt":"confirmed""#), "{}", sent.stderr);
    assert!(there.read("out") == here.read("fits"));

    // What a file has already, it does not need again.
    let (sending, id) = here.start_sending(&["fits"]);
    let open = File::options().write(true).open(there.path("out")).expect("a file");
    assert_complete("over it", &redirected(&there, &id, open));
    assert_complete("send", &sending.finish());

    // Declared, so the stream is not used up.
    let (_sending, id) = here.start_sending(&["large"]);
    let got = redirected(&there, &id, create());
    assert_ended("declared", &got, 1, "standard output: 1.0 MiB needed, 1.0 MiB available");
    assert_eq!(relay.await_state(&id, "SRC_CONNECTED")["active"], true);

    let (sending, id, mut input) = here.pipe_send(&[]);
    let large = here.read("large");
    let writing = thread::spawn(move || input.write_all(&large));
    let got = redirected(&there, &id, create());
    let why = "cannot write the received data: no space left on device";
    assert_ended("undeclared", &got, 1, why);
    assert_ended("send", &sending.finish(), 4, &format!("failed at the receiver: {why}"));
    writing.join().expect("a thread").expect("it fits into the buffers on the way");
    drop(disk);
}

#[test]
fn a_file_beyond_the_limit_of_the_shell_is_reported_on_both_sides() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("a", pattern(1, 200_000));
    for flags in ["", "-x"] {
        let (sending, id) = here.start_sending(&["a"]);
        let mut receiving = there.other_command("sh");
        let script =
            format!("ulimit -f 100; exec {} receive {id} {flags}", env!("CARGO_BIN_EXE_rdv"));
        receiving.args(["-c", &script]);
        let got = Process::start(receiving).finish();
        assert_ended("receive", &got, 1, "file too large");
        assert_ended("send", &sending.finish(), 4, "file too large");
    }
}

#[test]
fn a_directory_that_takes_no_file_is_refused_before_the_stream_is_joined() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    let one_inode = "size=1m,nr_inodes=1";
    let Some(_full) = SmallDisk::mount_with(there.directory(), one_inode) else { return };
    here.put("a", "abc");
    let (_sending, id) = here.start_sending(&["a"]);
    for flags in [&[][..], &["-o", "b"], &["-x"]] {
        let got = there.run(&[&["receive", &id], flags].concat());
        assert_ended("receive", &got, 1, "no file can be created there: no space left on device");
        assert_eq!(relay.await_state(&id, "SRC_CONNECTED")["active"], true, "{flags:?}");
    }
}

#[test]
fn what_the_file_system_cannot_hold_is_skipped_and_named() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    fs::create_dir(here.path("tree")).expect("a directory");
    here.put("tree/a", "abc");
    fs::hard_link(here.path("tree/a"), here.path("tree/b")).expect("a link");
    std::os::unix::fs::symlink("a", here.path("tree/c")).expect("a link");
    let (sending, id) = here.start_sending(&["tree"]);
    // As on FAT.
    let fault = "--inject=symlink,symlinkat,link,linkat:error=EPERM";
    let got = traced(&there, fault, &[&id, "-x"]).finish();
    assert_ended("receive", &got, 8, "skipped (not supported by the file system): tree/c\n");
    assert_ended("send", &sending.finish(), 4, "2 entries were skipped");
    // The one that the archive holds first.
    assert_eq!(fs::read_dir(there.path("tree")).expect("a directory").count(), 1);
}

/// A tar archive of one entry.
fn archive_of(kind: tar::EntryType, mode: u32) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("a").expect("a path");
    header.set_entry_type(kind);
    header.set_link_name("nowhere").expect("a path");
    header.set_mode(mode);
    header.set_size(0);
    header.set_cksum();
    [header.as_bytes(), &[0; 1024][..]].concat()
}

#[test]
fn what_cannot_be_opened_again_is_received_all_the_same() {
    let relay = Relay::start(&[]);
    let (here, there) = (Workdir::at(&relay), Workdir::at(&relay));
    here.put("file", "abc");
    here.put("link", archive_of(tar::EntryType::Symlink, 0o777));
    here.put("unreadable", archive_of(tar::EntryType::Regular, 0o200));
    here.put("directory", archive_of(tar::EntryType::Directory, 0o300));
    there.put("a", "the name is taken");
    fs::set_permissions(there.directory(), Permissions::from_mode(0o333)).expect("permissions");
    let (program, _binary) = unprivileged_command();
    for (name, flag) in
        [("file", "--force"), ("link", "-x"), ("unreadable", "-x"), ("directory", "-x")]
    {
        let (sending, id) = here.start_sending(&[name]);
        let mut receiving = Command::new(program.get_program());
        receiving.args(program.get_args()).args(["receive", &id, flag]);
        receiving.current_dir(there.directory());
        receiving.env("RDV_RELAY", relay.url("")).env("RDV_CLIENT_CONFIG", "/dev/null");
        without_root(&mut receiving);
        assert_complete(name, &Process::start(receiving).finish());
        assert_complete(name, &sending.finish());
    }
    fs::set_permissions(there.directory(), Permissions::from_mode(0o700)).expect("permissions");
    assert_eq!(there.names(), ["a", "a (1)", "a (2)", "a (3)", "file"]);
}
