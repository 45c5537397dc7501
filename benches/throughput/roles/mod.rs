//! What this program does when it starts itself again: the processes of a measurement.

pub(crate) mod answers;
pub(crate) mod count;
pub(crate) mod fill;
pub(crate) mod mover;
pub(crate) mod push;
pub(crate) mod relay;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod upload;

use std::io::{self, BufRead};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use nix::sys::signal::Signal;

use crate::Outcome;
use crate::options::Role;

/// Plays `role` until it is done; a relay until it is killed.
pub(crate) fn play(role: &Role) -> Outcome<()> {
    // A bench that is killed leaves nothing behind.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    match role {
        Role::PlainSplice => relay::serve::<mover::Splice>(),
        Role::Copy => relay::serve::<mover::Copy>(),
        Role::Answers => answers::serve(),
        Role::Upload(amount) => upload::run(amount.from, amount.length),
        Role::Fill(filling) => fill::run(&filling.path, filling.length),
        Role::Discard => upload::discard(),
        Role::Source(task) => source::run(task, &ids()?),
        Role::Sink(task) => sink::run(task, &ids()?),
        Role::Push(task) => push::run(task),
        Role::Count(task) => count::run(task),
    }
}

/// The stream ids of this task, one a line on the standard input.
fn ids() -> io::Result<Vec<String>> {
    io::stdin().lock().lines().collect()
}

/// Tells the bench something, as one line.
fn say(line: &str) {
    println!("{line}");
}

/// Waits for events without end; none if only a signal or a tracer came.
fn wait(epoll: &Epoll, events: &mut [EpollEvent]) -> io::Result<usize> {
    match epoll.wait(events, EpollTimeout::NONE) {
        Err(Errno::EINTR) => Ok(0),
        other => Ok(other?),
    }
}
