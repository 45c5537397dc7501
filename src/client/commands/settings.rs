//! The preferences file: defaults for options of the command line.

use super::exit::{Exit, Failure};
use crate::ops::cause;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// The contents of the preferences file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `relay = "https://relay.example"`.
    pub relay: Option<String>,
    /// `cacert = "/path/to/authorities.pem"`.
    pub cacert: Option<PathBuf>,
    /// `token-file = "/path/to/token"`.
    pub token_file: Option<PathBuf>,
}

impl Preferences {
    /// Reads the file named by `RDV_CLIENT_CONFIG`, which must exist; otherwise
    /// `$XDG_CONFIG_HOME/rdv/client.toml` (`~/.config/rdv/client.toml`), or `/etc/rdv/client.toml`,
    /// if one exists and can be opened.
    ///
    /// # Errors
    /// The file cannot be read, or is invalid.
    pub fn read() -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = variable("RDV_CLIENT_CONFIG") {
            return Self::of_file(Path::new(&path))?
                .ok_or_else(|| wrong(Path::new(&path), "no such file (RDV_CLIENT_CONFIG)"));
        }
        for path in usual_places(variable).into_iter().filter(|path| is_readable(path)) {
            if let Some(preferences) = Self::of_file(&path)? {
                return Ok(preferences);
            }
        }
        Ok(Self::default())
    }

    fn of_file(path: &Path) -> Result<Option<Self>, Failure> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map(Some).map_err(|why| wrong(path, &why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(path, &cause(&error))),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
        let mut preferences = Self::default();
        for (key, value) in table.get_ref() {
            let key = key.get_ref();
            let Some(value) = value.get_ref().as_str() else {
                return Err(format!("the value of {key} must be a string in quotes"));
            };
            match key.as_ref() {
                "relay" => preferences.relay = Some(value.into()),
                "cacert" => preferences.cacert = Some(value.into()),
                "token-file" => preferences.token_file = Some(value.into()),
                _ => {
                    return Err(format!("unknown key {key}; expected relay, cacert or token-file"));
                }
            }
        }
        Ok(preferences)
    }
}

fn usual_places(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let home = variable("HOME").map(|home| Path::new(&home).join(".config"));
    let own = variable("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
    let own = own.map(|directory| directory.join("rdv/client.toml"));
    own.into_iter().chain(["/etc/rdv/client.toml".into()]).collect()
}

/// Whether this user can read a file that was not named: under `sudo` or a service manager,
/// `HOME` is often the directory of another user, or none.
fn is_readable(path: &Path) -> bool {
    std::fs::File::open(path).is_ok()
}

fn wrong(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_and_values_in_quotes() {
        let read = Preferences::parse("relay = \"http://h\"\ncacert = \"/x\"\n").unwrap();
        assert_eq!(read.relay.as_deref(), Some("http://h"));
        assert_eq!(read.cacert, Some("/x".into()));
        for (text, hint) in
            [("relay = 7", "quotes"), ("rely = \"x\"", "expected relay"), ("relay", "expected")]
        {
            let error = Preferences::parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn the_file_of_the_user_takes_precedence() {
        let places = |variables: &[(&str, &str)]| {
            usual_places(|name| {
                variables.iter().find(|(there, _)| *there == name).map(|(_, value)| value.into())
            })
        };
        let machine = PathBuf::from("/etc/rdv/client.toml");
        assert_eq!(places(&[]), [PathBuf::from("/etc/rdv/client.toml")]);
        assert_eq!(
            places(&[("HOME", "/h")]),
            [PathBuf::from("/h/.config/rdv/client.toml"), machine.clone()]
        );
        assert_eq!(
            places(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")]),
            [PathBuf::from("/c/rdv/client.toml"), machine]
        );
    }
}
