//! The settings of a hand-over to a new process, as flags.

use super::units;
use clap::Args;
use std::time::Duration;

/// The settings of a hand-over (SIGUSR2).
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Hand-over")]
pub struct HandoverSettings {
    /// Timeout for the new process to become ready after SIGUSR2
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::time(units::INSTANT))]
    pub handover_timeout: Duration,

    /// Timeout for transfers in progress in the old process; 0s: none may finish; by default no
    /// limit
    #[arg(long, value_name = "TIME", value_parser = units::time(Duration::ZERO))]
    pub handover_drain_timeout: Option<Duration>,
}
