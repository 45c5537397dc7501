//! TLS under the raw client: in the test binary `encrypted` every relay listens for HTTPS as well,
//! and every [`Wire`](super::Wire) to it is encrypted. So the tests of the protocol run over both
//! transports, unchanged.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::poll::{PollFd, PollFlags};

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore};

use super::clock::{TEST_TIMEOUT, eventually};
use super::relay::Relay;
use super::tls::{Authority, Identity};

/// Tickets that a relay sends after a handshake of TLS 1.3.
const TICKETS: u32 = 2;

/// Whether this is the test binary whose clients use TLS.
pub(crate) fn is_on() -> bool {
    env!("CARGO_CRATE_NAME") == "encrypted"
}

/// The HTTPS addresses of relays by their plain ones, and what their clients trust.
static FRONTS: Mutex<BTreeMap<SocketAddr, (SocketAddr, Arc<ClientConfig>)>> =
    Mutex::new(BTreeMap::new());

/// Sessions that began before their relay was stopped, and are used by the next clients.
static BEGUN: Mutex<Vec<(SocketAddr, TcpStream, Session)>> = Mutex::new(Vec::new());

/// How many of them there are.
const BEGUN_MAX: usize = 4;

/// Runs `act` while a relay is stopped, which could not complete a handshake then.
pub(crate) fn with_begun<T>(address: SocketAddr, act: impl FnOnce() -> T) -> T {
    let begun = || BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((front, config)) = front_of(address) {
        for _ in 0..BEGUN_MAX {
            let socket = TcpStream::connect_timeout(&front, TEST_TIMEOUT).expect("connect");
            let session = Session::begin(&socket, config.clone());
            begun().push((address, socket, session));
        }
    }
    let result = act();
    begun().retain(|(other, ..)| *other != address);
    result
}

/// One of them.
pub(crate) fn begun(address: SocketAddr) -> Option<(TcpStream, Session)> {
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    let index = begun.iter().position(|(other, ..)| *other == address)?;
    let (_, socket, session) = begun.swap_remove(index);
    Some((socket, session))
}

/// The certificate of one relay.
pub(crate) struct Certified {
    trusting: Arc<ClientConfig>,
    _identity: Identity,
    _authority: Authority,
}

impl Certified {
    /// Makes the relay of a command listen for HTTPS.
    pub(crate) fn listening(command: &mut Command) -> Certified {
        let authority = Authority::new();
        let identity = authority.server("localhost");
        command.args(["--tls-listen", "127.0.0.1:0", "--tls-cert"]).arg(identity.certificate());
        command.arg("--tls-key").arg(identity.key());
        let trusting = trusting(&authority);
        Certified { trusting, _identity: identity, _authority: authority }
    }

    /// Sends the clients of these addresses to the HTTPS address.
    pub(crate) fn stand_before(&self, addresses: &[SocketAddr], front: SocketAddr) {
        let mut fronts = FRONTS.lock().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            fronts.insert(*address, (front, self.trusting.clone()));
        }
    }
}

impl Drop for Certified {
    /// The kernel may give the same addresses to another test.
    fn drop(&mut self) {
        let mut fronts = FRONTS.lock().unwrap_or_else(PoisonError::into_inner);
        fronts.retain(|_, (_, trusting)| !Arc::ptr_eq(trusting, &self.trusting));
    }
}

/// A configuration that trusts only this authority.
pub(crate) fn trusting(authority: &Authority) -> Arc<ClientConfig> {
    Arc::new(builder(authority).with_no_client_auth())
}

