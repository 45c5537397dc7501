//! What only TLS has: handshakes, mixed transports, redirects, listeners.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, SupportedProtocolVersion,
};

use crate::support::{
    ADMIN, Authority, ClosedPort, Ending, Framing, Identity, Lineage, Observed, Relay, Wire, ask,
    assert_error, assert_uploaded, eventually, https_address, pattern, stream_of, trusting,
};

/// A relay with HTTPS, and the authority of its certificate.
pub(crate) struct Https {
    pub(crate) relay: Observed,
    pub(crate) authority: Authority,
    pub(crate) identity: Identity,
    pub(crate) address: SocketAddr,
}

impl Https {
    pub(crate) fn start(flags: &[&str]) -> Https {
        let authority = Authority::new();
        let identity = authority.server("localhost");
        let relay = Observed::of(Relay::from_command(serve(&[&identity], flags), 1));
        let address = https_address(&relay);
        Https { relay, authority, identity, address }
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::encrypted(self.address, trusting(&self.authority))
    }

    pub(crate) fn handshakes(result: &str) -> String {
        format!("rdv_tls_handshakes_total{{result=\"{result}\"}}")
    }
}

/// The command of a relay with these certificates.
pub(crate) fn serve(identities: &[&Identity], flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]).args(ADMIN);
    for identity in identities {
        command.arg("--tls-cert").arg(identity.certificate());
        command.arg("--tls-key").arg(identity.key());
    }
    command.args(flags);
    command
}

/// A completed handshake with this name, and the session.
pub(crate) fn handshake(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<(ClientConnection, TcpStream), std::io::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut session = ClientConnection::new(config.clone(), name).expect("a session");
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok((session, socket))
}

/// Reads a response on a session, to its end.
pub(crate) fn ping(
    session: &mut ClientConnection,
    socket: &mut TcpStream,
) -> std::io::Result<String> {
    let mut stream = rustls::Stream::new(session, socket);
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A configuration with one version, and maybe a client certificate.
pub(crate) fn only(
    version: &'static SupportedProtocolVersion,
    authority: &Authority,
    client: Option<&Identity>,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).expect("PEM")).expect("a root");
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[version]).expect("a version");
    let builder = builder.with_root_certificates(roots);
    let Some(client) = client else { return builder.with_no_client_auth() };
    let chain = vec![CertificateDer::from_pem_file(client.certificate()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_file(client.key()).expect("PEM");
    builder.with_client_auth_cert(chain, key).expect("a client certificate")
}

#[test]
fn both_versions_are_served_with_http_1_1_and_resumed() {
    let https = Https::start(&[]);
    for (version, name) in [
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
    ] {
        let mut config = only(version, &https.authority, None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (mut session, mut socket) =
                handshake(https.address, "localhost", &config).expect("a handshake");
            assert_eq!(session.protocol_version(), Some(name));
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(session.handshake_kind(), Some(kind), "{name:?}");
            let text = ping(&mut session, &mut socket).expect("an end with close_notify");
            assert!(text.ends_with("pong"), "{text}");
        }
    }
    let mut config = only(&rustls::version::TLS13, &https.authority, None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let h2 = Arc::new(config.clone());
    handshake(https.address, "localhost", &h2).expect_err("h2 is not served");
    https.relay.await_value(&Https::handshakes("failed"), 1.0);
    https.relay.await_value(&Https::handshakes("complete"), 4.0);
    // What `curl --http1.0` offers.
    config.alpn_protocols = vec![b"http/1.0".to_vec()];
    handshake(https.address, "localhost", &Arc::new(config)).expect("HTTP/1.0 is served");
}

impl Https {
    pub(crate) fn await_log(&self, words: &str) {
        eventually(words, || self.relay.process().stderr().contains(words).then_some(()));
    }
}

#[test]
fn plain_http_on_the_port_of_https_gets_an_answer() {
    let https = Https::start(&[]);
    let mut wire = Wire::connect(https.address);
    wire.ask(&ask("GET", "/ping"));
    let why = Some("This port serves HTTPS only; use https:// in the URL");
    assert_error("plain", &wire.response(), (400, "BadRequestError", why));
    wire.expect_end();
    https.relay.await_value(&Https::handshakes("plain"), 1.0);
    let port = https.address.to_string();
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_rdv"));
    let doctor = doctor.args(["doctor", "--listen", "127.0.0.1:0", "--tls-listen", &port]);
    doctor.arg("--tls-cert").arg(https.identity.certificate());
    let output = doctor.arg("--tls-key").arg(https.identity.key()).output().expect("rdv");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains(&format!("{port} is served by rdv, which answers")), "{printed}");
}

#[test]
fn what_is_neither_tls_nor_http_is_closed() {
    let https = Https::start(&[]);
    let mut socket = TcpStream::connect(https.address).expect("connect");
    socket.write_all(&[0x16, 3, 1, 0, 4, 9, 9, 9, 9]).expect("a record of nonsense");
    let mut received = Vec::new();
    let _ = socket.read_to_end(&mut received);
    // An alert (RFC 8446, section 6), then the end.
    assert_eq!(received.first().copied().unwrap_or(21), 21, "{received:?}");
    https.relay.await_value(&Https::handshakes("failed"), 1.0);
}

#[test]
fn invalid_records_end_their_connection_only() {
    let https = Https::start(&[]);
    let config = trusting(&https.authority);
    let record = [&[23, 3, 3, 0, 50][..], &[7; 50]].concat();
    for records in [1, 2, 100] {
        let (_, mut socket) = handshake(https.address, "localhost", &config).expect("a handshake");
        socket.write_all(&record.repeat(records)).expect("records");
        let mut received = Vec::new();
        let _ = socket.read_to_end(&mut received);
        assert_eq!(https.connect().exchange(&ask("GET", "/ping")).status(), 200, "{records}");
    }
}

/// A client with an older version only, by another implementation.
const OLD_CLIENT: &str = "import socket, ssl, sys, warnings
warnings.simplefilter('ignore')
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.set_ciphers('ALL:@SECLEVEL=0')
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, sys.argv[2])
try:
    context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))))
