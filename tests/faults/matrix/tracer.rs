//! strace(1), attached to a running relay: its faults begin and end while the relay serves.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::injected::Fault;
use crate::support::{Process, eventually};

/// Between two looks at strace, and after how many it is killed.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS_MAX: u32 = 400;

thread_local! {
    static LAST_LOG: Cell<String> = const { Cell::new(String::new()) };
}

/// A tracer of all threads of a process, and of the processes that these start.
pub(crate) struct Tracer {
    child: Child,
    log: PathBuf,
    _directory: TempDir,
}

impl Tracer {
    /// Attached with these faults; without any, it only logs the calls.
    pub(crate) fn attach(process: &Process, fault: Option<Fault<'_>>) -> Tracer {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("strace.log");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(&log);
        if let Some(Fault { call, error, when }) = fault {
            command.arg(format!("--trace={call}"));
            command.arg(format!("--inject={call}:error={error}:when={when}"));
        }
        command.args(["-p", &process.id().to_string()]).stderr(Stdio::piped());
        let child = command.spawn().expect("strace(1) is installed");
        let mut tracer = Tracer { child, log, _directory: directory };
        eventually("every thread is traced", || {
            let ended = tracer.child.try_wait().expect("wait").is_some();
            // A call that always fails can end the relay at once.
            let gone = is_zombie(process.id());
            assert!(!ended || gone, "strace cannot attach to a running process (ptrace(2))");
            (gone || threads_are_traced(process.id())).then_some(())
        });
        tracer
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log of strace")
    }

    /// Detaches: the faults are over. Returns the log.
    pub(crate) fn detach(mut self) -> String {
        self.stop();
        self.log()
    }

    fn stop(&mut self) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        for look in 0.. {
            if self.child.try_wait().expect("wait").is_some() {
                return;
            }
            match look {
                0 => _ = kill(Pid::from_raw(id), Signal::SIGTERM),
                // It waits for a process that ended with one of its threads not reaped.
                LOOKS_MAX => _ = self.child.kill(),
                _ => {}
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.stop();
        LAST_LOG.set(self.log());
    }
}

/// The log of the tracer that this thread used last: a failed scene returns none.
pub(crate) fn last_log() -> String {
    LAST_LOG.take()
}

/// Whether strace suppressed the wake-up of a thread. Linux wakes it, whatever futex(2) returns.
pub(crate) fn suppressed_wake_up(log: &str) -> bool {
    log.lines().any(|line| line.contains("FUTEX_WAKE") && line.contains("(INJECTED)"))
}

fn is_zombie(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tZ"))
}

fn threads_are_traced(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return false };
    threads.flatten().all(|thread| tracer_of(&thread.path()).is_some())
}

/// The tracer of a thread, by its directory in proc(5).
fn tracer_of(thread: &Path) -> Option<i32> {
    let status = fs::read_to_string(thread.join("status")).ok()?;
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    tracer.trim().parse().ok().filter(|tracer| *tracer != 0)
}

/// Ends the faults of a process that was started by strace: strace detaches.
pub(crate) fn release(process: &Process) {
    let place = format!("/proc/{}", process.id());
    if let Some(tracer) = tracer_of(Path::new(&place)) {
        let _ = kill(Pid::from_raw(tracer), Signal::SIGTERM);
        eventually("strace detaches", || tracer_of(Path::new(&place)).is_none().then_some(()));
    }
}

/// How often the thread that made the most of them made each call.
pub(crate) fn counts(log: &str) -> HashMap<String, usize> {
    let mut by_thread: HashMap<(&str, &str), usize> = HashMap::new();
    for line in log.lines() {
        // `PID CALL(ARGUMENTS…`; the ends of interrupted calls, signals and exits have no name here.
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *by_thread.entry((thread, name)).or_default() += 1;
        }
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for ((_, name), count) in by_thread {
        let most = counts.entry(name.to_owned()).or_default();
        *most = count.max(*most);
    }
    counts
}

/// The number of calls that strace failed.
pub(crate) fn strikes(log: &str) -> usize {
    log.matches("(INJECTED)").count()
}
