//! Files with secrets: read only if no other user can.

use super::cause;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Reads a file of at most `max_bytes` of text; `what` names its contents in errors, which do not
/// show them.
///
/// # Errors
/// One line: the file, and what is expected.
pub(super) fn read(path: &str, what: &str, max_bytes: u64) -> Result<String, String> {
    let wrong = |error: &dyn fmt::Display| format!("{path}: {error}");
    let file = File::open(Path::new(path)).map_err(|error| wrong(&cause(&error)))?;
    let metadata = file.metadata().map_err(|error| wrong(&cause(&error)))?;
    check_mode(&metadata, what).map_err(|why| format!("{path}: {why}; run: chmod 600 {path}"))?;
    let mut text = String::new();
    let bytes = file.take(max_bytes + 1).read_to_string(&mut text);
    if bytes.map_err(|error| wrong(&cause(&error)))? as u64 > max_bytes {
        return Err(wrong(&format_args!("expected at most {max_bytes} bytes of {what}")));
    }
    Ok(text)
}

/// Checks that only its owner can read or change the file.
fn check_mode(metadata: &Metadata, what: &str) -> Result<(), String> {
    let mode = metadata.mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    Err(format!("other users can access this file of {what} (mode {mode:04o})"))
}
