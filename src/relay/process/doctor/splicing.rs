//! A trial of splice(2): bytes of a known pattern, from a socket through a pipe into a socket.

use crate::ops::doctor::network::SpliceTrial;
use crate::splice::pipe::{Drain, Fill, Pipe};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// Bytes per piece: fits into the smallest usual socket buffer, so that nothing has to wait.
const PIECE: usize = 4096;

/// Number of pieces; together more than one pipe of the usual size holds.
const PIECES: usize = 64;

/// Timeout of a transfer: loopback needs far less.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A failed step, and why it failed.
type Failure = (&'static str, String);

/// Sends the pieces and checks the received bytes.
pub(super) fn trial(pipe_size: usize) -> SpliceTrial {
    match pass_all(pipe_size) {
        Ok(true) => SpliceTrial::Works(PIECE * PIECES),
        Ok(false) => SpliceTrial::Changes,
        Err((step, reason)) => SpliceTrial::Fails(step, reason),
    }
}

fn pass_all(pipe_size: usize) -> Result<bool, Failure> {
    let sockets = |error| failed("cannot connect over loopback", &error);
    let (mut source, source_end) = connect().map_err(sockets)?;
    let (destination_end, mut destination) = connect().map_err(sockets)?;
    let pipe = Pipe::open(pipe_size).map_err(|error| failed("cannot open a pipe", &error))?;
    for number in 0..PIECES {
        let sent = piece(number);
        source.write_all(&sent).map_err(|error| failed("cannot send over loopback", &error))?;
        pass(&pipe, &source_end, &destination_end)?;
        let mut got = [0; PIECE];
        let received = destination.read_exact(&mut got);
        received.map_err(|error| failed("cannot receive over loopback", &error))?;
        if got != sent {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Moves one piece, from socket to pipe to socket.
fn pass(pipe: &Pipe, source: &TcpStream, destination: &TcpStream) -> Result<(), Failure> {
    const FILLING: &str = "splicing from a socket into a pipe";
    const DRAINING: &str = "splicing from a pipe into a socket";
    let mut left = PIECE;
    while left > 0 {
        let mut pending = match pipe.fill(source, left) {
            Ok(Fill::Moved(count)) => count,
            // The sockets block, up to their timeout.
            Ok(Fill::Blocked) => return Err((FILLING, "nothing received in time".into())),
            Ok(Fill::Eof) => return Err((FILLING, "unexpected end".into())),
            Err(error) => return Err(failed(FILLING, &error)),
        };
        left -= pending;
        while pending > 0 {
            pending -= match pipe.drain(destination, pending) {
                Ok(Drain::Moved(count)) => count,
                Ok(Drain::Blocked) => return Err((DRAINING, "nothing left in time".into())),
                Err(error) => return Err(failed(DRAINING, &error)),
            };
        }
    }
    Ok(())
}

fn failed(step: &'static str, error: &impl ToString) -> Failure {
    (step, error.to_string())
}

/// Connects two blocking sockets with a timeout.
fn connect() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for socket in [&near, &far] {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
    }
    Ok((near, far))
}

/// Returns the bytes of a piece; no two pieces are alike.
fn piece(number: usize) -> [u8; PIECE] {
    std::array::from_fn(|at| {
        #[allow(clippy::cast_possible_truncation, reason = "any byte will do")]
        let byte = (at.wrapping_mul(31) ^ at >> 8 ^ number.wrapping_mul(137)) as u8;
        byte
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spliced_bytes_are_unchanged() {
        for pipe_size in [4096, 1 << 16, 1 << 20] {
            assert_eq!(trial(pipe_size), SpliceTrial::Works(PIECE * PIECES), "{pipe_size}");
        }
    }
}
