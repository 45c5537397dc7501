//! The life of the process: ready, reloaded, handed over, drained, stopped. `process` decides what
//! to do when; it is carried out here, because it concerns all services.

use super::tokens::HANDOVER;
use super::workers::{Order, Worker};
use super::{EventLoop, now};
use crate::api::moved;
use crate::api::{Busy, Failure};
use crate::ops::access_log::AccessLog;
use crate::ops::config::Changes;
use crate::ops::request_id::RequestIds;
use crate::ops::tokens::TokenTable;
use crate::ops::{Configuration, Settings};
use crate::relay::http1::close_or_linger;
use crate::relay::io::{CloseMode, ConnId, Http, ListenerKind, Quantity, Role, ServingMode};
use crate::relay::process::{
    Budget, Reading, ShutdownAction, ShutdownMode, ShutdownPhase, ShutdownSignal, Signals,
    Successor, is_of_log,
};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Time for notifications after the last transfer, if the drain took all of its own: that of one
/// attempt.
const NOTIFY_TIME: Duration = Duration::from_secs(10);

impl EventLoop {
    /// Notifies the service manager and the predecessor that this process listens. If it takes over
    /// from another process, it serves as soon as that one has stopped.
    ///
    /// # Errors
    /// When the other process continues to serve.
    pub fn report_ready(&mut self) -> io::Result<()> {
        let successor = self.predecessor.is_there();
        let streams = self.predecessor.take_over()?;
        self.io.begin_turn(now());
        let own = match &self.worker {
            Some(worker) => worker.deal_streams(streams),
            None => streams,
        };
        self.adopt(&own);
        if let Some(worker) = &mut self.worker {
            // Before the others begin.
            worker.announce_mode(self.io.mode);
        }
        if successor {
            self.admin_listener.take_charge();
        }
        self.manager.started(&self.status_line());
        Ok(())
    }

    /// Returns the status of a serving relay, shown by a service manager.
    fn status_line(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(SocketAddr::to_string).collect();
        format!("Serving on {}", addresses.join(", "))
    }

    /// Takes over the streams handed over by another process.
    pub(super) fn adopt(&mut self, lines: &[String]) {
        let mut kept = 0;
        for line in lines {
            if line == moved::SUSPENDED {
                self.io.mode = ServingMode::Suspended;
                kept += 1;
                continue;
            }
            let taken = moved::read(line).is_some_and(|moved| self.streams.adopt(&self.io, moved));
            kept += usize::from(taken);
        }
        if kept < lines.len() {
            log::warn!("hand-over: only {kept} of {} waiting streams are kept", lines.len());
        }
    }

    /// Sends an order to the other workers, if there are some.
    fn order(&self, order: impl Fn() -> Order) {
        if let Some(worker) = &self.worker {
            worker.order(order);
        }
    }

    pub(super) fn obey_signals(&mut self) {
        while let Some(signal) = self.signals.as_mut().and_then(Signals::next) {
            match ShutdownSignal::of(signal) {
                Some(ShutdownSignal::HandOver) => self.begin_handover(),
                Some(ShutdownSignal::Reload) => self.begin_reload(),
                Some(ShutdownSignal::ReopenLogs) => self.reopen_files(),
                Some(ShutdownSignal::End(how)) => self.end(how, signal.as_str()),
                None => {}
            }
        }
    }

    /// Opens the logs and the output of records again, after a rotation.
    fn reopen_files(&mut self) {
        self.io.journal.reopen();
        self.intake.reopen();
        self.order(|| Order::Reopen);
    }

    /// Handles `SIGHUP`: reopens files and starts reloading the configuration.
    fn begin_reload(&mut self) {
        self.reopen_files();
        if self.stopping == ShutdownPhase::No && self.reloader.has_sources() {
            self.manager.reloading();
            self.reloader.start();
        }
    }

    /// Applies the new configuration as far as that is possible while running.
    pub(super) fn finish_reload(&mut self) {
        // The loop may have been woken for something else.
        let Some(reading) = self.reloader.take() else { return };
        match self.apply(reading) {
            Ok(()) => self.manager.reloaded(&self.status_line()),
            Err(why) => {
                log::error!("the configuration stays as it is: {why}");
                let status = format!("{}; the last reload failed", self.status_line());
                self.manager.reloaded(&status);
            }
        }
    }

    fn apply(&mut self, reading: Reading) -> Result<(), String> {
        let (newer, log) = reading?;
        let configuration = newer.clone();
        let changes = self.apply_changes(newer, log)?;
        if let Some(worker) = &self.worker {
            worker.reload(&self.io, &configuration);
        }
        if self.io.settings.tls.http_redirect && self.https_port.is_none() {
            log::warn!("http-redirect has no effect before a restart with tls-listen");
        }
        if !changes.kept.is_empty() {
            log::warn!("these settings need a restart: {}", changes.kept.join(", "));
        }
        if changes.applied.is_empty() {
            log::info!("configuration reloaded; no changes");
        } else {
            log::info!("configuration reloaded; changed: {}", changes.applied.join(", "));
        }
        Ok(())
    }

