//! Copies from a file to a socket inside the kernel.

use super::uninterrupted;
use nix::errno::Errno;
use nix::sys::sendfile::sendfile;
use std::os::fd::AsFd;

/// The result of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileReady {
    /// The socket accepted this many bytes (never 0) of the file.
    Moved(usize),
    /// The socket accepts no data now.
    Blocked,
    /// The file is at its end.
    Eof,
}

/// Sends up to `max_bytes` (at least 1) from the file's current offset to a non-blocking socket
/// (sendfile(2)). The offset advances by the number of bytes sent.
///
/// # Errors
/// Any error of sendfile(2) except `EAGAIN` and `EINTR`; `EINVAL` if this file does not support it.
pub fn give(file: &impl AsFd, socket: &impl AsFd, max_bytes: usize) -> Result<FileReady, Errno> {
    debug_assert!(max_bytes > 0, "an empty request reads as the end");
    match uninterrupted(|| sendfile(socket, file, None, max_bytes)) {
        Ok(0) => Ok(FileReady::Eof),
        Ok(count) => Ok(FileReady::Moved(count)),
        Err(Errno::EAGAIN) => Ok(FileReady::Blocked),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_file_is_sent_from_its_offset_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(std::io::SeekFrom::Start(4)).unwrap();

        assert_eq!(give(&file, &far, 3), Ok(FileReady::Moved(3)));
        assert_eq!(give(&file, &far, 100), Ok(FileReady::Moved(3)));
        assert_eq!(give(&file, &far, 100), Ok(FileReady::Eof));
        let mut got = [0; 6];
        near.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"456789");
    }

    #[test]
    fn a_full_socket_is_distinguished_from_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 30).unwrap();
        let mut last = Ok(FileReady::Moved(1));
        while matches!(last, Ok(FileReady::Moved(_))) {
            last = give(&file, &far, 1 << 20);
        }
        assert_eq!(last, Ok(FileReady::Blocked));
    }
}
