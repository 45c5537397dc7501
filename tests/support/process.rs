//! The `rdv` binary as a child process: its output captured, killed by its id when dropped.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::clock::eventually;

/// Names the directory in which a service can create files (systemd.exec(5)).
pub(crate) const RUNTIME_DIRECTORY: &str = "RUNTIME_DIRECTORY";
/// The signals that tests send, which must have their default effect on a child.
const SIGNALS: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// The same command with the default effect of these signals. Tests that run in the background of a
/// shell, or under nohup(1), ignore some, and their children would too. env(1) replaces itself with
/// the program, so the process id is that of the program. Set a user or group on the returned
/// command: it cannot be read from a command, so it would be lost.
pub(crate) fn interruptible(command: Command) -> Command {
    let is_done = command.get_program() == "env";
    if is_done || SIGNALS.iter().all(|signal| ignored() >> (*signal as u32 - 1) & 1 == 0) {
        return command;
    }
    let mut env = Command::new("env");
    env.arg("--default-signal=HUP,INT,TERM").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => env.env(name, value),
            None => env.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        env.current_dir(directory);
    }
    env
}

/// The signals that this process ignores, bit 0 being signal 1 (`proc_pid_status(5)`).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("SigIgn");
    u64::from_str_radix(mask.trim(), 16).expect("a mask")
}

/// A running child and its output so far.
pub(crate) struct Process {
    child: Child,
    /// Where it creates its own sockets, and looks for those of other processes; kept until it has
    /// exited.
    runtime: TempDir,
    stdout: Captured,
    stderr: Captured,
}

/// The status and the complete output of a child.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The contents of `stdout`, if it is not text.
    pub(crate) output: Vec<u8>,
}

/// The output of a child to a pipe. A thread reads it, so that the child never blocks; a caller
/// also reads what the thread has not read yet, so that everything written before is seen.
struct Captured {
    shared: Arc<Mutex<Pipe>>,
    reader: Option<JoinHandle<()>>,
}

/// Our end of the pipe, which never blocks, and the bytes read from it.
struct Pipe {
    file: File,
    text: Vec<u8>,
}

impl Pipe {
    /// Reads the available bytes; returns whether there can be more.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => self.text.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

impl Captured {
    fn start(pipe: OwnedFd) -> Captured {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("our end alone");
        let file = File::from(pipe);
        let readable = file.try_clone().expect("a descriptor");
        let shared = Arc::new(Mutex::new(Pipe { file, text: Vec::new() }));
        let ours = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            loop {
                let mut polled = [PollFd::new(readable.as_fd(), PollFlags::POLLIN)];
                // An interrupted poll is treated as one with a result.
                let _ = poll(&mut polled, PollTimeout::NONE);
                if !ours.lock().expect("lock").read() {
                    break;
                }
            }
        });
        Captured { shared, reader: Some(reader) }
    }

    /// Empty output.
    fn empty() -> Captured {
        let (reading, _) = nix::unistd::pipe().expect("a pipe");
        Captured::start(reading)
    }

    fn so_far(&self) -> String {
        let mut pipe = self.shared.lock().expect("lock");
        pipe.read();
        String::from_utf8_lossy(&pipe.text).into_owned()
    }

    fn drain(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of a pipe");
        }
        self.so_far()
    }
}

impl Process {
    /// The binary under test with these arguments.
    pub(crate) fn rdv(arguments: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        command.args(arguments);
        Process::start(command)
    }

    pub(crate) fn start(command: Command) -> Process {
        Process::reading(command, Stdio::null())
    }

    /// With this as its standard input.
    pub(crate) fn reading(command: Command, input: Stdio) -> Process {
        Process::between(command, input, Stdio::piped())
    }

    /// With these as its standard input and output; output is captured only from a pipe created
    /// here.
    pub(crate) fn between(command: Command, input: Stdio, output: Stdio) -> Process {
        let mut command = interruptible(command);
        command.stdin(input).stdout(output).stderr(Stdio::piped());
        let runtime = tempfile::tempdir().expect("a directory");
        if !command.get_envs().any(|(name, _)| name == RUNTIME_DIRECTORY) {
            command.env(RUNTIME_DIRECTORY, runtime.path());
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = match child.stdout.take() {
            Some(pipe) => Captured::start(pipe.into()),
            None => Captured::empty(),
        };
        let stderr = Captured::start(child.stderr.take().expect("stderr").into());
        Process { child, runtime, stdout, stderr }
    }

    /// A separate directory for its sockets, unless its command has another.
    pub(crate) fn runtime(&self) -> &Path {
        self.runtime.path()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Whether it has exited.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("kill");
    }

    /// Waits until it exits.
    pub(crate) fn finish(mut self) -> Finished {
        let status = eventually("the process ends", || self.child.try_wait().expect("wait"));
        let (stdout, stderr) = (self.stdout.drain(), self.stderr.drain());
        let output = std::mem::take(&mut self.stdout.shared.lock().expect("lock").text);
        Finished { status, stdout, stderr, output }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("stderr of {}: {}", self.id(), self.stderr.drain());
        }
    }
}
