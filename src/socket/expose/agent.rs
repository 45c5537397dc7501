//! The agent: it connects, serves until the connection ends, and connects again.

use super::Api;
use super::backoff::{Backoff, chance};
use super::calls::Calls;
use super::counted;
use super::idle_tunnel::Owner;
use super::idle_tunnels::IdleTunnels;
use super::journal::Journal;
use super::outcome::{failure, is_final};
use crate::client::clock;
use crate::client::commands::exit::Failure;
use crate::mux::session::close;
use crate::socket::relay::Relay;
use crate::socket::{Error, SocketClient, SocketConnection, Stop};
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A connection that held for so long was a good one: the next loss begins with short pauses.
const GOOD: Duration = Duration::from_secs(10);

/// What the relay had sent when it was told of the drain arrives within this.
const SETTLING: Duration = Duration::from_millis(200);

/// One API at one relay.
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) relay: Relay,
    pub(super) client: SocketClient,
    pub(super) api: Api,
    pub(super) calls: Calls,
    /// How many spare connections are held open, where the relay takes them.
    pub(super) spares: usize,
    /// The first loss is the end.
    pub(super) once: bool,
    pub(super) journal: Arc<Journal>,
    pub(super) ending: Arc<StopMode>,
}

/// How it is told to end.
#[derive(Default)]
pub(super) struct StopMode {
    stop: Stop,
    current: Mutex<Option<SocketConnection>>,
}

impl StopMode {
    /// Serves what is under way, for so long at most, and ends. Whether there was a connection.
    pub(super) fn drain(&self, calls: &Calls, most: Duration) -> bool {
        let connection = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            self.stop.set();
            current.clone()
        };
        let Some(connection) = connection else { return false };
        connection.drain();
        std::thread::sleep(SETTLING.min(most));
        calls.wait(most);
        connection.close_with(close::GOING_AWAY, "the agent ends");
        true
    }

    /// Notes the connection to be closed at the end; not if that has come.
    fn hold(&self, connection: Option<&SocketConnection>) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = connection.cloned();
        !self.stop.is_set()
    }
}

impl Agent {
    /// Serves until it is told to end.
    ///
    /// # Errors
    /// What no further attempt changes; with `once` whatever ended the connection.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut backoff = Backoff::default();
        let mut shown = None;
        loop {
            let begun = clock::now();
            let lost = match self.client.connect() {
                Ok(connection) => self.serve_connection(&connection, &mut shown)?,
                Err(error) => Some(error),
            };
            if self.ending.stop.is_set() {
                return Ok(());
            }
            if self.once || lost.as_ref().is_some_and(|error| is_final(error, shown.is_some())) {
                return Err(failure(lost));
            }
            if clock::now().saturating_duration_since(begun) >= GOOD {
                backoff = Backoff::default();
            }
            let pause = backoff.pause(chance());
            self.log_disconnect(lost, pause);
            if self.ending.stop.wait(pause) {
                return Ok(());
            }
        }
    }

    /// Serves one connection to its end; why it ended, if somebody said so.
    fn serve_connection(
        &self,
        connection: &SocketConnection,
        shown: &mut Option<String>,
    ) -> Result<Option<Error>, Failure> {
        if !self.ending.hold(Some(connection)) {
            connection.close_with(close::GOING_AWAY, "the agent ends");
            connection.wait_parted();
            return Ok(None);
        }
        self.journal.log(&format!("connected to {} as {}", self.relay.base, self.name));
        self.show_url(connection, shown)?;
        let spares = self.start_idle_tunnels(connection)?;
        let (api, calls) = (self.api.clone(), self.calls.clone());
        let served = connection.serve(move |request| counted::forward(&api, &calls, request));
        drop(spares);
        self.ending.hold(None);
        connection.wait_parted();
        Ok(served.err())
    }

    /// Prints where the API is found now, unless that is known.
    fn show_url(
        &self,
        connection: &SocketConnection,
        shown: &mut Option<String>,
    ) -> Result<(), Failure> {
        let welcome = connection.welcome();
        let path = welcome.path.unwrap_or_else(|| format!("/socket/{}", welcome.connection));
        let url = self.relay.base.below(path.trim_start_matches('/')).to_string();
        if shown.as_ref() == Some(&url) {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let printed = writeln!(out, "{url}").and_then(|()| out.flush());
        *shown = Some(url);
        printed.map_err(|error| Failure::local("printing the URL", error))
    }

    fn start_idle_tunnels(
        &self,
        connection: &SocketConnection,
    ) -> Result<Option<IdleTunnels>, Failure> {
        let welcome = connection.welcome();
        let Some(secret) = welcome.spare.filter(|_| self.spares > 0) else { return Ok(None) };
        let owner =
            Owner { relay: self.relay.base.clone(), connection: welcome.connection, secret };
        let journal = Arc::clone(&self.journal);
        let refused = move |status| {
            journal.log(&format!(
                "the relay refused a spare connection with {status}; \
                                  requests come through the WebSocket"
            ));
        };
        let parts = (self.api.clone(), self.calls.clone());
        let spares = IdleTunnels::start(owner, self.spares, parts, refused);
        spares.map(Some).map_err(|error| Failure::local("starting a thread", error))
    }

    fn log_disconnect(&self, lost: Option<Error>, pause: Duration) {
        let why = lost.map_or("the relay closed the connection".into(), |why| why.to_string());
        let seconds = pause.as_secs_f64();
        self.journal.log(&format!("not connected: {why}; next attempt in {seconds:.1} s"));
    }
}
