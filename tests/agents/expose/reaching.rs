//! APIs over TLS and at Unix sockets, and tunnels through a proxy.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::thread;

use crate::expose::command::{echo, echo_chunks, end, expose, url};
use crate::expose::server::Server;
use crate::expose::through_relay::{await_tunnels, exposed};
use crate::support::{
    Authority, Ending, Process, Relay, Terminator, Wire, ask, eventually, is_pattern, pattern,
};

#[test]
fn an_api_is_reached_over_tls() {
    const BYTES: usize = 2 << 20;
    let (api, authority) = (echo(), Authority::new());
    let front = Terminator::start(&authority.server("localhost"), api.address(), &[]);
    let secured = format!("https://localhost:{}", front.address().port());
    let file = authority.file();
    let cacert = file.to_str().expect("a path");
    for tunnels in [0, 2] {
        let relay = Relay::start(&[]);
        let flags = ["--tunnels", &tunnels.to_string(), "--cacert", cacert];
        let process = exposed(&secured, &relay, &flags);
        await_tunnels(&relay, tunnels);
        let mut client = Wire::connect(relay.address());
        for seed in 0..3 {
            let head = format!(
                "PUT /api/billing/a HTTP/1.1\r\nHost: h\r\nContent-Length: {BYTES}\r\n\r\n"
            );
            client.send([head.as_bytes(), &pattern(seed, BYTES)].concat());
            let response = client.response();
            assert_eq!((response.status(), response.ending), (200, Ending::Complete), "{tunnels}");
            is_pattern(seed, BYTES, &response.body).expect("what was sent");
        }
        end(process);
    }
    // Each agent connects once at its start, as a check, and keeps one connection.
    assert_eq!(api.connections(), 4);
}

#[test]
fn a_response_may_overlap_with_its_request_over_tls() {
    let (authority, relay, api) = (Authority::new(), Relay::start(&[]), echo_chunks());
    let identity = authority.server("localhost");
    let at_api = Terminator::start(&identity, api.address(), &[]);
    let at_relay = Terminator::start(&identity, relay.address(), &[]);
    let [api_url, relay_url] = [("https", at_api), ("wss", at_relay)]
        .map(|(scheme, front)| (format!("{scheme}://localhost:{}", front.address().port()), front));
    let file = authority.file();
    for tunnels in [0, 1] {
        let flags = ["--tunnels", &tunnels.to_string(), "--cacert", file.to_str().expect("a path")];
        let process = expose(&api_url.0, &relay_url.0, &flags);
        eventually("it is connected", || process.stdout().contains("billing").then_some(()));
        await_tunnels(&relay, tunnels);
        let mut client = Wire::connect(relay.address());
        client.send(
            "POST /api/billing/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        let mut sender = client.sender();
        sender.write_all(b"3\r\none\r\n").expect("room");
        assert_eq!((client.head().status, client.body(3)), (200, b"one".to_vec()), "{tunnels}");
        sender.write_all(b"3\r\ntwo\r\n").expect("room");
        assert_eq!(client.body(3), b"two", "{tunnels}");
        sender.write_all(b"0\r\n\r\n").expect("room");
        assert_eq!(client.rest(), (Vec::new(), Ending::Complete), "{tunnels}");
        end(process);
    }
}

#[test]
fn an_api_whose_certificate_is_not_trusted_is_a_bad_gateway() {
    let (api, authority, relay) = (echo(), Authority::new(), Relay::start(&[]));
    let front = Terminator::start(&authority.server("localhost"), api.address(), &[]);
    let process = exposed(&format!("https://localhost:{}", front.address().port()), &relay, &[]);
    let response = relay.exchange(&ask("GET", "/api/billing/a"));
    assert_eq!(response.status(), 502);
    assert!(response.text().contains("unknown authority"), "{}", response.text());
    assert_eq!(api.connections(), 0);
    end(process);
}

/// Reads a request of five bytes, and answers whether its host is `localhost`, and three of them.
fn serve_once(mut socket: &UnixStream) -> io::Result<()> {
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let mut body = [0; 5];
    reader.read_exact(&mut body)?;
    let is_local = u8::from(head.contains("Host: localhost\r\n"));
    write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{is_local}")?;
    socket.write_all(&body[..3])
}

#[test]
fn an_api_at_a_unix_socket_is_reached() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("api");
    let listener = UnixListener::bind(&path).expect("bind");
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            // The agent's check at its start sends nothing.
            let _ = serve_once(&socket);
        }
    });
    let relay = Relay::start(&[]);
    let api = format!("unix:{}", path.display());
    let process = exposed(&api, &relay, &[]);
    let response = relay.exchange(&ask("POST", "/api/billing/a").body("hello"));
    assert_eq!((response.status(), response.text()), (200, "1hel"));
    end(process);
}

#[test]
fn tunnels_are_opened_through_a_proxy() {
    let (api, relay) = (echo(), Relay::start(&[]));
    let address = relay.address();
    // A relay reads what a proxy is sent: only the target has another form.
    let proxy = Server::start(move |connection| {
        connection.join(address)?;
        Ok(None)
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["expose", "billing", &url(&api), "--relay", "http://relay.test"]);
    command.env_remove("no_proxy").env_remove("NO_PROXY");
    command.env("http_proxy", format!("http://{}", proxy.address()));
    let process = Process::start(command);
    eventually("the agent is connected", || {
        process.stdout().contains("/api/billing").then_some(())
    });
    await_tunnels(&relay, 4);
    let response = relay.exchange(&ask("PUT", "/api/billing/a").body("through"));
    assert_eq!((response.status(), response.text()), (200, "through"));
    end(process);
    // The agent and its tunnels: one that is early is refused, and opened again.
    assert!(proxy.connections() >= 5);
}
