//! The access log's settings, as flags.

use super::json::{DEFAULT_FIELDS, Field};
use super::text::{COMBINED, COMMON_FORMAT, FRAMEWORK, TextFormat};
use crate::ops::units;
use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;

/// What is written about requests, and where.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Access log")]
pub struct AccessLogSettings {
    /// File that gets a line for each request, created if need be; stdout (or -) for the standard
    /// output. SIGUSR1 opens it anew
    #[arg(long, value_name = "PATH", value_parser = place)]
    pub access_log: Option<Place>,

    /// Whether lines are text or JSON objects
    #[arg(long, value_name = "KIND", default_value = "text", ignore_case = true)]
    pub access_log_entry: Entries,

    /// Format of text lines by name
    #[arg(long, value_name = "NAME", default_value = "framework", ignore_case = true)]
    pub access_log_preset: Preset,

    /// Format of text lines, in place of a preset: %% %b %B %D %h %{NAME}i %l %m %q %r %s %t
    /// %{LAYOUT}t %{s|ms|us}T %u %U %{KEY}X
    #[arg(long, value_name = "FORMAT")]
    pub access_log_format: Option<TextFormat>,

    /// Member of JSON lines: NAME=TYPE or NAME=TYPE:ARGUMENT; repeatable, replaces the default
    #[arg(long, value_name = "FIELD", default_values = DEFAULT_FIELDS)]
    pub access_log_field: Vec<Field>,

    /// What stands before each JSON line; \n, \r, \t and \\ are understood
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = unescape)]
    pub access_log_prefix: String,

    /// What stands behind each JSON line; \n, \r, \t and \\ are understood
    #[arg(long, value_name = "TEXT", default_value = "\\n", value_parser = unescape)]
    pub access_log_suffix: String,

    /// Write times in UTC, not in the zone of this machine
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub access_log_utc: bool,

    /// Lines that may wait to be written; one more is dropped and counted. 0: each is written at
    /// once, and the relay waits for it
    #[arg(long, value_name = "N", default_value = "1024", value_parser = units::count(0))]
    pub access_log_buffer: usize,

    /// Write a line for each stream as well, when it ends
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub access_log_streams: bool,

    /// Write the identifiers of streams in full: whoever reads the log may use them
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub log_full_ids: bool,

    /// Name of this relay, for JSON fields of the type that shows it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub instance_id: String,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// The kind of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Entries {
    /// By a format.
    Text,
    /// Objects, by fields.
    Json,
}

/// A format with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Forwarded addresses and the time each request took.
    Framework,
    /// The common log format.
    Common,
    /// The same with Referer and User-Agent.
    Combined,
}

impl Preset {
    /// Its format.
    pub fn format(self) -> &'static str {
        match self {
            Self::Framework => FRAMEWORK,
            Self::Common => COMMON_FORMAT,
            Self::Combined => COMBINED,
        }
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the shape of a value parser")]
fn place(text: &str) -> Result<Place, String> {
    match text {
        "" => Err("expected a path, or stdout".into()),
        "-" | "stdout" | "STDOUT" | "/dev/stdout" => Ok(Place::Stdout),
        path => Ok(Place::File(path.into())),
    }
}

/// Reads the escapes that a command line cannot hold as they are.
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        out.push(match char {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('\\') => '\\',
                Some(_) | None => return Err("expected n, r, t or \\ behind each \\".into()),
            },
            char => char,
        });
    }
    Ok(out)
}
