//! A test server: it handles each connection as the test specifies, and keeps what it received.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use socket2::SockRef;

use crate::support::TEST_TIMEOUT;

/// A listening server with one thread per connection.
pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Receiver<Request>,
    gate: Arc<Gate>,
}

/// Whether waiting connections are released.
type Gate = (Mutex<bool>, Condvar);

/// A connection as its handler sees it.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    gate: Arc<Gate>,
}

/// The received part of a request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as framed.
    pub(crate) is_complete: bool,
}

/// A response with this status and a body that names it.
pub(crate) fn answer(status: u16) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: 11\r\n\r\nanswer, {status}")
}

impl Server {
    /// Handles every connection with this function.
    pub(crate) fn start(
        serve: impl Fn(&mut Connection) -> io::Result<Option<Request>> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let (tell, requests) = mpsc::channel();
        let counted = Arc::clone(&connections);
        let serve = Arc::new(serve);
        let gate: Arc<Gate> = Arc::default();
        let shared = Arc::clone(&gate);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                let (serve, tell, gate) = (Arc::clone(&serve), tell.clone(), Arc::clone(&shared));
                thread::spawn(move || {
                    let mut connection = Connection { reader: BufReader::new(socket), gate };
                    if let Ok(Some(request)) = serve(&mut connection) {
                        let _ = tell.send(request);
                    }
                });
            }
        });
        Server { address, connections, requests, gate }
    }

    /// Receives complete requests, one after the other on a connection, and sends this response to
    /// each.
    pub(crate) fn receiving(answer: impl Into<String>) -> Server {
        let answer = answer.into();
        Server::start(move |connection| {
            let request = connection.request()?;
            if request.is_complete {
                connection.send(&answer)?;
            }
            Ok(Some(request))
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/files?to=here", self.address)
    }

    /// The next request received, complete or not.
    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(TEST_TIMEOUT).expect("a request")
    }

    /// Releases connections that wait. A connection that timed out before keeps no request.
    pub(crate) fn release(&self) {
        *self.gate.0.lock().expect("lock") = true;
        self.gate.1.notify_all();
    }

    /// Number of connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.release();
    }
}

impl Connection {
    pub(crate) fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(text.as_ref())
    }

    /// The request line and the fields.
    pub(crate) fn head(&mut self) -> io::Result<Request> {
        let line = self.line()?;
        let mut fields = Vec::new();
        loop {
            let field = self.line()?;
            match field.split_once(": ") {
                Some((name, value)) => fields.push((name.to_ascii_lowercase(), value.to_owned())),
                None => break,
            }
        }
        Ok(Request { line, fields, body: Vec::new(), is_complete: false })
    }

    /// A complete request, or the part received before the connection closed.
    pub(crate) fn request(&mut self) -> io::Result<Request> {
        let head = self.head()?;
        Ok(self.body(head))
    }

    /// The same with its body, or the part of it received before the connection closed.
    pub(crate) fn body(&mut self, mut request: Request) -> Request {
        let ended = match request.field("content-length") {
            Some(length) => {
                let length = length.parse().expect("a number");
                let mut content = Read::take(&mut self.reader, length);
                content.read_to_end(&mut request.body).is_ok_and(|count| count as u64 == length)
            }
            None if request.field("transfer-encoding") == Some("chunked") => loop {
                match self.chunk(&mut request.body) {
                    Ok(true) => {}
                    Ok(false) => break true,
                    Err(_) => break false,
                }
            },
            None => true,
        };
        request.is_complete = ended;
        request
    }

    /// Whether this was not the last chunk.
    fn chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        let size = self.size_line()?;
        let count = Read::take(&mut self.reader, size).read_to_end(body)?;
        if (count as u64) < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        assert_eq!(self.line()?, "", "nothing between a chunk and the line's end");
        Ok(size > 0)
    }

    /// Number of bytes read ahead.
    pub(crate) fn buffered(&self) -> usize {
        self.reader.buffer().len()
    }

    /// Takes bytes from those read ahead.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }

    /// The size of the next chunk.
    pub(crate) fn size_line(&mut self) -> io::Result<u64> {
        Ok(u64::from_str_radix(&self.line()?, 16).expect("a size, and nothing else"))
    }

    /// One line, without its line end.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads and discards everything until the end; returns the number of bytes.
    pub(crate) fn drain(&mut self) -> io::Result<u64> {
        io::copy(&mut self.reader, &mut io::sink())
    }

    /// Waits, without reading, until [`Server::release`].
    pub(crate) fn await_release(&self) -> io::Result<()> {
        let (released, changed) = &*self.gate;
        let released = released.lock().expect("lock");
        let (released, _) = changed
            .wait_timeout_while(released, TEST_TIMEOUT, |released| !*released)
            .expect("lock");
        if *released { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// Forwards bytes both ways between this connection and another server, until both have closed.
    pub(crate) fn join(&mut self, address: SocketAddr) -> io::Result<()> {
        let there = TcpStream::connect(address)?;
        let (mut from_there, mut to_here) = (there.try_clone()?, self.socket().try_clone()?);
        let back = thread::spawn(move || {
            let _ = io::copy(&mut from_there, &mut to_here);
            let _ = to_here.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut self.reader, &mut &there);
        let _ = there.shutdown(Shutdown::Write);
        back.join().expect("the way back");
        Ok(())
    }

    /// Makes this connection close with a reset.
    pub(crate) fn reset(&mut self) -> io::Result<()> {
        SockRef::from(self.socket()).set_linger(Some(std::time::Duration::ZERO))
    }
}

impl Request {
    /// The value of this field, which must occur at most once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(there, _)| there == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} occurs twice: {:?}", self.fields);
        value
    }

    /// The parts of its form, heads and contents; panics unless it is one complete form.
    pub(crate) fn parts(&self) -> Vec<(String, Vec<u8>)> {
        assert!(self.is_complete, "truncated after {} bytes", self.body.len());
        let content_type = self.field("content-type").expect("a content type");
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect("a form");
        let delimiter = format!("\r\n--{boundary}");
        let text = [b"\r\n", self.body.as_slice()].concat();
        let mut pieces = split(&text, delimiter.as_bytes());
        assert_eq!(pieces.remove(0), b"", "no preamble");
        assert_eq!(pieces.pop().expect("an end"), b"--\r\n", "one closing delimiter, at the end");
        pieces.into_iter().map(part).collect()
    }
}

fn part(text: &[u8]) -> (String, Vec<u8>) {
    let text = text.strip_prefix(b"\r\n").expect("a line ends behind a delimiter");
    let end = memchr::memmem::find(text, b"\r\n\r\n").expect("the head of a part ends");
    let head = String::from_utf8(text[..end].to_vec()).expect("a head in UTF-8");
    (head, text[end + 4..].to_vec())
}

fn split<'t>(mut text: &'t [u8], delimiter: &[u8]) -> Vec<&'t [u8]> {
    let mut pieces = Vec::new();
    while let Some(at) = memchr::memmem::find(text, delimiter) {
        pieces.push(&text[..at]);
        text = &text[at + delimiter.len()..];
    }
    pieces.push(text);
    pieces
}
