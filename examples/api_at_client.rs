//! The API is at the end that dials, as behind a NAT, and is called from the end that was dialled:
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
    println!("the server takes connections at {url}");

    // This half runs where nobody can dial.
    let api = thread::spawn(move || -> Result<(), rdv::socket::Error> {
        let metadata = json!({ "name": "billing" });
        let connection = SocketClient::new(&url)?.with_metadata(metadata).connect()?;
        println!("the client serves its API as {}", connection.id());
        connection.serve(|request| {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            Response::new(Body::from(format!("you asked with {method} for {path}")))
        })
    });

    // And this one where the calls come from.
    let event = events.recv()?;
    println!("the server sees {:?}: {}", event.kind, event.connection);
    let connection = server.connection(event.connection).ok_or("it is gone again")?;
    println!("it says of itself: {}", connection.metadata());
    for path in ["/invoices/1", "/invoices/2"] {
        let answer = connection.round_trip(Request::get(path).body(())?)?;
        let status = answer.status();
        let body = answer.into_body().into_bytes(1 << 20)?;
        println!("{path}: {status}, {}", String::from_utf8_lossy(&body));
    }
    server.stop();
    api.join().map_err(|_| "the API failed")??;
    println!("the API has ended with the server");
    Ok(())
}
