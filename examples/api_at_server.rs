//! The API is at the end that accepts connections, and is called from the end that dials. Bodies are
//! streamed:
//!
//! ```sh
//! cargo run --example api_at_server
//! ```

use http::{Request, Response, StatusCode};
use rdv::socket::{Body, SocketClient, SocketServer};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let server = SocketServer::builder()
        .serving(|connection, request| match request.uri().path() {
            "/whoami" => Response::new(Body::from(connection.metadata().to_string())),
            "/upper" => Response::new(Body::from_reader(Upper(request.into_body()))),
            _ => {
                let mut response = Response::new(Body::from("not found"));
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        })
        .bind("127.0.0.1:0")?;

    let url = format!("ws://{}", server.local_addr());
    let client = SocketClient::new(&url)?.with_metadata(serde_json::json!("a dummy"));
    let connection = client.connect()?;
    println!("connected to {url} as {}", connection.id());
    for (path, body) in [("/whoami", ""), ("/upper", "a body that streams"), ("/other", "")] {
        let answer = connection.round_trip(Request::post(path).body(body)?)?;
        let status = answer.status();
        let body = answer.into_body().into_bytes(1 << 20)?;
        println!("{path}: {status}, {}", String::from_utf8_lossy(&body));
    }
    connection.close();
    Ok(())
}

/// A body in capital letters, converted as it is read.
struct Upper(Body);

impl std::io::Read for Upper {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        buffer[..count].make_ascii_uppercase();
        Ok(count)
    }
}
