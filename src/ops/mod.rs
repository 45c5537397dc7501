//! How the relay is run: its settings, and what it counts.

pub mod admin;
pub mod config;
pub mod metrics;
pub mod settings;
pub mod units;

pub use admin::AdminAddress;
pub use config::{Configuration, Sources};
pub use metrics::Metrics;
pub use settings::Settings;
