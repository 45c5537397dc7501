//! The API is at the end that dials, for example in a private network, and is called from the other
//! end:
//!
//! ```sh
//! cargo run --example api_at_client
//! ```

use http::{Request, Response};
use rdv::socket::{Body, SocketClient, SocketServer};
use serde_json::json;
use std::error::Error;
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let server = SocketServer::bind("127.0.0.1:0")?;
    let events = server.events();
    let url = format!("ws://{}", server.local_addr());
    println!("listening on {url}");

    // This half runs where no connection can be made from outside.
    let api = thread::spawn(move || -> Result<(), rdv::socket::Error> {
        let metadata = json!({ "name": "billing" });
        let connection = SocketClient::new(&url)?.with_metadata(metadata).connect()?;
        println!("API connected as {}", connection.id());
        connection.serve(|request| {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            Response::new(Body::from(format!("{method} {path} received")))
        })
    });

    // This half sends the requests.
    let event = events.recv()?;
    println!("event {:?} of {}", event.kind, event.connection);
    let connection = server.connection(event.connection).ok_or("the API has disconnected")?;
    println!("metadata: {}", connection.metadata());
    for path in ["/invoices/1", "/invoices/2"] {
        let answer = connection.round_trip(Request::get(path).body(())?)?;
        let status = answer.status();
        let body = answer.into_body().into_bytes(1 << 20)?;
        println!("{path}: {status}, {}", String::from_utf8_lossy(&body));
    }
    server.stop();
    api.join().map_err(|_| "the API failed")??;
    println!("the API ended with the connection");
    Ok(())
}