except ssl.SSLError as error:
    print(error.reason)";

#[test]
fn older_versions_are_refused_with_an_alert() {
    let https = Https::start(&[]);
    for version in ["TLSv1", "TLSv1_1"] {
        let port = https.address.port().to_string();
        let output = Command::new("python3").args(["-c", OLD_CLIENT, &port, version]).output();
        let output = output.expect("python3");
        let reason = String::from_utf8_lossy(&output.stdout);
        assert!(reason.contains("ALERT"), "{version}: {reason} {output:?}");
        assert_eq!(https.connect().exchange(&ask("GET", "/ping")).status(), 200, "{version}");
    }
}

#[test]
fn handshakes_have_a_deadline() {
    let https = Https::start(&["--header-timeout", "500ms"]);
    let mut silent = TcpStream::connect(https.address).expect("connect");
    assert_eq!(silent.read_to_end(&mut Vec::new()).expect("a FIN"), 0);
    https.relay.await_value(&Https::handshakes("timeout"), 1.0);
}

#[test]
fn handshakes_have_a_limit() {
    let https = Https::start(&["--header-timeout", "1h", "--max-handshakes", "1"]);
    let silent = TcpStream::connect(https.address).expect("connect");
    https.relay.await_value("rdv_connections{phase=\"handshake\"}", 1.0);
    let mut second = TcpStream::connect(https.address).expect("connect");
    let _ = second.read_to_end(&mut Vec::new());
    https.relay.await_value(&Https::handshakes("refused"), 1.0);
    drop(silent);
    https.relay.await_value("rdv_connections{phase=\"handshake\"}", 0.0);
    assert_eq!(https.connect().exchange(&ask("GET", "/ping")).status(), 200, "a place is free");
}

