//! How the relay is run: its settings, and what a service manager is told.

pub mod handover;
pub mod settings;
pub mod systemd;
pub mod units;

pub use handover::HandoverSettings;
pub use settings::Settings;
pub use systemd::ServiceManager;
