//! Sockets opened before this process started: by systemd (socket activation) or by the process it
//! takes over from. Both use `sd_listen_fds`(3): `LISTEN_FDS`, `LISTEN_PID` if it is known,
//! `LISTEN_FDNAMES`. Must be read before any thread starts: the variables are removed.

use crate::ops::cause;
use listenfd::ListenFd;
use nix::libc;
use socket2::SockRef;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};

/// The name of the socket on which a new process reports that it is ready.
pub(super) const READY: &str = "rdv-ready";

/// The name of the relay's listening sockets in a hand-over. From systemd any name means them.
pub(super) const LISTEN: &str = "listen";

/// The name of the admin listener, in a hand-over and from systemd (`FileDescriptorName=`).
pub(super) const ADMIN: &str = "admin";

/// The name of the agents' listening sockets, in a hand-over and from systemd.
pub(super) const AGENTS: &str = "agents";

/// The name of the listening sockets for HTTPS, in a hand-over and from systemd.
pub(super) const TLS: &str = "tls";

/// What the new process sends on [`READY`] when it listens.
pub(super) const READY_WORD: &[u8] = b"ready\n";

/// The answer's last line: only the new process serves from now on. The lines before are streams.
pub(super) const SERVE_WORD: &str = "serve\n";

/// The sockets that this process inherited.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Listening sockets of the relay.
    pub listeners: Vec<TcpListener>,
    /// Listening sockets for agents.
    pub agents: Vec<TcpListener>,
    /// Listening sockets for HTTPS.
    pub tls: Vec<TcpListener>,
    /// A listening socket for operators.
    pub admin: Option<AdminSocket>,
    /// The process that waits for this one to be ready.
    pub predecessor: Predecessor,
}

/// A listening socket of either family.
#[derive(Debug)]
pub enum AdminSocket {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket with a path in the file system.
    Unix(UnixListener),
}

/// The process that hands over to this one, if any.
#[derive(Debug, Default)]
pub struct Predecessor(Option<UnixStream>);

impl Inherited {
    /// Takes the inherited sockets; none if they are meant for another process.
    ///
    /// # Errors
    /// What is wrong with a descriptor, and what is expected.
    pub fn take() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let first = std::env::var("LISTEN_FDS_FIRST_FD").ok();
        let first: usize = first.and_then(|first| first.parse().ok()).unwrap_or(3);
        let mut descriptors = ListenFd::from_env();
        let mut inherited = Self::default();
        let mut names = names.split(':');
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or_default();
            if name == READY {
                let kind = (libc::AF_UNIX, libc::SOCK_STREAM, "socket of a hand-over");
                inherited.predecessor.0 = descriptors.take_custom(index, kind.0, kind.1, kind.2)?;
            } else if name == ADMIN {
                let unix = descriptors.take_unix_listener(index).ok().flatten();
                let socket = unix.map(AdminSocket::Unix).or_else(|| {
                    descriptors.take_tcp_listener(index).ok().flatten().map(AdminSocket::Tcp)
                });
                inherited.admin = Some(socket.ok_or_else(|| wrong(first + index, name))?);
            } else {
                let listener = descriptors.take_tcp_listener(index).ok().flatten();
                let listener =
                    listener.filter(listens).ok_or_else(|| wrong(first + index, name))?;
                let same = match name {
                    AGENTS => &mut inherited.agents,
                    TLS => &mut inherited.tls,
                    _ => &mut inherited.listeners,
                };
                same.push(listener);
            }
        }
        Ok(inherited)
    }
}

fn listens(socket: &TcpListener) -> bool {
    SockRef::from(socket).is_listener().unwrap_or(false)
}

fn wrong(descriptor: usize, name: &str) -> io::Error {
    let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "descriptor {descriptor}{name} from LISTEN_FDS is not a listening TCP socket; the socket unit needs ListenStream= with a port, and Accept=no"
        ),
    )
}

impl Predecessor {
    /// Whether a predecessor exists.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Reports that this process listens, and waits until the other one has stepped down; returns
    /// the streams it left, one per line.
    ///
    /// # Errors
    /// When the other process timed out: it continues to serve, so this one must not.
    pub fn take_over(&mut self) -> io::Result<Vec<String>> {
        let Some(socket) = self.0.take() else { return Ok(Vec::new()) };
        hand_shake(socket).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the process that hands over does not confirm: {}", cause(&error)),
            )
        })
    }
}

fn hand_shake(mut socket: UnixStream) -> io::Result<Vec<String>> {
    socket.write_all(READY_WORD)?;
    let mut answer = BufReader::new(socket);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match answer.read_line(&mut line)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if line == SERVE_WORD => return Ok(lines),
            _ => lines.push(line),
        }
    }
}
