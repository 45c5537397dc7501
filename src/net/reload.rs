//! Reading the configuration again while the relay runs (`SIGHUP`). Files are read by a thread of
//! their own, so that a slow disk stops nobody; the loop is woken when it is done.

use super::event_loop::EventLoop;
use super::shutdown::Stopping;
use super::{budget, relay::Relay};
use crate::ops::access_log::AccessLog;
use crate::ops::request_id::RequestIds;
use crate::ops::{Configuration, Settings, Sources};
use mio::{Registry, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What reading led to: a configuration, and the access log it asks for.
type Reading = Result<(Configuration, Option<AccessLog>), String>;

/// The sources of the configuration, and readings on their way.
#[derive(Debug)]
pub(super) struct Reloader {
    /// None: what is in force stays.
    sources: Option<Sources>,
    waker: Arc<Waker>,
    sender: Sender<Reading>,
    readings: Receiver<Reading>,
    /// A thread is reading.
    reading: bool,
    /// It has to be read once more after that.
    again: bool,
}

impl Reloader {
    /// Reads nothing yet; `token` will tell of readings.
    ///
    /// # Errors
    /// What eventfd(2) or `epoll_ctl`(2) say.
    pub fn new(sources: Option<Sources>, registry: &Registry, token: Token) -> io::Result<Self> {
        let waker = Arc::new(Waker::new(registry, token)?);
        let (sender, readings) = channel();
        Ok(Self { sources, waker, sender, readings, reading: false, again: false })
    }

    /// What wakes the loop.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Reads the configuration again; one reading at a time.
    pub fn start(&mut self) {
        if self.reading {
            self.again = true;
            return;
        }
        let Some(sources) = self.sources.clone() else { return };
        let (waker, sender) = (self.waker.clone(), self.sender.clone());
        let thread = std::thread::Builder::new().name("reload".into()).spawn(move || {
            // Nobody listens any more when the relay has ended.
            let _ = sender.send(read(&sources));
            let _ = waker.wake();
        });
        match thread {
            Ok(_) => self.reading = true,
            Err(error) => log::error!("the configuration was not read again: {error}"),
        }
    }

    /// The reading that is done, if one is.
    fn take(&mut self) -> Option<Reading> {
        let reading = self.readings.try_recv().ok()?;
        self.reading = false;
        if std::mem::take(&mut self.again) {
            self.start();
        }
        Some(reading)
    }
}

fn read(sources: &Sources) -> Reading {
    let configuration = sources.read()?;
    if let Some(warning) = configuration.settings.access_log.warning() {
        log::warn!("{warning}");
    }
    let log = AccessLog::open(&configuration.settings.access_log);
    Ok((configuration, log.map_err(|error| error.to_string())?))
}

/// Whether a setting is one of the access log's.
fn is_of_log(key: &str) -> bool {
    key.starts_with("access-log") || ["log-full-ids", "instance-id"].contains(&key)
}

impl EventLoop {
    /// `SIGHUP`: opens the logs anew, and has the configuration read again.
    pub(super) fn begin_reload(&mut self) {
        self.relay.reopen_logs();
        if self.stopping == Stopping::No && self.reloader.sources.is_some() {
            self.manager.reloading();
            self.reloader.start();
        }
    }

    /// Puts what was read in force, as far as that can be done.
    pub(super) fn finish_reload(&mut self) {
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
        let ids = RequestIds::new(&newer.settings.request_id).map_err(|error| error.to_string())?;
        let changes = self.configuration.reload(newer)?;
        self.relay.reconfigure(self.configuration.settings.clone());
        self.relay.request_ids = ids;
        if changes.applied.iter().any(|key| is_of_log(key)) {
            self.relay.replace_log(log);
        }
        if !changes.kept.is_empty() {
            log::warn!("these settings need a restart: {}", changes.kept.join(", "));
        }
        if changes.applied.is_empty() {
            log::info!("the configuration was read again; nothing new is in force");
        } else {
            log::info!("the configuration was read again; new: {}", changes.applied.join(", "));
        }
        Ok(())
    }
}

impl Relay {
    /// New limits and times hold for what begins from now on.
    fn reconfigure(&mut self, settings: Settings) {
        let budget = budget::claim(settings.max_connections, budget::others(&settings));
        self.max_connections = budget.max_connections;
        self.head_limits = Self::head_limits(&settings);
        self.registry.set_limits(Self::stream_limits(&settings));
        self.settings = settings;
    }
}
