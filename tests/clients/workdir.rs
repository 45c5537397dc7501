//! A user at a shell: an own directory, a relay, and no settings but the given ones.

use std::fs::{self, File};
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Finished, Process, Relay, eventually};
use tempfile::TempDir;

/// Variables that would direct a client elsewhere.
const LEADING: [&str; 9] = [
    "RDV_TOKEN",
    "RDV_CACERT",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// A working directory for commands.
pub(crate) struct Workdir {
    directory: TempDir,
    relay: String,
}

impl Workdir {
    pub(crate) fn at(relay: &Relay) -> Workdir {
        Workdir::at_url(relay.url(""))
    }

    /// At the relay of this URL.
    pub(crate) fn at_url(url: String) -> Workdir {
        Workdir { directory: tempfile::tempdir().expect("a directory"), relay: url }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// All files in the directory, hidden or not.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).expect("a directory").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// `rdv` with these arguments, at this relay.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.other_command(env!("CARGO_BIN_EXE_rdv"));
        command.args(arguments);
        command
    }

    /// Another program, with this working directory.
    pub(crate) fn other_command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in LEADING {
            command.env_remove(name);
        }
        command.env("RDV_RELAY", &self.relay).env("RDV_CLIENT_CONFIG", "/dev/null");
        command.current_dir(self.directory());
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process::start(self.command(arguments))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish()
    }

    /// Starts to send, and waits until the stream is printed.
    pub(crate) fn start_sending(&self, arguments: &[&str]) -> (Process, String) {
        let sending = self.start(&[&["send"], arguments].concat());
        let id = stream_of_sender(&sending);
        (sending, id)
    }

    /// Starts `rdv pipe send` with more flags; the test writes to its standard input.
    pub(crate) fn pipe_send(&self, flags: &[&str]) -> (Process, String, PipeWriter) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let command = self.command(&[&["pipe", "send"], flags].concat());
        let sending = Process::reading(command, Stdio::from(reader));
        let id = stream_of_sender(&sending);
        (sending, id, writer)
    }

    /// Starts to receive, and waits until it is connected.
    pub(crate) fn await_receiver(&self, relay: &Relay, arguments: &[&str]) -> Process {
        let receiving = self.start(&[&["receive"], arguments].concat());
        relay.await_state(arguments[0], "DST_CONNECTED");
        receiving
    }

    /// `curl` without a configuration file, and with a timeout.
    pub(crate) fn curl(&self, arguments: &[&str]) -> Process {
        let mut command = self.other_command("curl");
        command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60"]).args(arguments);
        Process::start(command)
    }

    /// Waits until a file has this number of bytes.
    pub(crate) fn await_bytes(&self, name: &str, bytes: u64) {
        let path = self.path(name);
        eventually(&format!("{bytes} bytes in {name}"), || {
            fs::metadata(&path).is_ok_and(|file| file.len() == bytes).then_some(())
        });
    }

    /// `rdv` with a file of this directory as its standard input.
    pub(crate) fn start_with_input(&self, arguments: &[&str], input: File) -> Process {
        Process::reading(self.command(arguments), input.into())
    }
}

/// The stream printed by a sender.
pub(crate) fn stream_of_sender(sending: &Process) -> String {
    eventually("the sender prints the command", || {
        let stderr = sending.stderr();
        let (_, rest) = stderr.split_once("/stream/")?;
        rest.get(..36).map(str::to_owned)
    })
}

/// Checks the exit status of a command, and the end of its output.
pub(crate) fn assert_ended(what: &str, finished: &Finished, exit: i32, words: &str) {
    let stderr = &finished.stderr;
    assert_eq!(finished.status.code(), Some(exit), "{what}: {stderr}");
    assert!(stderr.contains(words), "{what}: {words:?} is not in {stderr:?}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    let broken = stderr.contains(|char: char| char.is_control() && char != '\n');
    assert!(!broken, "{what}: {stderr:?} acts on a terminal");
}

/// Checks that a command succeeded, without warnings.
pub(crate) fn assert_complete(what: &str, finished: &Finished) {
    assert_ended(what, finished, 0, "");
    assert!(!finished.stderr.contains("rdv:"), "{what}: {}", finished.stderr);
}

/// Runs a program without root privileges, if the test has them.
pub(crate) fn without_root(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    if nix::unistd::geteuid().is_root() {
        let user = nix::unistd::User::from_name("nobody").expect("users").expect("nobody");
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
}
