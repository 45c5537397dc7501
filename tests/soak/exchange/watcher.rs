//! A subscriber to the events of one stream.

use std::io;

use super::is_retried;
use super::link::Link;
use super::pool::Pool;
use crate::support::Ending;

/// The events received so far.
pub(crate) struct Watcher {
    link: Link,
    events: Vec<u8>,
}

impl Watcher {
    pub(crate) fn new(pool: &mut Pool, target: &str) -> io::Result<Watcher> {
        let mut link = pool.link(true, false)?;
        let request = format!("GET {target}/events HTTP/1.1\r\nHost: soak\r\n\r\n");
        // It fits into the empty send buffer; an error is read next.
        let _ = link.write(request.as_bytes());
        Ok(Watcher { link, events: Vec::new() })
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn step(&mut self, pool: &mut Pool) -> bool {
        let events = &mut self.events;
        self.link.receive(&mut pool.buffer, &mut |bytes| events.extend_from_slice(bytes))
    }

    /// Whether the response, or the connection, ended.
    pub(crate) fn ended(&self) -> bool {
        self.link.ending().is_some()
    }

    /// Returns what it saw instead of the end of the stream, unless it was refused like any request
    /// may be: the relay is replaced or busy.
    pub(crate) fn missed_the_end(&self) -> Option<String> {
        let status = self.link.head().map(|head| head.status);
        let text = String::from_utf8_lossy(&self.events);
        let last = text.rsplit("event: status").next().unwrap_or_default();
        let ending = self.link.ending();
        let saw = status == Some(200)
            && ending == Some(Ending::Complete)
            && last.contains("\"active\":false");
        let refused = status.is_some() && is_retried(status, false);
        (!saw && !refused).then(|| format!("{status:?}, {ending:?}, last event{last}"))
    }
}
