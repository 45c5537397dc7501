//! Throughput of the relay, measured from outside: `cargo bench --bench throughput`.
//!
//! The relay runs as a separate process, as do its source, its sink, and the relays it is compared
//! with; this program is all of them except the first. `benches/README.md` describes the cases.

#![allow(clippy::cast_precision_loss, reason = "figures for people, far below 2^52")]

mod cases;
mod children;
mod chunks;
mod client;
mod link;
mod markdown;
mod measure;
mod namespace;
mod options;
mod peers;
mod picture;
mod records;
mod result;
mod roles;
mod table;
mod tls;
mod transfer;
mod wire;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use options::Options;
use peers::Bench;
use result::RunResult;
use table::Report;

/// The error of a failed measurement.
type BoxError = Box<dyn Error + Send + Sync>;
/// A result with that error.
type Result<T, E = BoxError> = std::result::Result<T, E>;

/// Makes an error from a message.
fn failure(text: impl Into<String>) -> BoxError {
    text.into().into()
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if let Some(role) = &options.role {
        return finish(measure::raise_descriptor_limit().and_then(|_| roles::run(role)));
    }
    if let (Some(path), Some(picture)) = (&options.from, &options.picture) {
        return finish(RunResult::read(path).and_then(|result| picture::draw(&result, picture)));
    }
    if let Some(control) = &options.congestion
        && *control != measure::congestion_control()
    {
        eprintln!("{}", namespace::run_again(control));
        return ExitCode::FAILURE;
    }
    // `cargo test --benches` starts a benchmark without this argument: only check that it works.
    options.smoke |= !options.bench;
    match Bench::new(options) {
        Ok(bench) => run(&bench),
        Err(error) => finish(Err(error)),
    }
}

/// Prints an error; returns the exit status.
fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the selected cases, or all.
fn run(bench: &Bench) -> ExitCode {
    let mut report = Report::new(bench);
    report.print_conditions();
    if peers::installed("strace").is_none() {
        println!("system calls are not counted: strace is not installed (Debian package strace)");
    }
    let chosen = &bench.options.cases;
    for case in cases::ALL {
        if !chosen.is_empty() && !chosen.contains(&case) {
            continue;
        }
        report.begin(&case.name());
        if let Err(error) = cases::run(case, bench, &mut report) {
            report.failed(&case.name(), &error);
        }
    }
    for (flag, file, write) in [
        ("--json", &bench.options.json, RunResult::write as fn(&RunResult, &Path) -> Result<()>),
        ("--picture", &bench.options.picture, picture::draw),
    ] {
        if let Some(path) = file
            && let Err(error) = write(report.result(), path)
        {
            report.failed(flag, &error);
        }
    }
    report.finish()
}
