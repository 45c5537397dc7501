//! Operation of a relay: settings, logs, metrics, signals, hand-over, access, packages.

mod access;
mod access_log;
mod admin;
mod apt;
mod configuration;
mod deploy;
mod doctor;
mod handover;
mod image;
mod lifecycle;
mod load;
mod manual;
mod metrics;
mod notifications;
mod operator_log;
mod package;
mod proxies;
mod request_ids;
mod settings;
mod slow_links;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
mod tokens;
mod unprivileged;
mod upgrade;
mod workers;
