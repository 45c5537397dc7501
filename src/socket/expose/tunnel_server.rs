//! Serves an idle tunnel: the relay sends requests on it as plain HTTP/1.1, one at a time, and bodies
//! pass without additional framing. It is closed when an error cannot be signalled otherwise: an
//! interrupted response, or a request whose body is unwanted.

use super::Api;
use super::answer::AnswerBody;
use super::api_request::Requester;
use super::calls::{Call, Calls};
use super::refusal::Refusal;
use super::upgraded::Upgraded;
use crate::api::forward::Upgrade;
use crate::client;
use crate::client::connection::Connection;
use crate::client::mover::{Mover, Sink};
use crate::client::wire::Wire;
use crate::http::answer::ANSWER_HEAD_MAX_BYTES;
use crate::http::chunked::{CHUNK_FRAMING_BYTES, LAST_CHUNK, write_chunk_head, write_framed};
use crate::http::framing::Framing;
use crate::http::head::{self, FieldSlots, HeadLimits, RequestHead};
use crate::http::response::HeadWriter;
use crate::mux::frame::head_fits;
use crate::mux::session::head_too_large;
use crate::socket::Body;
use crate::socket::spelling::{Spelling, received};
use http::{Method, Request, Response, StatusCode};
use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

const LIMITS: HeadLimits =
    HeadLimits { bytes: ANSWER_HEAD_MAX_BYTES, target_bytes: ANSWER_HEAD_MAX_BYTES / 2 };

/// Serves the requests on one idle tunnel, one after the other.
pub(super) struct TunnelServer<'s> {
    pub(super) api: &'s Api,
    pub(super) calls: &'s Calls,
    pub(super) mover: Mover,
}

impl TunnelServer<'_> {
    /// Serves until the connection ends, and returns how many requests were served.
    pub(super) fn serve(&mut self, mut connection: Connection) -> usize {
        let wire = connection.shared_wire();
        let mut served = 0;
        while let Some(pending) = next(&mut connection) {
            let incoming = client::Body::of_request(pending.framing, connection);
            let incoming = Arc::new(Mutex::new(Some(incoming)));
            let answered = self.answer(pending, &incoming, &wire);
            served += 1;
            match (whole(&incoming), answered) {
                (Some(left), Ok(None)) => connection = left,
                (Some(left), Ok(Some(upgraded))) => match upgraded.start(left) {
                    // Both connections end with what follows on them, and the call with that.
                    Ok(()) => return served,
                    Err(_) => break,
                },
                (None, Ok(_)) | (_, Err(_)) => break,
            }
        }
        // The thread that sends a request body to the API still holds the connection.
        wire.end();
        served
    }

    /// Answers a request; returns the upgrade that it led to.
    fn answer(
        &mut self,
        pending: PendingRequest,
        incoming: &Arc<Mutex<Option<client::Body>>>,
        wire: &Arc<Wire>,
    ) -> io::Result<Option<Upgraded>> {
        let reader = Shared(Arc::clone(incoming));
        let body = match pending.framing {
            Framing::Length(0) => Body::empty(),
            Framing::Length(bytes) => Body::sized(reader, bytes),
            Framing::Chunked => Body::from_reader(reader),
        };
        let request = pending.request.map(|()| body);
        let head_only = request.method() == Method::HEAD;
        let mut call = self.calls.begin(&request);
        let asked = self.api.ask(request, Some(Requester::Connection(wire)));
        // Otherwise the relay may send the next request before it notices the end of the tunnel.
        let form = Form { head_only, closes: !is_read(incoming) };
        match asked {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                return upgrade(answer, (wire, call));
            }
            Ok(answer) => self.forward(answer, form, (wire, &mut call)),
            Err(Refusal::NobodyWaits) => Err(io::ErrorKind::ConnectionAborted.into()),
            Err(refusal) => refuse(&self.api.refused(&refusal), form, (wire, &mut call)),
        }
        .map(|()| None)
    }

    fn forward(
        &mut self,
        answer: Response<AnswerBody>,
        form: Form,
        (wire, call): (&Wire, &mut Call),
    ) -> io::Result<()> {
        let (parts, mut body) = answer.into_parts();
        let length_bytes = body.length_bytes();
        let head = response_head(&parts, length_bytes, form);
        if !head_fits(&head, (0, 0)) {
            let refusal =
                Refusal::Broken(format!("answered what cannot be sent: {}", head_too_large()));
            return refuse(&self.api.refused(&refusal), form, (wire, call));
        }
        call.answered(parts.status.as_u16());
        wire.send(&head, false)?;
        let mut sink = TunnelSink { wire, chunked: length_bytes.is_none() };
        body.forward(&mut self.mover, &mut sink, &mut |bytes| {
            call.moved(bytes);
            Ok(())
        })?;
        // An interrupted body lacks it: it is never mistaken for a complete one.
        if sink.chunked {
            wire.send(LAST_CHUNK, false)?;
        }
        call.ended();
        Ok(())
    }
}

/// The body of a response on the tunnel: in chunks, if its head declares no length.
struct TunnelSink<'w> {
    wire: &'w Wire,
    chunked: bool,
}