    /// Applies a configuration that was read, and its log if the settings of that changed.
    pub(super) fn apply_changes(
        &mut self,
        newer: Configuration,
        log: Option<AccessLog>,
    ) -> Result<Changes, String> {
        let ids = RequestIds::new(&newer.settings.request_id).map_err(|error| error.to_string())?;
        let changes = self.configuration.reload(newer)?;
        let settings = self.configuration.settings.clone();
        self.io.journal.request_ids = ids;
        if changes.applied.iter().any(|key| is_of_log(key)) {
            self.io.journal.replace_log(log, self.io.conns.iter_mut());
        }
        // New limits and timeouts apply to what begins from now on.
        self.io.max_connections = Budget::claim(&settings).max_connections;
        self.http1.reconfigure(&settings);
        self.streams.reconfigure(&settings, self.io.journal.logs(), self.io.now);
        let former = std::mem::replace(&mut self.io.settings, settings);
        self.forget_tokens(&former);
        Ok(changes)
    }

    /// Removes the counts of tokens that are gone, so that reloads add no series without end.
    fn forget_tokens(&self, former: &Settings) {
        let names = former.tokens.tokens.iter().flat_map(TokenTable::names);
        let table = self.io.settings.tokens.tokens.as_ref();
        for name in names.filter(|name| table.is_none_or(|table| !table.has(name))) {
            self.io.journal.metrics.forget_token(name);
        }
    }

    /// Starts a new process to take over.
    fn begin_handover(&mut self) {
        if self.intake.is_there() {
            return log::warn!("no hand-over: a source of records has no successor; restart it");
        }
        if self.stopping != ShutdownPhase::No {
            return log::warn!("no hand-over: this process is about to end");
        }
        if self.handover.is_running() {
            return log::warn!("no second hand-over: a new process is being started");
        }
        log::info!("hand-over: starting a new process");
        let timeout = self.io.settings.handover.handover_timeout;
        let own = self.listeners.sockets().chain(self.admin_listener.socket());
        let sockets: Vec<_> = own.chain(self.worker.iter().flat_map(Worker::sockets)).collect();
        let started = self.handover.start(&sockets, timeout, self.poll.registry(), HANDOVER);
        if let Err(error) = started {
            self.handover_failed(&error.to_string());
        }
    }

    /// Finishes a hand-over: the new process is ready, or the attempt failed.
    pub(super) fn finish_handover(&mut self) {
        match self.handover.outcome(self.poll.registry()) {
            Some(Ok(successor)) if self.stopping == ShutdownPhase::No => self.step_down(successor),
            // Its successor would replace this process, which is ending: so it ends as well.
            Some(Ok(successor)) => drop(successor),
            Some(Err(why)) => self.handover_failed(&why),
            None => {}
        }
    }

    fn handover_failed(&self, why: &str) {
        if self.stopping != ShutdownPhase::No {
            return log::warn!("no hand-over: {why}");
        }
        log::error!("no hand-over: {why}; this process goes on serving");
        self.manager.status("Serving; the last hand-over failed");
    }

    /// Steps down for the new process: this one ends with its last transfer. All in one turn, so
    /// that no stream is known to both processes.
    fn step_down(&mut self, successor: Successor) {
        let process = successor.process;
        let suspended = self.io.mode == ServingMode::Suspended;
        // Before the new process reports ready: the manager listens to the main process only.
        self.manager.moved_to(process, "Serving");
        let mut streams = self.worker.as_ref().map(Worker::take_streams).unwrap_or_default();
        streams.push_str(&self.give_all_away());
        if suspended {
            streams.push_str(moved::SUSPENDED);
        }
        self.handover.step_down_for(successor, streams);
        log::info!("hand-over: process {process} serves now, this one drains");
        self.admin_listener.leave(self.poll.registry());
    }

    /// Gives the waiting streams away; this loop ends with its last transfer.
    pub(super) fn give_all_away(&mut self) -> String {
        self.io.mode = ServingMode::HandedOver;
        let streams = self.streams.give_away(&mut self.io);
        self.leave(ServingMode::HandedOver, "");
        let limit = self.io.settings.handover.handover_drain_timeout;
        let until = limit.and_then(|limit| self.io.now.monotonic.checked_add(limit));
        self.stopping = ShutdownPhase::Draining(until);
        streams
    }

    /// Carries out an order to end; one without a name was logged by the first worker.
    pub(super) fn end(&mut self, how: ShutdownMode, order: &str) {
        self.order(|| Order::End(how));
        let until = self.io.now.monotonic.checked_add(self.io.settings.drain_timeout);
        self.notify_until = match how {
            ShutdownMode::Quickly => Some(self.io.now.monotonic),
            ShutdownMode::Drain | ShutdownMode::DrainWithoutLimit => until,
        };
        let handed_over = self.io.mode == ServingMode::HandedOver;
        let act = self.stopping.obey(how, until, handed_over);
        self.perform(act, order);
    }

