//! How the relay is run: its settings.

pub mod settings;
pub mod units;

pub use settings::Settings;
