//! Floor 2: HTTP/1, one request in and one response out. It reads heads and JSON bodies, writes
//! responses and decides what follows them: the next request, lingering, the end. What a request
//! means is decided above: each turn returns a [`Step`].

pub mod answer;
mod follow;
mod handshake;
mod json;
mod json_array;
mod json_body;
mod permission;
mod proxied;
mod request;

pub use follow::{close_or_linger, cut, fail, flush, follow, settled};
pub use json::{CreateRequest, JsonPurpose};
pub use json_array::JsonArray;
#[cfg(feature = "fuzzing")]
pub use json_body::JsonBody;
pub use permission::authorize;
pub use proxied::{begin_connection, expect_proxy_header, recount};
pub use request::{HeadReader, Request};

use crate::api::access::AllowedOrigin;
use crate::api::{Busy, Cors, Failure, Route};
use crate::http::forwarded;
use crate::http::head::{Expect, HeadLimits, RequestHead};
use crate::http::response::{CONTINUE, PROCESSING};
use crate::ops::Settings;
use crate::ops::metrics::{ConnPhase, ProxyRefusal};
use crate::relay::io::{
    Conn, ConnId, Extras, Flushed, Http, Io, ListenerKind, Output, Quantity, Reply, Role,
    ServingMode, Slot,
};
use json::JsonRequest;
use slab::Slab;
use std::net::SocketAddr;

/// Bytes of the first read of a head: enough for what command-line clients send, and few enough
/// that body bytes received with it do not weigh on a waiting stream.
const FIRST_READ: usize = 512;

/// The same where bodies are needed: enough for most of them, too.
const FIRST_READ_OF_RECORDS: usize = 4096;

/// The result of a turn of a connection that HTTP/1 owns.
#[derive(Debug)]
pub enum Step {
    /// Nothing more in this turn.
    Wait,
    /// Heads are to be read and handled.
    Heads,
    /// A JSON body is complete: its purpose and its bytes.
    Body(JsonPurpose, Vec<u8>),
}

/// The state of HTTP/1 connections that is not in the connections themselves.
#[derive(Debug)]
pub struct Http1 {
    limits: HeadLimits,
    first_read: usize,
    /// An empty buffer for the next head, so that most heads need no allocation.
    spare: Vec<u8>,
    bodies: Slab<JsonRequest>,
}

