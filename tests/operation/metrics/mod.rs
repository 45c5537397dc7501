//! The metrics as Prometheus reads them: what is counted, what is not, and that the documents, the
//! dashboard and promtool(1), which has to be installed, agree with what is rendered.

mod counters;
mod gauges;
mod pages;
mod refusals;
