//! One client connection: its socket, its two readiness latches, and where it is in its life.

use super::admin::Realm;
use super::agents::{Agent, Asking, Call, Carried, Spare, Watcher};
use super::follower::Follower;
use super::intake::Push;
use super::listing::Listing;
use super::load::Counted;
use super::note::Note;
use super::sockopt;
use super::token::ConnId;
use crate::api::{RouteName, Upload};
use crate::http::body::BodyDecoder;
use crate::http::head::{Method, RequestHead, Version};
use crate::http::negotiate;
use crate::rendezvous::{Side, StreamKey};
use socket2::Socket;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How the client of the request at hand wants to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub version: Version,
    /// What the client and its request's body leave to do after the response.
    pub after: After,
    /// Errors as text instead of JSON.
    pub text: bool,
    /// It was a `HEAD`: the head alone.
    pub head_only: bool,
}

impl Reply {
    /// For a client of which nothing is known.
    pub const UNKNOWN: Self =
        Self { version: Version::Http11, after: After::Close, text: false, head_only: false };

    pub fn to(head: &RequestHead<'_, '_>) -> Self {
        Self {
            version: head.version,
            after: if head.keep_alive { After::NextRequest } else { After::Close },
            text: negotiate::prefers_text(head.fields.all("Accept")),
            head_only: head.method == Method::Head,
        }
    }
}

impl After {
    /// Whether the connection goes on, which the response has to say.
    pub fn keeps_alive(self) -> bool {
        self == Self::NextRequest
    }
}

/// How much of a connection its peer has ended, as far as epoll told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PeerEnd {
    /// Nothing.
    Open,
    /// It sent FIN; bytes may still be there before it.
    Fin,
    /// It was reset or closed for good.
    HungUp,
}

/// What a JSON body is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Create,
    Report(Uuid),
}

/// A JSON body on its way in.
#[derive(Debug)]
pub(super) struct JsonBody {
    pub purpose: Purpose,
    pub decoder: BodyDecoder,
    pub collected: Vec<u8>,
}

/// What follows once the output is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request.
    NextRequest,
    /// The end: everything the client sent was read.
    Close,
    /// The end, but the client may still be sending: it must not lose the answer to a reset.
    Linger,
    /// The end of a body that nothing but the end of the connection delimits.
    Whole,
}

/// Where a connection is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// Reads a request head, or idles.
    Head,
    /// Reads a JSON body.
    Json(Box<JsonBody>),
    /// Reads a body that becomes a record.
    Pushing(Box<Push>),
    /// Waits until its record is handed over.
    Handing,
    /// One side of a stream, waiting for the other; a source's head is remembered.
    Waiting { stream: StreamKey, upload: Option<Box<Upload>> },
    /// One side of a running transfer, by the transfer's place.
    Streaming { side: Side, exchange: usize },
    /// Writes a response.
    Answering(After),
    /// Writes the list of streams, piece by piece.
    Listing(Box<Listing>),
    /// Writes the events of a stream, as they come.
    Following(Box<Follower>),
    /// The WebSocket of an agent.
    Agent(Box<Agent>),
    /// A request that an agent answers, through its WebSocket.
    Calling(Box<Call>),
    /// An agent's spare connection, which carries nothing.
    Spare(Spare),
    /// One side of a call that a spare connection carries.
    Carried(Box<Carried>),
    /// Our connection to the API that agents may call.
    Asking(Box<Asking>),
    /// Writes what happens to agents, as it happens.
    Watching(Watcher),
    /// Answered; discards at most so many bytes of what the client still sends.
    Lingering { discard_left: usize },
}

/// Bytes that were sent and may stay in an output's memory.
const SENT_MAX_BYTES: usize = 16 << 10;

