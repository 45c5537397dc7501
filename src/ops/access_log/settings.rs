//! The access log's settings, as flags.

use super::json::{DEFAULT_FIELDS, Field};
use super::text::{APACHE_COMBINED, APACHE_COMMON, COMBINED, COMMON_FORMAT, FRAMEWORK, TextFormat};
use crate::ops::units;
use clap::{ArgAction, Args, ValueEnum};
use std::path::{Path, PathBuf};

/// The settings of the access log.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Access log")]
pub struct AccessLogSettings {
    /// Access log file, reopened by SIGUSR1; stdout (or -) and stderr are standard output and
    /// error; off or none: no log
    #[arg(long, value_name = "PATH", value_parser = place)]
    pub access_log: Option<Choice>,

    /// Format of lines: text, or JSON objects
    #[arg(long, value_name = "KIND", default_value = "text", ignore_case = true)]
    pub access_log_entry: Entries,

    /// Format of text lines by name
    #[arg(long, value_name = "NAME", default_value = "framework", ignore_case = true)]
    pub access_log_preset: Preset,

    /// Format of text lines, instead of a preset: %% %a %b %B %D %h %{NAME}i %l %m %q %r %s %>s %t
    /// %{LAYOUT}t %{s|ms|us}T %u %U %{KEY}X
    #[arg(long, value_name = "FORMAT")]
    pub access_log_format: Option<TextFormat>,

    /// Member of JSON lines: NAME=TYPE or NAME=TYPE:ARGUMENT; repeatable, replaces the default
    #[arg(long, value_name = "FIELD", default_values = DEFAULT_FIELDS)]
    pub access_log_field: Vec<Field>,

    /// Text before each JSON line; escapes: \n, \r, \t, \\
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = unescape)]
    pub access_log_prefix: String,

    /// Text after each JSON line; escapes: \n, \r, \t, \\
    #[arg(long, value_name = "TEXT", default_value = "\\n", value_parser = unescape)]
    pub access_log_suffix: String,

    /// Times in UTC instead of the local time zone
    #[arg(long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub access_log_utc: bool,

    /// Maximum lines waiting to be written; further ones are dropped and counted; 0: each is
    /// written at once, and the relay waits for it
    #[arg(long, value_name = "N", default_value = "1024", value_parser = units::count(0))]
    pub access_log_buffer: usize,

    /// A line for each stream as well, when it ends
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub access_log_streams: bool,

    /// Complete stream identifiers in the log; readers of the log can use them
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_name = "BOOL")]
    pub log_full_ids: bool,

    /// Name of this relay, for JSON fields
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub instance_id: String,
}

/// Whether the access log is enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// No log.
    Off,
    /// A log with this target.
    Lines(LogTarget),
}

/// The target of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
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
    /// The common log format of Apache HTTP Server: without ports, for programs that read it.
    ApacheCommon,
    /// The same with Referer and User-Agent.
    ApacheCombined,
}

impl Preset {
    /// Returns its format.
    pub fn format(self) -> &'static str {
        match self {
            Self::Framework => FRAMEWORK,
            Self::Common => COMMON_FORMAT,
            Self::Combined => COMBINED,
            Self::ApacheCommon => APACHE_COMMON,
            Self::ApacheCombined => APACHE_COMBINED,
        }
    }
}

/// The words that are not paths.
const WORDS: [&str; 4] = ["off", "none", "stdout", "stderr"];

/// Maximum edit distance to a word of four letters or more; for a shorter word it is one.
const WRONG_LETTERS_MAX: usize = 2;

impl AccessLogSettings {
    /// Returns the target of lines, if the log is enabled.
    pub fn place(&self) -> Option<&LogTarget> {
        match self.access_log.as_ref()? {
            Choice::Off => None,
            Choice::Lines(place) => Some(place),
        }
    }

    /// Returns a warning if the file name looks like a misspelt word.
    pub fn warning(&self) -> Option<String> {
        let Some(LogTarget::File(path)) = self.place() else { return None };
        let name = path.to_str()?;
        let meant = misspelt(name)?;
        Some(format!("access-log: lines go to a file named {name}; did you mean {meant}?"))
    }
}

/// Returns the word that a plain name probably meant.
fn misspelt(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    if ["no", "false", "null", "disabled"].contains(&name.as_str()) {
        return Some("off");
    }
    let distance = |word: &str| strsim::damerau_levenshtein(word, &name);
    let most = if name.len() < 4 { 1 } else { WRONG_LETTERS_MAX };
    WORDS.into_iter().min_by_key(|word| distance(word)).filter(|word| distance(word) <= most)
}

fn place(text: &str) -> Result<Choice, String> {
    Ok(Choice::Lines(match text.to_ascii_lowercase().as_str() {
        "" => return Err("expected a path, stdout, stderr or off".into()),
        "off" | "none" => return Ok(Choice::Off),
        "-" | "stdout" | "/dev/stdout" => LogTarget::Stdout,
        "stderr" | "/dev/stderr" => LogTarget::Stderr,
        _ if text.ends_with('/') || Path::new(text).is_dir() => {
            return Err("expected a file, not a directory".into());
        }
        _ => LogTarget::File(text.into()),
    }))
}

/// Decodes escapes for characters that are hard to type on a command line.
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
                Some(_) | None => return Err("expected n, r, t or \\ after each \\".into()),
            },
            char => char,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_off_on_a_standard_stream_or_in_a_file() {
        let file = |name: &str| Choice::Lines(LogTarget::File(name.into()));
        for (text, wanted) in [
            ("off", Choice::Off),
            ("None", Choice::Off),
            ("-", Choice::Lines(LogTarget::Stdout)),
            ("STDOUT", Choice::Lines(LogTarget::Stdout)),
            ("/dev/stdout", Choice::Lines(LogTarget::Stdout)),
            ("stderr", Choice::Lines(LogTarget::Stderr)),
            ("./off", file("./off")),
            ("Log", file("Log")),
        ] {
            assert_eq!(place(text), Ok(wanted), "{text}");
        }
        for directory in ["/", "/tmp", "here/"] {
            assert_eq!(place(directory), Err("expected a file, not a directory".into()));
        }
        assert!(place("").is_err());
    }

    #[test]
    fn a_name_similar_to_a_keyword_is_reported_as_misspelt() {
        for (name, meant) in [
            ("of", Some("off")),
            ("offf", Some("off")),
            ("nnone", Some("none")),
            ("stdrr", Some("stderr")),
            ("Stdot", Some("stdout")),
            ("no", Some("off")),
            ("false", Some("off")),
            ("log", None),
            ("access", None),
            ("rdv.log", None),
            ("./of", None),
            ("/var/log/rdv", None),
        ] {
            assert_eq!(misspelt(name), meant, "{name}");
        }
    }
}
