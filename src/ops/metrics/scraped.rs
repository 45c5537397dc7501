//! Figures that are not counted as they change, but looked up at each scrape.

use super::families::{Gauge, Name, family, metric, set_all, take_over};
use super::labels::{ConnPhase, NotifyCounts, NotifyResult};
use super::process::Process;
use crate::rendezvous::{StateCounts, StreamState};
use crate::splice::pool::PoolStats;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as AnyGauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering};

const PIPE_SIZES: [&str; 2] = ["large", "small"];

/// Reasons why the relay may be slower than it should be, although it serves all requests.
const DEGRADED_REASONS: [&str; 1] = ["pipes"];

/// The number of final states of a stream.
const ENDS: usize = StreamState::ALL.len() - StreamState::ACTIVE;

/// The state of the relay at a scrape.
#[derive(Clone, Debug)]
pub struct RelayStats {
    /// Streams, current and ended.
    pub streams: StateCounts,
    /// Connections, indexed by the number of their phase.
    pub connections: [usize; ConnPhase::ALL.len()],
    /// Open pipes.
    pub pipes: PoolStats,
    /// Connections and transfers in the run queue.
    pub run_queue: usize,
    /// Bytes that all transfers hold in user memory.
    pub held_bytes: usize,
    /// Maximum concurrent connections.
    pub max_connections: usize,
    /// Maximum streams.
    pub max_streams: usize,
    /// Lines of access logs that were dropped or could not be written.
    pub dropped_lines: u64,
    /// Notifications about ended streams, by their result.
    pub notifications: NotifyCounts,
    /// Whether no pipe is free, nor can be freed.
    pub out_of_pipes: bool,
    /// The certificates by name, and the seconds until each expires.
    pub certificate_seconds: Vec<(String, i64)>,
}

impl RelayStats {
    /// Adds what another worker has. Limits, the access log, notifications and certificates are
    /// common to all.
    pub fn add(&mut self, other: &Self) {
        self.streams.add(&other.streams);
        add_all(&mut self.connections, &other.connections);
        self.pipes.add(other.pipes);
        self.run_queue += other.run_queue;
        self.held_bytes += other.held_bytes;
        self.out_of_pipes |= other.out_of_pipes;
    }
}

fn add_all(sums: &mut [usize], numbers: &[usize]) {
    for (sum, number) in sums.iter_mut().zip(numbers) {
        *sum += number;
    }
}