/// Bytes that wait for the socket to take them.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Where bytes are appended. Those that were sent are moved out of the way first, if there are
    /// enough of them: whoever appends for ever must not keep them for ever.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.sent > SENT_MAX_BYTES && self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    pub fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// One client connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub id: ConnId,
    pub socket: Socket,
    pub peer: SocketAddr,
    pub realm: Realm,
    pub phase: Phase,
    pub reply: Reply,
    /// What joins the answer to the request at hand, if that is a call.
    pub correlation_id: Option<Box<str>>,
    /// What is noted of the request at hand, if anything is.
    pub note: Option<Box<Note>>,
    /// What the request at hand is counted as; `None`: it is not.
    pub counts_as: Option<RouteName>,
    /// Bytes that were read and belong to what comes next.
    pub carry: Vec<u8>,
    /// How many bytes of `carry` were looked at and found to be no whole head.
    pub seen: usize,
    pub output: Output,
    /// The socket may have something to read; cleared on proof only.
    pub readable: bool,
    /// The socket may take something; cleared on proof only.
    pub writable: bool,
    /// What is known of the peer's end.
    pub peer_end: PeerEnd,
    /// In the run queue.
    pub queued: bool,
    /// Where it counts at present.
    pub counted: Counted,
    /// When patience ends; the truth behind the entries in the timers.
    pub deadline: Option<Instant>,
    /// When the timers look at this connection next.
    pub timer_at: Option<Instant>,
}

impl Conn {
    pub fn new(id: ConnId, socket: Socket, peer: SocketAddr, realm: Realm) -> Self {
        Self {
            id,
            socket,
            peer,
            realm,
            phase: Phase::Head,
            reply: Reply::UNKNOWN,
            correlation_id: None,
            note: None,
            counts_as: Some(RouteName::Unread),
            carry: Vec::new(),
            seen: 0,
            output: Output::default(),
            readable: false,
            writable: true,
            peer_end: PeerEnd::Open,
            queued: false,
            counted: Counted::default(),
            deadline: None,
            timer_at: None,
        }
    }

    /// The place of the transfer it is a side of.
    pub fn exchange(&self) -> Option<usize> {
        if let Phase::Streaming { exchange, .. } = self.phase { Some(exchange) } else { None }
    }

    /// The socket took bytes of the output.
    pub fn sent(&mut self, count: usize) {
        self.output.sent(count);
        if let Some(note) = &mut self.note {
            note.sent(count);
        }
    }

    /// Whether its record is being handed over: the answer will come.
    pub fn awaits_verdict(&self) -> bool {
        matches!(self.phase, Phase::Handing)
    }

    pub fn is_lingering(&self) -> bool {
        matches!(self.phase, Phase::Lingering { .. })
    }

    /// From now on the connection ends with a reset, whatever ends it, this process included
    /// (`SO_LINGER` of 0, socket(7)): a body delimited by the end never looks complete too early.
    pub fn look_broken_until_whole(&self) {
        self.set_linger(Some(Duration::ZERO));
    }

    /// The body is whole: the connection may end like any other.
    pub fn look_whole(&self) {
        self.set_linger(None);
    }

    fn set_linger(&self, linger: Option<Duration>) {
        // The kernel refuses it for no TCP socket.
        let _ = self.socket.set_linger(linger);
    }

    /// How many bytes may wait in the kernel to be sent; 0: as many as it likes.
    pub fn limit_unsent(&self, bytes: u32) {
        // A refusal makes events older, not wrong.
        let _ = socket2::SockRef::from(&self.socket).set_tcp_notsent_lowat(bytes);
    }

    /// Whether it is lingered with, and nothing more may be discarded.
    pub fn has_discarded_all(&self) -> bool {
        matches!(self.phase, Phase::Lingering { discard_left: 0 })
    }

    /// Whether no byte of a request is there.
    pub fn is_idle(&self) -> bool {
        self.carry.is_empty() && !self.readable && sockopt::unread_bytes(&self.socket) == 0
    }

    /// After a read or splice that found nothing, or less than it asked for: a new event comes with
    /// new bytes, and came already if the peer sent FIN.
    pub fn drained_of_input(&mut self) {
        self.readable = self.peer_end > PeerEnd::Open;
    }
}
