//! How the relay is run: its settings.

pub mod load;
pub mod settings;
pub mod units;

pub use load::LoadSettings;
pub use settings::Settings;
