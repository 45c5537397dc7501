//! Handing the listening sockets to a new process of this program. A thread starts it and waits
//! for its word, so that the event loop goes on meanwhile. Whatever goes wrong, this process goes
//! on serving. `docs/lifecycle.md` shows the order of events.

use super::inherited::{READY, READY_WORD, SERVE_WORD};
use super::program::Program;
use mio::unix::pipe;
use mio::{Interest, Registry, Token};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// The first descriptor that may be passed on: below are the standard streams.
const FIRST_PASSED: RawFd = 3;

/// No time at all would mean to wait for ever (socket(7)).
const PATIENCE_MIN: Duration = Duration::from_millis(1);

/// A descriptor, and what the new process knows it by.
pub(super) type Named<'fd> = (BorrowedFd<'fd>, &'static str);

/// A new process that is ready, or why there is none.
pub(super) type Outcome = Result<Successor, String>;

/// A new process that listens and waits for the word to serve. If it is dropped before, it ends.
#[derive(Debug)]
pub(super) struct Successor {
    pub process: u32,
    /// Takes the streams it is to know; then it serves.
    streams: Sender<String>,
    /// Ends when it was told all of it.
    told: Receiver<()>,
}

/// Hand-overs of one process: one at a time, and none after one that succeeded.
#[derive(Debug)]
pub(super) struct Handover {
    program: Option<Program>,
    attempt: Option<Attempt>,
    /// The new process serves once this has ended.
    farewell: Option<Receiver<()>>,
}

/// A new process that was not heard of yet.
#[derive(Debug)]
struct Attempt {
    outcome: Receiver<Outcome>,
    /// Ends when there is an outcome; nothing is ever written to it.
    bell: pipe::Receiver,
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

