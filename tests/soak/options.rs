//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Exchanges of all kinds with a relay, for a fixed time, and a comparison of every byte and ending.
#[derive(Parser)]
#[command(name = "cargo test --test soak --")]
pub(crate) struct Options {
    /// Time for exchanges: 60s, 10m, 1h
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Stop after this number of exchanges
    #[arg(long, value_name = "N")]
    pub(crate) transfers: Option<u64>,
    /// Seed of all choices [default: random]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Carry out only the exchange with this seed, as in the report of a problem
    #[arg(long, value_name = "N")]
    pub(crate) exchange: Option<u64>,
    /// Concurrent exchanges
    #[arg(long, default_value_t = 48, value_name = "N")]
    pub(crate) workers: u64,
    /// Another build of the relay
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_rdv"))]
    pub(crate) relay: PathBuf,
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "expected a time, such as 60s")?;
    Duration::try_from(span).map_err(|_| "expected a time, such as 60s".to_owned())
}
