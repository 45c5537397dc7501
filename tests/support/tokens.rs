//! Files of tokens.

use std::fmt::Write as _;
use std::fs;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// A file of tokens: a name, scopes, and the secret that a client sends.
pub(crate) struct TokenFile(NamedTempFile);

impl TokenFile {
    pub(crate) fn new(tokens: &[(&str, &str, &str)]) -> TokenFile {
        let file = TokenFile(NamedTempFile::new().expect("a file"));
        file.write(tokens);
        file
    }

    /// Replaces its tokens.
    pub(crate) fn write(&self, tokens: &[(&str, &str, &str)]) {
        let lines = tokens.iter().map(|(name, scopes, secret)| {
            let digest = Sha256::digest(secret).iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
            format!("{name} {scopes} {digest}\n")
        });
        fs::write(self.0.path(), lines.collect::<String>()).expect("tokens");
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path().to_str().expect("UTF-8")
    }
}
