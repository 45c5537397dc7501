//! The file of tokens: which agents are allowed, under which names. Only the SHA-256 of a token is
//! kept, and no error, log or printed setting shows a token.

use crate::api::name::{NAME_RULE, valid_name};
use crate::ops::cause;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Minimum length of a token in characters: 16 random letters and digits are 95 bits, which cannot
/// be guessed over a network.
const TOKEN_MIN: usize = 16;

/// Maximum size of the file in bytes: more than 10,000 lines. A longer file is refused.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// The allowed agents.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenTable(Vec<Entry>);

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    digest: [u8; 32],
    line: usize,
    names: Names,
}

/// The names allowed for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    Any,
    /// These names; if empty, only agents without a name.
    These(Vec<String>),
}

/// Why an agent, or its name, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No token was sent.
    NoToken,
    /// The token is unknown.
    UnknownToken,
    /// The token is not valid for this name.
    NameNotAllowed,
}

impl TokenTable {
    /// Reads the file at this path.
    ///
    /// # Errors
    /// One line: the file and its line, and what is expected.
    pub fn read(path: &str) -> Result<Self, String> {
        let wrong = |error: &dyn fmt::Display| format!("{path}: {error}");
        let file = File::open(Path::new(path)).map_err(|error| wrong(&cause(&error)))?;
        let mut text = String::new();
        let bytes = file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text);
        if bytes.map_err(|error| wrong(&cause(&error)))? as u64 > FILE_MAX_BYTES {
            return Err(wrong(&format_args!("expected at most {FILE_MAX_BYTES} bytes of tokens")));
        }
        Self::parse(&text).map_err(|(line, why)| format!("{path}:{line}: {why}"))
    }

    /// Checks whether an agent with this token is allowed, under this name if any. The duration of
    /// the check reveals nothing about the tokens.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub fn allows(&self, token: Option<&str>, name: Option<&str>) -> Result<(), Refused> {
        let digest = sha256(token.ok_or(Refused::NoToken)?);
        let mut found = None;
        for entry in &self.0 {
            if same(&entry.digest, &digest) {
                found = Some(&entry.names);
            }
        }
        let allowed = match (found.ok_or(Refused::UnknownToken)?, name) {
            (Names::Any, _) | (Names::These(_), None) => true,
            (Names::These(names), Some(name)) => names.iter().any(|allowed| allowed == name),
        };
        if allowed { Ok(()) } else { Err(Refused::NameNotAllowed) }
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut table = Self(Vec::new());
        for (number, line) in text.lines().enumerate() {
            let at = |why| (number + 1, why);
            let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
            let Some(token) = words.next() else { continue };
            let digest = token_digest(token).map_err(at)?;
            if let Some(first) = table.0.iter().find(|entry| entry.digest == digest) {
                let why =
                    format!("the token of line {} again; put all its names there", first.line);
                return Err(at(why));
            }
            let names = names(words).map_err(at)?;
            table.0.push(Entry { digest, line: number + 1, names });
        }
        Ok(table)
    }
}

/// Returns the digest used for comparison. An invalid token may be a mistyped one, so the error
/// does not show it.
fn token_digest(token: &str) -> Result<[u8; 32], String> {
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a token has visible ASCII characters only".into());
    }
    if token.len() < TOKEN_MIN {
        return Err(format!("a token needs at least {TOKEN_MIN} characters"));
    }
    Ok(sha256(token))
}

