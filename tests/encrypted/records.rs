//! Records that no ordinary client sends: handshake messages in pieces, and long flights.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{ClientConfig, ConnectionTrafficSecrets, ContentType, ProtocolVersion};

use super::https::{Https, handshake};
use crate::support::{Authority, ask, certified, trusting};

/// The first bytes of a `KeyUpdate` (RFC 8446, section 4.6.3), whose last one does not come.
const PIECE: &[u8] = &[24, 0];

/// A client that makes its own records.
struct Records {
    socket: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Records {
    fn begin(address: SocketAddr, authority: &Authority) -> Records {
        let mut config: ClientConfig = (*trusting(authority)).clone();
        config.enable_secret_extraction = true;
        let (session, socket) =
            handshake(address, "localhost", &Arc::new(config)).expect("a handshake");
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.tls13());
        let (sequence, secrets) = session.dangerous_extract_secrets().expect("secrets").tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("a cipher of TLS 1.3")
        };
        let encrypter = suite.expect("TLS 1.3").aead_alg.encrypter(key, iv);
        Records { socket, encrypter, sequence }
    }

    /// One record.
    fn record(&mut self, typ: ContentType, bytes: &[u8]) -> Vec<u8> {
        let payload = OutboundChunks::Single(bytes);
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_3, payload };
        let record = self.encrypter.encrypt(message, self.sequence).expect("a record");
        self.sequence += 1;
        record.encode()
    }
}

#[test]
fn a_response_may_be_sent_while_a_handshake_message_is_incomplete() {
    let https = Https::start(&[]);
    let mut client = Records::begin(https.address, &https.authority);
    let request = client.record(
        ContentType::ApplicationData,
        b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    let piece = client.record(ContentType::Handshake, PIECE);
    // In one segment: the piece is here when the response is encrypted.
    client.socket.write_all(&[request, piece].concat()).expect("two records");
    let mut response = Vec::new();
    client.socket.read_to_end(&mut response).expect("a response and a FIN");
    // An alert (close_notify) of 24 bytes follows at least a head.
    assert!(response.len() > 100, "{} bytes", response.len());
    assert_eq!(https.connect().exchange(&ask("GET", "/ping")).status(), 200, "it still serves");
}

#[test]
fn a_corrupted_record_ends_its_connection_and_no_other() {
    let https = Https::start(&[]);
    let mut client = Records::begin(https.address, &https.authority);
    let mut record = client.record(ContentType::ApplicationData, b"GET /ping");
    *record.last_mut().expect("a tag") ^= 1;
    client.socket.write_all(&record).expect("a record");
    // An alert, then the end.
    let _ = client.socket.read_to_end(&mut Vec::new());
    assert_eq!(https.connect().exchange(&ask("GET", "/ping")).status(), 200);
}

#[test]
fn a_client_may_send_a_long_chain_of_certificates() {
    let clients = Authority::named("clients");
    let names: Vec<_> = (0..2500).map(|number| format!("client-{number}.example")).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = clients.signed(&params);
    let ca = clients.file();
    // Longer than three records, and so than what one step of a handshake reads.
    assert!(std::fs::metadata(client.certificate()).expect("a file").len() > 70_000);
    let https = Https::start(&["--tls-client-ca", ca.to_str().expect("UTF-8")]);
    let config = certified(&https.authority, &client);
    let _client = handshake(https.address, "localhost", &config).expect("a handshake");
    https.relay.await_value(&Https::handshakes("complete"), 1.0);
}
