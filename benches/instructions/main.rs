//! Instructions of fixed work, compared with stored figures: `cargo instructions`.
//!
//! Each case runs twice under callgrind, with two numbers of repetitions. The difference is the
//! cost of the repetitions alone, without the start and the end of the process. Callgrind counts
//! instructions in user space only: a system call costs what prepares it.

#![allow(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]

mod callgrind;
mod cases;
mod exchanges;
mod figures;
mod heads;

#[path = "../throughput/children.rs"]
#[expect(dead_code, reason = "shared with the other benchmark")]
mod children;
#[path = "../throughput/chunks.rs"]
mod chunks;
#[path = "../throughput/client.rs"]
mod client;
#[path = "../throughput/markdown.rs"]
mod markdown;
#[path = "../throughput/measure.rs"]
#[expect(dead_code, reason = "shared with the other benchmark")]
mod measure;

use std::error::Error;
use std::process::ExitCode;
use std::thread;

use clap::{Parser, Subcommand};

use figures::Figures;

/// The error of a failed measurement.
type BoxError = Box<dyn Error + Send + Sync>;
/// A result with that error.
type Result<T, E = BoxError> = std::result::Result<T, E>;

/// Makes an error from a message.
fn failure(text: impl Into<String>) -> BoxError {
    text.into().into()
}

/// Repetitions of the two runs. The first one is past the growth of buffers and tables.
const COUNTS: [u32; 2] = [200, 700];

/// Compares instructions with the stored figures.
#[derive(Parser)]
struct Options {
    /// Store the measured figures
    #[arg(long)]
    update: bool,
    /// Run only this case (repeatable)
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Set by `cargo bench`; without it nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does under callgrind.
#[derive(Subcommand)]
enum Role {
    /// Repeat one case
    Repeat {
        /// Name of the case.
        case: String,
        /// Number of repetitions.
        count: u32,
    },
    /// Serve as a relay
    Serve,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all figures are as stored.
fn run(options: Options) -> Result<bool> {
    match options.role {
        Some(Role::Repeat { case, count }) => return cases::repeat(&case, count).map(|()| true),
        Some(Role::Serve) => return exchanges::serve().map(|()| true),
        None => {}
    }
    if !options.bench {
        // As with `cargo test --benches`.
        println!("instructions: nothing is measured; run `cargo instructions`");
        return Ok(true);
    }
    callgrind::prepare()?;
    let mut measured = Figures::new()?;
    for name in cases::names().chain(exchanges::names()) {
        if options.cases.is_empty() || options.cases.iter().any(|case| case == name) {
            measured.set(name, measure(name).map_err(|error| failure(format!("{name}: {error}")))?);
        }
    }
    if options.update { measured.store().map(|()| true) } else { measured.compare() }
}

/// Instructions of one repetition.
fn measure(name: &str) -> Result<u64> {
    let run = |count| match exchanges::find(name) {
        Some(exchange) => exchanges::run(name, exchange, count),
        None => callgrind::start(name, &["repeat", name, &count.to_string()], count)?.finish(),
    };
    let [few, many] = thread::scope(|scope| {
        let runs = COUNTS.map(|count| scope.spawn(move || run(count)));
        runs.map(|run| run.join().unwrap_or_else(|_| Err(failure("the run panicked"))))
    });
    let [few, many] = [few?, many?];
    Ok(many.saturating_sub(few) / u64::from(COUNTS[1] - COUNTS[0]))
}
