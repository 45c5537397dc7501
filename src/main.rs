//! The `rdv` binary: arguments, subcommand, exit code.

use clap::{Parser, Subcommand};
use rdv::net::EventLoop;
use rdv::ops::Settings;
use rdv::ops::operator_log::OperatorLog;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// A rendezvous relay: one HTTP upload meets one HTTP download, and the kernel moves the bytes.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXIT_STATUS)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay (the default)
    #[command(after_help = EXIT_STATUS)]
    Serve(Settings),
}

const EXIT_STATUS: &str = "\
Times are written 250ms, 60s, 10m, 6h; sizes in bytes, or 64KiB, 1MiB.
Exit status: 0 after SIGTERM or SIGINT, 1 when the relay cannot run, 2 for wrong arguments.";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let settings = match arguments.command {
        Some(Command::Serve(settings)) => settings,
        None => arguments.serve,
    };
    let log = match OperatorLog::start() {
        Ok(log) => log,
        Err(error) => return fail(&error),
    };
    match rdv::net::serve(settings, announce) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.flush();
            fail(&error)
        }
    }
}

fn fail(error: &io::Error) -> ExitCode {
    eprintln!("rdv: {error}");
    ExitCode::FAILURE
}

/// Wrong arguments are one clear line; help and version are printed as they are.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    let line = lines.join(" ");
    eprintln!("rdv: {}; try 'rdv --help'", line.strip_prefix("error: ").unwrap_or(&line));
    ExitCode::from(2)
}

/// Says where the relay listens and how to try it.
fn announce(event_loop: &EventLoop) {
    let mut out = std::io::stdout().lock();
    let addresses = event_loop.addresses();
    for address in &addresses {
        let _ = writeln!(out, "rdv {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
    }
    if let Some(address) = addresses.first() {
        let _ = write!(
            out,
            "\nTry it. Make a stream, then connect both sides, in either order:\n\n  \
             curl -X POST http://{address}/stream\n  \
             curl -T FILE http://{address}/stream/ID\n  \
             curl -o COPY http://{address}/stream/ID\n\n"
        );
    }
    let _ = out.flush();
    if let Some(warning) = event_loop.warning() {
        log::warn!("{warning}");
    }
}
