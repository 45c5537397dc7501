//! The settings of the metrics.

use clap::Args;

/// The settings of the metrics.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsSettings {
    /// Count requests refused for a limit, while suspended or draining, by route and status as
    /// well; otherwise only by the reason
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub early_instrumentation: bool,
}
