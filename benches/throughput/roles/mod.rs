//! Roles of this program in processes that it starts: the processes of a measurement.

pub(crate) mod buffer;
pub(crate) mod count;
pub(crate) mod fill;
pub(crate) mod push;
pub(crate) mod relay;
pub(crate) mod responder;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod upload;

use std::io::{self, BufRead};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use nix::sys::signal::Signal;

use crate::Result;
use crate::options::Role;

/// Runs `role` until it is done; a relay until it is killed.
pub(crate) fn run(role: &Role) -> Result<()> {
    // The processes of a killed bench exit too.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    match role {
        Role::PlainSplice => relay::serve::<buffer::Pipe>(),
        Role::BestSplice => relay::serve::<buffer::GatheringPipe>(),
        Role::Copy => relay::serve::<buffer::Memory>(),
        Role::Responder => responder::serve(),
        Role::Upload(amount) => upload::run(amount.from, amount.length),
        Role::Fill(filling) => fill::run(&filling.path, filling.length),
        Role::Discard => upload::discard(),
        Role::Source(task) => source::run(task, &ids()?),
        Role::Sink(task) => sink::run(task, &ids()?),
        Role::Push(task) => push::run(task),
        Role::Count(task) => count::run(task),
    }
}

/// The stream ids of this task, one per line of standard input.
fn ids() -> io::Result<Vec<String>> {
    io::stdin().lock().lines().collect()
}

/// Prints one line for the bench.
fn report(line: &str) {
    println!("{line}");
}

/// Waits for events indefinitely; returns none after a signal, or when a tracer attaches.
fn wait(epoll: &Epoll, events: &mut [EpollEvent]) -> io::Result<usize> {
    match epoll.wait(events, EpollTimeout::NONE) {
        Err(Errno::EINTR) => Ok(0),
        other => Ok(other?),
    }
}
