//! The settings of events: maximum subscribers, and their keep-alive.

use super::units;
use clap::Args;
use std::time::Duration;

/// The settings of events.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Events")]
pub struct EventSettings {
    /// Maximum subscribers to events of streams, at most 16 a stream; further ones are answered
    /// 503; 0: none
    #[arg(long, value_name = "N", default_value = "1024", value_parser = units::count(0))]
    pub max_followers: usize,

    /// Interval of keep-alive comments to subscribers
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = units::time(units::INSTANT))]
    pub event_keep_alive: Duration,
}
