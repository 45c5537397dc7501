//! Errors of the system, as people read them.

use nix::errno::Errno;
use std::io;

/// Returns the text of an error: that of the system in lower case, without its number.
///
/// ```
/// let error = std::io::Error::from_raw_os_error(13);
/// assert_eq!(rdv::ops::cause(&error), "permission denied");
/// ```
pub fn cause(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else {
        let text = error.to_string();
        // The standard library's words before those of getaddrinfo(3).
        let found = text.strip_prefix("failed to lookup address information: ");
        return found.map_or(text.clone(), lower_first);
    };
    lower_first(Errno::from_raw(number).desc())
}

/// Returns a text in lower case; "I/O error" and the like keep their capitals.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}
