//! Floor 1: connections, and what every floor above works with.
//!
//! | file | holds |
//! |---|---|
//! | `conns` | all connections: insert, look up, close (marked), free; deadlines |
//! | `conn`, `role` | one connection, and its owner |
//! | `transport`, `tls` | its bytes, plain or with TLS, here or in the kernel |
//! | `id` | ids with generations, of connections and transfers |
//! | `queue`, `timers` | the run queue, the heap of deadlines |
//! | `output`, `sockopt` | bytes to be written, options the standard library does not know |
//! | `proxy_header` | reading a PROXY header, before anything else |
//! | `extras` | what few requests have |
//! | `load` | what is counted for the load limits |
//! | `workers` | what a worker knows of the others |
//! | `mode` | whether the relay takes work, and what a connection was accepted for |
//! | `attempts` | unknown tokens by address |
//! | `journal`, `note` | access log, metrics and request ids: what is recorded of a request |

mod attempts;
mod conn;
mod conns;
mod extras;
mod id;
mod journal;
mod load;
mod mode;
mod note;
mod output;
mod proxy_header;
mod queue;
mod role;
pub mod sockopt;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_off.rs"]
mod tls;
mod transport;
mod workers;

pub use attempts::Attempts;
pub use conn::{Conn, Flushed, PeerEnd, Reply};
pub use conns::{CloseMode, Conns};
pub use extras::Extras;
pub use id::{ConnId, TransferId};
pub use journal::Journal;
pub use load::SharedCounts;
pub use mode::{ListenerKind, ServingMode};
pub use note::{Note, identify};
pub use output::Output;
pub use proxy_header::ProxyRead;
#[cfg(feature = "fuzzing")]
pub use queue::RunQueue;
pub use queue::Task;
pub use role::{Http, OnFlushed, Role, Slot};
pub use tls::{Handshake, TlsSession, kernel_encrypts};
pub use workers::{Quantity, Workers};

use crate::api::{Place, ShardKey};
use crate::http::date::HttpDate;
use crate::ops::Settings;
use crate::rendezvous::Now;
use crate::rendezvous::transfer::COPY_MAX;
use std::time::Duration;

/// User memory that bytes are copied through; nothing stays in it between uses. It is lent
/// completely, and to one borrower at a time: two readers would mix their bytes.
#[derive(Debug)]
pub struct Scratch(Option<Vec<u8>>);

impl Scratch {
    /// Lends it: [`COPY_MAX`] bytes, to be returned with [`Scratch::put_back`].
    pub fn lend(&mut self) -> Vec<u8> {
        debug_assert!(self.0.is_some(), "one borrower at a time");
        self.0.take().unwrap_or_else(|| vec![0; COPY_MAX])
    }

    /// Takes it back.
    pub fn put_back(&mut self, scratch: Vec<u8>) {
        debug_assert_eq!(scratch.len(), COPY_MAX, "it comes back as it was lent");
        self.0 = Some(scratch);
    }
}

/// What a service works with besides its own state.
#[derive(Debug)]
pub struct Io {
    /// All connections.
    pub conns: Conns,
    /// The one clock reading of this turn.
    pub now: Now,
    /// The same as a `Date` field.
    pub date: HttpDate,
    /// Records of requests: access log, metrics, ids.
    pub journal: Journal,
    /// Memory to copy through.
    pub scratch: Scratch,
    /// The effective settings.
    pub settings: Settings,
    /// Maximum concurrent connections: `max-connections`, unless descriptors cap it.
    pub max_connections: usize,
    /// Whether the relay takes work.
    pub mode: ServingMode,
    /// The place that new identifiers show; `None`: only one place makes any.
    pub place: Option<Place>,
    /// The other workers; `None`: it is the only one.
    pub workers: Option<Workers>,
    /// The addresses that sent unknown tokens.
    pub attempts: Attempts,
}

impl Io {
    /// Creates it without connections.
    pub fn new(settings: Settings, max_connections: usize, poll: mio::Registry, now: Now) -> Self {
        Self {
            conns: Conns::new(poll),
            now,
            date: HttpDate::from_unix_seconds(now.wall_ms.div_euclid(1000)),
            journal: Journal::new(now),
            scratch: Scratch(Some(vec![0; COPY_MAX])),
            place: settings.nodes.place(),
            settings,
            max_connections,
            mode: ServingMode::Serving,
            workers: None,
            attempts: Attempts::default(),
        }
    }

    /// Creates it for one more worker.
    ///
    /// # Errors
    /// Returns the errors of [`Journal::another`].
    pub fn another(&self, poll: mio::Registry, workers: Workers) -> std::io::Result<Self> {
        let mut another = Self::new(self.settings.clone(), self.max_connections, poll, self.now);
        another.journal = self.journal.another(&self.settings)?;
        another.workers = Some(workers);
        Ok(another)
    }

    /// Begins a new turn.
    pub fn begin_turn(&mut self, now: Now) {
        let second = now.wall_ms.div_euclid(1000);
        if second != self.now.wall_ms.div_euclid(1000) {
            self.date = HttpDate::from_unix_seconds(second);
        }
        self.now = now;
        self.conns.begin_turn();
    }

    /// Returns how many the other workers have of what is limited in total.
    pub fn elsewhere(&self, quantity: Quantity) -> usize {
        self.workers.as_ref().map_or(0, |workers| workers.elsewhere(quantity))
    }

    /// Publishes how many this worker has, if there are others.
    pub fn publish(&self, quantity: Quantity, number: usize) {
        if let Some(workers) = &self.workers {
            workers.publish_one(quantity, number);
        }
    }

    /// Returns how many other workers there are.
    pub fn other_workers(&self) -> usize {
        self.workers.as_ref().map_or(0, |workers| workers.count() - 1)
    }

    /// Returns the number of connections that the other workers serve, excluding lingering ones.
    pub fn served_elsewhere(&self) -> usize {
        self.elsewhere(Quantity::Clients).saturating_sub(self.elsewhere(Quantity::Lingering))
    }

    /// Returns the worker that serves this key, if it is another one.
    pub fn owner(&self, key: ShardKey<'_>) -> Option<u8> {
        self.workers.as_ref()?.other(key)
    }

    /// Whether bytes between these connections can stay in the kernel: unless it has the keys, those
    /// of TLS are encrypted in user memory.
    pub fn splices(&self, one: ConnId, other: ConnId) -> bool {
        !self.settings.no_splice
            && self.conns[one].is_spliceable()
            && self.conns[other].is_spliceable()
    }

    /// Schedules its owner's next check of a connection, replacing any earlier one. A timeout
    /// beyond the clock's range means none.
    pub fn set_timeout(&mut self, id: ConnId, timeout: Duration) {
        self.conns.set_deadline(id, self.now.monotonic.checked_add(timeout));
    }
}
