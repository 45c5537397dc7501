//! Sets up a source: the event loop, the queue and the threads.

use super::delivery::{self, AckInput, Delivery, DeliveryTimeouts, RecordFeed};
use super::direct::{DirectDelivery, QueueFeed};
use super::output::Output;
use super::pending::Pending;
use super::queue::{Queue, QueueLimits};
use super::request_reader::{MemoryLimits, Outlet, RequestReader};
use super::settings::{SourceSettings, StartPosition};
use super::spill_thread::SpillThread;
use super::spool_worker::SpoolWorker;
use super::spooled::Spooled;
use super::worker_handle::{WorkerCommand, WorkerHandle};
use crate::connector::spool::{Opened, Spool, SpoolLimits, Start, StartPoint};
use crate::ops::cause;
use crate::ops::{AdminListen, Configuration, Sources, threads};
use crate::relay::{EventLoop, Waker};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use uuid::Uuid;

/// Minimum segments of a full spool, as delivered records are removed by segment.
const SEGMENTS: u64 = 16;

/// Minimum segment size, in bytes: several records, or each would cost the syncs of two files.
const SEGMENT_MIN_BYTES: u64 = 64 << 10;

/// A source that listens, but does not serve yet.
#[derive(Debug)]
pub struct Serving {
    event_loop: EventLoop,
    queue: Arc<Queue>,
    threads: Threads,
}

/// Threads besides the event loop.
#[derive(Debug)]
struct Threads {
    /// In the order in which they end, each once the one before has nothing more for it.
    running: Vec<(Arc<WorkerHandle>, JoinHandle<()>)>,
    /// The one that writes to the output.
    writer: Arc<WorkerHandle>,
    /// Delivery that the event loop can run itself.
    direct: Option<DirectDelivery>,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It was stopped, and every accepted record is delivered or stored.
    Told,
    /// No consumer reads records any more.
    ConsumerGone,
}

impl Serving {
    /// Listens, and opens the output.
    ///
    /// # Errors
    /// Why it failed.
    pub fn open(settings: &SourceSettings, output: Option<Output>) -> io::Result<Self> {
        let rules = settings.rules().map_err(io::Error::other)?;
        let mut event_loop = EventLoop::new(configuration(settings)?, None)?;
        let output = output.map_or_else(|| open_output(settings), Ok)?;
        let (queue, threads) = match &settings.spool.spool {
            None => deliver_directly(settings, event_loop.waker(), output)?,
            Some(folder) => deliver_from_spool(settings, event_loop.waker(), output, folder)?,
        };
        let spill = SpillThread::start(settings.record.spill_space(), Arc::clone(&queue))?;
        let limits =
            MemoryLimits { body: settings.record.memory_body, all: settings.record.memory };
        let outlet = Outlet {
            queue: Arc::clone(&queue),
            writer: Arc::clone(&threads.writer),
            direct: threads.direct.clone(),
        };
        event_loop.take_in(Box::new(RequestReader::new(rules, outlet, spill, limits)));
        Ok(Self { event_loop, queue, threads })
    }

    /// Returns the addresses it listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.event_loop.addresses()
    }

    /// Returns the queue between the event loop and its threads.
    pub fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Serves until a signal ends it, or no consumer reads records any more.
    ///
    /// # Errors
    /// If waiting for events or delivery fails, as when the spool cannot be read.
    pub fn run(mut self) -> io::Result<EndReason> {
        self.event_loop.report_ready()?;
        self.event_loop.run()?;
        // After a request to stop immediately, stored records do not wait for the consumer.
        let order = self.queue.work().order().max(WorkerCommand::Finish);
        for (work, thread) in self.threads.running {
            work.give(order);
            if thread.join().is_err() {
                return Err(io::Error::other("a thread that hands records over has failed"));
            }
        }
        if self.queue.has_failed() {
            return Err(io::Error::other("records cannot be handed over any more"));
        }
        Ok(if self.queue.is_over() { EndReason::ConsumerGone } else { EndReason::Told })
    }
}

/// Sets up delivery from memory to the output.
fn deliver_directly(
    settings: &SourceSettings,
    waker: Waker,
    output: Output,
) -> io::Result<(Arc<Queue>, Threads)> {
    let queue = Arc::new(Queue::new(limits(settings), waker, Uuid::nil())?);
    let feed = QueueFeed(Arc::clone(&queue));
    let (shared, running) =
        deliver(settings, (feed, Arc::clone(&queue)), Arc::clone(queue.work()), output)?;
    let writer = Arc::clone(queue.work());
    Ok((queue, Threads { running: vec![running], writer, direct: Some(shared) }))
}

