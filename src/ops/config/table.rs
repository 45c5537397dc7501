//! The table of settings, derived from the flags: names, values, defaults, help.

use super::{Layer, Origin, SourceValue};
use crate::ops::Settings;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use std::error::Error as _;
use std::ffi::{OsStr, OsString};

/// The prefix of our environment variables.
const PREFIX: &str = "RDV_";

/// Variables with our prefix that are not settings of a relay: other commands read them. A relay
/// ignores them silently, even if their names resemble a setting.
pub const NO_SETTINGS: [&str; 8] = [
    "RDV_CONFIG",
    "RDV_RELAY",
    "RDV_CLIENT_CONFIG",
    "RDV_CACERT",
    "RDV_SOURCE_TOKEN",
    "RDV_SOURCE_SIGNATURE_SECRET",
    "RDV_SOCKET_SECRET",
    "RDV_TOKEN",
];

/// Settings of earlier versions, and what to use instead.
const REPLACED: [(&str, &str); 1] =
    [("socket-tokens", "tokens, a file of the scopes and SHA-256 of each token (rdv token new)")];

/// Returns what to use instead of a setting of an earlier version.
pub fn replacement(name: &str) -> Option<String> {
    let name = name.trim_start_matches('-');
    let (_, instead) = REPLACED.iter().find(|(replaced, _)| *replaced == name)?;
    Some(format!("the setting {name} was replaced by {instead}"))
}

/// Maximum edit distance of a name that is treated as misspelt.
const MISSPELT: usize = 2;

/// One setting.
#[derive(Clone, Debug)]
pub struct SettingKey(Arg);

impl SettingKey {
    /// Returns the name, as in `--name` and in files.
    pub fn name(&self) -> &str {
        self.0.get_long().unwrap_or_default()
    }

    /// Returns the name of its environment variable.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name().replace('-', "_").to_ascii_uppercase())
    }

    /// Whether it is repeatable.
    pub fn repeats(&self) -> bool {
        matches!(self.0.get_action(), ArgAction::Append)
    }

    /// Whether it is a boolean.
    pub fn is_switch(&self) -> bool {
        self.placeholder() == "BOOL"
    }

    /// Returns the placeholder of its value in help: the unit or format.
    pub fn placeholder(&self) -> String {
        let names = self.0.get_value_names().unwrap_or_default();
        names.first().map(ToString::to_string).unwrap_or_default()
    }

    /// Returns its default values.
    pub fn defaults(&self) -> Vec<String> {
        self.0.get_default_values().iter().map(|text| text.to_string_lossy().into_owned()).collect()
    }

    /// Returns its help text.
    pub fn help(&self) -> String {
        self.0.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// Returns its help heading.
    pub fn group(&self) -> &str {
        self.0.get_help_heading().unwrap_or("The relay")
    }

    /// Refuses values that the flag would refuse.
    ///
    /// # Errors
    /// What is expected.
    pub fn check(&self, values: &[String]) -> Result<(), String> {
        if values.len() != 1 && !self.repeats() {
            return Err("expected one value".into());
        }
        let command = bare().arg(self.0.clone());
        let arguments = values.iter().map(|value| format!("--{}={value}", self.name()));
        match command.try_get_matches_from(arguments) {
            Ok(_) => Ok(()),
            Err(error) => Err(why(&error)),
        }
    }
}

/// Returns all settings, in the order of the help.
pub fn keys() -> Vec<SettingKey> {
    let command = Settings::augment_args(bare());
    command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some())
        .cloned()
        .map(SettingKey)
        .collect()
}

/// Returns the setting with this name.
///
/// # Errors
/// The setting that the name probably meant.
pub fn key(name: &str) -> Result<SettingKey, String> {
    let keys = keys();
    if let Some(key) = keys.iter().find(|key| key.name() == name) {
        return Ok(key.clone());
    }
    let wanted = name.replace('_', "-").to_ascii_lowercase();
    if let Some(why) = replacement(&wanted) {
        return Err(why);
    }
    Err(match nearest(&keys, &wanted) {
        Some(key) => format!("unknown setting; did you mean {}?", key.name()),
        None => "unknown setting; 'rdv print-config' lists all settings".into(),
    })
}

