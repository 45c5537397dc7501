//! Families of metrics with one label, looked up once: each becomes an array indexed by the number
//! of the label's value.

use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as SignedGauge;
use prometheus_client::registry::{Metric, Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering};

/// An integer gauge.
pub(super) type Gauge = SignedGauge<u64, AtomicU64>;

/// One label and its value.
pub(super) type Label = [(&'static str, &'static str); 1];

/// The name and help text of a family.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub name: &'static str,
    pub help: &'static str,
}

/// Registers a metric for each value of a label.
pub(super) fn family<M: Metric + TypedMetric + Clone + Default, const N: usize>(
    registry: &mut Registry,
    Name { name, help }: Name,
    label: &'static str,
    values: [&'static str; N],
) -> [M; N] {
    let family = Family::<Label, M>::default();
    registry.register(name, help, family.clone());
    values.map(|value| family.get_or_create_owned(&[(label, value)]))
}

/// Registers a counter of bytes for each value of a label.
pub(super) fn byte_counters<const N: usize>(
    registry: &mut Registry,
    Name { name, help }: Name,
    label: &'static str,
    values: [&'static str; N],
) -> [Counter; N] {
    let family = Family::<Label, Counter>::default();
    registry.register_with_unit(name, help, Unit::Bytes, family.clone());
    values.map(|value| family.get_or_create_owned(&[(label, value)]))
}

/// Registers a metric without a label.
pub(super) fn metric<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Sets a counter to a value counted elsewhere.
pub(super) fn take_over(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}

/// Sets gauges to the numbers at the same index.
pub(super) fn set_all(gauges: &[Gauge], numbers: &[usize]) {
    debug_assert_eq!(gauges.len(), numbers.len(), "one number for each");
    for (gauge, &number) in gauges.iter().zip(numbers) {
        gauge.set(number as u64);
    }
}
