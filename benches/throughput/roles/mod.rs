//! Roles of this program in processes that it starts: the processes of a measurement.

pub(crate) mod buffer;
pub(crate) mod connect;
pub(crate) mod count;
pub(crate) mod fill;
pub(crate) mod push;
pub(crate) mod relay;
pub(crate) mod responder;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod upload;

use std::io::{self, BufRead};
use std::net::TcpStream;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};

use crate::Result;
use crate::options::{Role, TransferArgs};
use crate::tls::{self, Connection};

/// Segment size of stalled streams, that of Ethernet, and size of their socket buffers: with those
/// of loopback the sockets towards a sink that reads nothing hold 4 MiB and more.
const STALLED_SEGMENT_BYTES: u32 = 1448;
const STALLED_BUFFER_BYTES: usize = 32 << 10;

/// Runs `role` until it is done; a relay until it is killed.
pub(crate) fn run(role: &Role) -> Result<()> {
    // The processes of a killed bench exit too.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    match role {
        Role::PlainSplice(task) => relay::serve::<buffer::Pipe>(task.listen),
        Role::BestSplice(task) => relay::serve::<buffer::GatheringPipe>(task.listen),
        Role::Copy(task) => relay::serve::<buffer::Memory>(task.listen),
        Role::Responder(task) => responder::serve(task.listen),
        Role::Upload(amount) => upload::run(amount.from, amount.length),
        Role::Fill(filling) => fill::run(&filling.path, filling.length),
        Role::Discard => upload::discard(),
        Role::Source(task) => source::run(task, &ids()?),
        Role::Sink(task) => sink::run(task, &ids()?),
        Role::Connect(task) => connect::run(task),
        Role::Push(task) => push::run(task),
        Role::Count(task) => count::run(task),
    }
}

/// The stream ids of this task, one per line of standard input, up to its end or an empty line.
fn ids() -> io::Result<Vec<String>> {
    let lines = io::stdin().lock().lines();
    lines.take_while(|line| !line.as_ref().is_ok_and(String::is_empty)).collect()
}

/// Opens connections to the relay.
fn open(task: &TransferArgs, count: usize) -> Result<Vec<Connection>> {
    let config = task.tls.as_ref().map(|file| tls::client_config(file, false)).transpose()?;
    (0..count).map(|_| Connection::begin(socket(task)?, config.as_ref())).collect()
}

fn socket(task: &TransferArgs) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(task.relay), Type::STREAM, None)?;
    if task.stalled {
        socket.set_tcp_mss(STALLED_SEGMENT_BYTES)?;
        socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
        socket.set_send_buffer_size(STALLED_BUFFER_BYTES)?;
    }
    socket.connect(&task.relay.into())?;
    Ok(socket.into())
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
