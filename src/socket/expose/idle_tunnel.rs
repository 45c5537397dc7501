//! An idle tunnel: the relay sends requests on it as plain HTTP/1.1, one at a time, and bodies pass
//! without additional framing. It is closed when an error cannot be signalled otherwise: an
//! interrupted response, or a request whose body is unwanted.

use super::Api;
use super::answer::AnswerBody;
use super::body_forwarder::{BodyForwarder, Frame};
use super::calls::{Call, Calls};
use super::incoming::Incoming;
use super::refusal::Refusal;
use super::wire::{self, ApiReader, Requester};
use crate::client::Url;
use crate::http::answer::{ANSWER_HEAD_MAX_BYTES, AnswerHead};
use crate::http::framing::Framing;
use crate::http::head::{self, FieldSlots, HeadLimits, RequestHead};
use crate::http::response::HeadWriter;
use crate::mux::frame::head_fits;
use crate::mux::session::head_too_large;
use crate::socket::Body;
use crate::splice::pipe::Pipe;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Response};
use std::io::{self, Read, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;
use uuid::Uuid;

/// Protocol that the connection is upgraded to.
const PROTOCOL: &str = "rdv.spare.v1";

/// Timeout for the relay's response to the upgrade.
const UPGRADE_TIME: Duration = Duration::from_secs(10);

/// Maximum bytes per read of a head.
const HEAD_BYTES: usize = 8 << 10;

const LIMITS: HeadLimits =
    HeadLimits { bytes: ANSWER_HEAD_MAX_BYTES, target_bytes: ANSWER_HEAD_MAX_BYTES / 2 };

/// The agent that the idle tunnels belong to.
#[derive(Clone, Debug)]
pub struct Owner {
    /// URL of the relay.
    pub relay: Url,
    /// Agent connection that the tunnels belong to.
    pub connection: Uuid,
    /// Secret from the relay that authenticates the tunnels.
    pub secret: Uuid,
}

/// Why an idle tunnel could not be opened.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// The relay refused it.
    Refused(u16),
    /// The relay is unreachable, or its response is invalid.
    Failed,
}

impl From<io::Error> for NotOpened {
    fn from(_: io::Error) -> Self {
        Self::Failed
    }
}

/// Opens an idle tunnel.
pub(super) fn open(owner: &Owner) -> Result<ApiReader, NotOpened> {
    let url = owner.relay.below("socket/spare");
    let socket = wire::connect(&url, UPGRADE_TIME)?;
    let mut request = Vec::with_capacity(256);
    HeadWriter::request(&mut request, "GET", &url.target)
        .field("Host", url.authority().as_bytes())
        .field("Connection", b"Upgrade")
        .field("Upgrade", PROTOCOL.as_bytes())
        .field("Rdv-Connection", owner.connection.to_string().as_bytes())
        .field("Rdv-Spare", owner.secret.to_string().as_bytes())
        .end();
    (&socket).write_all(&request)?;
    socket.set_read_timeout(Some(UPGRADE_TIME))?;
    let mut wire = ApiReader::new(socket);
    let head = loop {
        let parsed = AnswerHead::parse(wire.buffered());
        match parsed.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))? {
            Some(head) => break head,
            None if wire.read_ahead(HEAD_BYTES)? == 0 => {
                return Err(NotOpened::Failed);
            }
            None => {}
        }
    };
    if head.status != 101 {
        return Err(NotOpened::Refused(head.status));
    }
    wire.buffered().drain(..head.len);
    wire.socket().set_read_timeout(None)?;
    Ok(wire)
}

/// Serves the requests on one idle tunnel, one after the other.
pub(super) struct Server<'s> {
    pub(super) api: &'s Api,
    pub(super) calls: &'s Calls,
    pub(super) pipe: Option<Pipe>,
}

