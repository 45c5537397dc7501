//! The sources of settings: flags override environment, then a TOML file, then defaults.
//!
//! The fields of [`Settings`] are the only table of settings; everything here is derived from it
//! (`table`). Each source becomes a [`Layer`] of texts and is checked by itself, so that an error
//! can name its location; for each key the layer of highest priority wins.

mod file;
mod pages;
mod table;

pub use pages::{print, reference, sample};
pub use table::{NO_SETTINGS, SettingKey, one_line, replacement};

use super::tls;
use super::tokens::TOKENS;
use super::{AdminListen, Settings};
use crate::ops::cause;
use clap::{ArgMatches, FromArgMatches};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Read if it exists and no other file is named.
pub const DEFAULT_FILE: &str = "/etc/rdv/rdv.toml";

/// The setting that operators' commands read, too.
const ADMIN_LISTEN: &str = "admin-listen";

/// Settings that cannot change until the process is replaced: sockets, pipes, threads and
/// identifiers are created with them.
pub const NEEDS_RESTART: [&str; 12] = [
    "listen",
    "workers",
    "pipe-size",
    "max-pipes",
    "no-splice",
    "congestion-control",
    ADMIN_LISTEN,
    "socket-listen",
    "tls-listen",
    "node-id",
    "notify-secret-file",
    "notify-allow",
];

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No source sets it.
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

/// The value of one key in one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceValue {
    /// The texts; several for repeatable keys.
    pub values: Vec<String>,
    /// Its location.
    pub origin: Origin,
}

/// All values from one source.
pub type Layer = BTreeMap<String, SourceValue>;

/// All sources of settings; they can be read repeatedly.
#[derive(Clone, Debug)]
pub struct Sources {
    flags: Layer,
    environment: Vec<(OsString, OsString)>,
    /// The file, and whether it must exist.
    file: (PathBuf, bool),
}

/// The settings, and the origin of each.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The effective settings.
    pub settings: Settings,
    /// The texts they were read from, without keys that no source sets.
    pub given: Layer,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// The result of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Keys with new effective values.
    pub applied: Vec<String>,
    /// Keys that keep their old values until a restart.
    pub kept: Vec<String>,
}

impl Sources {
    /// Returns the sources: the flags in `matches` (of a command with the flags of the settings),
    /// this environment, and a file: the one named, or [`DEFAULT_FILE`] if it exists.
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

    /// Returns the sources without flags, for programs that only need the configuration of a relay.
    ///
    /// # Errors
    /// If an empty command line is invalid, which is a bug in the table.
    pub fn without_flags(
        environment: impl Iterator<Item = (OsString, OsString)>,
        file: Option<PathBuf>,
    ) -> Result<Self, String> {
        Ok(Self::new(&table::parse(&Layer::new())?, environment, file))
    }

    /// Returns the text of the file, if it exists; without one that was named, errors of these
    /// kinds are ignored.
    fn text(&self, ignored: &[ErrorKind]) -> Result<Option<String>, String> {
        let (path, must_exist) = &self.file;
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if !must_exist && ignored.contains(&error.kind()) => Ok(None),
            Err(error) => Err(format!("{}: {}", path.display(), cause(&error))),
        }
    }

    /// Reads the admin listener alone: an operator's command needs no other setting, and the files
    /// that some name can be readable by the relay only.
    ///
    /// # Errors
    /// One line: the location of the fault, and what is expected.
    pub fn admin_listen(&self) -> Result<Option<AdminListen>, String> {
        let text = self.text(&[ErrorKind::NotFound, ErrorKind::PermissionDenied])?;
        let mut given = match &text {
            Some(text) => file::layer(&self.file.0, text, |name| name == ADMIN_LISTEN)?,
            None => Layer::new(),
        };
        let variables = self.environment.iter().filter(|(name, _)| name == "RDV_ADMIN_LISTEN");
        given.extend(table::environment(&variables.cloned().collect::<Vec<_>>())?);
        Ok(settings(&given)?.admin.admin_listen)
    }

    /// Reads all sources.
    ///
    /// # Errors
    /// One line: the location of the fault, and what is expected.
    pub fn read(&self) -> Result<Configuration, String> {
        let path = &self.file.0;
        let text = self.text(&[ErrorKind::NotFound])?;
        let mut given = match &text {
            Some(text) => file::layer(path, text, |_| true)?,
            None => Layer::new(),
        };
        given.extend(table::environment(&self.environment)?);
        given.extend(self.flags.clone());
        let mut settings = settings(&given)?;
        settings.tls.prepare()?;
        settings.notify.key()?;
        if let Some(why) = settings.tokens.conflict().or_else(|| settings.nodes.conflict()) {
            return Err(why);
        }
        Ok(Configuration { settings, given, file: text.is_some().then(|| path.clone()) })
    }
}

impl Configuration {
    /// Applies the settings of `newer`, except those that need a restart. Reads no file.
    ///
    /// # Errors
    /// If the combination is invalid; nothing changes then.
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
        // Files were read with `newer`; nothing here waits for a disk.
        let files = std::mem::take(&mut newer.settings.tls);
        let tokens = newer.settings.tokens.tokens.take();
        let mut texts = newer.given.clone();
        texts.remove(TOKENS);
        for name in tls::FILES {
            texts.remove(name);
        }
        newer.settings = settings(&texts)?;
        let mut renewed = newer.settings.tls.adopt(files, &self.settings.tls);
        if self.settings.tokens.tokens != tokens {
            renewed.push(TOKENS);
        }
        newer.settings.tokens.tokens = tokens;
        for name in renewed {
            if !changes.applied.iter().any(|applied| applied == name) {
                changes.applied.push(name.to_owned());
            }
        }
        *self = newer;
        Ok(changes)
    }
}

/// Parses these texts as settings.
fn settings(given: &Layer) -> Result<Settings, String> {
    let matches = table::parse(given)?;
    Settings::from_arg_matches(&matches).map_err(|error| table::one_line(&error))
}

#[cfg(test)]
mod tests;
