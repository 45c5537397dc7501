//! A flooding client: a failure is an error for its next round, not the end of the test, because
//! the relay can close flooding connections, and exits before the flood does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rdv::mux::handshake::Dialect;

use crate::agent::{masked, upgrade};
use crate::support::TEST_TIMEOUT;

/// Connects.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TEST_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TEST_TIMEOUT))?;
    stream.set_write_timeout(Some(TEST_TIMEOUT))?;
    Ok(stream)
}

/// Sends a request and reads the head of the response; the rest stays unread.
pub(crate) fn send_request(address: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut stream = connect(address)?;
    stream.write_all(request)?;
    read_head(&mut stream)?;
    Ok(stream)
}

/// Reads the head of a request or a response, byte by byte so that nothing after it is read.
pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// An agent that can be called, with these metadata.
pub(crate) fn agent(address: SocketAddr, meta: &str) -> io::Result<TcpStream> {
    let mut stream = send_request(address, &upgrade("/socket", Dialect::V1).bytes())?;
    let printed = format!(r#"{{"Type":"ClientHandshakeMetaData","Meta":{meta}}}"#);
    stream.write_all(&masked(0x81, printed.as_bytes()))?;
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut length = usize::from(head[1]);
    if length == 126 {
        let mut long = [0; 2];
        stream.read_exact(&mut long)?;
        length = usize::from(u16::from_be_bytes(long));
    }
    stream.read_exact(&mut vec![0; length])?;
    if head[0] != 0x81 {
        return Err(ErrorKind::InvalidData.into());
    }
    stream.write_all(&masked(0x81, br#"{"Type":"ClientHandshakeAckFrame"}"#))?;
    Ok(stream)
}

/// Sends what the relay accepts now of `bytes` from `at` on, repeatedly, and reads its output.
pub(crate) fn pump(stream: &TcpStream, bytes: &[u8], at: &mut usize) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut scratch = [0; 16 << 10];
    if ready((&*stream).read(&mut scratch))? == Some(0) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    match ready((&*stream).write(&bytes[*at..]))? {
        Some(count) => *at = (*at + count) % bytes.len(),
        None => std::thread::sleep(Duration::from_millis(1)),
    }
    Ok(())
}

/// `None` if it would block.
fn ready(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Raises the limit on open files, for tests with a thousand peers.
pub(crate) fn raise_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("RLIMIT_NOFILE");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("RLIMIT_NOFILE");
}
