//! One connection: its socket, its two readiness latches, and what is known of its peer.

use super::extras::Extras;
use super::id::{ConnId, TransferId};
use super::load::LoadClass;
use super::mode::ListenerKind;
use super::note::Note;
use super::output::Output;
use super::role::{Http, OnFlushed, Role};
use super::transport::Transport;
use crate::api::RouteName;
use crate::http::head::{Method, RequestHead, Version};
use crate::http::interim::accepts_processing;
use crate::http::negotiate::{BodyForm, body_form, names_and_prefers};
use crate::http::proxy_protocol::ProxiedClient;
use mio::event::Event;
use socket2::Socket;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How the client of the current request is to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// The version of its request.
    pub version: Version,
    /// What follows the response, given the client and its request's body.
    pub after: OnFlushed,
    /// The form of errors.
    pub form: BodyForm,
    /// Whether it was a `HEAD` request: only the head is sent.
    pub head_only: bool,
    /// Whether its head was sent before the outcome was known.
    pub begun: bool,
    /// Whether interim responses may precede it.
    pub interim: bool,
}

impl Reply {
    /// The reply to a client whose request could not be read.
    pub const UNKNOWN: Self = Self {
        version: Version::Http11,
        after: OnFlushed::Close,
        form: BodyForm::Json,
        head_only: false,
        begun: false,
        interim: false,
    };

    /// Returns the reply that a request's head calls for.
    pub fn to(head: &RequestHead<'_, '_>) -> Self {
        Self {
            version: head.version,
            after: if head.keep_alive { OnFlushed::NextRequest } else { OnFlushed::Close },
            form: body_form(head.fields.all("Accept")),
            head_only: head.method == Method::Head,
            begun: false,
            interim: accepts_processing(head),
        }
    }

    /// The same for a client that gets errors as text unless it names JSON.
    pub fn of_text(head: &RequestHead<'_, '_>) -> Self {
        let (json, text) = (("application", "json"), ("text", "plain"));
        let names_json = names_and_prefers(head.fields.all("Accept"), json, text);
        let form = if names_json { BodyForm::Json } else { BodyForm::Text };
        Self { form, ..Self::to(head) }
    }
}

/// How far the peer has closed a connection, as reported by epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerEnd {
    /// Nothing.
    Open,
    /// It sent FIN; unread bytes may precede it.
    Fin,
    /// It was reset or completely closed.
    HungUp,
}

/// The result of writing an output.
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
    /// Its socket; bytes pass through [`Conn::read`] and [`Conn::write`], or a pipe.
    pub socket: Socket,
    /// What encrypts its bytes.
    pub(super) transport: Transport,
    /// Its peer address, or the one that a proxy declared; 0.0.0.0:0 for a Unix socket.
    pub peer: SocketAddr,
    /// What a proxy declared of its client with the PROXY protocol.
    pub proxied: Option<Box<ProxiedClient>>,
    /// What it was accepted for.
    pub listener: ListenerKind,
    /// Its owner.
    pub role: Role,
    /// How the current request is to be answered.
    pub reply: Reply,
    /// What few requests have.
    pub extras: Extras,
    /// The note of the current request, if one is kept.
    pub note: Option<Box<Note>>,
    /// The route the current request is counted as; `None`: it is not counted.
    pub counts_as: Option<RouteName>,
    /// Bytes that were read and belong to what follows.
    pub carry: Vec<u8>,
    /// `carry` was parsed, and is an incomplete head.
    pub head_begun: bool,
    /// Bytes waiting to be written.
    pub output: Output,
    /// The socket may be readable; cleared on proof only.
    pub readable: bool,
    /// The socket may be writable; cleared on proof only.
    pub writable: bool,
    /// What is known of the peer's end.
    pub peer_end: PeerEnd,
    /// The transfer that reads from it.
    pub outgoing: Option<TransferId>,
    /// The transfer that writes to it.
    pub incoming: Option<TransferId>,
    /// The load counts that include it.
    pub counted: LoadClass,
    /// Whether it is in the run queue.
    pub(super) queued: bool,
    /// Closed by its owner: it is freed at the end of the turn.
    pub(super) closing: bool,
    /// When its timeout expires; entries in the timers may differ, this is authoritative.
    pub(super) deadline: Option<Instant>,
    /// When the timers check this connection next.
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
            transport: Transport::Plain,
            peer,
            proxied: None,
            listener,
            role: Role::Http(Http::Head),
            reply: Reply::UNKNOWN,
            extras: Extras::default(),
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

    /// Returns it with the id that it has at another worker. Its latches stay as they are: when it is
    /// registered there, epoll reports what is ready again.
    pub(super) fn renamed(self, id: ConnId) -> Self {
        Self {
            id,
            counted: LoadClass::default(),
            queued: false,
            closing: false,
            deadline: None,
            timer_at: None,
            ..self
        }
    }

    /// Latches what epoll reports of its socket. Hang-ups are hints: the next read decides.
    pub(super) fn latch(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        if event.is_write_closed() || event.is_error() {
            self.peer_end = PeerEnd::HungUp;
        } else if event.is_read_closed() {
            self.peer_end = self.peer_end.max(PeerEnd::Fin);
        }
    }

    /// Whether its owner has work to do for it, beyond that of its transfers.
    pub(super) fn needs_turn(&self) -> bool {
        let moves = self.outgoing.is_some() || self.incoming.is_some();
        !moves
            || self.peer_end > PeerEnd::Open
            || !self.output.is_empty()
            || self.unsent_bytes() > 0
            || (self.readable && self.outgoing.is_none())
    }

    /// Whether it is closed and waits to be freed.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Returns the client of the current request: the peer, unless a proxy forwarded the request.
    pub fn client(&self) -> SocketAddr {
        self.extras.client().unwrap_or(self.peer)
    }

    /// Whether the peer has closed either direction.
    pub fn peer_ended(&self) -> bool {
        self.peer_end > PeerEnd::Open
    }

    /// Makes it end with a reset, however it ends, the end of this process included (`SO_LINGER` of
    /// 0, socket(7)): so a body delimited by the end never looks complete too early. Returns
    /// whether the kernel accepted it.
    pub fn reset_on_close(&self, reset: bool) -> bool {
        self.socket.set_linger(reset.then_some(Duration::ZERO)).is_ok()
    }

    /// Limits the unsent bytes in the kernel (`TCP_NOTSENT_LOWAT`, tcp(7)); 0: no limit.
    pub fn limit_unsent(&self, bytes: u32) {
        // If refused, events are older, but not wrong.
        let _ = socket2::SockRef::from(&self.socket).set_tcp_notsent_lowat(bytes);
    }

    /// Whether no byte of a request was received.
    pub fn is_idle(&self) -> bool {
        self.carry.is_empty() && !self.readable && self.unread_bytes() == 0
    }
}
