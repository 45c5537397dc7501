//! Where settings come from: flags over environment over a TOML file over defaults.
//!
//! There is one table of settings, the fields of [`Settings`]; everything here is read off it
//! (`table`). Each source becomes a [`Layer`] of texts, checked by itself, so that an error can
//! name its place; the uppermost text for each key wins.

mod file;
mod pages;
mod table;

pub use pages::{print, reference, sample};
pub use table::{NO_SETTINGS, SettingKey, one_line};

use super::Settings;
use super::sockets::TOKENS;
use clap::{ArgMatches, FromArgMatches};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Read if it is there and no other file is named.
pub const DEFAULT_FILE: &str = "/etc/rdv/rdv.toml";

/// Settings that are what they were at the start until the process is replaced: sockets and pipes
/// are made with them.
pub const NEEDS_RESTART: [&str; 6] =
    ["listen", "pipe-size", "max-pipes", "no-splice", "admin-listen", "socket-listen"];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A line of a file.
    File(Arc<Path>, usize),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => write!(f, "flag"),
        }
    }
}

/// What one source says about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceValue {
    /// As text; several for keys that repeat.
    pub values: Vec<String>,
    /// Where it stands.
    pub origin: Origin,
}

/// What one source says.
pub type Layer = BTreeMap<String, SourceValue>;

/// Everything that settings can be read from, again and again.
#[derive(Clone, Debug)]
pub struct Sources {
    flags: Layer,
    environment: Vec<(OsString, OsString)>,
    /// The file, and whether it has to be there.
    file: (PathBuf, bool),
}

/// Settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// What is in force.
    pub settings: Settings,
    /// The texts they were read from; keys that nobody gave are not here.
    pub given: Layer,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Keys with new values in force.
    pub applied: Vec<String>,
    /// Keys that keep their old values until a restart.
    pub kept: Vec<String>,
}

impl Sources {
    /// The flags among `matches` (of a command that has the settings' flags), this environment, and
    /// a file: the one named, or [`DEFAULT_FILE`] if it is there.
    pub fn new(
        matches: &ArgMatches,
        environment: impl Iterator<Item = (OsString, OsString)>,
        file: Option<PathBuf>,
    ) -> Self {
        let environment = environment.filter(|(name, _)| table::is_ours(name)).collect();
        let must_exist = file.is_some();
        let file = (file.unwrap_or_else(|| DEFAULT_FILE.into()), must_exist);
        Self { flags: table::flags(matches), environment, file }
    }

    /// Without flags, for programs that only want to know what a relay would do.
    ///
    /// # Errors
    /// When nothing at all makes no command line, which is a fault of the table.
    pub fn without_flags(
        environment: impl Iterator<Item = (OsString, OsString)>,
        file: Option<PathBuf>,
    ) -> Result<Self, String> {
        Ok(Self::new(&table::parse(&Layer::new())?, environment, file))
    }

    /// Reads them all.
    ///
    /// # Errors
    /// One line: where the fault is, and what would be right.
    pub fn read(&self) -> Result<Configuration, String> {
        let (path, must_exist) = &self.file;
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => None,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let mut given = match &text {
            Some(text) => file::layer(path, text)?,
            None => Layer::new(),
        };
        given.extend(table::environment(&self.environment)?);
        given.extend(self.flags.clone());
        Ok(Configuration {
            settings: settings(&given)?,
            given,
            file: text.is_some().then(|| path.clone()),
        })
    }
}

impl Configuration {
    /// Takes over what `newer` says, except for what needs a restart. It reads no file.
    ///
    /// # Errors
    /// When the two together make no sense; nothing changed then.
    pub fn reload(&mut self, mut newer: Self) -> Result<Changes, String> {
        let mut changes = Changes { applied: Vec::new(), kept: Vec::new() };
        for key in table::keys() {
            let name = key.name();
            let values = |layer: &Layer| layer.get(name).map(|given| given.values.clone());
            let (old, new) = (values(&self.given), values(&newer.given));
            let defaults = || key.defaults();
            if old.unwrap_or_else(defaults) == new.unwrap_or_else(defaults) {
                continue;
            }
            if !NEEDS_RESTART.contains(&name) {
                changes.applied.push(name.to_owned());
                continue;
            }
            changes.kept.push(name.to_owned());
            match self.given.get(name) {
                Some(given) => newer.given.insert(name.to_owned(), given.clone()),
                None => newer.given.remove(name),
            };
        }
        // Tokens were read when `newer` was; here nothing waits for a disk.
        let tokens = newer.settings.sockets.socket_tokens.take();
        let mut texts = newer.given.clone();
        texts.remove(TOKENS);
        newer.settings = settings(&texts)?;
        newer.settings.sockets.socket_tokens = tokens;
        let same_tokens =
            self.settings.sockets.socket_tokens == newer.settings.sockets.socket_tokens;
        if !same_tokens && !changes.applied.iter().any(|name| name == TOKENS) {
            changes.applied.push(TOKENS.to_owned());
        }
        *self = newer;
        Ok(changes)
    }
}

/// The settings these texts stand for.
fn settings(given: &Layer) -> Result<Settings, String> {
    let matches = table::parse(given)?;
    Settings::from_arg_matches(&matches).map_err(|error| table::one_line(&error))
}

#[cfg(test)]
mod tests;
