//! The `rdv` binary: arguments, subcommand, exit code.

use clap::{CommandFactory as _, Parser, Subcommand};
use rdv::net::EventLoop;
use rdv::ops::Settings;
use rdv::ops::doctor::Doctor;
use rdv::ops::manual::{Completions, Manual};
use std::io;
use std::io::Write as _;
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
    /// Say whether this machine is fit for a relay, and what to change if not
    ///
    /// Takes the flags of serve: give those the relay is to run with, as the user it is to run as.
    #[command(after_help = DOCTOR_EXIT_STATUS)]
    Doctor(Doctor),
    /// Print the manual page, in the language of man(1)
    Manual(Manual),
    /// Print the completion script of a shell
    Completions(Completions),
}

const DOCTOR_EXIT_STATUS: &str = "\
Each line begins with ok, warn (works, with a loss) or bad (does not work).
Exit status: 0 when nothing is bad, 1 otherwise, 2 for wrong arguments.";

const EXIT_STATUS: &str = "\
Times are written 250ms, 60s, 10m, 6h; sizes in bytes, or 64KiB, 1MiB.
Exit status: 0 after SIGTERM or SIGINT, 1 when the relay cannot run, 2 for wrong arguments.";

fn main() -> ExitCode {
    let log = env_logger::Env::default().default_filter_or("info");
    env_logger::Builder::from_env(log).format_target(false).init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let done = match arguments.command {
        None => rdv::net::serve(arguments.serve, announce),
        Some(Command::Serve(settings)) => rdv::net::serve(settings, announce),
        Some(Command::Doctor(doctor)) => return examine(&doctor),
        Some(Command::Manual(manual)) => manual.write(Arguments::command()),
        Some(Command::Completions(completions)) => completions.write(Arguments::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &io::Error) -> ExitCode {
    eprintln!("rdv: {error}");
    ExitCode::FAILURE
}

/// Says what this machine is like.
fn examine(doctor: &Doctor) -> ExitCode {
    let report = rdv::net::doctor::examine(&doctor.settings);
    let text = if doctor.json { format!("{}\n", report.json()) } else { report.to_string() };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) => fail(&error),
        Ok(()) if report.passes() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
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