impl Sink for TunnelSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.chunked {
            return self.wire.send(bytes, false);
        }
        // With its framing, a piece takes one system call and one packet.
        let mut framed = Vec::with_capacity(bytes.len() + CHUNK_FRAMING_BYTES);
        write_framed(&mut framed, bytes, true);
        self.wire.send(&framed, false)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self.wire {
            Wire::Plain(socket) => Some(socket.as_fd()),
            Wire::Unix(_) | Wire::Tls(_) => None,
        }
    }

    fn begin(&mut self, count: usize) -> io::Result<()> {
        let mut size = Vec::with_capacity(CHUNK_FRAMING_BYTES);
        if self.chunked {
            write_chunk_head(&mut size, count as u64);
        }
        self.wire.send(&size, true)
    }

    fn end(&mut self) -> io::Result<()> {
        self.wire.send(if self.chunked { b"\r\n" } else { b"" }, false)
    }
}

/// Sends the response that accepts an upgrade; what follows on both connections is not HTTP.
fn upgrade(
    answer: Response<AnswerBody>,
    (wire, mut call): (&Wire, Call),
) -> io::Result<Option<Upgraded>> {
    let (parts, body) = answer.into_parts();
    let Some(api) = body.into_connection() else {
        return Err(io::ErrorKind::ConnectionAborted.into());
    };
    for end in [wire, &*api.shared_wire()] {
        end.reset_on_close(true);
    }
    call.answered(parts.status.as_u16());
    wire.send(&response_head(&parts, None, Form { head_only: false, closes: false }), false)?;
    Ok(Some(Upgraded { api, call }))
}

/// Sends an error response in place of the API's.
fn refuse(
    answer: &Response<Vec<u8>>,
    form: Form,
    (wire, call): (&Wire, &mut Call),
) -> io::Result<()> {
    let bytes = answer.body();
    let (parts, ()) = answer.clone().map(drop).into_parts();
    call.answered(parts.status.as_u16());
    let mut whole = response_head(&parts, Some(bytes.len() as u64), form);
    if !form.head_only {
        whole.extend_from_slice(bytes);
        call.moved(bytes.len() as u64);
    }
    wire.send(&whole, false)?;
    call.ended();
    Ok(())
}

/// Returns the head of a response, with end-to-end fields only.
fn response_head(
    parts: &http::response::Parts,
    length_bytes: Option<u64>,
    Form { head_only, closes }: Form,
) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    let mut writer = HeadWriter::undated(&mut head, parts.status.as_u16());
    for (name, value) in &parts.headers {
        writer = writer.field(Spelling::of(&parts.extensions, name), value.as_bytes());
    }
    if closes {
        writer = writer.field("Connection", b"close");
    }
    let bodiless = head_only || matches!(parts.status.as_u16(), 101 | 204 | 304);
    let writer = match length_bytes {
        // The length is among the fields, if known.
        _ if bodiless => writer,
        Some(bytes) => writer.content_length(bytes),
        None => writer.chunked(),
    };
    writer.end();
    head
}

/// How a response is sent.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Without its body.
    head_only: bool,
    /// The tunnel ends with it: the body of the request was not read to its end.
    closes: bool,
}

/// A request whose body is next on the connection.
struct PendingRequest {
    request: Request<()>,
    framing: Framing,
}

/// Reads the next request; `None` at the end of the connection, or if the request is invalid.
fn next(connection: &mut Connection) -> Option<PendingRequest> {
    loop {
        let mut slots = FieldSlots::new();
        let parsed = head::parse(connection.inbox(), &mut slots, &LIMITS).ok()?;
        if let Some(head) = parsed {
            let (pending, len) = (taken(&head), head.len);
            connection.inbox().drain(..len);
            return pending;
        }
        if connection.fetch().ok()? == 0 {
            return None;
        }
    }
}

fn taken(head: &RequestHead<'_, '_>) -> Option<PendingRequest> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method_name.as_bytes()).ok()?;
    *request.uri_mut() = head.target.parse().ok()?;
    let fields = received(head.fields.iter(), request.extensions_mut()).ok()?;
    *request.headers_mut() = fields;
    if let Some(upgrade) = Upgrade::offered(head) {
        request.extensions_mut().insert(upgrade);
    }
    Some(PendingRequest { request, framing: head.framing })
}

/// Takes the connection back, if the request was read completely.
fn whole(incoming: &Mutex<Option<client::Body>>) -> Option<Connection> {
    let mut incoming = match incoming.try_lock() {
        Ok(incoming) => incoming,
        Err(TryLockError::Poisoned(incoming)) => incoming.into_inner(),
        // Another thread is still waiting for the rest of the body.
        Err(TryLockError::WouldBlock) => return None,
    };
    incoming.take().and_then(client::Body::into_connection)
}

/// Whether a body was read to its end.
fn is_read(incoming: &Mutex<Option<client::Body>>) -> bool {
    let incoming = incoming.try_lock();
    incoming.is_ok_and(|body| body.as_ref().is_some_and(client::Body::is_over))
}

/// A body shared between the thread that sends it and the one that takes the connection back.
struct Shared(Arc<Mutex<Option<client::Body>>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // `None` means that the connection was taken back.
        incoming.as_mut().map_or(Ok(0), |incoming| incoming.read(buffer))
    }
}
