//! Notifications of ended streams: what is sent, to which addresses, and which clients can have one sent.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::NamedTempFile;

use crate::support::{
    ADMIN, Authority, Lineage, Observed, Relay, TEST_TIMEOUT, Terminator, TokenFile, Wire, ask,
    assert_error, assert_uploaded, eventually, stream_of,
};

/// The key, and the secret in the form of Standard Webhooks.
const KEY: &[u8] = b"0123456789abcdef01234567";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// A secret in a file that only its owner can read.
struct Secret(NamedTempFile);

impl Secret {
    fn new() -> Secret {
        let file = NamedTempFile::new().expect("a file");
        fs::write(file.path(), format!("{SECRET}\n")).expect("a secret");
        Secret(file)
    }

    /// Flags of a relay that notifies receivers on this machine, for every creator of a stream.
    fn flags(&self) -> Vec<&str> {
        let file = self.0.path().to_str().expect("UTF-8");
        vec!["--notify-secret-file", file, "--notify-allow", "127.0.0.0/8", "--open-notify"]
    }
}

/// A request that a receiver got.
struct Received {
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Received {
    fn field(&self, name: &str) -> &str {
        let mut found = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = &found.next().unwrap_or_else(|| panic!("no {name}")).1;
        assert!(found.next().is_none(), "{name} is repeated");
        value
    }

    /// The body, after a check of its signature.
    fn verified(&self) -> Value {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key");
        let (id, time) = (self.field("webhook-id"), self.field("webhook-timestamp"));
        mac.update(format!("{id}.{time}.").as_bytes());
        mac.update(&self.body);
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(self.field("webhook-signature"), format!("v1,{signature}"));
        assert_eq!(self.field("content-type"), "application/json");
        assert!(id.starts_with("msg_") && !id.contains('.'), "{id}");
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A receiver of notifications, which answers each with the next status, the last one repeatedly.
struct Receiving {
    address: SocketAddr,
    requests: Receiver<Received>,
}

impl Receiving {
    fn answering(answers: &'static [&'static str]) -> Receiving {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                let socket = socket.expect("a connection");
                let answer = answers[number.min(answers.len() - 1)];
                let Some(received) = receive(&socket) else { continue };
                let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
                let _ = (&socket).write_all(head.as_bytes());
                if sender.send(received).is_err() {
                    return;
                }
            }
        });
        Receiving { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/hook?secret=s3cr3t", self.address)
    }

    fn next(&self) -> Received {
        self.requests.recv_timeout(TEST_TIMEOUT).expect("a notification")
    }

    fn assert_no_other(&self) {
        assert!(self.requests.try_recv().is_err(), "no other notification was sent");
    }
}

/// Reads a request with a declared length.
fn receive(socket: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(socket);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let target = lines[0].strip_prefix("POST ")?.split(' ').next()?.to_owned();
    let fields = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut received = Received { target, fields, body: Vec::new() };
    received.body.resize(received.field("content-length").parse().ok()?, 0);
    reader.read_exact(&mut received.body).ok()?;
    Some(received)
}

fn create(relay: &Relay, url: &str) -> String {
    relay.create_with(&json!({ "notify_url": url }))
}

fn delete(relay: &Relay, id: &str) {
    assert_eq!(relay.exchange(&ask("DELETE", &format!("/stream/{id}"))).status(), 204);
}

fn results(relay: &Observed, result: &str, count: f64) {
    relay.await_value(&format!("rdv_notifications_total{{result=\"{result}\"}}"), count);
}

/// What ends a stream.
type End = fn(&Relay, &str);

