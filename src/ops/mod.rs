//! Operation of the relay: settings, logs, metrics, manual, the machine, and the service manager.

pub mod access_log;
pub mod admin;
mod cause;
pub mod config;
pub mod doctor;
pub mod events;
pub mod handover;
pub mod help;
#[doc(hidden)]
pub mod human;
pub mod line_queue;
pub mod load;
pub mod manual;
pub mod metrics;
pub mod nodes;
pub mod notify;
pub mod operator_log;
pub mod places;
mod private_file;
pub mod proxies;
pub mod random;
pub mod random_ids;
pub mod request_id;
pub mod settings;
pub mod sockets;
pub mod stdio;
pub mod systemd;
pub mod threads;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_off.rs"]
pub mod tls;
pub mod tokens;
pub mod units;
pub mod worker_count;

pub use admin::{AdminAddress, AdminListen};
pub use cause::cause;
pub use config::{Configuration, Sources};
pub use events::EventSettings;
pub use handover::HandoverSettings;
pub use load::LoadSettings;
pub use metrics::Metrics;
pub use nodes::NodeSettings;
pub use notify::NotifySettings;
pub use proxies::{ProxyProtocol, ProxySettings};
pub use settings::Settings;
pub use sockets::SocketSettings;
pub use systemd::ServiceManager;
pub use tokens::TokenSettings;