#[test]
fn one_address_cannot_have_all_handshakes() {
    let flags = ["--proxy-protocol=required", "--max-handshakes=4", "--header-timeout=1h"];
    let https = Https::start(&flags);
    let connect = |client: &str| {
        let mut socket = TcpStream::connect(https.address).expect("connect");
        let header = format!("PROXY TCP4 {client} 127.0.0.1 4711 443\r\n");
        socket.write_all(header.as_bytes()).expect("a PROXY header");
        socket
    };
    let _silent = ["192.0.2.7"; 2].map(connect);
    https.relay.await_value("rdv_connections{phase=\"handshake\"}", 2.0);
    let _ = connect("192.0.2.7").read_to_end(&mut Vec::new());
    https.relay.await_value(&Https::handshakes("refused"), 1.0);
    let config = trusting(&https.authority);
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(config, name).expect("a session");
    let text = ping(&mut session, &mut connect("192.0.2.8")).expect("another address is served");
    assert!(text.ends_with("pong"), "{text}");
}

#[test]
fn requests_on_plain_listeners_are_redirected() {
    let https = Https::start(&["--http-redirect"]);
    let port = https.address.port();
    for (method, target, host, status) in [
        ("GET", "/stream/x?a=b", "relay.example:80", 308),
        ("PUT", "/stream/x?a=b", "relay.example", 308),
        ("GET", "/stream/x?a=b", "", 400),
    ] {
        let mut wire = Wire::connect(https.relay.address());
        let response = wire.exchange(&crate::support::Ask::to_host(method, target, host).length(0));
        assert_eq!(response.status(), status, "{method} {host:?}: {}", response.text());
        if status == 308 {
            let location = format!("https://relay.example:{port}{target}");
            assert_eq!(response.head.get("Location"), Some(&*location));
        }
    }
    assert_eq!(https.connect().exchange(&ask("GET", "/ping")).status(), 200);
}

#[test]
fn a_proxy_header_precedes_the_handshake() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    let https = Https::start(&[
        "--proxy-protocol=required",
        "--trusted-proxies=127.0.0.1",
        "--access-log",
        log.to_str().expect("UTF-8"),
        "--access-log-format",
        "%a %U %{tls_version}X",
    ]);
    for at_once in [true, false] {
        let config = trusting(&https.authority);
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(config, name).expect("a session");
        let mut socket = TcpStream::connect(https.address).expect("connect");
        let mut first = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n".to_vec();
        if at_once {
            session.write_tls(&mut first).expect("a client hello");
        }
        socket.write_all(&first).expect("a PROXY header");
        let text = ping(&mut session, &mut socket).expect("an end with close_notify");
        assert!(text.ends_with("pong"), "{at_once}: {text}");
    }
    let line = "192.0.2.7 /ping TLSv1.3\n";
    eventually("two lines", || {
        fs::read_to_string(&log).ok().filter(|text| *text == line.repeat(2))
    });
}

#[test]
fn a_client_with_tls_at_a_proxy_is_not_redirected() {
    let https = Https::start(&["--http-redirect", "--proxy-protocol", "required"]);
    // A PROXY header of version 2 for 192.0.2.1; then the field of a client with TLS (0x20).
    let header = |fields: &[u8]| {
        let length = u8::try_from(12 + fields.len()).expect("a short header");
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".to_vec();
        header.extend([length, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 9]);
        [&header[..], fields].concat()
    };
    for (fields, status) in [(&[][..], 308), (&[0x20, 0, 5, 1, 0, 0, 0, 0], 200)] {
        let mut wire = Wire::connect(https.relay.address());
        wire.send(header(fields));
        assert_eq!(wire.exchange(&ask("GET", "/ping")).status(), status, "{fields:?}");
    }
}

