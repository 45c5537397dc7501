//! The output of `rdv --help`, and the errors on wrong arguments.

use super::config::replacement;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::fmt::Write as _;

/// The commands, grouped by purpose.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Transfer", &["send", "receive", "pipe", "status", "cancel"]),
    ("Relay", &["serve", "ctl", "token", "check-config", "print-config", "doctor"]),
    ("HTTP", &["post", "expose", "call", "openapi"]),
    ("Records", &["source", "destination"]),
    ("Shell", &["completions", "man"]),
];

const START: &str = "\
Getting started:
  rdv serve                  # a relay, at http://127.0.0.1:8080
  rdv send FILE              # prints the command that receives it
  rdv receive URL            # elsewhere; or: curl -fOJ URL
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

/// Settings that `-h` shows of a relay, whose `--help` shows a hundred.
const RELAY_ESSENTIAL: [&str; 19] = [
    "access_log",
    "admin_listen",
    "config",
    "drain_timeout",
    "idle_timeout",
    "json",
    "listen",
    "max_connections",
    "max_stream_bytes",
    "max_streams",
    "max_ttl",
    "reference",
    "sample",
    "tls_cert",
    "tls_key",
    "tls_listen",
    "tokens",
    "trusted",
    "ttl",
];

/// Settings that `-h` shows of `rdv source`.
const SOURCE_ESSENTIAL: [&str; 13] = [
    "access_log",
    "ack",
    "auth_token_file",
    "header",
    "key",
    "listen",
    "max_body",
    "output",
    "path",
    "port",
    "relay",
    "signature",
    "structured",
];

/// Settings of a command beyond which `-h` shows only the essential ones.
const SCREEN: usize = 20;

/// Maximum length of the name of a value in `-h`.
const NAME_MAX: usize = 14;

/// Length of a help text that fits beside its setting.
const HELP_MAX: usize = 45;

/// The text around a default value.
const DEFAULT: &str = " [default: ]";

/// Headings that `-h` does not show.
const RARE: [&str; 2] = ["Connection", "Retries"];

/// Returns the program with short help for `-h`: for each command one screen of 80 columns, with
/// one line for each setting.
pub fn brief(program: Command) -> Command {
    program.mut_subcommands(|command| {
        let command = brief(command);
        let crowded = command.get_arguments().count() > SCREEN;
        let source = command.get_name() == "source";
        let essential = if source { &SOURCE_ESSENTIAL[..] } else { &RELAY_ESSENTIAL };
        command.term_width(80).mut_args(|arg| {
            let rare = arg.get_help_heading().is_some_and(|heading| RARE.contains(&heading));
            let shown = if crowded { essential.contains(&arg.get_id().as_str()) } else { !rare };
            let arg = if crowded { arg.help_heading(None) } else { arg };
            brief_arg(arg).hide_short_help(!shown)
        })
    })
}

fn brief_arg(arg: Arg) -> Arg {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let help = clause(&help).to_owned();
    if !arg.get_action().takes_values() {
        return arg.help(help);
    }
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<_> = names.iter().map(|name| brief_name(name)).collect();
    let default = arg.get_default_values().iter().map(|value| value.len() + DEFAULT.len()).sum();
    let long = help.len().saturating_add(default) > HELP_MAX;
    arg.help(help)
        .hide_env(true)
        .hide_default_value(long)
        .hide_possible_values(true)
        .value_names(names)
}

/// Returns the name of a value, or its first alternative where it is long.
fn brief_name(name: &str) -> String {
    match name.split_once('|') {
        Some((first, _)) if name.len() > NAME_MAX => format!("{first}|..."),
        Some(_) | None => name.to_owned(),
    }
}

/// Returns the first clause of a help text, without its default; less where that is long.
fn clause(help: &str) -> &str {
    let cut = |text: &'_ str, ends: &[&str]| {
        ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len())
    };
    let clause = &help[..cut(help, &[": ", "; ", " [default", " (", ", such as"])];
    let clause = clause.trim_end_matches(',');
    if clause.len() <= HELP_MAX {
        return clause;
    }
    &clause[..cut(clause, &[", ", " after ", " at ", " from ", " in ", " that ", " with "])]
}

/// Formats an error on wrong arguments as one line: the fault, the probable intention, and which
/// help to read.
pub fn usage_error(error: &clap::Error, program: &Command, words: &[String]) -> String {
    let replaced = words.iter().map(|word| word.split('=').next().unwrap_or_default());
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(why) = replaced.filter(|word| word.starts_with("--")).find_map(replacement)
    {
        return why;
    }
    let line = super::config::one_line(error);
    let meant =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
            .into_iter()
            .filter_map(|kind| error.get(kind))
            .find_map(first);
    let meant = meant.map_or(String::new(), |meant| format!(" (did you mean '{meant}'?)"));
    format!("{line}{meant}; try '{} --help'", chosen(program, words))
}

/// Returns the names of the chosen command, such as `rdv token new`.
fn chosen(program: &Command, words: &[String]) -> String {
    let (mut names, mut command) = ("rdv".to_owned(), program);
    for word in words {
        if let Some(inner) = command.find_subcommand(word) {
            names = format!("{names} {word}");
            command = inner;
        }
    }
    names
}

fn first(suggested: &ContextValue) -> Option<String> {
    if let ContextValue::String(one) = suggested {
        return Some(one.clone());
    }
    if let ContextValue::Strings(several) = suggested { several.first().cloned() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clause_is_short_help() {
        for (help, short) in [
            ("Print JSON", "Print JSON"),
            ("Maximum streams; further ones are refused", "Maximum streams"),
            ("Output file [default: by the name]", "Output file"),
            ("Media type, such as text/csv", "Media type"),
            (
                "Timeout for a complete request head or JSON body, from its first byte",
                "Timeout for a complete request head or JSON body",
            ),
        ] {
            assert_eq!(clause(help), short);
        }
    }
}
