//! Metrics as read by Prometheus: what is counted, what is not, and that the documentation, the
//! dashboard and promtool(1), which must be installed, agree with the output.

mod counters;
mod gauges;
mod pages;
mod refusals;
