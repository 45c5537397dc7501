//! The relay's metrics, for Prometheus. docs/metrics.md lists all of them.
//!
//! Counting costs a few additions: every series is looked up once and then indexed by the number of
//! an enum. No label contains data from a client. Values that can be computed are computed at a
//! scrape only, and nothing here blocks or writes.

mod families;
mod labels;
mod metrics_format;
mod process;
mod scraped;
mod settings;
mod sum;
#[cfg(test)]
mod tests;

pub use labels::{ConnPhase, HandshakeEnd, NotifyCounts, NotifyResult, Path, ProxyRefusal};
pub use metrics_format::MetricsFormat;
pub use scraped::RelayStats;
pub use settings::MetricsSettings;

use crate::api::{Busy, RouteName};
use families::{Name, byte_counters, family, metric};
use labels::{OTHER_STATUS, STATUSES, status_number};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use scraped::Scraped;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The `Content-Type` of the text returned by [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Buckets of the wait for the other side, in seconds: people start both ends by hand, programs at
/// once.
const WAIT_SECONDS: [f64; 10] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0];

/// Buckets of the duration of a transfer, in seconds: from one packet to a night.
const TRANSFER_SECONDS: [f64; 10] =
    [0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0];

/// Buckets of the duration of a loop iteration, in seconds: 10 µs serve a request, 1 s is a fault.
const TURN_SECONDS: [f64; 11] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1.0];

const REFUSALS: Name = Name {
    name: "rdv_refusals",
    help: "Requests and connections refused although nothing is wrong with them",
};
const PROXY_REFUSALS: Name = Name {
    name: "rdv_proxy_refusals",
    help: "Connections closed for lack of a valid PROXY header",
};
const RELAYED: Name =
    Name { name: "rdv_relayed", help: "Body bytes handed to destinations, by the way they took" };

const HANDSHAKES: Name =
    Name { name: "rdv_tls_handshakes", help: "TLS handshakes, by how they ended" };

/// Maximum client subjects with a series of their own; the others share one.
const SUBJECTS_MAX: usize = 100;

/// The label of those others.
const OTHER_SUBJECT: &str = "other";