#[test]
fn each_side_may_use_another_transport() {
    let https = Https::start(&[]);
    let data = pattern(77, 3_000_000);
    for framing in [Framing::Length(data.len()), Framing::Chunked] {
        for (from, to) in [(true, true), (true, false), (false, true)] {
            let side = |tls| {
                if tls { https.connect() } else { Wire::connect(https.relay.address()) }
            };
            let id = https.relay.create();
            let (mut source, mut destination) = (side(from), side(to));
            source.ask(&framing.put(&id));
            destination.ask(&ask("GET", &format!("/stream/{id}")));
            let mut sender = source.handle();
            let body = [&framing.piece(&data)[..], framing.end()].concat();
            std::thread::scope(|scope| {
                scope.spawn(move || sender.write_all(&body).expect("the body"));
                let download = destination.response();
                assert_eq!(download.ending, Ending::Complete);
                assert!(download.body == data, "{framing:?}, TLS: {from}, {to}");
            });
            assert_uploaded(&source.response());
        }
    }
}

#[test]
fn an_upload_that_is_cut_without_close_notify_is_broken() {
    let https = Https::start(&[]);
    for framing in [Framing::Length(10), Framing::Chunked] {
        let id = https.relay.create();
        let mut source = https.connect();
        source.ask(&framing.put(&id));
        let mut destination = https.connect();
        destination.ask(&ask("GET", &format!("/stream/{id}")));
        source.send(framing.piece(b"hello"));
        assert_eq!(destination.head().status, 200);
        assert_eq!(destination.body(5), b"hello");
        source.cut();
        // The client of the tests fails if this end has a close_notify.
        assert_eq!(destination.rest(), (Vec::new(), Ending::Closed), "{framing:?}");
        https.relay.await_state(&id, "SRC_DISCONNECTED");
    }
}

#[test]
fn the_listener_is_handed_over_with_its_certificate() {
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let first = Relay::from_command(serve(&[&identity], &["--http-redirect"]), 1);
    let address = https_address(&first);
    let mut kept = Wire::connect(first.address());
    let mut redirect =
        || kept.exchange(&ask("GET", "/ping")).head.get("Location").map(str::to_owned);
    let location = redirect();
    assert_eq!(location, Some(format!("https://relay.test:{}/ping", address.port())));
    let mut lineage = Lineage { first, successors: Vec::new() };
    let mut waiting = Wire::encrypted(address, trusting(&authority));
    let id = stream_of(&waiting.exchange(&ask("POST", "/stream")));
    drop(waiting);
    lineage.hand_over();
    assert_eq!(redirect(), location, "by the process that drains");
    lineage.await_end_of_first();
    let mut next = Wire::encrypted(address, trusting(&authority));
    assert_eq!(next.exchange(&ask("GET", &format!("/stream/{id}/status"))).status(), 200);
}

#[test]
fn a_hand_over_to_settings_without_https_ends_it() {
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rdv.toml");
    let (certificate, key) = (identity.certificate(), identity.key());
    let port = ClosedPort::new();
    let listen = port.address();
    let https =
        format!("tls-listen = \"{listen}\"\ntls-cert = {certificate:?}\ntls-key = {key:?}\n");
    fs::write(&file, https).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&file).args(ADMIN);
    let first = Relay::from_command(command, 1);
    let address = https_address(&first);
    let mut lineage = Lineage { first, successors: Vec::new() };
    fs::write(&file, "").expect("a file");
    lineage.hand_over();
    lineage.await_log("a socket for HTTPS was passed, and is closed: tls-cert is not set");
    lineage.await_end_of_first();
    assert!(TcpStream::connect(address).is_err(), "nothing listens");
}

#[test]
fn nothing_is_redirected_until_a_restart_opens_the_listener() {
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rdv.toml");
    fs::write(&file, "").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&file).args(ADMIN);
    let relay = Relay::from_command(command, 1);
    let (certificate, key) = (identity.certificate(), identity.key());
    let https = "http-redirect = true\ntls-listen = \"127.0.0.1:0\"\n";
    let files = format!("tls-cert = {certificate:?}\ntls-key = {key:?}\n");
    fs::write(&file, [https, &files].concat()).expect("a file");
    relay.signal(Signal::SIGHUP);
    eventually("a warning", || {
        let logged = relay.process().stderr();
        logged.contains("http-redirect has no effect before a restart").then_some(())
    });
    assert_eq!(Wire::connect(relay.address()).exchange(&ask("GET", "/ping")).status(), 200);
}