/// Returns the setting that an unknown name probably meant.
fn nearest<'k>(keys: &'k [SettingKey], name: &str) -> Option<&'k SettingKey> {
    let distance = |key: &SettingKey| strsim::damerau_levenshtein(key.name(), name);
    keys.iter().min_by_key(|key| distance(key)).filter(|key| distance(key) <= MISSPELT)
}

/// Whether an environment variable may be a setting.
pub fn is_ours(name: &OsStr) -> bool {
    let known_otherwise = NO_SETTINGS.iter().any(|other| name == *other);
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) && !known_otherwise
}

/// Reads settings from environment variables; repeatable ones separate their values with commas.
/// Unknown variables with our prefix are refused only if they look misspelt: container platforms
/// set variables named after services (`RDV_PORT`).
///
/// # Errors
/// The variable, and what is expected.
pub fn environment(variables: &[(OsString, OsString)]) -> Result<Layer, String> {
    let keys = keys();
    let mut layer = Layer::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        let text = value.to_str().ok_or_else(|| format!("{name}: expected UTF-8"))?;
        let Some(key) = keys.iter().find(|key| key.variable() == name) else {
            let plain = name.trim_start_matches(PREFIX).replace('_', "-").to_ascii_lowercase();
            if let Some(why) = replacement(&plain) {
                return Err(format!("{name}: {why}"));
            }
            match nearest(&keys, &plain) {
                Some(key) => return Err(format!("{name}: did you mean {}?", key.variable())),
                None => continue,
            }
        };
        let values: Vec<String> = if key.repeats() {
            text.split(',').map(|part| part.trim().to_owned()).collect()
        } else {
            vec![text.to_owned()]
        };
        key.check(&values).map_err(|why| format!("{name}={text}: {why}"))?;
        let given = SourceValue { values, origin: Origin::Environment(name) };
        layer.insert(key.name().to_owned(), given);
    }
    Ok(layer)
}

/// Reads settings from the command line.
pub fn flags(matches: &ArgMatches) -> Layer {
    let mut layer = Layer::new();
    for SettingKey(arg) in keys() {
        let id = arg.get_id().as_str();
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let raw = matches.get_raw(id).into_iter().flatten();
        let values = raw.map(|text| text.to_string_lossy().into_owned()).collect();
        let given = SourceValue { values, origin: Origin::Flag };
        layer.insert(arg.get_long().unwrap_or_default().to_owned(), given);
    }
    layer
}

/// Parses the texts of a layer as flags.
///
/// # Errors
/// One line.
pub fn parse(given: &Layer) -> Result<ArgMatches, String> {
    let command = Settings::augment_args(bare());
    let arguments = given.iter().flat_map(|(name, given)| {
        given.values.iter().map(move |value| format!("--{name}={value}"))
    });
    command.try_get_matches_from(arguments).map_err(|error| one_line(&error))
}

/// Formats a clap error as one line.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let line = lines.collect::<Vec<_>>().join(" ");
    number_error(line.strip_prefix("error: ").unwrap_or(&line))
}

/// Replaces the words of the standard library for what is not a number.
fn number_error(text: &str) -> String {
    text.replace("invalid digit found in string", "expected a number")
        .replace("cannot parse integer from empty string", "expected a number")
        .replace("number too large to fit in target type", "the number is too large")
}

fn why(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::ValueValidation
        && let Some(source) = error.source()
    {
        return number_error(&source.to_string());
    }
    one_line(error)
}

fn bare() -> Command {
    Command::new("rdv").no_binary_name(true).disable_help_flag(true).disable_version_flag(true)
}
