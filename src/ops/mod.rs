//! How the relay is run: its settings, its logs.

pub mod access_log;
pub mod lines;
pub mod operator_log;
pub mod request_id;
pub mod settings;
pub mod units;

pub use settings::Settings;
