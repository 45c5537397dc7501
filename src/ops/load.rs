//! The limits on load, as flags. 0 always means no limit; a limit refuses only new work, and work
//! in progress continues.

use clap::Args;
use std::time::Duration;

use super::units::{self, PIB, TIB};

/// The limits on load, and the response of a refusal.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Load management")]
pub struct LoadSettings {
    /// Maximum concurrent requests, including those that wait or stream, 2 or more; further ones
    /// are refused as too busy; 0: no limit
    #[arg(long, value_name = "N", default_value = "0", value_parser = units::count_or_unlimited(2))]
    pub max_concurrent: usize,

    /// Maximum concurrent connections of one address (IPv6: one /64); further ones are refused as
    /// too busy; 0: no limit
    #[arg(long, value_name = "N", default_value = "0", value_parser = units::count_or_unlimited(1))]
    pub max_connections_per_address: usize,

    /// Maximum active streams created by one address (IPv6: one /64); further ones are refused as
    /// too busy; 0: no limit
    #[arg(long, value_name = "N", default_value = "0", value_parser = units::count_or_unlimited(1))]
    pub max_streams_per_address: usize,

    /// Maximum streams created by one address that no side has joined; further ones are refused as
    /// too busy; 0: no limit; by default a tenth of max-streams
    #[arg(long, value_name = "N", value_parser = units::count_or_unlimited(1))]
    pub max_unjoined_streams_per_address: Option<usize>,

    /// Maximum body size of one stream; longer uploads are refused with 413; 0: no limit
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = units::bytes_or_unlimited(1..=PIB))]
    pub max_stream_bytes: usize,

    /// Maximum average rate of one stream, in bytes per second; faster sources are slowed down; 0:
    /// no limit
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = units::bytes_or_unlimited(1..=TIB))]
    pub max_rate: usize,

    /// Status of all refusals as too busy, 400 to 599
    #[arg(long, value_name = "STATUS", default_value = "503", value_parser = error_status)]
    pub too_busy_status: u16,

    /// Retry-After of these refusals, in seconds, rounded up
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::time(units::SECOND))]
    pub retry_after: Duration,
}

impl LoadSettings {
    /// Returns the value of `Retry-After` in seconds, rounded up (RFC 9110 10.2.3).
    pub fn retry_after_seconds(&self) -> u64 {
        self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0)
    }
}

fn error_status(text: &str) -> Result<u16, String> {
    let status = text.parse().ok().filter(|status| (400..=599).contains(status));
    status.ok_or_else(|| "expected an HTTP status from 400 to 599".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_status_can_refuse() {
        for (text, status) in [("400", 400), ("429", 429), ("503", 503), ("599", 599)] {
            assert_eq!(error_status(text), Ok(status), "{text}");
        }
        for text in ["", "200", "399", "600", "50x", "-503", "65939"] {
            assert!(error_status(text).is_err(), "{text}");
        }
    }
}