/// Sets up delivery from a spool to the output.
fn deliver_from_spool(
    settings: &SourceSettings,
    waker: Waker,
    output: Output,
    folder: &Path,
) -> io::Result<(Arc<Queue>, Threads)> {
    let opened = Spool::open(folder, spool_limits(settings)).map_err(io::Error::other)?;
    let Opened { spool, writer, cut_bytes } = opened;
    if cut_bytes > 0 {
        log::warn!(
            "the spool ended with an incomplete record that was never acknowledged; removed {cut_bytes} bytes"
        );
    }
    let start = match settings.spool.from {
        None => Start::Cursor,
        Some(StartPosition::Start) => Start::Beginning,
        Some(StartPosition::Behind(position)) => Start::Behind(position),
    };
    let (reader, found) = spool.reader(start).map_err(io::Error::other)?;
    match found {
        StartPoint::Next => {}
        StartPoint::Gone => log::warn!("records after that position were removed from the spool"),
        StartPoint::Unknown => {
            log::warn!("the spool holds no such position; going on with the next");
        }
    }
    let last = spool.last().unwrap_or_default();
    let queue = Arc::new(Queue::new(limits(settings), waker, last)?);
    let ack_timeout = settings.hand_over.ack_timeout;
    let pending = settings.hand_over.ack.then(|| Arc::new(Pending::new(ack_timeout, last)));
    let feed = Spooled::new(spool, reader, Arc::clone(&queue), pending.clone());
    let work = Arc::new(WorkerHandle::new()?);
    let (_, delivery) = deliver(settings, (feed, Arc::clone(&queue)), Arc::clone(&work), output)?;
    let keeper = SpoolWorker::new(Arc::clone(&queue), writer, pending, Arc::clone(&work));
    let keeping = threads::spawn("spool", move || keeper.run())?;
    let running = vec![(Arc::clone(queue.work()), keeping), delivery];
    Ok((queue, Threads { running, writer: work, direct: None }))
}

fn spool_limits(settings: &SourceSettings) -> SpoolLimits {
    let max_bytes = settings.spool.spool_max as u64;
    let most = SpoolLimits::default().segment_bytes;
    SpoolLimits {
        segment_bytes: (max_bytes / SEGMENTS).clamp(SEGMENT_MIN_BYTES, most),
        max_bytes,
        keep_bytes: settings.spool.spool_keep as u64,
    }
}

type Running = (Arc<WorkerHandle>, JoinHandle<()>);

/// Starts the thread that delivers from this feed.
fn deliver<F: RecordFeed + 'static>(
    settings: &SourceSettings,
    (feed, queue): (F, Arc<Queue>),
    work: Arc<WorkerHandle>,
    output: Output,
) -> io::Result<(Arc<Mutex<Delivery<F>>>, Running)> {
    let acking = ack_settings(settings, &output);
    let delivery = Delivery::new(feed, Arc::clone(&work), output, acking);
    let shared = Arc::new(Mutex::new(delivery));
    let theirs = Arc::clone(&shared);
    let thread = threads::spawn("delivery", move || {
        // Without this thread senders would wait in vain.
        let handing_over = AssertUnwindSafe(|| delivery::run(&theirs));
        if catch_unwind(handing_over).is_err() {
            log::error!("the thread that hands records over has failed");
            queue.fail();
        }
    })?;
    Ok((shared, (work, thread)))
}

fn limits(settings: &SourceSettings) -> QueueLimits {
    let records = usize::try_from(settings.hand_over.queue).unwrap_or(usize::MAX);
    QueueLimits { records, bytes: settings.hand_over.queue_bytes }
}

/// Opens the output.
///
/// # Errors
/// Errors of open(2), with the path.
pub fn open_output(settings: &SourceSettings) -> io::Result<Output> {
    let place = &settings.hand_over.output;
    Output::open(&settings.target()).map_err(|error| {
        io::Error::new(error.kind(), format!("--output {place}: {}", cause(&error)))
    })
}

/// Returns how records are acknowledged, and the timeouts for a consumer.
pub fn ack_settings(settings: &SourceSettings, output: &Output) -> (AckInput, DeliveryTimeouts) {
    let acknowledging = match (settings.hand_over.ack, output.may_answer()) {
        (false, _) => AckInput::No,
        (true, true) => AckInput::Output,
        (true, false) => AckInput::Stdin,
    };
    let timeouts = DeliveryTimeouts {
        hand_over: settings.hand_over.consumer_timeout,
        acknowledge: settings.hand_over.ack_timeout,
    };
    (acknowledging, timeouts)
}

/// Returns the configuration of the event loop.
fn configuration(settings: &SourceSettings) -> io::Result<Configuration> {
    // No file: a relay's settings do not apply to a source.
    let nothing = Sources::without_flags(std::iter::empty(), Some(PathBuf::from("/dev/null")));
    let mut configuration = nothing.and_then(|sources| sources.read()).map_err(io::Error::other)?;
    let loop_settings = &mut configuration.settings;
    loop_settings.listen = settings.addresses();
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    loop_settings.max_connections = number(settings.serving.max_connections);
    loop_settings.load.max_concurrent = number(settings.serving.max_concurrent);
    loop_settings.load.max_connections_per_address =
        number(settings.serving.max_connections_per_address);
    loop_settings.load.retry_after = settings.serving.retry_after;
    loop_settings.header_timeout = settings.serving.header_timeout;
    loop_settings.keep_alive_timeout = settings.serving.keep_alive_timeout;
    loop_settings.drain_timeout = settings.serving.drain_timeout;
    loop_settings.max_pipes = 0;
    loop_settings.admin = settings.admin.clone();
    // Only a relay has streams to inspect, and so opens an admin socket by default.
    loop_settings.admin.admin_listen.get_or_insert(AdminListen::Off);
    loop_settings.access_log = settings.access_log.clone();
    loop_settings.request_id = settings.request_id.clone();
    loop_settings.metrics = settings.metrics.clone();
    Ok(configuration)
}
