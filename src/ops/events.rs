//! The settings of events: who may follow streams, and how they are kept awake.

use super::units;
use clap::Args;
use std::time::Duration;

/// The settings of events.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Events")]
pub struct EventSettings {
    /// Clients that follow events of streams at once, at most 16 a stream; one more is answered 503;
    /// 0: none
    #[arg(long, value_name = "N", default_value = "1024", value_parser = units::count(0))]
    pub max_followers: usize,

    /// Send a comment to a client that follows events when there was none for this long
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = units::time(units::INSTANT))]
    pub event_keep_alive: Duration,
}
