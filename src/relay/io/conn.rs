//! One connection: its socket, its two readiness latches, and what is known of its peer.

use super::id::{ConnId, TransferId};
use super::load::LoadClass;
use super::mode::ListenerKind;
use super::note::Note;
use super::output::Output;
use super::role::{Http, OnFlushed, Role};
use super::sockopt;
use crate::api::RouteName;
use crate::http::head::{Method, RequestHead, Version};
use crate::http::negotiate;
use crate::splice::copy;
use mio::event::Event;
use socket2::Socket;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How the client of the request at hand wants to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// The version of its request.
    pub version: Version,
    /// What the client and its request's body leave to do after the response.
    pub after: OnFlushed,
    /// Errors as text instead of JSON.
    pub text: bool,
    /// It was a `HEAD`: the head alone.
    pub head_only: bool,
}

impl Reply {
    /// For a client whose request could not be read.
    pub const UNKNOWN: Self =
        Self { version: Version::Http11, after: OnFlushed::Close, text: false, head_only: false };

    /// As the head of a request wants it.
    pub fn to(head: &RequestHead<'_, '_>) -> Self {
        Self {
            version: head.version,
            after: if head.keep_alive { OnFlushed::NextRequest } else { OnFlushed::Close },
            text: negotiate::prefers_text(head.fields.all("Accept")),
            head_only: head.method == Method::Head,
        }
    }
}

/// How much of a connection its peer has ended, as far as epoll reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerEnd {
    /// Nothing.
    Open,
    /// It sent FIN; bytes may still be there before it.
    Fin,
    /// It was reset or closed for good.
    HungUp,
}

/// What became of writing an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flushed {
    /// The socket took everything.
    Out,
    /// The rest waits for the socket.
    Blocked,
    /// The socket failed: nothing more can be written.
    Failed,
}

/// One connection.
#[derive(Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "two latches and two marks, independent of each other"
)]
pub struct Conn {
    /// Its own id.
    pub id: ConnId,
    /// Its socket.
    pub socket: Socket,
    /// Where it comes from; 0.0.0.0:0 if it is a Unix socket.
    pub peer: SocketAddr,
    /// What it was accepted for.
    pub listener: ListenerKind,
    /// Who owns it.
    pub role: Role,
    /// How the request at hand is to be answered.
    pub reply: Reply,
    /// What joins the answer to the request at hand, if that is a call.
    pub correlation_id: Option<Box<str>>,
    /// What is noted of the request at hand, if anything is.
    pub note: Option<Box<Note>>,
    /// What the request at hand is counted as; `None`: it is not.
    pub counts_as: Option<RouteName>,
    /// Bytes that were read and belong to what comes next.
    pub carry: Vec<u8>,
    /// `carry` was looked at, and is an incomplete head.
    pub head_begun: bool,
    /// Bytes that wait to be written.
    pub output: Output,
    /// The socket may have something to read; cleared on proof only.
    pub readable: bool,
    /// The socket may take something; cleared on proof only.
    pub writable: bool,
    /// What is known of the peer's end.
    pub peer_end: PeerEnd,
    /// The transfer that takes bytes from it.
    pub outgoing: Option<TransferId>,
    /// The transfer that brings bytes to it.
    pub incoming: Option<TransferId>,
    /// Where it counts at present.
    pub counted: LoadClass,
    /// In the run queue.
    pub(super) queued: bool,
    /// Closed as far as its owner is concerned: it is freed at the end of the turn.
    pub(super) closing: bool,
    /// When its timeout is over; the truth behind the entries in the timers.
    pub(super) deadline: Option<Instant>,
    /// When the timers look at this connection next.
    pub(super) timer_at: Option<Instant>,
}

impl Conn {
    pub(super) fn new(
        id: ConnId,
        socket: Socket,
        peer: SocketAddr,
        listener: ListenerKind,
    ) -> Self {
        Self {
            id,
            socket,
            peer,
            listener,
            role: Role::Http(Http::Head),
            reply: Reply::UNKNOWN,
            correlation_id: None,
            note: None,
            counts_as: Some(RouteName::Unread),
            carry: Vec::new(),
            head_begun: false,
            output: Output::default(),
            readable: false,
            writable: true,
            peer_end: PeerEnd::Open,
            outgoing: None,
            incoming: None,
            counted: LoadClass::default(),
            queued: false,
            closing: false,
            deadline: None,
            timer_at: None,
        }
    }

    /// Remembers what epoll reports of its socket. Hang-ups are hints: the next read decides.
    pub(super) fn latch(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        if event.is_write_closed() || event.is_error() {
            self.peer_end = PeerEnd::HungUp;
        } else if event.is_read_closed() {
            self.peer_end = self.peer_end.max(PeerEnd::Fin);
        }
    }

    /// Whether its owner has something to do for it, beyond what its transfers do.
    pub(super) fn needs_turn(&self) -> bool {
        let moves = self.outgoing.is_some() || self.incoming.is_some();
        !moves
            || self.peer_end > PeerEnd::Open
            || !self.output.is_empty()
            || (self.readable && self.outgoing.is_none())
    }

    /// Whether it is closed, and only waits to be freed.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the peer has ended any of it.
    pub fn peer_ended(&self) -> bool {
        self.peer_end > PeerEnd::Open
    }

    /// Writes what waits to be written, as far as the socket takes it.
    pub fn flush(&mut self) -> Flushed {
        while self.writable && !self.output.is_empty() {
            match copy::write(&self.socket, self.output.rest(), false) {
                Ok(copy::Write::Moved(count)) => {
                    self.output.sent(count);
                    if let Some(note) = &mut self.note {
                        note.sent(count);
                    }
                }
                Ok(copy::Write::Blocked) => self.writable = false,
                Err(_) => return Flushed::Failed,
            }
        }
        if self.output.is_empty() { Flushed::Out } else { Flushed::Blocked }
    }

    /// Whether it ends with a reset from now on, however it ends, the end of this process included
    /// (`SO_LINGER` of 0, socket(7)): so a body delimited by the end never looks complete too early.
    pub fn reset_on_close(&self, reset: bool) {
        // The kernel refuses it for sockets that are not TCP.
        let _ = self.socket.set_linger(reset.then_some(Duration::ZERO));
    }

    /// How many bytes may wait in the kernel to be sent (`TCP_NOTSENT_LOWAT`, tcp(7)); 0: as many as
    /// it likes.
    pub fn limit_unsent(&self, bytes: u32) {
        // A refusal makes events older, not wrong.
        let _ = socket2::SockRef::from(&self.socket).set_tcp_notsent_lowat(bytes);
    }

    /// How many received bytes are unread in the kernel.
    pub fn unread_bytes(&self) -> u64 {
        sockopt::unread_bytes(&self.socket)
    }

    /// Whether no byte of a request was received.
    pub fn is_idle(&self) -> bool {
        self.carry.is_empty() && !self.readable && self.unread_bytes() == 0
    }

    /// After a read or splice that found nothing, or less than it asked for: a new event comes with
    /// new bytes, and came already if the peer sent FIN.
    pub fn drained_of_input(&mut self) {
        self.readable = self.peer_ended();
    }
}
