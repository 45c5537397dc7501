//! The agent: connects, serves until the connection ends, and reconnects.

use super::Api;
use super::calls::Calls;
use super::counted;
use super::idle_tunnel::Owner;
use super::idle_tunnels::IdleTunnels;
use super::journal::Journal;
use super::name_wait::NameWait;
use super::outcome::{failure, is_final};
use crate::client::commands::exit::Failure;
use crate::client::{Backoff, Options, clock};
use crate::mux::session::close;
use crate::ops::stdio;
use crate::socket::relay::Relay;
use crate::socket::{Error, SocketClient, SocketConnection, Stop};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A connection that lasted this long resets the backoff.
const GOOD: Duration = Duration::from_secs(10);

/// Time for requests that the relay had sent before it received the drain message.
const SETTLING: Duration = Duration::from_millis(200);

/// An agent that exposes one API at one relay.
pub(super) struct Agent {
    /// Name of the API; without one, it is reached by the id of the connection.
    pub(super) name: Option<String>,
    /// How long to wait for a name in use.
    pub(super) name_timeout: Duration,
    pub(super) relay: Relay,
    pub(super) client: SocketClient,
    pub(super) options: Options,
    pub(super) api: Api,
    pub(super) calls: Calls,
    /// Number of idle tunnels to keep open, if the relay accepts them.
    pub(super) tunnels: usize,
    /// Whether to stop when the connection is lost, instead of reconnecting.
    pub(super) once: bool,
    pub(super) journal: Arc<Journal>,
    pub(super) ending: Arc<StopMode>,
}

/// The stop flag of the agent, and the connection to drain.
#[derive(Default)]
pub(super) struct StopMode {
    stop: Stop,
    current: Mutex<Option<SocketConnection>>,
}

impl StopMode {
    /// Stops the agent, after serving requests in progress for at most `most`. Returns whether it
    /// was connected.
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

    /// Sets the current connection, and returns whether the agent keeps running.
    fn hold(&self, connection: Option<&SocketConnection>) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = connection.cloned();
        !self.stop.is_set()
    }
}

impl Agent {
    /// Serves until it is stopped.
    ///
    /// # Errors
    /// An error that retrying does not fix; with `once`, whatever ended the connection.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut failed = 0_u32;
        let mut shown = None;
        let mut names = NameWait::new(self.name_timeout);
        loop {
            let begun = clock::now();
            let lost = match self.client.connect() {
                Ok(connection) => self.serve_connection(&connection, &mut shown)?,
                Err(error) => Some(error),
            };
            if self.ending.stop.is_set() {
                return Ok(());
            }
            let (now, was_waiting) = (clock::now(), names.is_waiting());
            let waits = lost.as_ref().is_some_and(|error| names.waits(error, now));
            if now.saturating_duration_since(begun) >= GOOD && !waits {
                failed = 0;
                names.end();
            }
            let is_final = || lost.as_ref().is_some_and(|error| is_final(error, shown.is_some()));
            if self.once || !waits && is_final() {
                return Err(failure(lost));
            }
            failed = failed.saturating_add(1);
            let mut pause = Backoff::default().pause(failed);
            if waits {
                pause = NameWait::pause(pause);
            }
            if waits && !was_waiting {
                self.log_name_wait();
            }
            self.log_disconnect(lost, pause);
            if self.ending.stop.wait(pause) {
                return Ok(());
            }
        }
    }

    /// Serves one connection until it ends, and returns why, if there was an error.
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
        let name = self.name.as_ref().map_or("without a name".into(), |name| format!("as {name}"));
        self.journal.log(&format!("connected to {} {name}", self.relay.base));
        self.show_url(connection, shown)?;
        let tunnels = self.start_idle_tunnels(connection)?;
        let (api, calls) = (self.api.clone(), self.calls.clone());
        let served = connection.serve(move |request| counted::forward(&api, &calls, request));
        drop(tunnels);
        self.ending.hold(None);
        connection.wait_parted();
        Ok(served.err())
    }

    /// Prints the public URL of the API, unless it was already printed.
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
        let mut out = stdio::output();
        let printed = writeln!(out, "{url}").and_then(|()| out.flush());
        *shown = Some(url);
        printed.map_err(|error| Failure::local("cannot print the URL", error))
    }

    fn start_idle_tunnels(
        &self,
        connection: &SocketConnection,
    ) -> Result<Option<IdleTunnels>, Failure> {
        let welcome = connection.welcome();
        let Some(secret) = welcome.tunnel_secret.filter(|_| self.tunnels > 0) else {
            return Ok(None);
        };
        let (relay, options) = (self.relay.base.clone(), self.options.clone());
        let owner = Owner { relay, connection: welcome.connection, secret, options };
        let journal = Arc::clone(&self.journal);
        let refused = move |status| {
            journal.log(&format!(
                "the relay refused a tunnel with {status}; \
                                  requests come through the WebSocket"
            ));
        };
        let parts = (self.api.clone(), self.calls.clone());
        let tunnels = IdleTunnels::start(owner, self.tunnels, parts, refused);
        tunnels.map(Some).map_err(|error| Failure::local("cannot start a thread", error))
    }

    fn log_name_wait(&self) {
        let limit = self.name_timeout;
        self.journal.log(&format!(
            "the name is in use, or reserved for an interrupted connection; waiting {limit:?} at most"
        ));
    }

    fn log_disconnect(&self, lost: Option<Error>, pause: Duration) {
        let why = lost.map_or("the relay closed the connection".into(), |why| why.to_string());
        let seconds = pause.as_secs_f64();
        self.journal.log(&format!("not connected: {why}; next attempt in {seconds:.1} s"));
    }
}
