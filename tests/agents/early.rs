//! A response of the relay's API can be complete before the agent's request is.

use std::net::TcpListener;

use rdv::mux::frame::CancelReason;
use rdv::mux::handshake::Dialect;
use rdv::mux::session::Cancelled;
use serde_json::{Value, json};

use crate::agent::{Agent, ok};
use crate::support::{Relay, eventually};
use crate::tunnel::Tunnel;

#[test]
fn an_endless_request_of_an_agent_ends_with_its_response() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address").to_string();
    // A leaked exchange would use up the limit and block further requests of the agent.
    let relay = Relay::start(&["--socket-api", &address, "--max-agent-requests", "1"]);
    let mut agent = Agent::connect(&relay, Dialect::V1, Value::Null);
    let keeps = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n";
    for (name, answer, body) in [
        ("sized", format!("{}early", ok(5)), "early"),
        ("in chunks", keeps.to_owned(), "early"),
        ("empty", "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
        ("refused", "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n".to_owned(), ""),
    ] {
        let head = b"POST / HTTP/1.1\r\nHost: api.test\r\n\r\n";
        let number = agent.session.request(head, false).expect("open");
        agent.send(number, b"the beginning", false);
        let (stream, _) = listener.accept().expect("the API is called");
        let mut api = Tunnel::over(stream);
        api.head();
        api.send(answer);
        let (_, answered) = agent.recv_response(number);
        assert_eq!(answered, body.as_bytes(), "{name}");
        assert_eq!(agent.recv_cancel(number), Cancelled::There(CancelReason::Done), "{name}");
        // Frames in flight for the finished exchange are ignored.
        let late = crate::agent::frame(3, 0, number, b"more");
        agent.send_raw(&late);
        eventually("no exchange is in progress", || {
            (relay.admin_get("/socket").json()[0]["requests_in_flight"] == json!(0)).then_some(())
        });
        drop(api);
    }
}
