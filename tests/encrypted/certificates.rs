//! Certificates: of hosts, of clients, their reload, and what is refused.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use nix::sys::signal::Signal;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};

use crate::https::{Https, handshake, only, ping, serve};
use crate::support::{
    Authority, Ending, Framing, Identity, Observed, Relay, Wire, ask, assert_uploaded, certified,
    eventually, https_address, trusting,
};

#[test]
fn a_client_gets_the_certificate_for_the_host_it_names() {
    let authority = Authority::new();
    let identities = ["localhost", "*.relay.example", "other.example"].map(|n| authority.server(n));
    let identities: Vec<&Identity> = identities.iter().collect();
    let relay = Observed::of(Relay::from_command(serve(&identities, &[]), 1));
    let address = https_address(&relay);
    for (host, expected) in [
        ("localhost", Some(0)),
        ("a.relay.example", Some(1)),
        ("A.Relay.Example", Some(1)),
        ("other.example", Some(2)),
        // The first one, which is not for this host.
        ("relay.example", None),
        ("a.b.relay.example", None),
    ] {
        let found = handshake(address, host, &trusting(&authority));
        let Some(index) = expected else {
            found.expect_err(host);
            continue;
        };
        let (session, _) = found.expect(host);
        let certificate = CertificateDer::from_pem_file(identities[index].certificate());
        let shown = session.peer_certificates().expect("a certificate")[0].clone();
        assert_eq!(shown, certificate.expect("PEM"), "{host}");
    }
}

#[test]
fn a_reload_renews_the_certificate_and_keeps_connections() {
    let https = Https::start(&[]);
    let left = "rdv_tls_certificate_remaining_seconds{name=\"localhost\"}";
    assert!(https.relay.scrape().value(left) > 300.0 * 86400.0);
    let mut kept = https.connect();
    assert_eq!(kept.exchange(&ask("GET", "/ping")).status(), 200);
    let id = https.relay.create();
    let mut source = https.connect();
    source.ask(&Framing::Chunked.put(&id));
    let mut destination = https.connect();
    destination.ask(&ask("GET", &format!("/stream/{id}")));
    source.send(Framing::Chunked.piece(b"before"));
    assert_eq!(destination.head().status, 200);
    assert_eq!(destination.body(6), b"before");

    // Another certificate, and first without its key.
    let newer = https.authority.server("localhost");
    fs::copy(newer.certificate(), https.identity.certificate()).expect("the certificate");
    https.relay.signal(Signal::SIGHUP);
    https.await_log("the configuration stays as it is");
    fs::copy(newer.key(), https.identity.key()).expect("the key");
    https.relay.signal(Signal::SIGHUP);
    https.await_log("configuration reloaded; changed: tls-cert, tls-key\n");

    let (session, _) = handshake(https.address, "localhost", &trusting(&https.authority)).unwrap();
    let shown = session.peer_certificates().expect("a certificate")[0].clone();
    assert_eq!(shown, CertificateDer::from_pem_file(newer.certificate()).expect("PEM"));
    assert_eq!(kept.exchange(&ask("GET", "/ping")).status(), 200);
    source.send([&Framing::Chunked.piece(b"after")[..], Framing::Chunked.end()].concat());
    assert_eq!(destination.rest(), (b"after".to_vec(), Ending::Complete));
    assert_uploaded(&source.response());
}

#[test]
fn client_certificates_are_required_or_optional_and_named() {
    let authority = Authority::new();
    let clients = Authority::named("clients");
    let client = clients.client("ci");
    let strangers = Authority::named("strangers");
    let stranger = strangers.client("ci");
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("access.log");
    for (mode, without) in [("required", false), ("optional", true)] {
        let identity = authority.server("localhost");
        let ca = clients.file();
        let flags = [
            "--tls-client-ca",
            ca.to_str().expect("UTF-8"),
            "--tls-client-auth",
            mode,
            "--access-log",
            log.to_str().expect("UTF-8"),
            "--access-log-format",
            "%U %{tls_client}X %{tls_version}X",
        ];
        let relay = Observed::of(Relay::from_command(serve(&[&identity], &flags), 1));
        let address = https_address(&relay);
        let mut with = Wire::encrypted(address, certified(&authority, &client));
        assert_eq!(with.exchange(&ask("GET", "/ping?with")).status(), 200, "{mode}");
        eventually("a line", || {
            fs::read_to_string(&log).ok().filter(|text| text.contains("/ping CN=ci TLSv1.3\n"))
        });
        relay.await_value("rdv_tls_client_connections_total{subject=\"CN=ci\"}", 1.0);
        let works = |config: Arc<ClientConfig>| {
            let done = handshake(address, "localhost", &config);
            done.and_then(|(mut session, mut socket)| ping(&mut session, &mut socket)).is_ok()
        };
        assert_eq!(works(trusting(&authority)), without, "{mode}: without a certificate");
        assert!(!works(certified(&authority, &stranger)), "{mode}: of another authority");
    }
}

