use super::*;
use crate::ops::tls::TlsSettings;
use clap::{Args as _, Command, FromArgMatches as _};
use proptest::collection::vec;
use proptest::prelude::*;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, LazyLock};

/// What accepts the connections of these tests, and a configuration that trusts it.
static ENDS: LazyLock<(Acceptor, Arc<ClientConfig>)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let command = TlsSettings::augment_args(Command::new("rdv").no_binary_name(true));
    let flags = [format!("--tls-cert={}", cert.display()), format!("--tls-key={}", key.display())];
    let matches = command.try_get_matches_from(flags).unwrap();
    let mut settings = TlsSettings::from_arg_matches(&matches).unwrap();
    settings.prepare().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (settings.acceptor().unwrap().clone(), Arc::new(config))
});

/// A session and its client, with a network between them that delivers as few bytes as it likes.
struct Pair {
    server: TlsSession,
    socket: Socket,
    client: ClientConnection,
    wire: UnixStream,
    /// Bytes of the client that were not delivered.
    queued: Vec<u8>,
    /// Bytes of the client's application that were sent, and that the server read.
    sent: Vec<u8>,
    read: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let (one, wire) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        wire.set_nonblocking(true).unwrap();
        let (acceptor, config) = &*ENDS;
        let name = ServerName::try_from("localhost").unwrap();
        Self {
            server: TlsSession::new(acceptor, false).unwrap(),
            socket: std::os::fd::OwnedFd::from(one).into(),
            client: ClientConnection::new(config.clone(), name).unwrap(),
            wire,
            queued: Vec::new(),
            sent: Vec::new(),
            read: Vec::new(),
        }
    }

    /// Completes the handshake; `false` if it failed.
    fn shake_hands(&mut self) -> bool {
        for _ in 0..64 {
            self.collect();
            self.deliver(usize::MAX);
            match self.server.handshake(&self.socket) {
                Handshake::Done => {
                    self.take_answers();
                    return true;
                }
                Handshake::Blocked => self.take_answers(),
                Handshake::Plain(_) | Handshake::Failed => return false,
            }
        }
        panic!("the handshake does not end");
    }

    /// Queues what the client has to send.
    fn collect(&mut self) {
        while self.client.wants_write() {
            self.client.write_tls(&mut self.queued).unwrap();
        }
    }

    /// Delivers at most this many bytes of the client.
    fn deliver(&mut self, most: usize) {
        let count = self.queued.len().min(most);
        if let Ok(count) = self.wire.write(&self.queued[..count]) {
            self.queued.drain(..count);
        }
    }

    /// Reads on the client what the server sent.
    fn take_answers(&mut self) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count) = self.wire.read(&mut bytes)
            && count > 0
        {
            let mut rest = &bytes[..count];
            while !rest.is_empty() {
                let took = self.client.read_tls(&mut rest);
                if took.is_err() || self.client.process_new_packets().is_err() {
                    return;
                }
                // What the server sends is not checked here.
                let mut plain = Vec::new();
                let _ = self.client.reader().read_to_end(&mut plain);
            }
        }
    }

    /// Reads on the server; `false` once that fails.
    fn read(&mut self, room: usize) -> bool {
        let mut buffer = vec![0; room];
        match self.server.read(&self.socket, &mut buffer) {
            Ok(Read::Moved(count)) => {
                assert!(count > 0 && count <= room, "{count} of {room}");
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Ok(Read::Blocked) => true,
            Ok(Read::Eof) | Err(_) => false,
        }
    }
}

/// The byte at this place of what the client sends.
fn pattern(place: usize) -> u8 {
    u8::try_from(place % 251).unwrap()
}

/// What happens next on a connection.
#[derive(Clone, Debug)]
enum Act {
    /// The client's application sends bytes.
    Send(usize),
    /// The network delivers at most this many.
    Deliver(usize),
    /// The server reads.
    Read(usize),
    /// The server writes.
    Write(usize),
    /// The client changes its keys.
    Update,
    /// A byte on its way changes.
    Corrupt(usize, u8),
    /// Bytes that the client never sent.
    Inject(Vec<u8>),
    /// The client ends.
    End,
}

fn act(hostile: bool) -> BoxedStrategy<Act> {
    let honest = prop_oneof![
        4 => (1_usize..40_000).prop_map(Act::Send),
        6 => (1_usize..40_000).prop_map(Act::Deliver),
        4 => (1_usize..40).prop_map(Act::Deliver),
        6 => (1_usize..40_000).prop_map(Act::Read),
        2 => (1_usize..40_000).prop_map(Act::Write),
        1 => Just(Act::Update),
    ];
    if !hostile {
        return honest.boxed();
    }
    prop_oneof![
        8 => honest,
        1 => (0_usize..40_000, 1_u8..).prop_map(|(place, change)| Act::Corrupt(place, change)),
        1 => vec(any::<u8>(), 1..60).prop_map(Act::Inject),
        1 => (20_u8..25, vec(any::<u8>(), 1..60)).prop_map(|(kind, body)| {
            Act::Inject([&[kind, 3, 3, 0, u8::try_from(body.len()).unwrap()][..], &body].concat())
        }),
        1 => Just(Act::End),
    ]
    .boxed()
}

