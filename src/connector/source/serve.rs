//! A source put together: the event loop, the queue, the threads behind it.

use super::delivery::{self, Acknowledging, Delivery, Patience};
use super::direct::Direct;
use super::output::{Output, Target};
use super::queue::{Order, Queue, QueueLimits};
use super::reception::{MemoryLimits, Reception};
use super::settings::SourceSettings;
use super::spill::Spill;
use super::threads;
use crate::net::{Bell, EventLoop};
use crate::ops::{Configuration, Sources};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use uuid::Uuid;

/// A source that listens, and serves nobody yet.
#[derive(Debug)]
pub struct Serving {
    event_loop: EventLoop,
    queue: Arc<Queue>,
    delivery: JoinHandle<()>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to end, and everything that was taken in is handed over.
    Told,
    /// Nobody takes records any more.
    ConsumerGone,
}

impl Serving {
    /// Listens, and opens the output.
    ///
    /// # Errors
    /// What of it failed, and why.
    pub fn open(settings: &SourceSettings, output: Option<Output>) -> io::Result<Self> {
        let rules = settings.rules().map_err(io::Error::other)?;
        let mut event_loop = EventLoop::new(configuration(settings)?, None)?;
        let bell = event_loop.bell();
        let queue = Arc::new(queue(settings, bell)?);
        let folder = settings.record.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
        let spill = Spill::start(&folder, settings.record.spill_max as u64, Arc::clone(&queue))?;
        let output = output.map_or_else(|| open_output(settings), Ok)?;
        let acknowledging = acknowledging(settings, &output);
        let patience = Patience {
            hand_over: settings.hand_over.patience,
            acknowledge: settings.hand_over.ack_timeout,
        };
        let delivery = Delivery::new(
            Direct(Arc::clone(&queue)),
            Arc::clone(&queue),
            output,
            (acknowledging, patience),
        );
        let shared = Arc::new(Mutex::new(delivery));
        let theirs = Arc::clone(&shared);
        let delivery = threads::spawn("delivery", move || delivery::run(&theirs))?;
        let limits =
            MemoryLimits { body: settings.record.memory_body, all: settings.record.memory };
        event_loop.take_in(Box::new(Reception::new(
            rules,
            (Arc::clone(&queue), Some(shared)),
            spill,
            limits,
        )));
        Ok(Self { event_loop, queue, delivery })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.event_loop.addresses()
    }

    /// What lies between the loop and its threads.
    pub fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Serves until a signal ends it, or nobody takes records any more.
    ///
    /// # Errors
    /// When waiting for events fails.
    pub fn run(mut self) -> io::Result<Ended> {
        self.event_loop.report_ready()?;
        self.event_loop.run()?;
        self.queue.order(Order::Finish);
        if self.delivery.join().is_err() {
            return Err(io::Error::other("the thread that hands records over has failed"));
        }
        Ok(if self.queue.is_over() { Ended::ConsumerGone } else { Ended::Told })
    }
}

fn queue(settings: &SourceSettings, bell: Bell) -> io::Result<Queue> {
    let records = usize::try_from(settings.hand_over.queue).unwrap_or(usize::MAX);
    let limits = QueueLimits { records, bytes: settings.hand_over.queue_bytes };
    Queue::new(limits, bell, Uuid::nil())
}

fn open_output(settings: &SourceSettings) -> io::Result<Output> {
    let place = &settings.hand_over.output;
    Output::open(&settings.target())
        .map_err(|error| io::Error::new(error.kind(), format!("--output {place}: {error}")))
}

fn acknowledging(settings: &SourceSettings, output: &Output) -> Acknowledging {
    match settings.target() {
        _ if !settings.hand_over.ack => Acknowledging::No,
        _ if output.may_answer() => Acknowledging::Output,
        Target::Stdout | Target::Path(_) | Target::Socket(_) => Acknowledging::Stdin,
    }
}

/// What the event loop runs with.
fn configuration(settings: &SourceSettings) -> io::Result<Configuration> {
    // No file: a relay's settings are not this source's.
    let nothing = Sources::without_flags(std::iter::empty(), Some(PathBuf::from("/dev/null")));
    let mut configuration = nothing.and_then(|sources| sources.read()).map_err(io::Error::other)?;
    let loop_settings = &mut configuration.settings;
    loop_settings.listen = settings.addresses();
    loop_settings.max_connections =
        usize::try_from(settings.serving.max_connections).unwrap_or(usize::MAX);
    loop_settings.header_timeout = settings.serving.header_timeout;
    loop_settings.keep_alive_timeout = settings.serving.keep_alive_timeout;
    loop_settings.drain_timeout = settings.serving.drain_timeout;
    loop_settings.max_pipes = 0;
    loop_settings.load = settings.load.clone();
    loop_settings.admin = settings.admin.clone();
    loop_settings.access_log = settings.access_log.clone();
    loop_settings.request_id = settings.request_id.clone();
    loop_settings.metrics = settings.metrics.clone();
    Ok(configuration)
}