#[test]
fn a_client_with_a_large_certificate_is_served() {
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let ca = authority.file();
    let flags = ["--tls-client-ca", ca.to_str().expect("UTF-8")];
    let relay = Relay::from_command(serve(&[&identity], &flags), 1);
    let address = https_address(&relay);
    for (count, has_tickets) in [(10, true), (300, false), (1_500, false)] {
        let names: Vec<_> = (0..count).map(|name| format!("{name:0>20}.client.example")).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = authority.signed(&params);
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let config = Arc::new(only(version, &authority, Some(&client)));
            // TLS 1.2 resumes by a session id as well.
            let resumes = has_tickets || version.version == ProtocolVersion::TLSv1_2;
            let then = if resumes { HandshakeKind::Resumed } else { HandshakeKind::Full };
            for kind in [HandshakeKind::Full, then] {
                let what = format!("{count} names, {:?}", version.version);
                let connected = handshake(address, "localhost", &config);
                let (mut session, mut socket) = connected.expect(&what);
                assert_eq!(session.handshake_kind(), Some(kind), "{what}");
                let text = ping(&mut session, &mut socket).expect(&what);
                assert!(text.ends_with("pong"), "{what}: {text}");
            }
        }
    }
}

#[test]
fn invalid_certificates_and_settings_are_refused_with_what_to_do() {
    let authority = Authority::new();
    let (one, other) = (authority.server("localhost"), authority.server("localhost"));
    let directory = tempfile::tempdir().expect("a directory");
    let empty = directory.path().join("empty.pem");
    fs::write(&empty, "").expect("a file");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (cert, key, other_key, empty) =
        (text(one.certificate()), text(one.key()), text(other.key()), text(&empty));
    for (name, flags, expected) in [
        ("no key", vec!["--tls-cert", &cert], "1 tls-cert and 0 tls-key: each certificate needs"),
        (
            "another key",
            vec!["--tls-cert", &cert, "--tls-key", &other_key],
            "is not the key of the certificate in",
        ),
        ("no certificate", vec!["--tls-listen", ":0"], "tls-listen needs tls-cert and tls-key"),
        ("an empty file", vec!["--tls-cert", &empty, "--tls-key", &key], "no certificate (PEM)"),
        ("a key as a certificate", vec!["--tls-cert", &key], "no certificate (PEM)"),
        (
            "a certificate as a key",
            vec!["--tls-cert", &cert, "--tls-key", &cert],
            "no private key that can be used",
        ),
        ("no file", vec!["--tls-cert", "/nonexistent"], "/nonexistent: no such file"),
        (
            "an address of another machine",
            vec!["--tls-listen=192.0.2.1:443", "--tls-cert", &cert, "--tls-key", &key],
            "cannot listen on 192.0.2.1:443: this machine has no such address",
        ),
        ("a redirect to nowhere", vec!["--http-redirect"], "http-redirect needs tls-cert and"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        let output = command.arg("check-config").args(&flags).output().expect("rdv");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name}");
        assert!(error.contains(expected), "{name}: {error}");
        assert!(!error.contains("PRIVATE KEY"), "{name}: {error}");
    }
}

#[test]
fn an_expired_certificate_is_reported_before_a_client_refuses_it() {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2001, 2, 1);
    let https = Https::start(&[]);
    let expired = https.authority.signed(&params);
    let found = "the certificate of localhost has expired: clients refuse it; renew it";
    for (command, status, line) in
        [("check-config", 0, "rdv: warning: "), ("doctor", 1, "bad   certificate     ")]
    {
        let mut rdv = Command::new(env!("CARGO_BIN_EXE_rdv"));
        rdv.args([command, "--listen", "127.0.0.1:0", "--tls-cert"]).arg(expired.certificate());
        let output = rdv.arg("--tls-key").arg(expired.key()).output().expect("rdv");
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        assert!(printed.contains(&format!("{line}{found}")), "{command}: {printed}");
        assert_eq!(output.status.code(), Some(status), "{command}: {printed}");
    }
    assert!(!https.relay.process().stderr().contains(found));
    fs::copy(expired.certificate(), https.identity.certificate()).expect("the certificate");
    fs::copy(expired.key(), https.identity.key()).expect("the key");
    https.relay.signal(Signal::SIGHUP);
    https.await_log(found);
    let started = Relay::from_command(serve(&[&expired], &[]), 1);
    eventually(found, || started.process().stderr().contains(found).then_some(()));
}
