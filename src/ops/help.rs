//! The output of `rdv --help`, and the errors on wrong arguments.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::fmt::Write as _;

/// The commands, grouped by purpose.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Transfer", &["send", "receive", "pipe", "status", "cancel"]),
    ("Relay", &["serve", "ctl", "check-config", "print-config", "doctor"]),
    ("HTTP", &["post", "expose", "call"]),
    ("Records", &["source", "destination"]),
    ("Shell", &["completions", "man"]),
];

const START: &str = "\
Getting started:
  rdv serve                  # a relay, at http://127.0.0.1:8080
  rdv send FILE              # prints the command that receives it
  rdv receive URL            # elsewhere; or: curl -fO URL
";

/// Returns the program with its commands grouped in its help.
pub fn grouped(program: Command) -> Command {
    let overview = overview(&program);
    program.override_help(overview)
}

fn overview(program: &Command) -> String {
    let about = program.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("{about}.\n\nUsage: rdv COMMAND [OPTIONS] [ARGUMENTS]\n");
    for (group, names) in GROUPS {
        let _ = write!(text, "\n{group}:\n");
        for name in names {
            let command = program.find_subcommand(name);
            let about = command.and_then(Command::get_about).map(ToString::to_string);
            let _ = writeln!(text, "  {name:<14}{}", about.unwrap_or_default());
        }
    }
    let _ = write!(
        text,
        "\n{START}\nMore: 'rdv COMMAND -h' for its options, '--help' for all about them\n"
    );
    text
}

/// Formats an error on wrong arguments as one line: the fault, the probable intention, and which
/// help to read.
pub fn usage_error(error: &clap::Error, program: &Command, words: &[String]) -> String {
    let line = super::config::one_line(error);
    let meant =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
            .into_iter()
            .filter_map(|kind| error.get(kind))
            .find_map(first);
    let meant = meant.map_or(String::new(), |meant| format!(" (did you mean '{meant}'?)"));
    let command = words.iter().find(|word| program.find_subcommand(word).is_some());
    let known = command.filter(|_| error.kind() != ErrorKind::InvalidSubcommand);
    let help = known.map_or("rdv --help".to_owned(), |command| format!("rdv {command} --help"));
    format!("{line}{meant}; try '{help}'")
}

fn first(suggested: &ContextValue) -> Option<String> {
    if let ContextValue::String(one) = suggested {
        return Some(one.clone());
    }
    if let ContextValue::Strings(several) = suggested { several.first().cloned() } else { None }
}
