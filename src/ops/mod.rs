//! How the relay is run: its settings.

pub mod events;
pub mod settings;
pub mod units;

pub use events::EventSettings;
pub use settings::Settings;