/// The metrics that are set at a scrape.
#[derive(Debug)]
pub(super) struct Scraped {
    streams: [Gauge; StreamState::ALL.len()],
    ended: [Counter; ENDS],
    connections: [Gauge; ConnPhase::ALL.len()],
    pipes_open: [Gauge; PIPE_SIZES.len()],
    pipes_lent: [Gauge; PIPE_SIZES.len()],
    pipes_refused: Counter,
    run_queue: Gauge,
    held: Gauge,
    max_connections: Gauge,
    max_streams: Gauge,
    dropped_lines: Counter,
    notifications: [Counter; NotifyResult::ALL.len()],
    degraded: [Gauge; DEGRADED_REASONS.len()],
    certificate_seconds: Family<[(&'static str, String); 1], AnyGauge>,
    cpu_seconds: Counter<f64, AtomicU64>,
    resident: Gauge,
    open_descriptors: Gauge,
    max_descriptors: Gauge,
}

impl Scraped {
    pub fn new(registry: &mut Registry, started_wall_ms: i64) -> Self {
        build_info(registry);
        start_time(registry, started_wall_ms);
        let states = StreamState::ALL.map(StreamState::name);
        let ends = std::array::from_fn(|end| states[StreamState::ACTIVE + end]);
        let phases = ConnPhase::ALL.map(ConnPhase::name);
        let certificate_seconds = Family::default();
        registry.register_with_unit(
            "rdv_tls_certificate_remaining",
            "Time until a certificate of the relay expires; negative once it has",
            Unit::Seconds,
            Family::clone(&certificate_seconds),
        );
        Self {
            streams: family(registry, STREAMS, "state", states),
            ended: family(registry, ENDED, "outcome", ends),
            connections: family(registry, CONNECTIONS, "phase", phases),
            pipes_open: family(registry, PIPES_OPEN, "size", PIPE_SIZES),
            pipes_lent: family(registry, PIPES_LENT, "size", PIPE_SIZES),
            pipes_refused: metric(
                registry,
                "rdv_pipes_refused",
                "Times a transfer found no free pipe and copied instead",
            ),
            run_queue: metric(
                registry,
                "rdv_run_queue_length",
                "Connections and transfers that wait for their turn",
            ),
            held: byte_gauge(
                registry,
                "rdv_held",
                "Body bytes all transfers hold in user memory until their destinations take them",
            ),
            max_connections: metric(
                registry,
                "rdv_connections_max",
                "Maximum concurrent connections",
            ),
            max_streams: metric(registry, "rdv_streams_max", "Maximum streams"),
            dropped_lines: metric(
                registry,
                "rdv_access_log_lines_dropped",
                "Lines of the access log that were dropped because its writer did not keep up",
            ),
            notifications: family(
                registry,
                NOTIFICATIONS,
                "result",
                NotifyResult::ALL.map(NotifyResult::name),
            ),
            degraded: family(registry, DEGRADED, "reason", DEGRADED_REASONS),
            certificate_seconds,
            cpu_seconds: cpu_seconds(registry),
            resident: byte_gauge(
                registry,
                "process_resident_memory",
                "Resident memory of the process",
            ),
            open_descriptors: metric(
                registry,
                "process_open_fds",
                "File descriptors the process has open",
            ),
            max_descriptors: metric(registry, "process_max_fds", "Maximum open file descriptors"),
        }
    }

    /// Sets the figures of one scrape, and reads those of the process from the kernel.
    pub fn take(&self, figures: &RelayStats) {
        let RelayStats { streams, pipes, .. } = figures;
        set_all(&self.streams, &streams.held);
        for (counter, count) in self.ended.iter().zip(&streams.ended[StreamState::ACTIVE..]) {
            take_over(counter, *count);
        }
        set_all(&self.connections, &figures.connections);
        set_all(&self.pipes_open, &[pipes.large_open, pipes.small_open]);
        set_all(&self.pipes_lent, &[pipes.large_lent, pipes.small_lent]);
        take_over(&self.pipes_refused, pipes.refused);
        self.run_queue.set(figures.run_queue as u64);
        self.held.set(figures.held_bytes as u64);
        self.max_connections.set(figures.max_connections as u64);
        self.max_streams.set(figures.max_streams as u64);
        take_over(&self.dropped_lines, figures.dropped_lines);
        for (counter, count) in self.notifications.iter().zip(figures.notifications) {
            take_over(counter, count);
        }
        set_all(&self.degraded, &[usize::from(figures.out_of_pipes)]);
        // Those that were replaced have no series any more.
        self.certificate_seconds.clear();
        for (name, seconds) in &figures.certificate_seconds {
            self.certificate_seconds.get_or_create_owned(&[("name", name.clone())]).set(*seconds);
        }
        self.take_process(&Process::read());
    }

    fn take_process(&self, process: &Process) {
        // The counter stores its value as the bits of a float.
        self.cpu_seconds.inner().store(process.cpu_seconds.to_bits(), Ordering::Relaxed);
        self.resident.set(process.resident_bytes);
        self.open_descriptors.set(process.open_descriptors);
        self.max_descriptors.set(process.max_descriptors);
    }
}

const DEGRADED: Name = Name {
    name: "rdv_degraded",
    help: "1 while the relay serves everything, but slower, by reason",
};
const NOTIFICATIONS: Name =
    Name { name: "rdv_notifications", help: "Notifications about ended streams, by their result" };
const STREAMS: Name =
    Name { name: "rdv_streams", help: "Streams held, those within their retention included" };
const ENDED: Name = Name { name: "rdv_streams_ended", help: "Streams that ended, by how" };
const CONNECTIONS: Name =
    Name { name: "rdv_connections", help: "Open connections, except those of operators" };
const PIPES_OPEN: Name = Name { name: "rdv_pipes_open", help: "Pipes open, those lent included" };
const PIPES_LENT: Name =
    Name { name: "rdv_pipes_lent", help: "Pipes lent to transfers with bytes in flight" };

fn byte_gauge(registry: &mut Registry, name: &'static str, help: &'static str) -> Gauge {
    let gauge = Gauge::default();
    registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
    gauge
}

fn cpu_seconds(registry: &mut Registry) -> Counter<f64, AtomicU64> {
    let counter = Counter::default();
    let help = "User and system CPU time the process has spent";
    registry.register_with_unit("process_cpu", help, Unit::Seconds, counter.clone());
    counter
}

fn start_time(registry: &mut Registry, wall_ms: i64) {
    let gauge = AnyGauge::<f64, AtomicU64>::default();
    #[allow(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
    gauge.set(wall_ms as f64 / 1000.0);
    let help = "When the process began, in seconds since 1970";
    registry.register_with_unit("process_start_time", help, Unit::Seconds, gauge);
}

fn build_info(registry: &mut Registry) {
    let family = Family::<[(&str, &str); 2], Gauge>::default();
    let version = env!("CARGO_PKG_VERSION");
    let revision = option_env!("RDV_REVISION").unwrap_or("unknown");
    family.get_or_create(&[("version", version), ("revision", revision)]).set(1);
    registry.register("rdv_build_info", "Always 1; the labels describe the build", family);
}
