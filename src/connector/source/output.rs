//! Outputs of records: standard output, a file, a FIFO, or a Unix socket that the consumer listens
//! on. Nothing here waits for a consumer: an output that is not ready returns `None`.

use super::output_file;
use crate::ops::cause;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::socket::{MsgFlags, sendmsg};
use nix::sys::stat::{Mode, fstat};
use nix::sys::uio::writev;
use std::fs::{File, FileType, Metadata};
use std::io::{self, IoSlice, Seek as _, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that a pipe accepts completely once it is writable (pipe(7)).
const PIPE_BUF: usize = 4096;

/// Capacity of a pipe to a consumer, in bytes: for a hundred small records, more than arrive in one
/// turn. With the default of 64 KiB a turn's records do not fit, and both sides wait for each other
/// again and again.
const PIPE_BYTES: i32 = 256 << 10;

/// Configured output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// What is at this path: a FIFO, a socket, or a file, which is created if missing.
    Path(PathBuf),
    /// A Unix socket, which need not exist yet.
    Socket(PathBuf),
}

impl Target {
    /// Parses `-`, `unix:PATH` or `PATH`.
    pub fn parse(text: &str) -> Self {
        match (text, text.strip_prefix("unix:")) {
            ("-", _) => Self::Stdout,
            (_, Some(path)) => Self::Socket(path.into()),
            (path, None) => Self::Path(path.into()),
        }
    }
}

/// An output, open or closed.
#[derive(Debug)]
pub struct Output {
    place: OutputPlace,
    open: Option<(Arc<OwnedFd>, Kind)>,
    /// Error of the last attempt to open it.
    reported: Option<Errno>,
}

/// Where an output can be reopened.
#[derive(Debug)]
enum OutputPlace {
    /// Nowhere: once closed, it stays closed.
    Here,
    /// Not once closed; but an open file is followed to this path.
    File(PathBuf),
    Fifo(PathBuf),
    Socket(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Written data is not durable until synchronized.
    File,
    Socket,
    /// Has a file description of its own, which never blocks.
    Pipe,
    /// Shares its file description with other processes, which may expect it to block.
    Shared,
}

impl Output {
    /// Opens it, or, for a FIFO or socket without a consumer yet, remembers its path.
    ///
    /// # Errors
    /// Errors of open(2), or that the file ends within a line that is not a valid record.
    pub fn open(target: &Target) -> io::Result<Self> {
        let (place, open) = match target {
            Target::Stdout => {
                let (stdout, kind) = standard()?;
                (OutputPlace::Here, Some((Arc::new(stdout), kind)))
            }
            Target::Socket(path) => {
                reachable(path)?;
                (OutputPlace::Socket(path.clone()), None)
            }
            Target::Path(path) => match std::fs::metadata(path).map(|file| file.file_type()) {
                Ok(kind) if kind.is_fifo() => (OutputPlace::Fifo(path.clone()), None),
                Ok(kind) if kind.is_socket() => (OutputPlace::Socket(path.clone()), None),
                Ok(_) | Err(_) => {
                    let file = Arc::new(output_file::open(path)?);
                    (OutputPlace::File(path.clone()), Some((file, Kind::File)))
                }
            },
        };
        let mut output = Self { place, open, reported: None };
        output.reopen();
        Ok(output)
    }

    /// Creates an output from one end of a socket.
    pub fn of_socket(socket: UnixStream) -> Self {
        Self {
            place: OutputPlace::Here,
            open: Some((Arc::new(socket.into()), Kind::Socket)),
            reported: None,
        }
    }

    /// Whether it can be reopened after it was lost.
    pub fn returns(&self) -> bool {
        matches!(self.place, OutputPlace::Fifo(_) | OutputPlace::Socket(_))
    }

    /// Opens it if possible; returns whether it is open.
    pub fn reopen(&mut self) -> bool {
        if self.open.is_none() {
            let opened = match &self.place {
                OutputPlace::Here | OutputPlace::File(_) => return false,
                OutputPlace::Fifo(path) => nonblocking(path).map(|fifo| (fifo, Kind::Pipe)),
                OutputPlace::Socket(path) => {
                    UnixStream::connect(path).map(|socket| (socket.into(), Kind::Socket))
                }
            };
            match opened {
                Ok((descriptor, kind)) => self.open = Some((Arc::new(descriptor), kind)),
                Err(error) => self.explain(&error),
            }
        }
        self.open.is_some()
    }

