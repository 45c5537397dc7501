//! How the relay is run: its settings.

pub mod admin;
pub mod config;
pub mod load;
pub mod settings;
pub mod units;

pub use admin::AdminAddress;
pub use config::{Configuration, Sources};
pub use load::LoadSettings;
pub use settings::Settings;