/// The name of a token, which the operator chose.
type TokenLabel = [(&'static str, Box<str>); 1];

type RequestLabels = [(&'static str, Cow<'static, str>); 2];

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    /// Its series by route and status, created at the first response.
    answered: Box<[[Option<Counter>; STATUSES.len() + 1]; RouteName::ALL.len()]>,
    refusals: [Counter; Busy::ALL.len()],
    proxy_refusals: [Counter; ProxyRefusal::ALL.len()],
    relayed: [Counter; Path::ALL.len()],
    pairing_wait: Histogram,
    transfer_duration: Histogram,
    turn_duration: Histogram,
    /// Turns so far, and the time they took: a histogram does not show its sum.
    turns: (u64, Duration),
    accept_pauses: Counter,
    handshakes: [Counter; HandshakeEnd::ALL.len()],
    client_subjects: Family<[(&'static str, Cow<'static, str>); 1], Counter>,
    subjects: BTreeSet<Box<str>>,
    tokens: Family<TokenLabel, Counter>,
    unknown_tokens: Counter,
    /// `None` for a worker whose counters are added to those of another.
    scraped: Option<Scraped>,
}

impl Metrics {
    /// Creates the metrics of a process started at this time, in milliseconds since 1970.
    pub fn new(started_wall_ms: i64) -> Self {
        Self::with(|registry| Some(Scraped::new(registry, started_wall_ms)))
    }

    /// Creates those of one more worker: they are read with [`Metrics::counters`].
    pub fn of_worker() -> Self {
        Self::with(|_| None)
    }

    fn with(scraped: impl FnOnce(&mut Registry) -> Option<Scraped>) -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        registry.register(
            "rdv_requests",
            "Requests answered, by route and status",
            Family::clone(&requests),
        );
        let client_subjects = Family::default();
        registry.register(
            "rdv_tls_client_connections",
            "TLS connections with a client certificate, by its subject",
            Family::clone(&client_subjects),
        );
        Self {
            requests,
            client_subjects,
            subjects: BTreeSet::new(),
            handshakes: family(
                &mut registry,
                HANDSHAKES,
                "result",
                HandshakeEnd::ALL.map(HandshakeEnd::name),
            ),
            answered: Box::new([const { [const { None }; STATUSES.len() + 1] }; _]),
            refusals: family(&mut registry, REFUSALS, "reason", Busy::ALL.map(Busy::name)),
            proxy_refusals: family(
                &mut registry,
                PROXY_REFUSALS,
                "reason",
                ProxyRefusal::ALL.map(ProxyRefusal::name),
            ),
            relayed: byte_counters(&mut registry, RELAYED, "path", Path::ALL.map(Path::name)),
            pairing_wait: seconds(
                &mut registry,
                "rdv_pairing_wait",
                "How long the first side of a stream waited for the second",
                &WAIT_SECONDS,
            ),
            transfer_duration: seconds(
                &mut registry,
                "rdv_transfer_duration",
                "From pairing to the end of a transfer, however it ended",
                &TRANSFER_SECONDS,
            ),
            turn_duration: seconds(
                &mut registry,
                "rdv_loop_turn_duration",
                "Turns of the event loop, without the wait for events",
                &TURN_SECONDS,
            ),
            turns: (0, Duration::ZERO),
            accept_pauses: metric(
                &mut registry,
                "rdv_accept_pauses",
                "Times accepting paused because descriptors or memory were out",
            ),
            tokens: {
                let tokens = Family::default();
                let help = "Requests with a token of this relay, by its name";
                registry.register("rdv_token_requests", help, Family::clone(&tokens));
                tokens
            },
            unknown_tokens: metric(
                &mut registry,
                "rdv_unknown_tokens",
                "Tokens that this relay did not know",
            ),
            scraped: scraped(&mut registry),
            registry: Arc::new(registry),
        }
    }

    /// Counts a response.
    pub fn answered(&mut self, route: RouteName, status: u16) {
        let number = status_number(status);
        let requests = &self.requests;
        let series = self.answered[route as usize][number].get_or_insert_with(|| {
            let status = STATUSES.get(number).map(ToString::to_string);
            let status = status.map_or(Cow::Borrowed(OTHER_STATUS), Cow::Owned);
            requests.get_or_create_owned(&[("route", route.name().into()), ("status", status)])
        });
        series.inc();
    }

    /// Counts a request or connection refused due to load.
    pub fn refused(&self, reason: Busy) {
        self.refusals[reason as usize].inc();
    }

    /// Counts a connection closed for its PROXY header.
    pub fn proxy_refused(&self, reason: ProxyRefusal) {
        self.proxy_refusals[reason as usize].inc();
    }

    /// Counts relayed body bytes; `spliced_bytes` of them passed through a pipe.
    pub fn relayed(&self, bytes: u64, spliced_bytes: u64) {
        debug_assert!(spliced_bytes <= bytes, "those through the pipe are among them");
        self.relayed[Path::Spliced as usize].inc_by(spliced_bytes);
        self.relayed[Path::Copied as usize].inc_by(bytes - spliced_bytes);
    }

    /// Records the pairing of two sides.
    pub fn paired(&self, wait: Duration) {
        self.pairing_wait.observe(wait.as_secs_f64());
    }

    /// Records the end of a transfer.
    pub fn transferred(&self, duration: Duration) {
        self.transfer_duration.observe(duration.as_secs_f64());
    }

    /// Records the end of a loop iteration.
    pub fn turned(&mut self, duration: Duration) {
        self.turn_duration.observe(duration.as_secs_f64());
        self.turns = (self.turns.0 + 1, self.turns.1.saturating_add(duration));
    }

    /// Returns the number of loop iterations, and the time they took.
    pub fn turns(&self) -> (u64, Duration) {
        self.turns
    }

    /// Returns the number of requests and connections refused due to load.
    pub fn refused_total(&self) -> u64 {
        self.refusals.iter().map(Counter::get).sum()
    }

    /// Returns the number of relayed body bytes.
    pub fn relayed_total(&self) -> u64 {
        self.relayed.iter().map(Counter::get).sum()
    }

    /// Counts the end of a TLS handshake.
    pub fn handshake(&self, end: HandshakeEnd) {
        self.handshakes[end as usize].inc();
    }

    /// Counts a connection with a client certificate of this subject. An authority of the operator
    /// vouches for it, but may do so for many.
    pub fn client_subject(&mut self, subject: &str) {
        let known = self.subjects.contains(subject);
        if !known && self.subjects.len() < SUBJECTS_MAX {
            self.subjects.insert(subject.into());
        }
        let label = if known || self.subjects.contains(subject) { subject } else { OTHER_SUBJECT };
        let series =
            self.client_subjects.get_or_create_owned(&[("subject", label.to_owned().into())]);
        series.inc();
    }

    /// Counts a pause of accepting.
    pub fn accept_paused(&self) {
        self.accept_pauses.inc();
    }

    /// Counts a request with the token of this name.
    pub fn used_token(&self, name: &str) {
        self.tokens.get_or_create(&[("token", name.into())]).inc();
    }

    /// Counts a token that is unknown.
    pub fn unknown_token(&self) {
        self.unknown_tokens.inc();
    }

    /// Removes the count of a token that the relay no longer has.
    pub fn forget_token(&self, name: &str) {
        self.tokens.remove(&[("token", name.into())]);
    }

    /// Returns all metrics as OpenMetrics text, of [`CONTENT_TYPE`], with the counters of other
    /// workers.
    pub fn render(&self, figures: &RelayStats, others: &[Counters]) -> String {
        if let Some(scraped) = &self.scraped {
            scraped.take(figures);
        }
        let text = self.counters().text();
        if others.is_empty() {
            return text;
        }
        sum::add(&text, &others.iter().map(Counters::text).collect::<Vec<_>>())
    }

    /// Returns its counters, to be read by another thread.
    pub fn counters(&self) -> Counters {
        Counters(Arc::clone(&self.registry))
    }
}

/// The counters of a worker.
#[derive(Clone, Debug)]
pub struct Counters(Arc<Registry>);

impl Counters {
    fn text(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.0);
        text
    }
}

fn seconds(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    bounds: &[f64],
) -> Histogram {
    let histogram = Histogram::new(bounds.iter().copied());
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}
