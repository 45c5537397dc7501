//! Connection events of a server.

use rdv::socket::{Dialect, Error, EventKind, SocketClient, SocketServer};
use serde_json::json;

use crate::socket::pair::{DIALECTS, client, echo, get, pair, read, url};
use crate::support::eventually;

#[test]
fn connections_are_found_by_id_and_metadata() {
    let server = SocketServer::bind("127.0.0.1:0").expect("a server");
    let events = server.events();
    let mut connections = Vec::new();
    for (dialect, metadata) in
        [(Dialect::V1, json!({ "a": [1, null], "b": "x" })), (Dialect::Text, json!("dummy"))]
    {
        let client = client(&url(&server), dialect).with_metadata(metadata.clone());
        let connection = client.connect().expect("a connection");
        let event = events.recv().expect("an event");
        assert_eq!(event.kind, EventKind::ConnectionReceived);
        assert_eq!(event.connection, connection.id());
        assert_eq!(client.connection().expect("the last one").id(), connection.id());
        let found = server.connection_by_metadata(&metadata).expect("it is found");
        assert_eq!(found.id(), connection.id());
        assert_eq!(server.metadata(connection.id()), Some(metadata.clone()));
        assert_eq!((connection.metadata(), found.metadata()), (metadata.clone(), metadata));
        assert_eq!(connection.remote_addr(), server.local_addr());
        assert!(server.remote_addr(connection.id()).is_some());
        connections.push(connection);
    }
    // The order of members of an object is not significant.
    let turned = json!({ "b": "x", "a": [1, null] });
    assert_eq!(server.connection_by_metadata(&turned).map(|it| it.id()), Some(connections[0].id()));
    assert!(server.connection_by_metadata(&json!("other")).is_none());
    assert!(server.connection(uuid::Uuid::nil()).is_none());
    let mut active = server.active_connections();
    active.sort_unstable();
    let mut ids: Vec<_> = connections.iter().map(rdv::socket::SocketConnection::id).collect();
    ids.sort_unstable();
    assert_eq!(active, ids);
    for connection in connections {
        let id = connection.id();
        connection.close();
        let event = events.recv().expect("an event");
        assert_eq!((event.kind, event.connection), (EventKind::ConnectionClosed, id));
        assert!(server.connection(id).is_none());
    }
}

#[test]
fn connections_beyond_the_limit_of_a_server_are_refused() {
    let builder = SocketServer::builder().with_connections_max(1).serving(|_, ask| echo(ask));
    let server = builder.bind("127.0.0.1:0").expect("a server");
    let client = SocketClient::new(&url(&server)).expect("a URL");
    let first = client.connect().expect("a connection");
    let error = client.connect().expect_err("there is no room");
    assert!(matches!(error, Error::Refused { status: 503, .. }), "{error}");
    assert!(error.to_string().contains("connection limit reached"), "{error}");
    assert_eq!(read(first.round_trip(get("/a")).expect("an answer")).1, "GET /a ");
    first.close();
    let second = eventually("there is room again", || client.connect().ok());
    assert_eq!(read(second.round_trip(get("/b")).expect("an answer")).1, "GET /b ");
}

#[test]
fn a_subscriber_receives_only_later_events() {
    for dialect in DIALECTS {
        let ends = pair(dialect);
        let late = ends.server.events();
        ends.dialled.close();
        assert_eq!(late.recv().expect("an event").kind, EventKind::ConnectionClosed);
    }
}