impl Server<'_> {
    /// Serves until the connection ends, and returns how many requests were served.
    pub(super) fn serve(&mut self, mut wire: ApiReader) -> usize {
        let socket = Arc::clone(wire.socket());
        let mut served = 0;
        while let Some(pending) = next(&mut wire) {
            let incoming = Incoming::framed(wire, pending.framing);
            let incoming = Arc::new(Mutex::new(Some(incoming)));
            let answered = self.answer(pending, &incoming, &socket);
            served += 1;
            match whole(&incoming).filter(|_| answered.is_ok()) {
                Some(left) => wire = left,
                None => break,
            }
        }
        // The thread that sends a request body to the API still holds the socket.
        let _ = socket.shutdown(Shutdown::Both);
        served
    }

    fn answer(
        &mut self,
        pending: PendingRequest,
        incoming: &Arc<Mutex<Option<Incoming>>>,
        socket: &Arc<TcpStream>,
    ) -> io::Result<()> {
        let reader = Shared(Arc::clone(incoming));
        let body = match pending.framing {
            Framing::Length(0) => Body::empty(),
            Framing::Length(bytes) => Body::sized(reader, bytes),
            Framing::Chunked => Body::from_reader(reader),
        };
        let request = pending.request.map(|()| body);
        let head_only = request.method() == Method::HEAD;
        let mut call = self.calls.begin(&request);
        match self.api.ask(request, Some(Requester::Connection(socket))) {
            Ok(answer) => self.forward(answer, head_only, (socket, &mut call)),
            Err(Refusal::NobodyWaits) => Err(io::ErrorKind::ConnectionAborted.into()),
            Err(refusal) => refuse(&self.api.refused(&refusal), head_only, (socket, &mut call)),
        }
    }

    fn forward(
        &mut self,
        answer: Response<AnswerBody>,
        head_only: bool,
        (mut socket, call): (&TcpStream, &mut Call),
    ) -> io::Result<()> {
        let (parts, mut body) = answer.into_parts();
        let head = response_head(&parts, body.length_bytes(), head_only);
        if !head_fits(&head, (0, 0)) {
            let refusal =
                Refusal::Broken(format!("answered what cannot be sent: {}", head_too_large()));
            return refuse(&self.api.refused(&refusal), head_only, (socket, call));
        }
        call.answered(parts.status.as_u16());
        socket.write_all(&head)?;
        let frame = match body.length_bytes() {
            Some(_) => Frame::Plain,
            None => Frame::Chunks,
        };
        BodyForwarder { out: socket, frame, pipe: &mut self.pipe, call }.forward(&mut body)?;
        call.ended();
        Ok(())
    }
}

/// Sends an error response in place of the API's.
fn refuse(
    answer: &Response<Vec<u8>>,
    head_only: bool,
    (mut socket, call): (&TcpStream, &mut Call),
) -> io::Result<()> {
    let bytes = answer.body();
    let (parts, ()) = answer.clone().map(drop).into_parts();
    call.answered(parts.status.as_u16());
    let mut whole = response_head(&parts, Some(bytes.len() as u64), head_only);
    if !head_only {
        whole.extend_from_slice(bytes);
        call.moved(bytes.len());
    }
    socket.write_all(&whole)?;
    call.ended();
    Ok(())
}

/// Returns the head of a response, with end-to-end fields only.
fn response_head(
    parts: &http::response::Parts,
    length_bytes: Option<u64>,
    head_only: bool,
) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    let mut writer = HeadWriter::undated(&mut head, parts.status.as_u16());
    for (name, value) in &parts.headers {
        writer = writer.field(name.as_str(), value.as_bytes());
    }
    let bodiless = head_only || matches!(parts.status.as_u16(), 204 | 304);
    let writer = match length_bytes {
        // The length is among the fields, if known.
        _ if bodiless => writer,
        Some(bytes) => writer.content_length(bytes),
        None => writer.chunked(),
    };
    writer.end();
    head
}

/// A request whose body is next on the connection.
struct PendingRequest {
    request: Request<()>,
    framing: Framing,
}

/// Reads the next request; `None` at the end of the connection, or if the request is invalid.
fn next(wire: &mut ApiReader) -> Option<PendingRequest> {
    loop {
        let mut slots = FieldSlots::new();
        let parsed = head::parse(wire.buffered(), &mut slots, &LIMITS).ok()?;
        if let Some(head) = parsed {
            let (pending, len) = (taken(&head), head.len);
            wire.buffered().drain(..len);
            return pending;
        }
        if wire.read_ahead(HEAD_BYTES).ok()? == 0 {
            return None;
        }
    }
}

fn taken(head: &RequestHead<'_, '_>) -> Option<PendingRequest> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method_name.as_bytes()).ok()?;
    *request.uri_mut() = head.target.parse().ok()?;
    for (name, value) in head.fields.iter() {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(PendingRequest { request, framing: head.framing })
}

/// Takes the connection back, if the request was read completely.
fn whole(incoming: &Mutex<Option<Incoming>>) -> Option<ApiReader> {
    let mut incoming = match incoming.try_lock() {
        Ok(incoming) => incoming,
        Err(TryLockError::Poisoned(incoming)) => incoming.into_inner(),
        // Another thread is still waiting for the rest of the body.
        Err(TryLockError::WouldBlock) => return None,
    };
    incoming.take_if(|incoming| incoming.is_over()).map(Incoming::into_wire)
}

/// A body shared between the thread that sends it and the one that takes the connection back.
struct Shared(Arc<Mutex<Option<Incoming>>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // `None` means that the body was read to its end.
        incoming.as_mut().map_or(Ok(0), |incoming| incoming.read(buffer))
    }
}