    /// Opens the file at its path if the open one was renamed or removed, as by a rotation: what was
    /// written to it could be lost.
    ///
    /// # Errors
    /// Errors of open(2), or that something else is at the path.
    pub fn follow(&mut self) -> io::Result<()> {
        let (OutputPlace::File(path), Some((descriptor, _))) = (&self.place, &self.open) else {
            return Ok(());
        };
        if output_file::is_at(path, descriptor)? {
            return Ok(());
        }
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other(format!("{} is not a file any more", path.display())));
        }
        let opened = output_file::open(path)?;
        log::info!("{} was renamed or removed; opened it again", path.display());
        self.open = Some((Arc::new(opened), Kind::File));
        Ok(())
    }

    /// Logs why it cannot be opened, once for each reason; a missing consumer is not logged.
    fn explain(&mut self, error: &io::Error) {
        let absent = [Errno::ENXIO, Errno::ENOENT, Errno::ECONNREFUSED, Errno::EAGAIN];
        let errno = error.raw_os_error().map(Errno::from_raw);
        if self.reported != errno && !errno.is_some_and(|errno| absent.contains(&errno)) {
            log::error!("cannot open the output: {}", cause(error));
        }
        self.reported = errno;
    }

    /// Returns the descriptor while it is open. A caller that polls it keeps it, so that its number
    /// is not reused meanwhile.
    pub fn shared(&self) -> Option<Arc<OwnedFd>> {
        self.open.as_ref().map(|(descriptor, _)| Arc::clone(descriptor))
    }

    /// Whether the consumer can answer through it.
    pub fn may_answer(&self) -> bool {
        self.is_socket() || matches!(self.place, OutputPlace::Socket(_))
    }

    /// Whether it is an open socket, which can be read from.
    pub fn is_socket(&self) -> bool {
        matches!(self.open, Some((_, Kind::Socket)))
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.open, Some((_, Kind::File)))
    }

    /// Whether a write may block: on a disk, or on a pipe that another process may have filled
    /// since it was polled.
    pub fn may_block(&self) -> bool {
        matches!(self.open, Some((_, Kind::File | Kind::Shared)))
    }

    /// Closes it after the consumer disconnected.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Writes once; returns the number of bytes written, or `None` if it is not ready.
    ///
    /// # Errors
    /// Errors of writev(2) or sendmsg(2).
    pub fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let Some((descriptor, kind)) = &self.open else { return Ok(None) };
        let result = match kind {
            Kind::File | Kind::Pipe => writev(descriptor, slices),
            Kind::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                sendmsg::<()>(descriptor.as_raw_fd(), slices, &[], flags, None)
            }
            Kind::Shared => write_little(descriptor, slices),
        };
        match result {
            Ok(count) => Ok(Some(count)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Synchronizes a file to its disk; does nothing for other outputs.
    ///
    /// # Errors
    /// Errors of fdatasync(2), or that the file was removed while it was written.
    pub fn sync(&self) -> io::Result<()> {
        self.sync_data()?;
        if let (OutputPlace::File(path), Some((descriptor, _))) = (&self.place, &self.open)
            && fstat(descriptor)?.st_nlink == 0
            && !output_file::is_at(path, descriptor)?
        {
            return Err(io::Error::other(format!("{} was removed", path.display())));
        }
        Ok(())
    }

    /// Synchronizes a file, wherever it is now.
    ///
    /// # Errors
    /// Errors of fdatasync(2).
    pub fn sync_data(&self) -> io::Result<()> {
        match &self.open {
            Some((descriptor, Kind::File)) => match nix::unistd::fdatasync(descriptor) {
                // A device has nothing to synchronize.
                Ok(()) | Err(Errno::EINVAL | Errno::EROFS) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Some((_, Kind::Socket | Kind::Pipe | Kind::Shared)) | None => Ok(()),
        }
    }

    /// Removes the last bytes of a file, the beginning of a line that did not fit.
    ///
    /// # Errors
    /// Errors of ftruncate(2).
    pub fn cut(&self, bytes: u64) -> io::Result<()> {
        let Some((descriptor, Kind::File)) = &self.open else { return Ok(()) };
        let mut file = File::from(descriptor.try_clone()?);
        if bytes > 0 && file.metadata()?.is_file() {
            file.set_len(file.metadata()?.len().saturating_sub(bytes))?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok(())
    }

    /// Reads what the consumer has sent through a socket; `None` if nothing is available.
    ///
    /// # Errors
    /// Errors of recv(2).
    pub fn read_acks(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some((descriptor, _)) = &self.open else { return Ok(None) };
        match nix::sys::socket::recv(descriptor.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(count) => Ok(Some(count)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Checks that a socket can exist at this path: otherwise it would be retried indefinitely.
fn reachable(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::other("missing path; use unix:/path/to/socket"));
    }
    SocketAddr::from_pathname(path).map(drop)
}

/// Returns standard output in a form that does not block, without effect on other processes.
fn standard() -> io::Result<(OwnedFd, Kind)> {
    let copy = io::stdout().as_fd().try_clone_to_owned()?;
    let metadata = File::from(copy.try_clone()?).metadata()?;
    let kind = metadata.file_type();
    if kind.is_socket() {
        return Ok((copy, Kind::Socket));
    }
    if is_kept(&metadata, kind) {
        return Ok((copy, Kind::File));
    }
    // A file description of our own; for another user's pipe this may be denied.
    match nonblocking(Path::new("/proc/self/fd/1")) {
        Ok(own) => Ok((own, Kind::Pipe)),
        Err(_) => Ok((copy, Kind::Shared)),
    }
}

fn is_kept(metadata: &Metadata, kind: FileType) -> bool {
    metadata.is_file() || kind.is_block_device()
}

fn nonblocking(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let opened = open(path, flags, Mode::empty())?;
    // Anything that is not a pipe, or cannot be enlarged, is used as it is.
    let _ = fcntl(&opened, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    Ok(opened)
}

/// Writes what a pipe accepts after poll(2) without blocking, even if its description blocks.
fn write_little(descriptor: &OwnedFd, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut question = [PollFd::new(descriptor.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut question, PollTimeout::ZERO)? == 0 {
        return Err(Errno::EAGAIN);
    }
    let Some(first) = slices.first() else { return Ok(0) };
    nix::unistd::write(descriptor, &first[..first.len().min(PIPE_BUF)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};

    fn put(output: &Output, text: &str) -> io::Result<Option<usize>> {
        output.write(&[IoSlice::new(text.as_bytes())])
    }

    #[test]
    fn a_file_is_appended_to_and_torn_records_are_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        for (name, before, after) in [
            ("new", None, Some("x\n")),
            ("whole", Some("a\n"), Some("a\nx\n")),
            ("torn", Some("a\n{\"position\":\"abc"), Some("a\nx\n")),
            ("torn early", Some("a\n{\"pos"), Some("a\nx\n")),
            ("nothing but torn", Some("{\"position\":\"M"), Some("x\n")),
            ("somebody else's", Some("a\nnot ours"), None),
        ] {
            let _ = fs::remove_file(&path);
            if let Some(before) = before {
                fs::write(&path, before).unwrap();
            }
            let output = Output::open(&Target::Path(path.clone()));
            assert_eq!(output.is_ok(), after.is_some(), "{name}");
            let Ok(output) = output else { continue };
            put(&output, "x\n").unwrap();
            output.sync().unwrap();
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), after, "{name}");
        }
    }

    #[test]
    fn the_beginning_of_a_line_can_be_rolled_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let output = Output::open(&Target::Path(path.clone())).unwrap();
        put(&output, "whole\nbegun").unwrap();
        output.cut(5).unwrap();
        put(&output, "next\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nnext\n");
    }

    #[test]
    fn a_fifo_is_open_while_it_has_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let mut output = Output::open(&Target::Path(path.clone())).unwrap();
        assert!(output.returns() && output.shared().is_none(), "nobody reads");
        let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(output.reopen());
        while put(&output, &"x".repeat(4096)).unwrap().is_some() {}
        drop(reader);
        assert!(put(&output, "x").is_err(), "the reader left");
    }
}
