//! What of the metrics can be chosen.

use clap::Args;

/// How the relay counts what it does.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsSettings {
    /// Count requests refused for a limit, or because the relay is about to stop, by route and
    /// status, too; else they are counted by the reason of their refusal only
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub early_instrumentation: bool,
}
