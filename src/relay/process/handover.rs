//! Handing the listening sockets to a new process of this program. A thread starts it and waits
//! until it is ready, so that the event loop continues meanwhile. If anything fails, this process
//! continues to serve. `docs/lifecycle.md` shows the order of events.

use super::inherited_state::{InheritedState, NamedDescriptor};
use super::program::Program;
use super::successor::{attempt, await_message, report};
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

/// A new process that is ready, or why the attempt failed.
pub type HandOverOutcome = Result<Successor, String>;

/// A new process that listens and waits for the order to serve. If dropped before that, it ends.
#[derive(Debug)]
pub struct Successor {
    /// Its process id.
    pub process: u32,
    /// Sends the streams it takes over; then it serves.
    pub streams: Sender<String>,
    /// Closed once it has received all of them.
    pub confirmed: Receiver<()>,
}

/// Hand-overs of one process: one at a time, and none after one that succeeded.
#[derive(Debug)]
pub struct Handover {
    program: Option<Program>,
    attempt: Option<Attempt>,
    /// Closed once the new process serves.
    farewell: Option<Receiver<()>>,
}

/// A new process that is not ready yet.
#[derive(Debug)]
struct Attempt {
    outcome: Receiver<HandOverOutcome>,
    /// Closed when the outcome is known; nothing is ever written to it.
    done: pipe::Receiver,
    /// This process's end of the socket on which the new one reports that it is ready.
    ready: UnixStream,
}

impl Handover {
    /// Creates it at the start, while the program's path still names this program.
    pub fn new() -> Self {
        Self { program: Program::of_this_process(), attempt: None, farewell: None }
    }

    /// Creates it for a worker, which starts no process.
    pub fn none() -> Self {
        Self { program: None, attempt: None, farewell: None }
    }

    /// Whether a new process is being started.
    pub fn is_running(&self) -> bool {
        self.attempt.is_some()
    }

    /// Starts a new process with these sockets. `done` becomes ready when there is an
    /// [`Self::outcome`].
    ///
    /// # Errors
    /// When the attempt cannot be started.
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

    /// Returns the outcome of the attempt, once it is done.
    pub fn outcome(&mut self, registry: &Registry) -> Option<HandOverOutcome> {
        let mut attempt = self.attempt.take()?;
        let _ = registry.deregister(&mut attempt.done);
        Some(await_message(&attempt.outcome).unwrap_or_else(|| Err("its thread panicked".into())))
    }

    /// Orders the new process to serve, and hands it these streams.
    pub fn step_down_for(&mut self, successor: Successor, streams: String) {
        // The thread waits only for this.
        let _ = successor.streams.send(streams);
        self.farewell = Some(successor.confirmed);
    }

    /// Ends this process's hand-over: a successor that is to serve has received everything, any
    /// other ends, too.
    pub fn finish(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            let _ = attempt.ready.shutdown(Shutdown::Both);
            let _ = await_message(&attempt.outcome);
        }
        if let Some(farewell) = self.farewell.take() {
            let _ = await_message(&farewell);
        }
    }
}

/// Returns why the end of this process would end the new one, too.
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