/// Carries acts out; whether the connection still works.
fn carry_out(pair: &mut Pair, acts: &[Act]) -> bool {
    for act in acts {
        let works = match act {
            Act::Send(count) => {
                let bytes: Vec<u8> =
                    (0..*count).map(|place| pattern(pair.sent.len() + place)).collect();
                if pair.client.writer().write_all(&bytes).is_ok() {
                    pair.sent.extend_from_slice(&bytes);
                }
                pair.collect();
                true
            }
            Act::Deliver(most) => {
                pair.deliver(*most);
                true
            }
            Act::Read(room) => pair.read(*room),
            Act::Write(count) => {
                let written = pair.server.write(&pair.socket, &vec![7; *count]);
                pair.take_answers();
                pair.collect();
                written.is_ok()
            }
            Act::Update => {
                let _ = pair.client.refresh_traffic_keys();
                pair.collect();
                true
            }
            Act::Corrupt(place, change) => {
                if let Some(byte) = pair.queued.get_mut(*place) {
                    *byte ^= change;
                }
                true
            }
            Act::Inject(bytes) => {
                pair.queued.extend_from_slice(bytes);
                true
            }
            Act::End => {
                pair.client.send_close_notify();
                pair.collect();
                true
            }
        };
        if !works {
            return false;
        }
    }
    true
}

proptest! {
    #[test]
    fn every_byte_arrives_however_it_is_cut(acts in vec(act(false), 0..60)) {
        let mut pair = Pair::new();
        assert!(pair.shake_hands());
        assert!(carry_out(&mut pair, &acts));
        pair.client.send_close_notify();
        for _ in 0..100_000 {
            pair.take_answers();
            pair.collect();
            pair.deliver(usize::MAX);
            if !pair.read(30_000) {
                break;
            }
        }
        assert!(pair.server.ended, "the end is read after every byte");
        assert!(pair.read == pair.sent, "{} of {} bytes", pair.read.len(), pair.sent.len());
    }

    #[test]
    fn a_hostile_client_gets_nothing_but_an_end(acts in vec(act(true), 0..60)) {
        let mut pair = Pair::new();
        assert!(pair.shake_hands());
        if !carry_out(&mut pair, &acts) {
            // Whatever is tried after the failure fails as well.
            assert!(pair.server.write(&pair.socket, b"x").is_err() || pair.server.ended);
            pair.server.end(&pair.socket);
        }
        assert!(pair.sent.starts_with(&pair.read), "nothing that the client did not send");
    }

    #[test]
    fn a_hostile_handshake_fails(
        cut in 0_usize..400, junk in vec(any::<u8>(), 0..80), change in any::<u8>(),
    ) {
        let mut pair = Pair::new();
        pair.collect();
        let cut = cut.min(pair.queued.len());
        if let Some(byte) = pair.queued.get_mut(cut) {
            *byte ^= change;
        }
        pair.queued.splice(cut..cut, junk);
        for _ in 0..8 {
            pair.deliver(100);
            match pair.server.handshake(&pair.socket) {
                Handshake::Blocked => {}
                Handshake::Done => {
                    assert!(!pair.client.is_handshaking(), "both have completed it");
                    break;
                }
                Handshake::Plain(_) | Handshake::Failed => break,
            }
            pair.take_answers();
            pair.collect();
        }
        pair.server.end(&pair.socket);
    }
}

#[test]
fn a_slow_socket_keeps_one_write_at_most() {
    let mut pair = Pair::new();
    assert!(pair.shake_hands());
    let bytes = vec![1; 1 << 20];
    let mut accepted = 0;
    while let Ok(Write::Moved(count)) = pair.server.write(&pair.socket, &bytes) {
        accepted += count;
        assert!(pair.server.unsent() <= SEAL_MAX + 17 * OVERHEAD_MAX, "{}", pair.server.unsent());
        assert!(accepted < 64 << 20, "the socket takes everything");
    }
    assert!(pair.server.unsent() > 0, "the socket is full");
    assert_eq!(pair.server.write(&pair.socket, b"x"), Ok(Write::Blocked));
    assert!(!pair.server.end(&pair.socket), "the end waits for the socket");
    while !pair.server.end(&pair.socket) {
        pair.take_answers();
    }
    pair.take_answers();
    let ended = pair.client.process_new_packets().is_ok_and(|state| state.peer_has_closed());
    assert!(ended, "it arrives after every byte");
}

#[test]
fn the_end_without_close_notify_is_a_cut() {
    let mut pair = Pair::new();
    assert!(pair.shake_hands());
    drop(std::mem::replace(&mut pair.wire, UnixStream::pair().unwrap().0));
    assert_eq!(pair.server.read(&pair.socket, &mut [0; 9]), Err(Errno::ECONNRESET));
}
