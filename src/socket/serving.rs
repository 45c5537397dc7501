//! Serves the other end's requests, each on a thread; idle threads are reused.

use super::body::Body;
use super::connection::SocketConnection;
use super::error::Error;
use super::heads;
use super::incoming::Incoming;
use super::link::{Link, wait, wait_for};
use super::requests::BodyPieces;
use super::sending::Stop;
use super::state::{Arrived, SERVED_MAX};
use crate::client::clock;
use crate::mux::frame::CancelReason;
use crate::mux::session::{Closed, close, head_too_large};
use http::{Method, Request, Response, StatusCode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Timeout after which an idle thread exits.
const IDLE: Duration = Duration::from_secs(10);

type Handler = dyn Fn(Request<Body>) -> Response<Body> + Send + Sync;

/// The threads of one call of `serve`.
struct WorkerPool {
    handler: Arc<Handler>,
    threads: AtomicUsize,
}

pub(super) fn serve(connection: &SocketConnection, handler: Arc<Handler>) -> Result<(), Error> {
    let pool = Arc::new(WorkerPool { handler, threads: AtomicUsize::new(0) });
    let link = connection.link();
    let mut state = link.lock();
    loop {
        match &state.ended {
            None => {}
            Some(Closed::Here | Closed::There(close::NORMAL | close::GOING_AWAY | 1005, _)) => {
                return Ok(());
            }
            Some(closed) => return Err(closed.into()),
        }
        let crowded = pool.threads.load(Ordering::Relaxed) >= SERVED_MAX;
        if state.requests.len() <= state.idle || crowded {
            let hire = Arc::clone(&state.hire);
            state = wait(&hire, state);
            continue;
        }
        let Some(request) = state.requests.pop_front() else { continue };
        drop(state);
        pool.spawn_worker(connection, request)?;
        state = link.lock();
    }
}

impl WorkerPool {
    fn spawn_worker(
        self: &Arc<Self>,
        connection: &SocketConnection,
        first: Arrived,
    ) -> Result<(), Error> {
        self.threads.fetch_add(1, Ordering::Relaxed);
        let (pool, connection) = (Arc::clone(self), connection.clone());
        let work = move || {
            let mut next = Some(first);
            while let Some(request) = next {
                answer(&connection, &*pool.handler, &request);
                next = await_request(&connection);
            }
            pool.threads.fetch_sub(1, Ordering::Relaxed);
            let hire = Arc::clone(&connection.link().lock().hire);
            hire.notify_all();
        };
        let spawned = std::thread::Builder::new().name("rdv-socket-handler".into()).spawn(work);
        spawned
            .map(drop)
            .map_err(|error| Error::network("cannot start a thread for a request", error))
    }
}

/// Returns the next request, or `None` after [`IDLE`].
fn await_request(connection: &SocketConnection) -> Option<Arrived> {
    let end = clock::now() + IDLE;
    let mut state = connection.link().lock();
    state.idle += 1;
    loop {
        let left = end.saturating_duration_since(clock::now());
        if state.ended.is_some() || left.is_zero() || !state.requests.is_empty() {
            state.idle -= 1;
            return state.requests.pop_front();
        }
        let arrived = Arc::clone(&state.arrived);
        state = wait_for(&arrived, state, left);
    }
}

fn answer(connection: &SocketConnection, handler: &Handler, arrived: &Arrived) {
    let (link, number) = (connection.link(), arrived.number);
    let sent = catch_unwind(AssertUnwindSafe(|| {
        let (response, is_head) = handled(connection, handler, arrived);
        respond(connection, number, response, is_head)
    }));
    match sent {
        Ok(Ok(())) => link.done(number),
        Ok(Err(Stop::Failed(Error::Body(error)))) => link.panicked(number, error.to_string()),
        // The request was cancelled: no response is needed.
        Ok(Err(Stop::Answered | Stop::Failed(_))) => {}
        Err(_) => link.panicked(number, "the handler failed".into()),
    }
    link.release(number);
}

/// Returns the handler's response, and whether its body must not be sent (HEAD).
fn handled(
    connection: &SocketConnection,
    handler: &Handler,
    arrived: &Arrived,
) -> (Response<Body>, bool) {
    let mut incoming = Incoming::new(connection.owner(), arrived.number);
    let request = match heads::read_request(&arrived.head) {
        Ok(request) => request,
        Err(why) => return (plain(StatusCode::BAD_REQUEST, &why), false),
    };
    let is_head = request.method() == Method::HEAD;
    let length = if arrived.over { Some(0) } else { heads::stated_length(request.headers()) };
    incoming.expect(length);
    let mut request = request.map(|()| match length {
        Some(length) => Body::sized(incoming, length),
        None => Body::from_reader(incoming),
    });
    request.extensions_mut().insert(arrived.cancellation.clone());
    let failed = || plain(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed");
    let response = catch_unwind(AssertUnwindSafe(|| handler(request)));
    (response.unwrap_or_else(|_| failed()), is_head)
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    let value = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    response
}

fn respond(
    connection: &SocketConnection,
    number: u32,
    response: Response<Body>,
    is_head: bool,
) -> Result<(), Stop> {
    let link = connection.link();
    let (head, body) = response.into_parts();
    let stated = heads::stated_length(&head.headers);
    let length = body.length_bytes().or(stated);
    // RFC 9110, sections 9.3.2, 15.3.5 and 15.4.5: these have no body. In a 304 and in a response
    // to HEAD, the length is that of the body GET would return (section 8.6).
    let (framed, over) = match head.status.as_u16() {
        204 => (None, true),
        304 => (stated, true),
        _ if is_head => (stated.or(length.filter(|length| *length > 0)), true),
        _ => (length, length == Some(0)),
    };
    let bytes = heads::write_response(&head, framed);
    let fits = link.change(|state| {
        let fits = state.session.takes_response(number, &bytes, over);
        if fits {
            state.session.respond(number, &bytes, over);
        }
        fits
    });
    if !fits {
        refuse(link, number);
    }
    if over || !fits {
        return Ok(());
    }
    let mut pieces = BodyPieces::new(body, length);
    loop {
        let (piece, over) = pieces.next().map_err(|error| Stop::Failed(Error::Body(error)))?;
        link.send(number, piece, over)?;
        if over {
            return Ok(());
        }
    }
}

/// Sends a 502 in place of a response that cannot be sent.
fn refuse(link: &Link, number: u32) {
    let text = format!("the answer cannot be sent: {}\n", head_too_large());
    let (head, _) = plain(StatusCode::BAD_GATEWAY, "").into_parts();
    let head = heads::write_response(&head, Some(text.len() as u64));
    link.change(|state| state.session.respond_whole(number, &head, text.as_bytes()));
}

impl Link {
    /// Cancels an exchange that failed at this end.
    pub(super) fn panicked(&self, number: u32, why: String) {
        self.cancel(number, CancelReason::Broke(why));
    }
}
