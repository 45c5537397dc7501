//! The idle tunnels of one agent, each with a thread. A lost tunnel is reopened, at once if it
//! served a request, otherwise after a pause.

use super::Api;
use super::calls::Calls;
use super::idle_tunnel::{self, NotOpened, Owner};
use super::tunnel_server::TunnelServer;
use crate::client::Backoff;
use crate::client::connection::Connection;
use crate::client::mover::Mover;
use crate::client::wire::Wire;
use crate::ops::threads;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A set of idle tunnels; they are closed when this is dropped.
pub struct IdleTunnels(Arc<Shared>);

/// After this many refusals in a row, no more tunnels are opened. A single refusal may be
/// premature: the relay reads the last message of the handshake on another connection, which can be
/// later.
const REFUSALS_MAX: u32 = 3;

type Refused = Box<dyn FnOnce(u16) + Send>;

/// State shared by the threads.
struct Shared {
    owner: Owner,
    api: Api,
    calls: Calls,
    /// Called once, with the status, if the relay refuses idle tunnels.
    refused: Mutex<Option<Refused>>,
    held: Mutex<TunnelSet>,
    stopped: Condvar,
}

#[derive(Default)]
struct TunnelSet {
    stopped: bool,
    /// Connection of each thread, while it has one.
    wires: Vec<Option<Arc<Wire>>>,
}

impl IdleTunnels {
    /// Starts opening `count` tunnels, and returns at once. Calls `refused` if the relay refuses
    /// them.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        owner: Owner,
        count: usize,
        (api, calls): (Api, Calls),
        refused: impl FnOnce(u16) + Send + 'static,
    ) -> io::Result<Self> {
        let held = TunnelSet { stopped: false, wires: vec![None; count] };
        let shared = Arc::new(Shared {
            owner,
            api,
            calls,
            refused: Mutex::new(Some(Box::new(refused))),
            held: Mutex::new(held),
            stopped: Condvar::new(),
        });
        let tunnels = Self(Arc::clone(&shared));
        for place in 0..count {
            let shared = Arc::clone(&shared);
            threads::spawn("tunnel", move || shared.keep(place))?;
        }
        Ok(tunnels)
    }
}

impl Drop for IdleTunnels {
    fn drop(&mut self) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.stopped = true;
        for wire in held.wires.iter_mut().filter_map(Option::take) {
            wire.end();
        }
        self.0.stopped.notify_all();
    }
}

impl Shared {
    /// Keeps one tunnel open.
    fn keep(&self, place: usize) {
        let mut server =
            TunnelServer { api: &self.api, calls: &self.calls, mover: Mover::default() };
        let mut failed = 0_u32;
        let mut refusals = 0;
        loop {
            let count = match idle_tunnel::open(&self.owner) {
                Ok(connection) if self.hold(place, &connection) => {
                    let requests = server.serve(connection);
                    self.release(place);
                    requests
                }
                Ok(_) => return,
                Err(NotOpened::Refused(status @ 400..=499)) => {
                    refusals += 1;
                    if refusals == REFUSALS_MAX {
                        return self.give_up(status);
                    }
                    0
                }
                Err(NotOpened::Refused(_) | NotOpened::Failed) => 0,
            };
            if count > 0 {
                refusals = 0;
                failed = 0;
            } else {
                failed = failed.saturating_add(1);
                if self.pauses(failed) {
                    return;
                }
            }
        }
    }

    /// Registers the connection to be closed on drop, and returns false if that has already
    /// happened.
    fn hold(&self, place: usize, connection: &Connection) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.stopped {
            held.wires[place] = Some(connection.shared_wire());
        }
        !held.stopped
    }

    /// Forgets a connection that has ended, or was upgraded and is an idle tunnel no more.
    fn release(&self, place: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.wires[place] = None;
    }

    /// Waits before the next attempt, and returns whether to stop instead.
    fn pauses(&self, failed: u32) -> bool {
        let pause = Backoff::default().pause(failed);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.stopped.wait_timeout_while(held, pause, |held| !held.stopped);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    fn give_up(&self, status: u16) {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(refused) = refused {
            refused(status);
        }
    }
}
