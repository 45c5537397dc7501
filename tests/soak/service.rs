//! A local HTTP service that agents expose. `GET …/down/SEED/SIZE/CHUNK` returns a body of that
//! pattern; a `PUT` or `POST` to `…/up/SEED/SIZE` compares one, and returns 200 if it is complete.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::exchange::Pattern;

/// A client that neither sends nor reads for this time is disconnected.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes compared or written at once.
const PIECE_BYTES: u64 = 64 << 10;

/// A running service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    /// Uploads with a byte that is not the source's.
    corruptions: Arc<AtomicU64>,
}

/// A request head.
struct Request {
    parts: Vec<String>,
    length: Option<u64>,
    chunked: bool,
}

impl Service {
    pub(crate) fn start() -> io::Result<Service> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let corruptions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&corruptions);
        // Its threads end with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                // A connection that breaks is what the load is for.
                thread::spawn(move || serve(&stream, &counted).unwrap_or_default());
            }
        });
        Ok(Service { address, corruptions })
    }

    pub(crate) fn corruptions(&self) -> u64 {
        self.corruptions.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, corruptions: &AtomicU64) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_head(&mut reader)? {
        let parts: Vec<&str> = request.parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["down", seed, size, chunk] => {
                send_body(stream, Pattern::new(number(seed)?), number(size)?, number(chunk)?)?;
            }
            ["up", seed, size] => {
                let is_right = receive(&mut reader, &request, number(seed)?, number(size)?)?;
                if !is_right {
                    corruptions.fetch_add(1, Ordering::SeqCst);
                }
                let status = if is_right { "200 OK" } else { "422 Unprocessable Content" };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                (&*stream).write_all(head.as_bytes())?;
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let line = read_line(reader)?;
    let Some(target) = line.split(' ').nth(1) else { return Ok(None) };
    let parts = target.split('/').skip(1).map(str::to_owned).collect();
    let mut request = Request { parts, length: None, chunked: false };
    loop {
        let line = read_line(reader)?.to_ascii_lowercase();
        match line.split_once(':') {
            Some(("content-length", value)) => request.length = Some(number(value.trim())?),
            Some(("transfer-encoding", _)) => request.chunked = true,
            Some(_) => {}
            None => return Ok(Some(request)),
        }
    }
}

fn send_body(mut stream: &TcpStream, pattern: Pattern, size: u64, chunk: u64) -> io::Result<()> {
    let framing = match chunk {
        0 => format!("Content-Length: {size}"),
        _ => "Transfer-Encoding: chunked".to_owned(),
    };
    let mut out = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").into_bytes();
    for (position, count) in pieces(size, if chunk == 0 { PIECE_BYTES } else { chunk }) {
        if chunk > 0 {
            out.extend_from_slice(format!("{count:x}\r\n").as_bytes());
        }
        pattern.append(position, usize::try_from(count).expect("64 bits"), &mut out);
        if chunk > 0 {
            out.extend_from_slice(b"\r\n");
        }
        if out.len() as u64 >= PIECE_BYTES {
            stream.write_all(&out)?;
            out.clear();
        }
    }
    if chunk > 0 {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    stream.write_all(&out)
}

/// Positions and sizes of the parts of a body.
fn pieces(size: u64, piece: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(piece)).map(move |number| (number * piece, piece.min(size - number * piece)))
}

/// Reads the body; returns whether every byte is that of the pattern, and none is missing. A
/// connection that ends before is an error.
fn receive(reader: &mut impl BufRead, request: &Request, seed: u64, size: u64) -> io::Result<bool> {
    let pattern = Pattern::new(seed);
    let mut position = 0;
    let mut is_right = true;
    loop {
        let count = if request.chunked {
            let line = read_line(reader)?;
            u64::from_str_radix(&line, 16).map_err(|_| io::ErrorKind::InvalidData)?
        } else {
            request.length.unwrap_or(0)
        };
        for (_, part) in pieces(count, PIECE_BYTES) {
            let mut bytes = vec![0; usize::try_from(part).expect("64 bits")];
            reader.read_exact(&mut bytes)?;
            is_right &= pattern.first_difference(position, &bytes).is_none();
            position += part;
        }
        if request.chunked {
            read_line(reader)?;
        }
        if !request.chunked || count == 0 {
            return Ok(is_right && position == size);
        }
    }
}
