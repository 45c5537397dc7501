//! Handing the listening sockets to a new process of this program. A thread starts it and waits
//! for its word, so that the event loop goes on meanwhile. Whatever goes wrong, this process goes
//! on serving. `docs/lifecycle.md` shows the order of events.

use super::inherited_state::{InheritedState, NamedDescriptor};
use super::program::Program;
use super::successor::{attempt, report};
use mio::unix::pipe;
use mio::{Interest, Registry, Token};
use std::env;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// A timeout of 0 would mean none (socket(7)).
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// A new process that is ready, or why there is none.
pub type HandOverOutcome = Result<Successor, String>;

/// A new process that listens and waits for the word to serve. If it is dropped before, it ends.
#[derive(Debug)]
pub struct Successor {
    /// Its number.
    pub process: u32,
    /// Takes the streams it is to know; then it serves.
    pub streams: Sender<String>,
    /// Ends when it was told all of it.
    pub told: Receiver<()>,
}

/// Hand-overs of one process: one at a time, and none after one that succeeded.
#[derive(Debug)]
pub struct Handover {
    program: Option<Program>,
    attempt: Option<Attempt>,
    /// The new process serves once this has ended.
    farewell: Option<Receiver<()>>,
}

/// A new process that was not heard of yet.
#[derive(Debug)]
struct Attempt {
    outcome: Receiver<HandOverOutcome>,
    /// Ends when there is an outcome; nothing is ever written to it.
    done: pipe::Receiver,
    /// This process's end of the socket on which the new one says that it is ready.
    ready: UnixStream,
}

impl Handover {
    /// None yet. To be made at the start, while the program's path names this program.
    pub fn new() -> Self {
        Self { program: Program::of_this_process(), attempt: None, farewell: None }
    }

    /// Whether a new process is on its way.
    pub fn is_running(&self) -> bool {
        self.attempt.is_some()
    }

    /// Starts a new process with these sockets. `done` becomes ready when there is an
    /// [`Self::outcome`].
    ///
    /// # Errors
    /// When it cannot even be tried.
    pub fn start(
        &mut self,
        sockets: &[NamedDescriptor<'_>],
        timeout: Duration,
        registry: &Registry,
        done: Token,
    ) -> io::Result<()> {
        if let Some(why) = obstacle() {
            return Err(io::Error::other(why));
        }
        let program = self.program.clone();
        let program =
            program.ok_or_else(|| io::Error::other("this program's path is not known"))?;
        let timeout = timeout.max(TIMEOUT_MIN);
        let (ready, theirs) = UnixStream::pair()?;
        ready.set_read_timeout(Some(timeout))?;
        ready.set_write_timeout(Some(timeout))?;
        let state = InheritedState::pack(sockets, &theirs)?;
        let (guard, mut receiver) = pipe::new()?;
        registry.register(&mut receiver, done, Interest::READABLE)?;
        let (sender, outcome) = mpsc::channel();
        let socket = ready.try_clone()?;
        thread::Builder::new().name("hand-over".into()).spawn(move || {
            let found = attempt(&program, state, socket);
            report(found, &sender, guard);
        })?;
        self.attempt = Some(Attempt { outcome, done: receiver, ready });
        Ok(())
    }

    /// What became of the attempt, once it is done.
    pub fn outcome(&mut self, registry: &Registry) -> Option<HandOverOutcome> {
        let mut attempt = self.attempt.take()?;
        let _ = registry.deregister(&mut attempt.done);
        Some(attempt.outcome.recv().unwrap_or_else(|_| Err("its thread panicked".into())))
    }

    /// The new process serves from now on, and knows these streams.
    pub fn step_down_for(&mut self, successor: Successor, streams: String) {
        // The thread waits for this and nothing else.
        let _ = successor.streams.send(streams);
        self.farewell = Some(successor.told);
    }

    /// This process ends: a new one that is to serve has heard all of it, any other ends, too.
    pub fn finish(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            let _ = attempt.ready.shutdown(Shutdown::Both);
            let _ = attempt.outcome.recv();
        }
        if let Some(farewell) = self.farewell.take() {
            let _ = farewell.recv();
        }
    }
}

/// Why the end of this process would be the end of the new one, too.
fn obstacle() -> Option<&'static str> {
    let process = std::process::id();
    if process == 1 {
        return Some(
            "this is process 1, and all others end with it; start a new container instead",
        );
    }
    let started_by_systemd = env::var("SYSTEMD_EXEC_PID").is_ok_and(|id| id == process.to_string());
    (started_by_systemd && env::var_os("NOTIFY_SOCKET").is_none()).then_some(
        "cannot report a new main process to systemd; set Type=notify in the unit and restart it",
    )
}