#[test]
fn each_ending_is_notified_once_with_the_status_and_a_signature() {
    let (secret, receiver) = (Secret::new(), Receiving::answering(&["204 No Content"]));
    let relay = Observed::start(&[&secret.flags()[..], &["--ttl=3s"]].concat());
    let endings: [(&str, End); 3] = [
        ("FINISHED", |relay, id| {
            let mut source = relay.connect();
            source.ask(&ask("PUT", &format!("/stream/{id}")).body("12345"));
            assert_eq!(relay.get(&format!("/stream/{id}")).text(), "12345");
            assert_uploaded(&source.response());
        }),
        ("CLIENT_ERROR", delete),
        ("TIMEOUT_NO_SRC_NO_DST", |_, _| ()),
    ];
    for (state, end) in endings {
        let id = create(&relay, &receiver.url());
        end(&relay, &id);
        let request = receiver.next();
        assert_eq!(request.target, "/hook?secret=s3cr3t", "{state}");
        assert_eq!(request.field("host"), receiver.address.to_string(), "{state}");
        let status = request.verified();
        assert_eq!(status["state"], state);
        assert_eq!(status, relay.status(&id), "{state}");
    }
    results(&relay, "delivered", 3.0);
    receiver.assert_no_other();
    let admin = relay.admin_exchange(&ask("GET", "/stream"));
    for shown in [admin.text(), &relay.process().stderr()] {
        assert!(!shown.contains("hook") && !shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn a_failed_notification_is_repeated_with_the_same_id() {
    let secret = Secret::new();
    let receiver = Receiving::answering(&["503 Service Unavailable", "200 OK"]);
    let relay = Observed::start(&secret.flags());
    let id = create(&relay, &receiver.url());
    delete(&relay, &id);
    let [first, second] = [receiver.next(), receiver.next()];
    assert_eq!(first.verified(), second.verified());
    assert_eq!(first.field("webhook-id"), second.field("webhook-id"));
    results(&relay, "delivered", 1.0);
}

#[test]
fn a_receiver_that_answers_410_is_not_notified_again() {
    let (secret, receiver) = (Secret::new(), Receiving::answering(&["410 Gone"]));
    let relay = Observed::start(&secret.flags());
    let id = create(&relay, &receiver.url());
    delete(&relay, &id);
    receiver.next().verified();
    results(&relay, "gone", 1.0);
    let logged = format!("notification failed stream={}... host=127.0.0.1 reason=", &id[..8]);
    eventually("it is logged", || relay.process().stderr().contains(&logged).then_some(()));
    receiver.assert_no_other();
}

#[test]
fn addresses_that_are_not_public_are_refused() {
    let (secret, receiver) = (Secret::new(), Receiving::answering(&["200 OK"]));
    let port = receiver.address.port();
    // 192.0.2.0/24 is for documentation.
    let flags = [&secret.flags()[..2], &["--notify-allow", "192.0.2.0/24", "--open-notify"]];
    let relay = Observed::start(&flags.concat());
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[fd00::1]",
        "[fe80::1]",
        "localhost",
    ];
    for host in hosts {
        let id = create(&relay, &format!("http://{host}:{port}/hook"));
        delete(&relay, &id);
        let logged = format!("notification failed stream={}... host=", &id[..8]);
        let reason = eventually(&format!("{host} is refused"), || {
            let log = relay.process().stderr();
            log.lines().find(|line| line.contains(&logged)).map(str::to_owned)
        });
        assert!(reason.contains("is not public (notify-allow)"), "{host}: {reason}");
        assert!(!reason.contains("hook"), "{reason}");
    }
    results(&relay, "refused", f64::from(u8::try_from(hosts.len()).expect("few")));
    receiver.assert_no_other();
}

#[test]
fn a_notification_needs_a_token_with_its_scope_and_a_secret() {
    let (secret, receiver) = (Secret::new(), Receiving::answering(&["200 OK"]));
    let tokens = TokenFile::new(&[
        ("ci", "create", "create-0123456789abcdef"),
        ("hooks", "create,notify", "notify-0123456789abcdef"),
    ]);
    let creation = |token: Option<&str>| {
        let request =
            ask("POST", "/stream").body(json!({ "notify_url": receiver.url() }).to_string());
        match token {
            Some(token) => {
                request.field("Authorization", &format!("Bearer {token}-0123456789abcdef"))
            }
            None => request,
        }
    };
    let closed = &secret.flags()[..4];
    let with_tokens = [closed, &["--tokens", tokens.path()]].concat();
    let scope = "Only a token with the scope notify can set notify_url";
    let off = "This relay sends no notifications (notify-secret-file)";
    for (name, flags, token, status, message) in [
        ("without tokens", closed, None, 403, scope),
        ("another scope", &with_tokens, Some("create"), 403, scope),
        ("no secret", &["--tokens", tokens.path()], Some("notify"), 400, off),
        ("no secret, open", &["--open-notify"], None, 400, off),
    ] {
        let relay = Relay::start(flags);
        let answer = relay.exchange(&creation(token));
        let kind = if status == 400 { "InvalidBodyError" } else { "ForbiddenError" };
        assert_error(name, &answer, (status, kind, Some(message)));
    }
    let relay = Relay::start(&with_tokens);
    let id = stream_of(&relay.exchange(&creation(Some("notify"))));
    delete(&relay, &id);
    assert_eq!(receiver.next().verified()["id"], *id);
}

#[test]
fn a_secret_must_be_valid_and_its_file_private() {
    let secret = Secret::new();
    let path = secret.0.path();
    let check = |hint: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        let output = command.args(["check-config", "--notify-secret-file"]).arg(path).output();
        let output = output.expect("rdv check-config");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), hint.is_empty(), "{text}");
        assert!(text.contains(hint) && !text.contains("MDEy"), "{text}");
    };
    check("");
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("permissions");
    check("chmod 600");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("permissions");
    fs::write(path, "whsec_MDEy!").expect("a secret");
    check("base64");
    fs::write(path, "\n").expect("a secret");
    check("empty");
}

