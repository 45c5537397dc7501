//! What follows a response: the next request, or the end of the connection without losing the
//! answer. A kernel that has unread bytes when a socket is closed sends a reset, and a reset can
//! destroy the answer on its way to the client. So: answer, half-close, discard what is still
//! received, then close.

use super::answer;
use crate::api::Failure;
use crate::http::head::Version;
use crate::relay::io::{
    CloseMode, ConnId, Extras, Flushed, Http, Io, OnFlushed, Quantity, Role, ServingMode,
};
use crate::rendezvous::transfer::Delimiter;
use crate::splice::copy::Read;

/// Bytes per discarding read; nothing is copied.
const DISCARD_BYTES: usize = 256 << 10;

/// Maximum discarding reads in one turn, before others have theirs.
const DISCARDS_PER_TURN: usize = 16;

/// Returns what follows a response, once it is known whether its request was read to its end.
pub fn settled(io: &Io, wanted: OnFlushed, request_read: bool) -> OnFlushed {
    match wanted {
        OnFlushed::NextRequest | OnFlushed::Close if !request_read => OnFlushed::Linger,
        OnFlushed::NextRequest if io.mode.is_ending() => OnFlushed::Close,
        OnFlushed::NextRequest | OnFlushed::Close | OnFlushed::Linger | OnFlushed::Whole => wanted,
    }
}

/// Writes the rest of a response; once all is sent, continues with what follows.
pub fn flush(io: &mut Io, id: ConnId) {
    match io.conns.flush(id) {
        Flushed::Failed => close(io, id),
        Flushed::Blocked => {}
        Flushed::Out => {
            if let Role::Http(Http::Answering(after)) = io.conns[id].role {
                follow(io, id, after);
            }
        }
    }
}

/// Continues after a response that has been sent.
pub fn follow(io: &mut Io, id: ConnId, after: OnFlushed) {
    if !after.keeps_alive() && !io.conns[id].end_output() {
        io.conns[id].role = Role::Http(Http::Answering(after));
        // Its last bytes are as many as a slow receiver may take during a transfer.
        io.set_timeout(id, io.settings.idle_timeout);
        return;
    }
    proceed(io, id, after);
}

/// The same after a response that may be incomplete.
fn proceed(io: &mut Io, id: ConnId, after: OnFlushed) {
    let Io { conns, journal, now, .. } = io;
    journal.ended(&mut conns[id], *now);
    match after {
        OnFlushed::NextRequest => await_request(io, id),
        OnFlushed::Close => close_or_linger(io, id),
        OnFlushed::Linger => linger(io, id),
        OnFlushed::Whole => {
            io.conns[id].reset_on_close(false);
            close_or_linger(io, id);
        }
    }
}

/// Cuts off a response that cannot be completed: its client must not mistake it for a complete one.
/// A response delimited by the end of the connection ends with a reset; any other with a FIN before
/// its length or its last chunk. Then the requests that were sent ahead are read first: closing
/// with those unread would send a reset, which could destroy the tail of an earlier response that
/// was already reported as complete to its other side. With TLS it has no `close_notify` either.
pub fn cut(io: &mut Io, id: ConnId, delimiter: Delimiter) {
    if io.conns[id].is_closing() {
        return;
    }
    if delimiter == Delimiter::Close {
        io.conns.close(id, CloseMode::Reset);
    } else {
        proceed(io, id, OnFlushed::Close);
    }
}

/// Fails a request: its client is answered, or cut off if its response has begun, with this
/// delimiter of its body. `read`: whether the request was read to its end.
pub fn fail(io: &mut Io, id: ConnId, begun: Option<Delimiter>, failure: &Failure, read: bool) {
    match begun {
        Some(delimiter) => cut(io, id, delimiter),
        None if io.conns[id].is_closing() => {}
        None => answer::failure(io, id, failure, read),
    }
}

/// Waits for the connection's next request.
fn await_request(io: &mut Io, id: ConnId) {
    io.conns.end_request(id);
    io.conns.end_forwarded(id);
    let draining = io.mode == ServingMode::Draining;
    let conn = &mut io.conns[id];
    conn.role = Role::Http(Http::Head);
    conn.extras = Extras::default();
    conn.head_begun = false;
    // An HTTP/1.0 client does not send ahead (RFC 9112, appendix C.2.2). One that does is not
    // served further: a body delimited by the end may have to end with a reset, which would destroy
    // the unsent part of the answer before it.
    let sent_ahead = conn.reply.version == Version::Http10 && !conn.is_idle();
    if sent_ahead || (draining && conn.is_idle()) {
        return follow(io, id, OnFlushed::Close);
    }
    let more = conn.readable || !conn.carry.is_empty();
    io.set_timeout(id, io.settings.keep_alive_timeout);
    if more {
        io.conns.enqueue(id);
    }
}

/// Closes a connection between two requests.
pub(super) fn close_idle(io: &mut Io, id: ConnId) {
    io.conns[id].end_output();
    close(io, id);
}

/// Closes a connection as far as HTTP/1 is concerned.
pub(super) fn close(io: &mut Io, id: ConnId) {
    io.conns.close(id, CloseMode::Orderly);
}

/// Closes a connection if everything the client sent was read, as far as is known; else lingers.
pub fn close_or_linger(io: &mut Io, id: ConnId) {
    let conn = &io.conns[id];
    if conn.readable || !conn.carry.is_empty() { linger(io, id) } else { close(io, id) }
}

/// Lingers after the answer: the client may still be sending.
pub fn linger(io: &mut Io, id: ConnId) {
    debug_assert!(
        !matches!(io.conns[id].role, Role::Http(Http::Lingering { .. })),
        "a connection is answered for the last time once"
    );
    let lingering = io.conns.lingering() + io.elsewhere(Quantity::Lingering);
    let room = lingering < io.settings.max_lingering;
    if !room || io.conns[id].shut_down_write().is_err() {
        return close(io, id);
    }
    let discard_left = u32::try_from(io.settings.linger_bytes).unwrap_or(u32::MAX);
    io.conns.begin_lingering(id, discard_left);
    io.set_timeout(id, io.settings.linger_timeout);
    io.conns.enqueue(id);
}

/// Discards what was received. Beyond the limit the rest stays unread, so that TCP holds the client
/// back while it can still read the answer; the timeout ends it.
pub(super) fn discard(io: &mut Io, id: ConnId) {
    let mut scratch = io.scratch.lend();
    let conn = &mut io.conns[id];
    let mut over = false;
    let mut budget = DISCARDS_PER_TURN;
    while let Role::Http(Http::Lingering { discard_left }) = conn.role
        && conn.readable
        && discard_left > 0
        && budget > 0
        && !over
    {
        budget -= 1;
        let most = DISCARD_BYTES.min(scratch.len()).min(discard_left as usize);
        match conn.discard(&mut scratch[..most]) {
            Ok(Read::Moved(count)) => {
                let discard_left =
                    discard_left.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
                conn.role = Role::Http(Http::Lingering { discard_left });
            }
            Ok(Read::Blocked) => conn.readable = false,
            Ok(Read::Eof) | Err(_) => over = true,
        }
    }
    let spent = matches!(conn.role, Role::Http(Http::Lingering { discard_left: 0 }));
    over |= conn.peer_ended() && spent;
    io.scratch.put_back(scratch);
    if over {
        close(io, id);
    } else if budget == 0 {
        io.conns.requeue(id);
    }
}