    /// Starts a new process with these sockets. `bell` becomes ready when there is an
    /// [`Self::outcome`].
    ///
    /// # Errors
    /// When it cannot even be tried.
    pub fn start(
        &mut self,
        sockets: &[Named<'_>],
        patience: Duration,
        registry: &Registry,
        bell: Token,
    ) -> io::Result<()> {
        let program = self.program.clone().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "the path of this program is not known")
        })?;
        let patience = patience.max(PATIENCE_MIN);
        let (ready, theirs) = UnixStream::pair()?;
        ready.set_read_timeout(Some(patience))?;
        ready.set_write_timeout(Some(patience))?;
        let parcel = Parcel::pack(sockets, &theirs)?;
        let (ringer, mut receiver) = pipe::new()?;
        registry.register(&mut receiver, bell, Interest::READABLE)?;
        let (sender, outcome) = mpsc::channel();
        let socket = ready.try_clone()?;
        thread::Builder::new().name("hand-over".into()).spawn(move || {
            let found = attempt(&program, parcel, socket);
            report(found, &sender, ringer);
        })?;
        self.attempt = Some(Attempt { outcome, bell: receiver, ready });
        Ok(())
    }

    /// What became of the attempt, once its bell rang.
    pub fn outcome(&mut self, registry: &Registry) -> Option<Outcome> {
        let mut attempt = self.attempt.take()?;
        let _ = registry.deregister(&mut attempt.bell);
        Some(attempt.outcome.recv().unwrap_or_else(|_| Err("its thread broke".into())))
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

/// What the new process inherits: descriptors in a row, as `sd_listen_fds`(3) wants them, and what
/// they are.
#[derive(Debug)]
struct Parcel {
    descriptors: Vec<OwnedFd>,
    names: String,
}

impl Parcel {
    /// The copies close with the program that this process executes next, until they are opened
    /// for it by [`Self::send_with`].
    fn pack(sockets: &[Named<'_>], ready: &UnixStream) -> io::Result<Self> {
        let all = sockets.iter().copied().chain([(ready.as_fd(), READY)]);
        let (contents, names): (Vec<_>, Vec<_>) = all.unzip();
        Ok(Self { descriptors: in_a_row(&contents)?, names: names.join(":") })
    }

    /// Starts the program with these descriptors, and with no others but the standard streams: all
    /// others are closed at its start (`FD_CLOEXEC`).
    fn send_with(self, program: &Program) -> io::Result<Child> {
        for descriptor in &self.descriptors {
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        let first = self.descriptors.first().map_or(FIRST_PASSED, AsRawFd::as_raw_fd);
        Command::new(&program.path)
            .args(&program.arguments)
            .env("LISTEN_FDS", self.descriptors.len().to_string())
            .env("LISTEN_FDS_FIRST_FD", first.to_string())
            .env("LISTEN_FDNAMES", &self.names)
            // Its number is not known before it runs, and neither is meant for anybody else.
            .env_remove("LISTEN_PID")
            .env_remove("WATCHDOG_PID")
            .spawn()
    }
}

/// Copies of these descriptors with numbers in a row.
fn in_a_row(descriptors: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    let mut first = FIRST_PASSED;
    'places: loop {
        let mut row: Vec<OwnedFd> = Vec::new();
        let mut next = first;
        for descriptor in descriptors {
            // The lowest free number from `next` on.
            let copy = fcntl_dupfd_cloexec(descriptor, next)?;
            if copy.as_raw_fd() > next && !row.is_empty() {
                first = copy.as_raw_fd();
                continue 'places;
            }
            next = copy.as_raw_fd() + 1;
            row.push(copy);
        }
        return Ok(row);
    }
}

/// What came on the socket of a new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The word: it is ready.
    Ready,
    /// The end: it is no more, or somebody gave up.
    End,
    /// Nothing, in all that time.
    Nothing,
}

/// A new process that said its word.
struct Ready {
    child: Child,
    socket: UnixStream,
}

/// Starts the new process and waits for its word.
fn attempt(program: &Program, parcel: Parcel, mut socket: UnixStream) -> Result<Ready, String> {
    let path = program.path.display();
    let mut child =
        parcel.send_with(program).map_err(|error| format!("{path} cannot be started: {error}"))?;
    let heard = hear(&mut socket);
    if heard == Heard::Ready {
        return Ok(Ready { child, socket });
    }
    let process = child.id();
    // One that is about to end by itself keeps its own status.
    let _ = child.kill();
    let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
    Err(match heard {
        Heard::Ready | Heard::End => format!("process {process} ({path}) ended with {status}"),
        Heard::Nothing => {
            format!("process {process} ({path}) was not ready in time and was killed")
        }
    })
}

/// Tells the event loop, and then, when it has stepped down, the new process.
fn report(found: Result<Ready, String>, outcome: &Sender<Outcome>, bell: pipe::Sender) {
    let Ready { mut child, mut socket } = match found {
        Ok(ready) => ready,
        // The bell rings when this ends.
        Err(why) => return outcome.send(Err(why)).unwrap_or_default(),
    };
    let process = child.id();
    let (streams, received) = mpsc::channel::<String>();
    let (telling, told) = mpsc::channel();
    let _ = outcome.send(Ok(Successor { process, streams, told }));
    drop(bell);
    if let Ok(streams) = received.recv() {
        let text = [streams.as_bytes(), SERVE_WORD.as_bytes()].concat();
        if let Err(error) = socket.write_all(&text) {
            log::error!("hand-over: process {process} cannot be told to serve: {error}");
        }
    }
    // Whoever hears the end of this socket before the word to serve ends.
    drop(socket);
    drop(telling);
    // Lest it stays a zombie if it ends before this process does.
    let _ = child.wait();
}

/// Waits for the word.
fn hear(socket: &mut UnixStream) -> Heard {
    let mut word = [0; READY_WORD.len()];
    match socket.read_exact(&mut word) {
        Ok(()) if word == *READY_WORD => Heard::Ready,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
        Ok(()) | Err(_) => Heard::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(row: &[OwnedFd]) -> Vec<RawFd> {
        row.iter().map(AsRawFd::as_raw_fd).collect()
    }

    #[test]
    fn copies_lie_in_a_row_whatever_lies_between() {
        let (one, _other) = UnixStream::pair().unwrap();
        let wanted = [one.as_fd(); 5];
        // Every third number is taken, somewhere beyond what other tests use.
        let taken: Vec<OwnedFd> =
            (0..20).map(|index| fcntl_dupfd_cloexec(&one, 300 + 3 * index).unwrap()).collect();
        for _ in 0..3 {
            let row = numbers(&in_a_row(&wanted).unwrap());
            assert!(row.windows(2).all(|pair| pair[1] == pair[0] + 1), "{row:?}");
            assert!(!numbers(&taken).iter().any(|number| row.contains(number)), "{row:?}");
        }
    }

    fn shell(script: &str) -> Program {
        Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    /// What becomes of a hand-over to this program, without sockets.
    fn outcome_of(program: &Program, patience: Duration) -> Result<Ready, String> {
        let (socket, theirs) = UnixStream::pair().unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        let parcel = Parcel::pack(&[], &theirs).unwrap();
        drop(theirs);
        attempt(program, parcel, socket)
    }

    #[test]
    fn the_word_decides() {
        let long = Duration::from_mins(1);
        let say = |word: &str, then: &str| Program {
            path: "/bin/bash".into(),
            arguments: vec![
                "-c".into(),
                format!("echo {word} >&$LISTEN_FDS_FIRST_FD; {then}").into(),
            ],
        };
        let mut ready = outcome_of(&say("ready", "exit 0"), long).map_err(|_| ()).unwrap();
        assert!(ready.child.wait().unwrap().success());
        for (name, program, patience, why) in [
            ("ends", shell("exit 7"), long, "ended with exit status: 7"),
            ("crashes", shell("kill -ABRT $$"), long, "ended with signal: 6"),
            ("babbles", say("hello", "exec sleep 60"), long, "ended with"),
            ("is silent", shell("exec sleep 60"), Duration::from_millis(50), "was killed"),
            (
                "is not there",
                Program { path: "/nowhere/rdv".into(), arguments: Vec::new() },
                long,
                "/nowhere/rdv cannot be started",
            ),
        ] {
            let error = outcome_of(&program, patience).err().unwrap();
            assert!(error.contains(why), "{name}: {error}");
        }
    }
}
