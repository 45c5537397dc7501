//! `rdv token new`: makes a token. The token is printed once, and only its SHA-256 is stored.

use super::table::{self, TokenTable};
use crate::api::permission::Grants;
use crate::http::hex;
use crate::ops::{cause, random};
use clap::{Args, Subcommand};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Random bytes of a token: 160 bits.
const RANDOM_BYTES: usize = 20;

/// The start of every token, by which people and scanners of sources recognize one.
const PREFIX: &str = "rdv_";

/// The arguments of `rdv token`.
#[derive(Args, Clone, Debug)]
pub struct TokenCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Make a token and print it
    ///
    /// The token is printed once, on standard output. The relay's file has only its SHA-256.
    New(New),
}

#[derive(Args, Clone, Debug)]
struct New {
    /// Name of the token: up to 64 letters, digits, '-', '.', '_' and '@'
    ///
    /// Logs and metrics show it.
    #[arg(value_name = "NAME")]
    name: String,

    /// Scope: create, send, receive, list, call, call:NAME, agent, agent:NAME or notify; repeatable
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<String>,

    /// File of tokens to add it to; created if missing [default: print the line for the file]
    #[arg(long, value_name = "FILE")]
    append: Option<PathBuf>,
}

/// A new token.
#[derive(Debug)]
pub struct NewToken {
    /// What goes to standard output: the token.
    pub output: String,
    /// What goes to standard error: what to do with it.
    pub advice: String,
}

impl TokenCommand {
    /// Makes the token.
    ///
    /// # Errors
    /// One line: an invalid name or scope, or a file that cannot be written.
    pub fn run(&self) -> Result<NewToken, String> {
        let Command::New(new) = &self.command;
        new.make()
    }
}

impl New {
    fn make(&self) -> Result<NewToken, String> {
        table::check_name(&self.name)?;
        let grants: Grants = self.scopes.join(",").parse()?;
        let secret = secret()?;
        let line = table::line(&self.name, &grants, &secret);
        let advice = match &self.append {
            None => format!("Add this line to the relay's file of tokens (--tokens):\n{line}\n"),
            Some(path) => {
                append(path, &self.name, &line)?;
                let path = path.display();
                format!("added {} to {path}; a running relay reads it on SIGHUP\n", self.name)
            }
        };
        Ok(NewToken { output: format!("{secret}\n"), advice })
    }
}

fn secret() -> Result<String, String> {
    let bytes: [u8; RANDOM_BYTES] = random::bytes().map_err(|error| error.to_string())?;
    Ok([PREFIX, &hex::encode(&bytes)].concat())
}

/// Adds a line to a file of tokens that is valid, and has none of this name.
fn append(path: &Path, name: &str, line: &str) -> Result<(), String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("{shown}: {}", cause(&error));
    let mut options = OpenOptions::new();
    let file = options.read(true).append(true).create(true).mode(0o600).open(path);
    let mut file = file.map_err(failed)?;
    let there = TokenTable::read(path.to_str().ok_or_else(|| format!("{shown}: not UTF-8"))?)?;
    if there.has(name) {
        return Err(format!("{shown} has a token {name}; remove its line, or use another name"));
    }
    let text = std::fs::read(path).map_err(failed)?;
    let gap = if text.is_empty() || text.ends_with(b"\n") { "" } else { "\n" };
    // One write: a relay that reloads sees all of the line or nothing.
    file.write_all(format!("{gap}{line}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str, scopes: &[&str], append: Option<PathBuf>) -> New {
        New { name: name.into(), scopes: scopes.iter().map(ToString::to_string).collect(), append }
    }

    #[test]
    fn a_new_token_is_found_in_the_file_it_was_added_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        let one = new("ci", &["create", "agent:billing"], Some(path.clone())).make().unwrap();
        // A file that an editor left without a line end.
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap().trim_end()).unwrap();
        let two = new("cd", &["list"], Some(path.clone())).make().unwrap();
        let table = TokenTable::read(path.to_str().unwrap()).unwrap();
        for (made, name, scopes) in [(one, "ci", "create,agent:billing"), (two, "cd", "list")] {
            let secret = made.output.trim_end();
            assert!(secret.starts_with(PREFIX) && secret.len() == 44, "160 bits");
            let found = table.find(secret.as_bytes()).unwrap();
            assert_eq!((&*found.name, found.grants.to_string()), (name, scopes.to_owned()));
            assert!(!made.advice.contains(secret));
        }
        let again = new("ci", &["create"], Some(path.clone())).make().unwrap_err();
        assert!(again.contains("has a token ci"), "{again}");
    }

    #[test]
    fn without_a_file_its_line_is_printed() {
        let made = new("ci", &["create"], None).make().unwrap();
        assert!(made.advice.contains("\nci create "), "{}", made.advice);
        assert!(new("a b", &["create"], None).make().unwrap_err().contains("the name of a token"));
        assert!(new("ci", &["x"], None).make().unwrap_err().contains("the scopes are create"));
    }
}
