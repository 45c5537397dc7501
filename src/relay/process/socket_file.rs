//! The file of the admin socket: created for its owner alone, never in place of one that is in use,
//! and removed by the process that owns it. Nothing here knows the relay.

use mio::net::UnixListener;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Separates the path and the process id in a socket's temporary name.
const BESIDE: &[u8] = b".new.";

/// Connections that wait to be accepted, as in the standard library on Linux: more than operators
/// ever open.
const BACKLOG: i32 = 128;

/// The file of a Unix socket; removed with it, unless another process has put its own in its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
    /// Whether this process removes it: no other process listens on the socket.
    ours: bool,
}

/// The process that listens on an existing socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketOwner {
    /// None any more: its process ended without removing it.
    None,
    /// A process; its id, unless it runs in another namespace.
    Process(Option<i32>),
}

/// Creates the socket under a temporary name, sets its mode, and links it into place: so it is
/// never visible with another mode, and cannot replace what another process has just created.
///
/// # Errors
/// Why it failed; if the path is in use, by which process.
pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    make_room(path)?;
    let beside = temporary_path(path);
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    let placed = fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::symlink_metadata(&beside))
        .and_then(|file| fs::hard_link(&beside, path).map(|()| file.ino()));
    let _ = fs::remove_file(&beside);
    match placed {
        Ok(inode) => Ok((listener, SocketFile { path: path.to_owned(), inode, ours: true })),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(in_use(holder(path)?)),
        Err(error) => Err(error),
    }
}

/// Creates the directory that [`bind`] needs, for this user alone.
///
/// # Errors
/// Why it cannot be created, or that others could put their sockets into it.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let found = fs::symlink_metadata(path)?;
    let private = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0;
    let shown = path.display();
    let why = || io::Error::other(format!("another user owns {shown}, or can write to it"));
    if private { Ok(()) } else { Err(why()) }
}

/// Returns the file of an inherited socket. Only a file that a relay created is ever ours; a
/// service manager keeps its own.
pub(super) fn adopted(listener: &UnixListener) -> SocketFile {
    let name = listener.local_addr().ok().and_then(|name| name.as_pathname().map(Path::to_owned));
    let name = name.unwrap_or_default();
    let Some(path) = made_for(&name) else {
        return SocketFile { path: name, inode: 0, ours: false };
    };
    let inode = fs::symlink_metadata(&path).map_or(0, |file| file.ino());
    SocketFile { path, inode, ours: false }
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes ownership of the file, if a relay created it. Listening again makes the kernel report
    /// this process to connecting peers (`SO_PEERCRED`, unix(7)).
    pub(super) fn take_charge(&mut self, listener: &UnixListener) {
        let _ = SockRef::from(listener).listen(BACKLOG);
        self.ours = self.inode != 0;
    }

    /// Leaves the file to another process.
    pub(super) fn leave(&mut self) {
        self.ours = false;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |file: fs::Metadata| self.ours && file.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::from_bytes(BESIDE));
    name.push(std::process::id().to_string());
    name.into()
}

/// Returns the final path of a socket with this temporary name, if [`bind`] created it.
fn made_for(name: &Path) -> Option<PathBuf> {
    let bytes = name.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
    let path = bytes[..end].strip_suffix(BESIDE)?;
    Some(OsStr::from_bytes(path).into())
}

/// Removes a socket left by a process that has ended.
fn make_room(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            Err(io::Error::other("there is a file that is not a socket"))
        }
        Ok(_) => match holder(path)? {
            SocketOwner::None => fs::remove_file(path),
            process @ SocketOwner::Process(_) => Err(in_use(process)),
        },
    }
}

fn in_use(holder: SocketOwner) -> io::Error {
    let process = match holder {
        SocketOwner::Process(Some(id)) => format!("process {id}"),
        SocketOwner::None | SocketOwner::Process(None) => "another process".to_owned(),
    };
    io::Error::new(io::ErrorKind::AddrInUse, format!("{process} is serving there"))
}

/// Finds the owner by connecting, without waiting: a process that does not accept counts, too.
fn holder(path: &Path) -> io::Result<SocketOwner> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => {
            let process = getsockopt(&socket, PeerCredentials).map(|peer| peer.pid());
            Ok(SocketOwner::Process(process.ok().filter(|&process| process > 0)))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(SocketOwner::Process(None)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(SocketOwner::None),
        // It was removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(SocketOwner::None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener as StdListener;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_socket_is_private_and_leaves_no_other_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let (_listener, file) = bind(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(directory.path()), ["a.sock"]);
        drop(file);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn a_socket_in_use_is_refused_and_its_process_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let (first, _file) = bind(&path).unwrap();
        let error = bind(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let named = format!("process {} is serving there", std::process::id());
        assert_eq!(error.to_string(), named);
        assert_eq!(names(directory.path()), ["a.sock"]);
        first.accept().unwrap();
    }

    #[test]
    fn a_process_that_does_not_accept_counts_as_running() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let (_listener, _file) = bind(&path).unwrap();
        let connect = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
            socket.connect(&SockAddr::unix(&path).unwrap()).map(|()| socket)
        };
        let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).collect();
        assert!(!waiting.is_empty());
        assert_eq!(bind(&path).unwrap_err().to_string(), "another process is serving there");
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        drop(StdListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves it");
        let (listener, _file) = bind(&path).unwrap();
        StdListener::from(std::os::fd::OwnedFd::from(listener)).set_nonblocking(true).unwrap();
    }

    #[test]
    fn only_the_created_socket_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let (_listener, file) = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = StdListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists(), "it is another's");
    }

    #[test]
    fn a_successor_removes_only_sockets_created_by_a_relay() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (made, mut file) = bind(&at("made.sock")).unwrap();
        let given = UnixListener::bind(at("given.sock")).unwrap();
        for (name, listener, stays) in [("made.sock", made, false), ("given.sock", given, true)] {
            let mut adopted = adopted(&listener);
            assert_eq!(adopted.path(), at(name));
            adopted.take_charge(&listener);
            file.leave();
            drop(adopted);
            assert_eq!(at(name).exists(), stays, "{name}");
        }
    }

    #[test]
    fn a_directory_writable_by_others_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rdv");
        private_directory(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        for (mode, fits) in [(0o700, true), (0o755, true), (0o770, false), (0o1777, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(private_directory(&path).is_ok(), fits, "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&path, directory.path().join("link")).unwrap();
        assert!(private_directory(&directory.path().join("link")).is_err(), "a link");
        assert!(private_directory(&directory.path().join("a/b")).is_err(), "no parent");
    }
}
