//! The source as a library: the same event loop on its own thread, and records read one by one.

use super::output::Output;
use super::queue::Queue;
use super::serve::{EndReason, Serving};
use super::settings::SourceSettings;
use crate::connector::record::{Record, json};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Accepts HTTP requests, and returns them as records. A sender is answered 201 once its record is
/// [acknowledged](Self::ack), and 503 if that takes longer than
/// [`ack_timeout`](super::settings::HandOverSettings::ack_timeout) or the source is torn down.
///
/// `examples/source.rs` is a complete program.
///
/// ```
/// use rdv::connector::record::Data;
/// use rdv::connector::source::{Source, SourceSettings};
/// use std::io::Write as _;
///
/// let mut settings = SourceSettings::default();
/// settings.port = 0;
/// let mut source = Source::open(settings)?;
///
/// let mut sender = std::net::TcpStream::connect(source.addresses()[0])?;
/// sender.write_all(b"POST /hooks HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")?;
///
/// let record = source.read()?.expect("it was not torn down");
/// assert_eq!(record.metadata["rdv.source.path"], "/hooks");
/// assert_eq!(record.payload.after, Some(Data::Raw(b"hi".to_vec())));
/// source.ack(&record)?; // Now its sender is answered.
/// source.teardown()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Source {
    records: BufReader<UnixStream>,
    acks: UnixStream,
    addresses: Vec<SocketAddr>,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<io::Result<EndReason>>>,
}

impl Source {
    /// Listens, and accepts requests from now on. The output in the settings is ignored.
    ///
    /// # Errors
    /// Why it failed: an address in use, a secret that cannot be read.
    pub fn open(mut settings: SourceSettings) -> io::Result<Self> {
        settings.hand_over.ack = true;
        let (ours, theirs) = UnixStream::pair()?;
        let (start_sender, started) = sync_channel(1);
        // The event loop cannot be moved between threads, so it is created on its own.
        let thread = std::thread::Builder::new().name("source".into());
        let thread = thread.spawn(move || serve(&settings, theirs, &start_sender))?;
        let Ok((addresses, queue)) = started.recv() else {
            let why = thread.join().unwrap_or_else(|_| Err(io::Error::other("it has panicked")));
            return Err(why.err().unwrap_or_else(|| io::Error::other("it has ended")));
        };
        let acks = ours.try_clone()?;
        Ok(Self { records: BufReader::new(ours), acks, addresses, queue, thread: Some(thread) })
    }

    /// Returns the addresses it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits for the next record; `None` once the source has ended. The program handles its own
    /// signals: only those that all of its threads block end the source, as they end `rdv source`.
    ///
    /// # Errors
    /// Errors of reading.
    pub fn read(&mut self) -> io::Result<Option<Record>> {
        let mut line = Vec::new();
        self.records.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(None);
        }
        Record::parse(&line).map(Some).map_err(io::Error::other)
    }

    /// Acknowledges the record: its sender is answered 201.
    ///
    /// # Errors
    /// If the source has ended.
    pub fn ack(&mut self, record: &Record) -> io::Result<()> {
        let mut line = b"{\"ack\":".to_vec();
        json::base64(&mut line, &record.position);
        line.extend_from_slice(b"}\n");
        self.acks.write_all(&line)
    }

    /// Stops accepting requests; those with unacknowledged records are answered 503.
    ///
    /// # Errors
    /// The error that the source has ended with.
    pub fn teardown(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.queue.end();
        // Both ends are ours; it does not matter if one is already closed.
        let _ = self.acks.shutdown(Shutdown::Both);
        match thread.join() {
            Ok(ended) => ended.map(drop),
            Err(_) => Err(io::Error::other("the source has panicked")),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // The error is available from `teardown`.
        let _ = self.end();
    }
}

fn serve(
    settings: &SourceSettings,
    output: UnixStream,
    start_sender: &SyncSender<(Vec<SocketAddr>, Arc<Queue>)>,
) -> io::Result<EndReason> {
    let serving = Serving::open(settings, Some(Output::of_socket(output)))?;
    // `open` waits for this message.
    let _ = start_sender.send((serving.addresses(), serving.queue()));
    serving.run()
}
