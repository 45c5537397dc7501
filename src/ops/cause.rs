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
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    let mut letters = Errno::from_raw(number).desc().chars();
    // "I/O error" and the like keep their capitals.
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => Errno::from_raw(number).desc().to_owned(),
    }
}
