//! How the relay is run: its settings, and what it counts.

pub mod config;
pub mod metrics;
pub mod settings;
pub mod units;

pub use config::{Configuration, Sources};
pub use metrics::Metrics;
pub use settings::Settings;
