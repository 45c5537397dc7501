//! Heads of the maximum size, and larger: one exchange is refused, and no other is affected.

use crate::expose::command::{end, url};
use crate::expose::server::{Connection, Request, Server};
use crate::expose::through_relay::exposed;
use crate::support::{Ask, Relay, Wire, ask};

/// Frame bytes available for a head.
const FRAME_BYTES: usize = 64 << 10;

/// An API whose response has the number of fields, and the number of bytes in one more, given in
/// the path.
fn api() -> Server {
    Server::start(|connection| {
        loop {
            let request = connection.request()?;
            answer(connection, &request)?;
        }
    })
}

fn answer(connection: &mut Connection, request: &Request) -> std::io::Result<()> {
    let path = request.line.split(' ').nth(1).expect("a target");
    let mut wanted = path.split('/').skip(1).map(|number| number.parse().unwrap_or(0));
    let (fields, bytes): (usize, usize) = (wanted.next().unwrap_or(0), wanted.next().unwrap_or(0));
    let count = request.fields.len().to_string();
    let fields = "X-Many: 1\r\n".repeat(fields);
    let long = if bytes > 0 { format!("X-Long: {}\r\n", "x".repeat(bytes)) } else { String::new() };
    connection.send(format!(
        "HTTP/1.1 200 OK\r\n{fields}{long}Content-Length: {}\r\n\r\n{count}",
        count.len()
    ))
}

/// With this number of fields, including its host and this client's `Connection`.
fn with_fields(target: &str, count: usize) -> Ask {
    (2..count).fold(ask("GET", target).closing(), |ask, _| ask.field("X-Many", "1"))
}

#[test]
fn heads_up_to_the_limit_pass_and_only_longer_ones_are_refused() {
    for tunnels in ["0", "2"] {
        let api = api();
        let relay = Relay::start(&["--max-head", "1MiB"]);
        let process = exposed(&url(&api), &relay, &["--tunnels", tunnels]);
        // In progress during all of them.
        let mut other = Wire::connect(relay.address());
        other.send("PUT /api/billing/0 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
        let long = |bytes: usize| ask("GET", "/api/billing/0").field("X-Long", &"x".repeat(bytes));
        let target = |bytes: usize| ask("GET", &format!("/api/billing/0?{}", "x".repeat(bytes)));
        for (name, request, status) in [
            ("a plain one", ask("GET", "/api/billing/0"), 200),
            ("92 fields", with_fields("/api/billing/0", 92), 200),
            ("93 fields", with_fields("/api/billing/0", 93), 431),
            ("a long field", long(FRAME_BYTES - 1024), 200),
            ("too long a field", long(FRAME_BYTES), 431),
            ("far too long a field", long(4 * FRAME_BYTES), 431),
            ("a long target", target(FRAME_BYTES / 2 - 64), 200),
            ("too long a target", target(FRAME_BYTES / 2 + 64), 431),
            ("99 fields in the answer", ask("GET", "/api/billing/99"), 200),
            ("101 fields in the answer", ask("GET", "/api/billing/101"), 502),
            ("a long field in the answer", ask("GET", "/api/billing/0/65000"), 200),
            ("too long a field in the answer", ask("GET", "/api/billing/0/65536"), 502),
        ] {
            let response = relay.exchange(&request);
            let message = String::from_utf8_lossy(&response.body);
            assert_eq!(response.status(), status, "{name}, {tunnels}: {message}");
        }
        other.send("hi");
        assert_eq!(other.response().status(), 200, "{tunnels}: nothing happened to it");
        let printed = end(process).stderr;
        assert_eq!(printed.matches(" connected to ").count(), 1, "{tunnels}: {printed}");
    }
}
