//! Draining: accept nothing, answer those who wait, let running transfers end in their time.

use super::admin::Realm;
use super::conn::Phase;
use super::relay::{Mode, Relay};
use super::token::ConnId;
use crate::api::{Busy, Failure};
use crate::rendezvous::Ending;

impl Relay {
    /// Nothing new begins from now on.
    pub(super) fn drain(&mut self) {
        self.mode = Mode::Draining;
        for id in self.clients_ids() {
            let Some(conn) = self.conn(id) else { continue };
            match &conn.phase {
                Phase::Head if conn.is_idle() => self.close(id),
                Phase::Waiting { stream, .. } => {
                    let (stream, report) = (*stream, Box::new(Failure::stopping()));
                    self.registry.end(stream, Ending::Reported(report), self.now);
                    self.dismiss(id, &Failure::TooBusy(Busy::Stopping));
                }
                Phase::Head
                | Phase::Json(_)
                | Phase::Streaming { .. }
                | Phase::Answering(_)
                | Phase::Listing(_)
                | Phase::Lingering { .. } => {}
            }
        }
    }

    /// The time to drain is over: running transfers are broken off, and everybody is told.
    pub(super) fn break_off_all(&mut self) {
        for id in self.clients_ids() {
            self.break_off(id, Failure::stopping(), &Failure::TooBusy(Busy::Stopping));
        }
        for id in self.clients_ids() {
            if self.conn(id).is_some_and(|conn| !conn.is_lingering()) {
                self.close_or_linger(id);
            }
        }
    }

    /// Operators are served to the end, and hold nobody back.
    fn clients_ids(&self) -> Vec<ConnId> {
        let clients = self.conns.iter().filter(|(_, conn)| conn.realm == Realm::Public);
        clients.map(|(_, conn)| conn.id).collect()
    }
}
