//! The file of tokens: a name, scopes and the SHA-256 of the token in each line. The relay never
//! knows a token before it is sent; no error, log or printed setting shows one.

use crate::api::permission::{Grants, Token};
use crate::http::hex;
use crate::ops::private_file;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// Maximum size of the file in bytes: more than 10,000 lines. A longer file is refused.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Longest name of a token, in bytes.
const NAME_MAX_BYTES: usize = 64;

/// The form of a line, for errors.
const LINE: &str = "expected NAME SCOPES SHA256, as printed by 'rdv token new'";

/// All tokens of a relay.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TokenTable(Arc<[Entry]>);

#[derive(PartialEq, Eq)]
struct Entry {
    digest: [u8; 32],
    line: usize,
    token: Arc<Token>,
}

impl TokenTable {
    /// Reads the file at this path.
    ///
    /// # Errors
    /// One line: the file and its line, and what is expected.
    pub fn read(path: &str) -> Result<Self, String> {
        let text = private_file::read(path, "tokens", FILE_MAX_BYTES)?;
        Self::parse(&text).map_err(|(line, why)| format!("{path}:{line}: {why}"))
    }

    /// Returns the token with this secret. The duration of the search reveals nothing about it.
    pub fn find(&self, secret: &[u8]) -> Option<&Arc<Token>> {
        let digest = digest(secret);
        let mut found = None;
        for entry in &*self.0 {
            if is_same(&entry.digest, &digest) {
                found = Some(&entry.token);
            }
        }
        found
    }

    /// Whether it has a token of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|entry| *entry.token.name == *name)
    }

    /// Returns all names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| &*entry.token.name)
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut entries: Vec<Entry> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let at = |why| (line, why);
            let words: Vec<_> =
                text.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
            let (name, scopes, digest) = match words[..] {
                [] => continue,
                [name, scopes, digest] => (name, scopes, digest),
                _ => return Err(at(LINE.into())),
            };
            let digest = hex::decode(digest.as_bytes()).ok_or_else(|| at(LINE.into()))?;
            check_name(name).map_err(at)?;
            let grants: Grants = scopes.parse().map_err(at)?;
            let repeats = |other: &&Entry| *other.token.name == *name || other.digest == digest;
            if let Some(first) = entries.iter().find(repeats) {
                return Err(at(format!("the name or the token of line {} again", first.line)));
            }
            let token = Arc::new(Token { name: name.into(), grants });
            entries.push(Entry { digest, line, token });
        }
        Ok(Self(entries.into()))
    }
}

/// Checks the name of a token. An invalid one may be a misplaced secret, so the error does not show
/// it.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._@".contains(byte);
    let is_valid =
        (1..=NAME_MAX_BYTES).contains(&name.len()) && name.as_bytes().iter().all(is_plain);
    let rule = "the name of a token is 1 to 64 of letters, digits, '-', '.', '_' and '@'";
    if is_valid { Ok(()) } else { Err(rule.into()) }
}

/// Returns the line of a token.
pub(super) fn line(name: &str, grants: &Grants, secret: &str) -> String {
    format!("{name} {grants} {}", hex::encode(&digest(secret.as_bytes())))
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Compares two digests in constant time.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenTable({} tokens)", self.0.len())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::NamedTempFile;

    /// A file with this text, readable by its owner only.
    pub(in crate::ops) fn file(text: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    /// A file of tokens with these names, which are their secrets too, and scopes.
    pub(in crate::ops) fn file_of(tokens: &[(&str, &str)]) -> NamedTempFile {
        let lines = tokens
            .iter()
            .map(|(name, scopes)| format!("{}\n", line(name, &scopes.parse().unwrap(), name)));
        file(&lines.collect::<String>())
    }

    fn read(text: &str) -> Result<TokenTable, String> {
        let file = file(text);
        let path = file.path().to_str().unwrap();
        TokenTable::read(path).map_err(|why| why.replacen(path, "FILE", 1))
    }

    #[test]
    fn a_token_is_found_by_its_secret() {
        let grants = "create,send".parse().unwrap();
        let text = format!("# tokens\n\n {} # the build\r\n", line("ci", &grants, "hush"));
        let table = read(&text).unwrap();
        assert_eq!(table.find(b"hush").map(|token| &*token.name), Some("ci"));
        assert_eq!(table.find(b"hush").map(|token| &token.grants), Some(&grants));
        for secret in [&b""[..], b"hush ", b"Hush", b"ci"] {
            assert_eq!(table.find(secret), None);
        }
        assert!(table.has("ci") && !table.has("hush"));
    }

    #[test]
    fn an_invalid_line_is_refused_without_showing_it() {
        let digest = "0123456789abcdef".repeat(4);
        let other = "f123456789abcdef".repeat(4);
        for (name, text, expected) in [
            ("no digest", "# x\nci create".to_owned(), "FILE:2: expected NAME SCOPES SHA256"),
            ("an older file", "secret-0123456789 billing".into(), "FILE:1: expected NAME SCOPES"),
            ("a token", "ci create secret-0123456789".into(), "FILE:1: expected NAME SCOPES"),
            ("more words", format!("ci create {digest} x"), "FILE:1: expected NAME SCOPES"),
            ("a scope", format!("ci secret-0123456789 {digest}"), "FILE:1: the scopes are create"),
            ("a name", format!("a/secret-0123456789 create {digest}"), "FILE:1: the name of a"),
            (
                "a name twice",
                format!("ci create {digest}\nci send {other}"),
                "FILE:2: the name or the token of line 1 again",
            ),
            (
                "a token twice",
                format!("ci create {digest}\n\ncd send {digest}"),
                "FILE:3: the name or the token of line 1 again",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(expected), "{name}: {error}");
            assert_eq!(error.lines().count(), 1, "{name}: {error}");
            assert!(!error.contains("0123456789"), "{name}: {error}");
        }
        assert!(read(&format!("#{}", " ".repeat(1 << 20))).unwrap_err().contains("at most"));
        let missing = TokenTable::read("/nonexistent/tokens").unwrap_err();
        assert!(missing.starts_with("/nonexistent/tokens: no such file"), "{missing}");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let file = file("");
        let path = file.path().to_str().unwrap();
        for (mode, allowed) in [(0o600, true), (0o400, true), (0o640, false), (0o602, false)] {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            let error = TokenTable::read(path).err();
            assert_eq!(error.is_none(), allowed, "{mode:o}");
            assert!(error.is_none_or(|error| error.contains("run: chmod 600 ")), "{mode:o}");
        }
    }

    #[test]
    fn debug_output_shows_no_token() {
        let table = read(&line("ci", &"create".parse().unwrap(), "hush")).unwrap();
        assert_eq!(format!("{table:?}"), "TokenTable(1 tokens)");
    }
}
