//! The thread of a hand-over: starts the new process, waits for its word, tells it to serve, and
//! waits for its end. It may block; the event loop must not.

use super::handover::{Outcome, Successor};
use super::inherited::{READY_WORD, SERVE_WORD};
use super::parcel::Parcel;
use super::program::Program;
use mio::unix::pipe;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{self, Sender};

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
pub(super) struct Ready {
    child: Child,
    socket: UnixStream,
}

/// Starts the new process and waits for its word.
pub(super) fn attempt(
    program: &Program,
    parcel: Parcel,
    mut socket: UnixStream,
) -> Result<Ready, String> {
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
pub(super) fn report(found: Result<Ready, String>, outcome: &Sender<Outcome>, bell: pipe::Sender) {
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
    use std::time::Duration;

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
    fn without_the_word_it_is_told_why() {
        let long = Duration::from_mins(1);
        for (name, program, patience, why) in [
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
            let error = outcome_of(&program, patience).err().unwrap();
            assert!(error.contains(why), "{name}: {error}");
        }
    }
}