/// Parses names. An invalid name may be a misplaced token, so the error does not show it either.
fn names<'t>(words: impl Iterator<Item = &'t str>) -> Result<Names, String> {
    let mut names = Vec::new();
    let mut any = false;
    for (number, word) in words.enumerate() {
        match word {
            "*" => any = true,
            name if valid_name(name) => names.push(name.to_owned()),
            _ => return Err(format!("name {}: {NAME_RULE}; or * for any", number + 1)),
        }
    }
    Ok(if any { Names::Any } else { Names::These(names) })
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Compares two digests in constant time.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenTable({} tokens)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const ONE: &str = "one-0123456789abcdef";
    const ANY: &str = "any-0123456789abcdef";
    const NAMELESS: &str = "none-0123456789abcdef";

    fn read(text: &[u8]) -> Result<TokenTable, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let path = file.path().to_str().unwrap();
        TokenTable::read(path).map_err(|why| why.replacen(path, "FILE", 1))
    }

    #[test]
    fn a_token_is_valid_for_its_names() {
        let text = format!(
            "# who may\n\n{ONE} billing  billing.eu # both\n\t{ANY} *\r\n{NAMELESS}#not a comment\n{NAMELESS} # x"
        );
        let table = read(text.as_bytes()).unwrap();
        for (name, token, asked, expected) in [
            ("its name", Some(ONE), Some("billing"), Ok(())),
            ("another of its names", Some(ONE), Some("billing.eu"), Ok(())),
            ("no name", Some(ONE), None, Ok(())),
            ("another's name", Some(ONE), Some("b"), Err(Refused::NameNotAllowed)),
            ("a word of a comment", Some(ONE), Some("both"), Err(Refused::NameNotAllowed)),
            ("any name", Some(ANY), Some("b"), Ok(())),
            ("any and no name", Some(ANY), None, Ok(())),
            ("nameless", Some(NAMELESS), None, Ok(())),
            ("nameless, with a name", Some(NAMELESS), Some("b"), Err(Refused::NameNotAllowed)),
            ("longer", Some("one-0123456789abcdefg"), None, Err(Refused::UnknownToken)),
            ("shorter", Some("one-0123456789abcde"), None, Err(Refused::UnknownToken)),
            ("empty", Some(""), None, Err(Refused::UnknownToken)),
            ("none", None, Some("billing"), Err(Refused::NoToken)),
        ] {
            assert_eq!(table.allows(token, asked), expected, "{name}");
        }
    }

    #[test]
    fn an_empty_file_allows_no_agent() {
        let table = read(b"# nobody\n").unwrap();
        assert_eq!(table.allows(Some(ONE), None), Err(Refused::UnknownToken));
    }

    #[test]
    fn an_invalid_file_is_reported_with_its_line_and_without_tokens() {
        let long = format!("{ONE} {}", "x".repeat(64));
        for (name, text, expected) in [
            ("a short token", "# x\nsecret-of-15-ch billing", "FILE:2: a token needs at least 16"),
            (
                "a token with an umlaut",
                "geheimnisträger-0123 a",
                "FILE:1: a token has visible ASCII",
            ),
            (
                "a name in capitals",
                &format!("{ONE} a Billing"),
                "FILE:1: name 2: a name is 1 to 63",
            ),
            ("a token as a name", &format!("{ONE} {ONE}+"), "FILE:1: name 1: a name is"),
            ("a long name", &long, "FILE:1: name 1: a name is"),
            ("twice", &format!("{ONE} a\n\n{ONE} b"), "FILE:3: the token of line 1 again; put"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(expected), "{name}: {error}");
            assert_eq!(error.lines().count(), 1, "{name}: {error}");
            for word in text.split_whitespace().filter(|word| word.len() >= 10) {
                assert!(!error.contains(word), "{name}: {error}");
            }
        }
        assert!(read(b"\xff").unwrap_err().starts_with("FILE: "), "no UTF-8");
        let large = format!("#{}", " ".repeat(1 << 20));
        assert!(read(large.as_bytes()).unwrap_err().contains("at most 1048576 bytes"));
        let missing = TokenTable::read("/nonexistent/tokens").unwrap_err();
        assert!(missing.starts_with("/nonexistent/tokens: no such file"), "{missing}");
    }

    #[test]
    fn debug_output_shows_no_token() {
        let table = read(format!("{ONE} billing").as_bytes()).unwrap();
        assert_eq!(format!("{table:?}"), "TokenTable(1 tokens)");
    }
}