/// A configuration that trusts only this authority, with a client certificate.
pub(crate) fn certified(authority: &Authority, identity: &Identity) -> Arc<ClientConfig> {
    let chain = vec![CertificateDer::from_pem_file(identity.certificate()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_file(identity.key()).expect("PEM");
    let config = builder(authority).with_client_auth_cert(chain, key);
    Arc::new(config.expect("a client certificate"))
}

fn builder(authority: &Authority) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    let der = CertificateDer::from_pem_file(authority.file()).expect("a certificate");
    roots.add(der).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    builder.with_root_certificates(roots)
}

/// The address on which a relay announced HTTPS.
pub(crate) fn https_address(relay: &Relay) -> SocketAddr {
    eventually("HTTPS is announced", || {
        let printed = relay.process().stdout();
        let line = printed.lines().find_map(|line| line.split_once("listening on https://"));
        line.and_then(|(_, address)| address.parse().ok())
    })
}

/// The HTTPS address in front of a plain one, and the configuration of its clients.
pub(crate) fn front_of(address: SocketAddr) -> Option<(SocketAddr, Arc<ClientConfig>)> {
    FRONTS.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned()
}

/// One TLS session of a client, for a thread that sends and another that reads. The socket belongs to
/// the caller.
#[derive(Clone)]
pub(crate) struct Session(Arc<Mutex<ClientConnection>>);

impl Session {
    /// Performs the handshake.
    pub(crate) fn begin(socket: &TcpStream, config: Arc<ClientConfig>) -> Session {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(config, name).expect("a session");
        while session.is_handshaking() {
            session.complete_io(&mut &*socket).expect("a handshake");
        }
        // A ticket that is not read would make the kernel end the connection with a reset.
        while session.tls13_tickets_received() < TICKETS {
            session.complete_io(&mut &*socket).expect("a ticket");
        }
        Session(Arc::new(Mutex::new(session)))
    }

    fn locked(&self) -> MutexGuard<'_, ClientConnection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all of it, or what fits: what was encrypted counts as sent.
    pub(crate) fn write(&self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.locked();
        let mut sent = 0;
        for piece in bytes.chunks(16 << 10) {
            while session.wants_write() {
                match session.write_tls(&mut &*socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock && sent > 0 => {
                        return Ok(sent);
                    }
                    Err(error) => return Err(error),
                }
            }
            session.writer().write_all(piece)?;
            sent += piece.len();
            match session.write_tls(&mut &*socket) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(sent)
    }

    /// Sends all of it. `WouldBlock` if another handle has made the socket non-blocking, to close it.
    pub(crate) fn write_all(&self, socket: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        if self.write(socket, bytes)? < bytes.len() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut session = self.locked();
        while session.wants_write() {
            session.write_tls(&mut &*socket)?;
        }
        Ok(())
    }

    /// Reads some bytes; 0 after `close_notify`, `UnexpectedEof` without it.
    pub(crate) fn read(&self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(count) = self.read_decrypted(buffer)? {
                return Ok(count);
            }
            let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            let timeout = u16::try_from(TEST_TIMEOUT.as_millis()).unwrap_or(u16::MAX);
            let ready = nix::poll::poll(&mut polled, timeout).map_err(io::Error::from)?;
            if ready == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.receive(socket)?;
        }
    }

    fn read_decrypted(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.locked().reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            result => result.map(Some),
        }
    }

    fn receive(&self, socket: &TcpStream) -> io::Result<()> {
        let mut session = self.locked();
        session.read_tls(&mut &*socket)?;
        session.process_new_packets().map_err(io::Error::other)?;
        Ok(())
    }

    /// Whether nothing was received on a socket that does not block, not even an end.
    pub(crate) fn is_silent(&self, socket: &TcpStream) -> bool {
        loop {
            match self.read_decrypted(&mut [0; 256]) {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return false,
            }
            if let Err(error) = self.receive(socket) {
                return error.kind() == ErrorKind::WouldBlock;
            }
        }
    }

    /// Sends `close_notify`.
    pub(crate) fn end(&self, socket: &TcpStream) {
        let mut session = self.locked();
        session.send_close_notify();
        while session.wants_write() && session.write_tls(&mut &*socket).is_ok() {}
    }
}

/// A second handle on a connection, for another thread.
pub(crate) struct Handle {
    pub(super) socket: TcpStream,
    pub(super) session: Option<Session>,
}

impl Handle {
    /// Sends FIN, with TLS after `close_notify`.
    pub(crate) fn finish_sending(&self) {
        if let Some(session) = &self.session {
            session.end(&self.socket);
            // A peer that has closed answers the alert with a reset.
            let _ = self.socket.shutdown(Shutdown::Write);
            return;
        }
        self.socket.shutdown(Shutdown::Write).expect("shutdown");
    }
}

impl Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.session {
            Some(session) => session.read(&self.socket, buffer),
            None => (&self.socket).read(buffer),
        }
    }
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.session {
            Some(session) => session.write_all(&self.socket, bytes).map(|()| bytes.len()),
            None => (&self.socket).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