impl Http1 {
    /// Creates the state with the limits of these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            limits: head_limits(settings),
            first_read: FIRST_READ,
            spare: Vec::new(),
            bodies: Slab::new(),
        }
    }

    /// Applies new settings.
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.limits = head_limits(settings);
    }

    /// Prepares for requests whose bodies are needed.
    pub fn expect_records(&mut self) {
        self.first_read = FIRST_READ_OF_RECORDS;
    }

    /// Begins to read the next head of a connection.
    pub fn reader(&mut self, io: &mut Io, id: ConnId) -> HeadReader {
        let conn = &mut io.conns[id];
        let seen = if conn.head_begun { conn.carry.len() } else { 0 };
        let carried = std::mem::take(&mut conn.carry);
        let buffer = if carried.is_empty() { std::mem::take(&mut self.spare) } else { carried };
        let Self { limits, first_read, .. } = *self;
        HeadReader { buffer, seen, limits, first_read }
    }

    /// Finishes a head of which this many bytes were consumed; the rest stays with the connection.
    pub fn finish(&mut self, io: &mut Io, id: ConnId, reader: HeadReader, used: usize) {
        let conn = &mut io.conns[id];
        conn.head_begun = false;
        if used < reader.buffer.len() {
            conn.carry = reader.buffer[used..].to_vec();
        }
        self.keep(reader.buffer);
    }

    /// Takes the bytes of a head that is served elsewhere, and those after it.
    pub fn take_bytes(&mut self, io: &mut Io, id: ConnId, reader: HeadReader) -> Vec<u8> {
        io.conns[id].head_begun = false;
        // The buffer stays here for the next head: it is larger.
        let bytes = reader.buffer.as_slice().to_vec();
        self.keep(reader.buffer);
        bytes
    }

    /// Suspends reading a head until more is received. Its timeout starts at its first byte.
    pub fn suspend(&mut self, io: &mut Io, id: ConnId, mut reader: HeadReader) {
        let conn = &mut io.conns[id];
        if reader.buffer.is_empty() {
            conn.head_begun = false;
            return self.keep(reader.buffer);
        }
        let begins = !std::mem::replace(&mut conn.head_begun, true);
        // A waiting connection keeps no more memory than it has bytes.
        let buffer = std::mem::take(&mut reader.buffer);
        conn.carry = buffer.as_slice().to_vec();
        self.keep(buffer);
        if begins {
            io.set_timeout(id, io.settings.header_timeout);
        }
    }

    fn keep(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() >= self.spare.capacity() && buffer.capacity() <= 8 * FIRST_READ {
            self.spare = buffer;
        }
    }

    /// Runs a turn of a connection that HTTP/1 owns.
    pub fn ready(&mut self, io: &mut Io, id: ConnId, state: Http) -> Step {
        match state {
            Http::Proxy => return proxied::read(io, id),
            Http::Handshake => return handshake::advance(io, id),
            Http::Head => return Step::Heads,
            Http::Json(slot) => return self.read_json(io, id, slot),
            Http::Answering(_) => follow::flush(io, id),
            Http::Lingering { .. } => follow::discard(io, id),
        }
        Step::Wait
    }

    /// Handles a timeout.
    pub fn timeout(&mut self, io: &mut Io, id: ConnId, state: Http) {
        match state {
            Http::Proxy => proxied::refuse(io, id, ProxyRefusal::Timeout),
            Http::Handshake => handshake::timeout(io, id),
            Http::Head if io.conns[id].carry.is_empty() => follow::close_idle(io, id),
            Http::Head => {
                let why = Failure::RequestTimeout("The request head did not come in time");
                let received = std::mem::take(&mut io.conns[id].carry);
                refuse_unread(io, id, &received, &why);
            }
            Http::Json(slot) => {
                self.bodies.remove(slot.key());
                let why = Failure::RequestTimeout("The request body did not come in time");
                answer::failure(io, id, &why, false);
            }
            Http::Answering(_) | Http::Lingering { .. } => follow::close(io, id),
        }
    }

    /// Handles a closed connection.
    pub fn closed(&mut self, state: Http) {
        if let Http::Json(slot) = state {
            self.bodies.remove(slot.key());
        }
    }
}

/// Returns the phase of a connection, for the metrics.
pub fn phase(state: Http) -> ConnPhase {
    match state {
        Http::Handshake => ConnPhase::Handshake,
        Http::Proxy | Http::Head => ConnPhase::Head,
        Http::Json(_) => ConnPhase::Json,
        Http::Answering(_) => ConnPhase::Answering,
        Http::Lingering { .. } => ConnPhase::Lingering,
    }
}

fn head_limits(settings: &Settings) -> HeadLimits {
    HeadLimits { bytes: settings.max_head, target_bytes: settings.max_head / 2 }
}

/// Notes and counts a request that was parsed.
///
/// # Errors
/// Returns why it is refused, whatever it requests.
pub fn begin(
    io: &mut Io,
    id: ConnId,
    request: Request<'_, '_>,
    route: &Route<'_>,
) -> Result<(), Failure> {
    let Io { conns, journal, now, settings, .. } = io;
    let conn = &mut conns[id];
    conn.extras = Extras::default();
    if let Some(client) = forwarded_client(conn, request.head, settings) {
        conn.extras.set_client(client);
    }
    let reply = if matches!(route, Route::Path(_)) { Reply::of_text } else { Reply::to };
    conn.reply = reply(request.head);
    conn.extras.set_cors(cors(conn.listener, route, request.head, &settings.cors_origin));
    conn.counts_as = Some(route.name());
    journal.received(conn, request.head, *now)?;
    if conn.listener != ListenerKind::Admin {
        begin_counted(io, id)?;
    }
    if request.head.expect == Expect::Unknown {
        return Err(Failure::ExpectationFailed);
    }
    if let (Some(note), Some((stream, side))) = (&mut io.conns[id].note, route.stream()) {
        note.concerns(stream, side);
    }
    Ok(())
}

