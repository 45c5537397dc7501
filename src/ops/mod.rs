//! How the relay is run: its settings, its manual, and the machine below it.

pub mod doctor;
pub mod manual;
pub mod settings;
pub mod units;

pub use settings::Settings;
