//! How the relay is run: its settings, and what it counts.

pub mod metrics;
pub mod settings;
pub mod units;

pub use metrics::Metrics;
pub use settings::Settings;