/// Returns the address of the client for which a proxy forwarded a request.
fn forwarded_client(
    conn: &Conn,
    head: &RequestHead<'_, '_>,
    settings: &Settings,
) -> Option<SocketAddr> {
    let proxies = &settings.proxies;
    let is_proxy = |address| proxies.includes(address);
    let forwarded = is_proxy(conn.peer.ip()).then(|| forwarded::client(head.fields, is_proxy));
    forwarded.flatten().filter(|client| *client != conn.peer)
}

fn begin_counted(io: &mut Io, id: ConnId) -> Result<(), Failure> {
    let load = &io.settings.load;
    let (requests, connections) = (load.max_concurrent, load.max_connections_per_address);
    let left = requests.saturating_sub(io.elsewhere(Quantity::Requests));
    if (requests > 0 && left == 0) || !io.conns.begin_request(id, left) {
        return Err(Failure::TooBusy(Busy::Requests));
    }
    // A connection of a proxy counts for the client of its request, while that is served.
    if io.conns[id].extras.client().is_some() && !io.conns.begin_connection(id, connections) {
        return Err(Failure::TooBusy(Busy::AddressConnections));
    }
    Ok(())
}

/// Returns whether pages of other origins can read the response. The admin listener
/// and agents have a list of origins of their own (`allowed-origins`).
fn cors(
    listener: ListenerKind,
    route: &Route<'_>,
    head: &RequestHead<'_, '_>,
    allowed: &[AllowedOrigin],
) -> Cors {
    let attaches = matches!(route, Route::Attach | Route::AttachTunnel);
    if listener != ListenerKind::Public || attaches {
        return Cors::Off;
    }
    Cors::of(head.fields.all("Origin"), allowed)
}

/// Refuses a request that could not be parsed: the connection ends. `received`: its bytes so far.
pub fn refuse_unread(io: &mut Io, id: ConnId, received: &[u8], failure: &Failure) {
    let Io { conns, journal, now, settings, .. } = io;
    let conn = &mut conns[id];
    conn.reply = Reply::UNKNOWN;
    conn.extras = Extras::default();
    if conn.listener == ListenerKind::Public {
        conn.extras.set_cors(Cors::of_received(received, &settings.cors_origin));
    }
    conn.carry = Vec::new();
    journal.unread(conn, *now);
    answer::failure(io, id, failure, false);
}

/// Sends `100 Continue` to a client that waits for it, unless it has begun to send its body.
pub fn send_continue(io: &mut Io, id: ConnId, rest: &[u8]) {
    let conn = &mut io.conns[id];
    if rest.is_empty() && conn.unread_bytes() == 0 {
        conn.output.buffer().extend_from_slice(CONTINUE);
        io.conns.flush_or_close(id);
    }
}

/// Sends `102 Processing` to a client that waits for its response, unless an earlier one is unsent.
/// A failure is left to the event of the socket: a client may leave after a complete upload.
pub fn send_processing(io: &mut Io, id: ConnId) {
    let conn = &mut io.conns[id];
    if conn.output.is_empty() {
        conn.output.buffer().extend_from_slice(PROCESSING);
        if conn.flush() == Flushed::Failed {
            conn.output = Output::default();
        }
    }
}

/// Returns why no stream can be created now.
pub fn takes_no_streams(io: &Io) -> Option<Failure> {
    match io.mode {
        ServingMode::Serving => None,
        ServingMode::Suspended => Some(Failure::TooBusy(Busy::Suspended)),
        ServingMode::Draining | ServingMode::HandedOver => too_busy(io),
    }
}

/// Returns why no connection can join now.
pub fn too_busy(io: &Io) -> Option<Failure> {
    match io.mode {
        ServingMode::Serving | ServingMode::Suspended => None,
        ServingMode::Draining => Some(Failure::TooBusy(Busy::Stopping)),
        ServingMode::HandedOver => Some(Failure::TooBusy(Busy::Replaced)),
    }
}

/// Returns the role of a connection with a JSON body.
fn json_role(key: usize) -> Role {
    Role::Http(Http::Json(Slot::new(key)))
}