    fn perform(&mut self, act: ShutdownAction, order: &str) {
        match act {
            ShutdownAction::Nothing => {}
            ShutdownAction::Drain(status) => {
                let elsewhere = self.io.elsewhere(Quantity::Transfers);
                let running = match self.transfers.len() + elsewhere {
                    0 => String::new(),
                    count => format!("; waiting for {}", transfers(count)),
                };
                if !order.is_empty() {
                    log::info!("{order}: {}{running}", status.to_lowercase());
                }
                self.leave(ServingMode::Draining, status);
            }
            ShutdownAction::BreakOff(status) => {
                if !order.is_empty() {
                    log::info!("{order}: {}", status.to_lowercase());
                }
                self.leave(ServingMode::Draining, status);
                self.abort_all();
            }
        }
    }

    /// Stops accepting clients. After a hand-over idle connections stay until their next request or
    /// their timeout: a request may be on its way, and would be lost.
    fn leave(&mut self, mode: ServingMode, status: &str) {
        self.manager.stopping(status);
        self.listeners.close(self.poll.registry());
        if let Some(worker) = &mut self.worker {
            worker.close_sockets();
        }
        self.io.mode = mode;
        self.streams.drain(&mut self.io);
        self.agents.drain(&mut self.io);
        for id in self.clients_ids() {
            let conn = &self.io.conns[id];
            let reads = matches!(conn.role, Role::Http(Http::Head | Http::Proxy | Http::Handshake));
            if mode == ServingMode::Draining && reads && conn.is_idle() {
                self.io.conns[id].end_output();
                self.io.conns.close(id, CloseMode::Orderly);
            }
        }
    }

    /// Ends everything now: running transfers are interrupted, and all clients are notified.
    fn abort_all(&mut self) {
        if self.transfers.len() > 0 {
            log::warn!("{} interrupted", transfers(self.transfers.len()));
        }
        let failure = Failure::TooBusy(Busy::Stopping);
        self.intake.abort(&mut self.io);
        self.agents.abort(&mut self.io, &mut self.transfers);
        self.streams.abort_all(&mut self.io, &mut self.transfers, &failure);
        self.streams.show_changes(&mut self.io, &mut self.transfers);
        for id in self.clients_ids() {
            let role = self.io.conns[id].role;
            let answered = matches!(role, Role::Http(Http::Lingering { .. }));
            let awaits = matches!(role, Role::Intake(slot) if self.intake.awaits_verdict(slot));
            if answered || awaits {
                continue;
            }
            if let Role::Http(_) = role {
                close_or_linger(&mut self.io, id);
            } else {
                self.io.conns.close(id, CloseMode::Orderly);
            }
        }
        let until = self.io.now.monotonic + self.io.settings.linger_timeout;
        self.stopping = ShutdownPhase::Closing(until);
    }

    pub(super) fn look_after_stopping(&mut self) {
        if self.intake.is_over() && self.stopping == ShutdownPhase::No {
            self.end(ShutdownMode::Drain, "no consumer is left");
        }
        if self.admin.take_stop() && self.stopping == ShutdownPhase::No {
            self.end(ShutdownMode::Drain, "an operator's order");
        }
        if let ShutdownAction::BreakOff(_) = self.next_action() {
            self.abort_all();
            // Without clients it ends in this turn: no event would end it later.
            let _closing = self.next_action();
        }
    }

    /// Returns the next action of the shutdown, counting clients not closed in this turn.
    fn next_action(&mut self) -> ShutdownAction {
        self.reap();
        let elsewhere = self.worker.as_ref().map_or(0, |it| it.clients_elsewhere(&self.io));
        let clients = self.io.conns.clients() + elsewhere;
        self.stopping.next_action(self.io.now.monotonic, clients)
    }

    /// Returns the clients' connections. Operators are served to the end, and do not delay it.
    fn clients_ids(&self) -> Vec<ConnId> {
        let conns = self.io.conns.iter();
        conns.filter(|conn| conn.listener != ListenerKind::Admin).map(|conn| conn.id).collect()
    }

    /// Waits for the notifications that are not sent yet. Last: no client and no other process waits
    /// for this one then.
    pub(super) fn finish_notifications(&mut self) {
        let most = self.io.settings.drain_timeout;
        let within = self.notify_until.map_or(most, |until| {
            let left = until.saturating_duration_since(now().monotonic);
            // Streams that were interrupted a moment ago have one attempt at least.
            left.max(most.min(NOTIFY_TIME))
        });
        self.streams.notifications.finish(within);
    }

    /// Logs what is still in progress when the process ends.
    pub(super) fn log_rest(&mut self) {
        self.streams.log_rest(&mut self.io, &mut self.transfers);
        for conn in self.io.conns.iter_mut() {
            self.io.journal.ended(conn, self.io.now);
        }
        self.io.journal.write();
    }
}

/// Formats a number of transfers.
fn transfers(count: usize) -> String {
    format!("{count} transfer{}", if count == 1 { "" } else { "s" })
}
