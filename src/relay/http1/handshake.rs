//! The TLS handshake of a connection, before its first request: within a deadline, and a few steps a
//! turn, because a signature takes as long as a thousand requests.

use super::{Step, refuse_unread};
use crate::api::Failure;
use crate::ops::metrics::HandshakeEnd;
use crate::relay::io::{CloseMode, ConnId, Handshake, Io, Quantity};

/// Begins a handshake, unless there are too many, in all or of its address, or the connection was
/// not `counted`: it cannot be answered before, and a refusal is not worth one.
pub(super) fn begin(io: &mut Io, id: ConnId, counted: bool) {
    let elsewhere = io.elsewhere(Quantity::Handshakes);
    let most = io.settings.tls.max_handshakes.saturating_sub(elsewhere);
    if !counted || !io.conns.begin_handshake(id, most) {
        io.journal.metrics.handshake(HandshakeEnd::Refused);
        return io.conns.close(id, CloseMode::Orderly);
    }
    io.set_timeout(id, io.settings.header_timeout);
    // Its first bytes may have been received with a PROXY header.
    io.conns.enqueue(id);
}

/// Continues a handshake; once it is complete, heads are read.
pub(super) fn advance(io: &mut Io, id: ConnId) -> Step {
    if !io.conns[id].readable && io.conns[id].carry.is_empty() {
        // Its own part may wait for the socket.
        io.conns.flush_or_close(id);
        return Step::Wait;
    }
    if !io.conns.take_handshake_step() {
        io.conns.requeue(id);
        return Step::Wait;
    }
    match io.conns[id].handshake() {
        Handshake::Blocked => {
            if io.conns[id].readable {
                io.conns.requeue(id);
            }
        }
        Handshake::Done => {
            io.conns.end_handshake(id);
            io.journal.tls_accepted(&io.conns[id]);
            io.set_timeout(id, io.settings.keep_alive_timeout);
            return Step::Heads;
        }
        Handshake::Plain(received) => {
            io.conns.end_handshake(id);
            io.journal.metrics.handshake(HandshakeEnd::Plain);
            refuse_unread(io, id, &received, &Failure::NOT_TLS);
        }
        Handshake::Failed => {
            io.journal.metrics.handshake(HandshakeEnd::Failed);
            io.conns.close(id, CloseMode::Orderly);
        }
    }
    Step::Wait
}

/// Handles the timeout of a handshake.
pub(super) fn timeout(io: &mut Io, id: ConnId) {
    io.journal.metrics.handshake(HandshakeEnd::TimedOut);
    io.conns.close(id, CloseMode::Orderly);
}
