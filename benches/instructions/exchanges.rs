//! Requests to a relay, strictly in sequence: before the next step the relay has processed the last
//! one and waits, so that the number of turns of its event loop is always the same.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use rdv::ops::Sources;

use crate::callgrind;
use crate::chunks::Decoder;
use crate::client::Client;
use crate::{Result, failure};

/// Payload of an upload with `Content-Length`.
const PAYLOAD: [u8; 1024] = [b'x'; 1024];

/// Chunks of an upload, and the payload of each.
const CHUNKS: (usize, usize) = (16, 2048);

/// One repetition.
pub(crate) type Exchange = fn(&mut Session) -> Result<()>;

const ALL: [(&str, Exchange); 6] = [
    ("relay-ping", ping),
    ("relay-kept-put-first", |session| session.kept(Session::upload_first)),
    ("relay-kept-get-first", |session| session.kept(Session::download_first)),
    ("relay-new-put-first", |session| session.new_connections(Session::upload_first)),
    ("relay-new-get-first", |session| session.new_connections(Session::download_first)),
    ("relay-chunks-2-kib", |session| session.kept(Session::chunked)),
];

/// How an upload meets a download.
type Meeting = fn(&Session, &mut Client, &mut Client, &str) -> Result<()>;

/// A relay under callgrind, and two kept-alive connections to it.
pub(crate) struct Session {
    address: SocketAddr,
    /// `/proc/PID/stat` of the relay.
    state: PathBuf,
    kept: Option<(Client, Client)>,
}

/// The names of all exchanges.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|&(name, _)| name)
}

/// The exchange of this name.
pub(crate) fn find(name: &str) -> Option<Exchange> {
    ALL.iter().find(|(known, _)| *known == name).map(|&(_, exchange)| exchange)
}

/// Serves as a relay on a free loopback port until SIGTERM; prints the address.
pub(crate) fn serve() -> Result<()> {
    let settings = [("RDV_LISTEN", "127.0.0.1:0"), ("RDV_ADMIN_LISTEN", "none")];
    let settings = settings.map(|(name, value)| (name.into(), value.into()));
    let sources = Sources::without_flags(settings.into_iter(), Some("/dev/null".into()))?;
    rdv::relay::serve(sources.read()?, sources, |event_loop| {
        let addresses = event_loop.addresses();
        println!("listening on {}", addresses[0]);
    })?;
    Ok(())
}

/// Repeats one exchange; returns the instructions of the relay.
pub(crate) fn run(name: &str, exchange: Exchange, count: u32) -> Result<u64> {
    let relay = callgrind::start(name, &["serve"], count)?;
    let address = relay.expect("listening on ")?.parse()?;
    let state = PathBuf::from(format!("/proc/{}/stat", relay.pid()));
    let mut session = Session { address, state, kept: None };
    session.kept = Some((session.connect()?, session.connect()?));
    for _ in 0..count {
        exchange(&mut session)?;
    }
    drop(session);
    relay.terminate()
}

fn ping(session: &mut Session) -> Result<()> {
    let (client, _) = session.kept.as_mut().ok_or_else(|| failure("not connected"))?;
    client.send("GET /ping", "", b"")?;
    client.read_response()?;
    session.settle()
}

impl Session {
    /// Waits until the relay waits for events: the state in `proc_pid_stat(5)` is `S`.
    fn settle(&self) -> Result<()> {
        loop {
            let stat = fs::read_to_string(&self.state)?;
            match stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()) {
                Some('S') => return Ok(()),
                Some('Z') | None => return Err(failure("the relay exited")),
                Some(_) => thread::yield_now(),
            }
        }
    }

    fn connect(&self) -> Result<Client> {
        let client = Client::connect(self.address)?;
        self.settle()?;
        Ok(client)
    }

    fn kept(&mut self, meeting: Meeting) -> Result<()> {
        let (mut source, mut destination) =
            self.kept.take().ok_or_else(|| failure("not connected"))?;
        let id = self.create(&mut destination)?;
        meeting(self, &mut source, &mut destination, &id)?;
        self.kept = Some((source, destination));
        Ok(())
    }

    fn new_connections(&mut self, meeting: Meeting) -> Result<()> {
        let mut creator = self.connect()?;
        let id = self.create(&mut creator)?;
        self.close(creator)?;
        let (mut source, mut destination) = (self.connect()?, self.connect()?);
        meeting(self, &mut source, &mut destination, &id)?;
        self.close(source)?;
        self.close(destination)
    }

    fn close(&self, client: Client) -> Result<()> {
        drop(client);
        self.settle()
    }

    fn create(&self, client: &mut Client) -> Result<String> {
        let id = client.create_stream()?;
        self.settle()?;
        Ok(id)
    }

    fn upload_first(&self, source: &mut Client, destination: &mut Client, id: &str) -> Result<()> {
        upload(source, id)?;
        self.settle()?;
        download(destination, id)?;
        self.finish(source, destination, &PAYLOAD)
    }

    fn download_first(
        &self,
        source: &mut Client,
        destination: &mut Client,
        id: &str,
    ) -> Result<()> {
        download(destination, id)?;
        self.settle()?;
        upload(source, id)?;
        self.finish(source, destination, &PAYLOAD)
    }

    /// The upload is complete in the relay's socket before the download begins.
    fn chunked(&self, source: &mut Client, destination: &mut Client, id: &str) -> Result<()> {
        let (chunks, payload) = (CHUNKS.0, vec![b'x'; CHUNKS.1]);
        let chunk = [format!("{:x}\r\n", payload.len()).as_bytes(), &payload, b"\r\n"].concat();
        let body = [chunk.repeat(chunks), b"0\r\n\r\n".to_vec()].concat();
        source.send(&format!("PUT /stream/{id}"), "Transfer-Encoding: chunked\r\n", &body)?;
        self.settle()?;
        download(destination, id)?;
        discard_chunks(destination)?;
        source.expect("PUT", b"")?;
        self.settle()
    }

    fn finish(&self, source: &mut Client, destination: &mut Client, body: &[u8]) -> Result<()> {
        destination.expect("GET", body)?;
        source.expect("PUT", b"")?;
        self.settle()
    }
}

/// Reads a chunked response to its end.
fn discard_chunks(client: &mut Client) -> Result<()> {
    client.head()?;
    let mut decoder = Decoder::new();
    let mut received = client.take_rest();
    loop {
        decoder.feed(&received, |_| Ok(()))?;
        if decoder.ended() {
            return Ok(());
        }
        received.resize(CHUNKS.1, 0);
        let count = client.socket.read(&mut received)?;
        received.truncate(count);
    }
}

fn upload(source: &mut Client, id: &str) -> Result<()> {
    let length = format!("Content-Length: {}\r\n", PAYLOAD.len());
    source.send(&format!("PUT /stream/{id}"), &length, &PAYLOAD)
}

fn download(destination: &mut Client, id: &str) -> Result<()> {
    destination.send(&format!("GET /stream/{id}"), "", b"")
}
