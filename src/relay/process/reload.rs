//! Reloading the configuration while the relay runs (`SIGHUP`). A separate thread reads the files,
//! so that a slow disk blocks nothing else; it wakes the loop when done, and the loop applies the
//! result.

use super::doctor;
use crate::ops::access_log::AccessLog;
use crate::ops::{Configuration, Sources};
use mio::{Registry, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How often waking the loop is tried, and the pause after a failure: a minute.
const WAKE_ATTEMPTS: u32 = 600;
const WAKE_PAUSE: Duration = Duration::from_millis(100);

/// The result of reading: a configuration, and the access log it configures.
pub type Reading = Result<(Configuration, Option<AccessLog>), String>;

/// The sources of the configuration, and readings in progress.
#[derive(Debug)]
pub struct Reloader {
    /// The sources; `None`: the effective configuration stays.
    sources: Option<Sources>,
    waker: Arc<Waker>,
    sender: Sender<Reading>,
    readings: Receiver<Reading>,
    /// A thread is reading.
    reading: bool,
    /// Another reading is to follow the current one.
    again: bool,
}

impl Reloader {
    /// Creates a reloader; `token` reports finished readings.
    ///
    /// # Errors
    /// Returns the error of eventfd(2) or `epoll_ctl`(2).
    pub fn new(sources: Option<Sources>, registry: &Registry, token: Token) -> io::Result<Self> {
        let waker = Arc::new(Waker::new(registry, token)?);
        let (sender, readings) = channel();
        Ok(Self { sources, waker, sender, readings, reading: false, again: false })
    }

    /// Returns what wakes the loop.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Whether the configuration can be reloaded.
    pub fn has_sources(&self) -> bool {
        self.sources.is_some()
    }

    /// Starts reading the configuration; one reading at a time.
    pub fn start(&mut self) {
        if self.reading {
            self.again = true;
            return;
        }
        let Some(sources) = self.sources.clone() else { return };
        let (waker, sender) = (self.waker.clone(), self.sender.clone());
        let thread = std::thread::Builder::new().name("reload".into()).spawn(move || {
            // The receiver is dropped when the relay has ended.
            let _ = sender.send(read(&sources));
            // Nothing else would make the loop take it, or begin another one.
            for _ in 0..WAKE_ATTEMPTS {
                if waker.wake().is_ok() {
                    break;
                }
                std::thread::sleep(WAKE_PAUSE);
            }
        });
        match thread {
            Ok(_) => self.reading = true,
            Err(error) => log::error!("the configuration was not read again: {error}"),
        }
    }

    /// Returns the reading that is done, if any.
    pub fn take(&mut self) -> Option<Reading> {
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
    let certificates = doctor::certificate_warnings(&configuration.settings);
    for warning in configuration.settings.access_log.warning().into_iter().chain(certificates) {
        log::warn!("{warning}");
    }
    let log = AccessLog::open(&configuration.settings.access_log);
    Ok((configuration, log.map_err(|error| error.to_string())?))
}

/// Whether a setting is one of the access log's.
pub fn is_of_log(key: &str) -> bool {
    key.starts_with("access-log") || ["log-full-ids", "instance-id"].contains(&key)
}
