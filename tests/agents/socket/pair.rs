//! A server and a connection to it.

use std::net::ToSocketAddrs;
use std::sync::mpsc::Receiver;

use http::{Request, Response};
use rdv::socket::{
    Body, ConnectionEvent, Dialect, Error, SocketClient, SocketConnection, SocketServer, Stop,
};

/// Both ends of one connection.
pub(crate) struct Pair {
    pub(crate) server: SocketServer,
    pub(crate) events: Receiver<ConnectionEvent>,
    pub(crate) dialled: SocketConnection,
    pub(crate) accepted: SocketConnection,
}

pub(crate) const DIALECTS: [Dialect; 2] = [Dialect::V1, Dialect::Text];

pub(crate) fn url(server: &SocketServer) -> String {
    format!("ws://{}", server.local_addr())
}

/// A client with this dialect.
pub(crate) fn client(url: &str, dialect: Dialect) -> SocketClient {
    let client = SocketClient::new(url).expect("a URL");
    match dialect {
        Dialect::Text => client.text_only(),
        Dialect::V1 => client,
    }
}

pub(crate) fn pair(dialect: Dialect) -> Pair {
    pair_at("127.0.0.1:0", dialect)
}

/// A server at this address, and a connection to it.
pub(crate) fn pair_at(address: impl ToSocketAddrs, dialect: Dialect) -> Pair {
    let server = SocketServer::bind(address).expect("a server");
    let events = server.events();
    let dialled = client(&url(&server), dialect).connect().expect("a connection");
    assert_eq!(dialled.dialect(), dialect);
    let event = events.recv().expect("an event");
    assert_eq!(event.connection, dialled.id());
    let accepted = server.connection(dialled.id()).expect("it is known");
    Pair { server, events, dialled, accepted }
}

/// Serves on a thread, which returns the result of `serve`.
pub(crate) fn serving(
    connection: &SocketConnection,
    handler: impl Fn(Request<Body>) -> Response<Body> + Send + Sync + 'static,
) -> std::thread::JoinHandle<Result<(), Error>> {
    let connection = connection.clone();
    std::thread::spawn(move || connection.serve(handler))
}

/// Responds with the request it received.
pub(crate) fn echo(request: Request<Body>) -> Response<Body> {
    let line = format!("{} {} ", request.method(), request.uri());
    let body = request.into_body().into_bytes(1 << 20).expect("a body");
    Response::new(Body::from([line.into_bytes(), body].concat()))
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).body(body.into()).expect("a request")
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

/// The status and the body of a response.
pub(crate) fn read(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().into_bytes(1 << 20).expect("the complete body");
    (status, String::from_utf8(body).expect("text"))
}

/// Options without settings.
pub(crate) fn never() -> Stop {
    Stop::new()
}
