//! How the relay is run: its settings, its manual, and the machine below it.

pub mod config;
pub mod doctor;
pub mod manual;
pub mod settings;
pub mod units;

pub use config::{Configuration, Sources};
pub use settings::Settings;
