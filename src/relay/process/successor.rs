//! The thread of a hand-over: starts the new process, waits until it is ready, orders it to serve,
//! and waits for its end. It may block; the event loop must not.

use super::handover::{HandOverOutcome, Successor};
use super::inherited::{READY_WORD, SERVE_WORD};
use super::inherited_state::InheritedState;
use super::program::Program;
use crate::ops::cause;
use mio::unix::pipe;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// Time after which a message is looked for without a wake-up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What was received on the socket of a new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    /// The ready message.
    Ready,
    /// End of file: the process has ended, or one side timed out.
    End,
    /// Nothing within the timeout.
    Nothing,
}

/// A new process that reported ready.
pub struct Ready {
    child: Child,
    socket: UnixStream,
}

/// Starts the new process and waits until it is ready.
pub fn attempt(
    program: &Program,
    state: InheritedState,
    mut socket: UnixStream,
) -> Result<Ready, String> {
    let path = program.path.display();
    let mut child = state
        .send_with(program)
        .map_err(|error| format!("{path} cannot be started: {}", cause(&error)))?;
    let received = recv(&mut socket);
    if received == Received::Ready {
        return Ok(Ready { child, socket });
    }
    let process = child.id();
    // A process that is about to end by itself keeps its own status.
    let _ = child.kill();
    let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
    Err(match received {
        Received::Ready | Received::End => {
            format!("process {process} ({path}) ended with {status}")
        }
        Received::Nothing => {
            format!("process {process} ({path}) was not ready in time and was killed")
        }
    })
}

/// Notifies the event loop, and then, when it has stepped down, the new process.
pub fn report(found: Result<Ready, String>, outcome: &Sender<HandOverOutcome>, done: pipe::Sender) {
    let Ready { mut child, mut socket } = match found {
        Ok(ready) => ready,
        // The loop is woken when `done` is dropped.
        Err(why) => return outcome.send(Err(why)).unwrap_or_default(),
    };
    let process = child.id();
    let (streams, received) = mpsc::channel::<String>();
    let (sender, confirmed) = mpsc::channel();
    let _ = outcome.send(Ok(Successor { process, streams, confirmed }));
    drop(done);
    if let Some(streams) = await_message(&received) {
        let text = [streams.as_bytes(), SERVE_WORD.as_bytes()].concat();
        if let Err(error) = socket.write_all(&text) {
            log::error!("hand-over: process {process} cannot be started: {}", cause(&error));
        }
    }
    // A process that reads the end of this socket before the order to serve ends.
    drop(socket);
    drop(sender);
    // So that it does not stay a zombie if it ends before this process does.
    let _ = child.wait();
}

/// Waits for a message of another thread; `None` once it can send none. It looks again after a while:
/// nothing else would let a new process serve, or this one end, if the kernel lost the wake-up.
pub fn await_message<T>(messages: &Receiver<T>) -> Option<T> {
    loop {
        match messages.recv_timeout(LOOK_EVERY) {
            Ok(message) => return Some(message),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Waits for the ready message.
fn recv(socket: &mut UnixStream) -> Received {
    let mut word = [0; READY_WORD.len()];
    match socket.read_exact(&mut word) {
        Ok(()) if word == *READY_WORD => Received::Ready,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
        Ok(()) | Err(_) => Received::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    /// Returns the outcome of a hand-over to this program, without sockets.
    fn outcome_of(program: &Program, timeout: Duration) -> Result<Ready, String> {
        let (socket, theirs) = UnixStream::pair().unwrap();
        socket.set_read_timeout(Some(timeout)).unwrap();
        let state = InheritedState::pack(&[], &theirs).unwrap();
        drop(theirs);
        attempt(program, state, socket)
    }

    #[test]
    fn a_successor_that_is_not_ready_is_reported_with_the_reason() {
        let long = Duration::from_mins(1);
        for (name, program, timeout, why) in [
            ("ends", shell("exit 7"), long, "ended with exit status: 7"),
            ("crashes", shell("kill -ABRT $$"), long, "ended with signal: 6"),
            ("closes the socket", shell("exit 0"), long, "ended with exit status: 0"),
            ("is silent", shell("exec sleep 60"), Duration::from_millis(50), "was killed"),
            (
                "is not there",
                Program { path: "/nowhere/rdv".into(), arguments: Vec::new() },
                long,
                "/nowhere/rdv cannot be started",
            ),
        ] {
            let error = outcome_of(&program, timeout).err().unwrap();
            assert!(error.contains(why), "{name}: {error}");
        }
    }
}
