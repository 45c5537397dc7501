//! How the relay is run: its settings.

pub mod config;
pub mod settings;
pub mod units;

pub use config::{Configuration, Sources};
pub use settings::Settings;
