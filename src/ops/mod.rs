//! How the relay is run: its settings, its logs.

pub mod lines;
pub mod operator_log;
pub mod settings;
pub mod units;

pub use settings::Settings;
