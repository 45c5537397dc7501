//! Two peers that echo every message, using only the codec and blocking sockets.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use rdv::http::head::{FieldSlots, HeadLimits, parse};
use rdv::mux::codec::{Codec, Endpoint, Message};
use rdv::mux::upgrade;

/// More than the largest message of the suite, 16 MiB.
const MESSAGE_MAX: usize = 17 << 20;

const LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, target_bytes: 8 << 10 };

/// Key and response of the example in RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Starts a server that runs until the test process exits, and returns its address.
pub(crate) fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // A peer that disconnects on purpose is not an error of this end.
                let _ = accept(stream);
            });
        }
    });
    address
}

/// Opens a WebSocket with this target and echoes messages until it closes.
pub(crate) fn call(server: SocketAddr, target: &str) -> io::Result<()> {
    open(server, target, send_back)
}

/// Opens a WebSocket with this target and returns the messages received until it closes.
pub(crate) fn messages_for_target(server: SocketAddr, target: &str) -> io::Result<Vec<Message>> {
    let mut messages = Vec::new();
    open(server, target, |_, message| messages.push(message)).map(|()| messages)
}

fn open(server: SocketAddr, target: &str, act: impl FnMut(&mut Codec, Message)) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )?;
    let (head, rest) = read_head(&mut stream)?;
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{target}: {head}");
    let mut codec = Codec::new(Endpoint::Dialled, MESSAGE_MAX);
    codec.received(&rest);
    exchange(stream, codec, act)
}

/// Accepts the upgrade, then echoes messages.
fn accept(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (head, rest) = read_head(&mut stream)?;
    let mut slots = FieldSlots::new();
    let head = parse(&head, &mut slots, &LIMITS).expect("a good head").expect("all of it");
    let upgrade = upgrade::asked(&head).expect("a good request").expect("for a WebSocket");
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        upgrade.accept
    )?;
    let mut codec = Codec::new(Endpoint::Accepted, MESSAGE_MAX);
    codec.received(&rest);
    exchange(stream, codec, send_back)
}

/// A head with its empty line, and the bytes after it.
fn read_head(stream: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        if let Some(at) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = head.split_off(at + 4);
            return Ok((head, rest));
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&piece[..count]);
    }
}

fn send_back(codec: &mut Codec, message: Message) {
    match message {
        Message::Text(text) => codec.text(&text),
        Message::Binary(bytes) => codec.binary(bytes),
        Message::Piece { .. } | Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
    }
}

/// Reads until the end, and handles every message.
fn exchange(
    mut stream: TcpStream,
    mut codec: Codec,
    mut act: impl FnMut(&mut Codec, Message),
) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        while let Some(message) = codec.next() {
            act(&mut codec, message);
        }
        while !codec.output().is_empty() {
            stream.write_all(&std::mem::take(codec.output()))?;
        }
        if codec.is_over() {
            break;
        }
        match stream.read(&mut piece)? {
            0 => codec.eof(),
            count => codec.received(&piece[..count]),
        }
    }
    // Closing with unread bytes would reset the connection and could drop the close frame. Bytes
    // after the end are ignored.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = io::copy(&mut stream, &mut io::sink());
    Ok(())
}
