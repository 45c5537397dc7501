//! Agents and their callers, both on the other side of a proxy.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use nix::sys::signal::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::curl::{CLIENTS, assert_success};
use crate::front::{Front, with_each};
use crate::support::{Process, TEST_TIMEOUT, eventually};

/// The example of RFC 6455, section 1.3: `HAProxy` checks that the response fits the key.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPTED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An API that answers each request, and echoes what follows an upgrade.
pub(crate) fn api() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(&stream));
        }
    });
    address
}

fn serve(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    if !head.to_lowercase().contains("\r\nupgrade: websocket\r\n") {
        return stream.write_all(answer(&head).as_bytes());
    }
    stream.write_all(ACCEPTED)?;
    let mut buffer = [0; 4096];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

/// A response with what the API received about its client.
fn answer(head: &str) -> String {
    let field = |name: &str| {
        let is = |line: &&str| line.to_lowercase().starts_with(name);
        head.lines().find(is).and_then(|line| line.split_once(": ")).map_or("-", |(_, value)| value)
    };
    let body = format!("{} from {}", field("x-forwarded-proto:"), field("x-forwarded-for:"));
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// A connected agent with this number of tunnels.
fn agent(front: &Front, tunnels: u64) -> Process {
    let (api, authority) = (format!("http://{}", api()), front.authority());
    let authority = authority.to_str().expect("a path");
    let origin = front.origin();
    let fixed = ["expose", "billing", &api, "--relay", &origin, "--cacert", authority];
    let process = Process::rdv(&[&fixed[..], &["--tunnels", &tunnels.to_string()]].concat());
    let shown = format!("{}\n", front.url("/api/billing"));
    eventually("the URL is printed", || (process.stdout() == shown).then_some(()));
    eventually("the tunnels are open", || {
        (front.relay.admin_get("/socket").json()[0]["spares"] == tunnels).then_some(())
    });
    process
}

/// A TLS connection to the proxy.
fn connect(front: &Front) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(front.authority()).expect("a certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let socket = TcpStream::connect(("127.0.0.1", front.https_port())).expect("connect");
    socket.set_read_timeout(Some(TEST_TIMEOUT)).expect("SO_RCVTIMEO");
    StreamOwned::new(session, socket)
}

#[test]
fn an_api_is_called_through_its_socket_and_through_tunnels() {
    with_each(&["--trusted-proxies", "127.0.0.1"], |front| {
        for tunnels in [0, 2] {
            let agent = agent(&front, tunnels);
            for client in CLIENTS {
                let url = front.url("/api/billing/a");
                let answer = front.start_curl(client, &["-f", &url]).finish();
                assert_success(client.name, &answer);
                let expected = "https from 127.0.0.1, 127.0.0.1";
                assert_eq!(answer.stdout, expected, "{:?}, {tunnels}", front.kind);
            }
            // Its name is free at once, not after its lease.
            agent.signal(Signal::SIGTERM);
            assert_success("agent", &agent.finish());
        }
    });
}

#[test]
fn websockets_reach_the_api() {
    with_each(&[], |front| {
        let _agent = agent(&front, 2);
        let mut caller = connect(&front);
        let host = front.origin().replace("https://", "");
        let request = format!(
            "GET /api/billing/ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        caller.write_all(request.as_bytes()).expect("a request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            caller.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.starts_with("HTTP/1.1 101 "), "{:?}: {head}", front.kind);
        for text in [&b"one"[..], b"two"] {
            caller.write_all(text).expect("bytes");
            let mut echoed = [0; 3];
            caller.read_exact(&mut echoed).expect("an echo");
            assert_eq!(echoed, text, "{:?}", front.kind);
        }
    });
}
