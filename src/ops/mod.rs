//! How the relay is run: its settings, what it counts, its manual, and the machine
//! below it.

pub mod admin;
pub mod config;
pub mod doctor;
pub mod load;
pub mod manual;
pub mod metrics;
pub mod settings;
pub mod units;

pub use admin::AdminAddress;
pub use config::{Configuration, Sources};
pub use load::LoadSettings;
pub use metrics::Metrics;
pub use settings::Settings;