#[test]
fn pending_notifications_are_sent_before_the_relay_ends() {
    let secret = Secret::new();
    let receiver = Receiving::answering(&["500 Internal Server Error", "200 OK"]);
    let relay = Relay::start(&secret.flags());
    let id = create(&relay, &receiver.url());
    // It ends with the relay.
    let mut source = relay.connect();
    source.ask(&ask("PUT", &format!("/stream/{id}")).length(5));
    relay.await_state(&id, "SRC_CONNECTED");
    relay.signal(Signal::SIGTERM);
    let first = receiver.next();
    assert_eq!(first.verified()["state"], "CLIENT_ERROR");
    assert!(relay.finish().status.success());
    assert_eq!(receiver.next().field("webhook-id"), first.field("webhook-id"));
}

#[test]
fn a_stream_that_was_handed_over_notifies_its_url() {
    let (secret, receiver) = (Secret::new(), Receiving::answering(&["200 OK"]));
    let mut line = Lineage::start(&secret.flags());
    let id = create(&line.first, &receiver.url());
    line.hand_over();
    line.await_end_of_first();
    let deleted = Wire::connect(line.address()).exchange(&ask("DELETE", &format!("/stream/{id}")));
    assert_eq!(deleted.status(), 204);
    assert_eq!(receiver.next().verified()["id"], *id);
    receiver.assert_no_other();
}

#[test]
fn notifications_over_tls_are_for_the_host_of_the_url() {
    let (secret, receiver) = (Secret::new(), Receiving::answering(&["200 OK"]));
    let (authority, other) = (Authority::new(), Authority::named("another authority"));
    let [trusted, untrusted] = [&authority, &other]
        .map(|authority| Terminator::start(&authority.server("localhost"), receiver.address, &[]));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(ADMIN).args(secret.flags());
    command.args(["--notify-allow", "::1"]).env("SSL_CERT_FILE", authority.file());
    let relay = Observed::of(Relay::from_command(command, 1));
    // In this order: an attempt at the first one precedes the second.
    let [_, id] = [&untrusted, &trusted].map(|terminator| {
        let id = create(&relay, &terminator.url());
        delete(&relay, &id);
        id
    });
    let request = receiver.next();
    assert_eq!(request.verified()["id"], *id);
    let host = format!("localhost:{}", trusted.address().port());
    assert_eq!(request.field("host"), host);
    results(&relay, "delivered", 1.0);
}
