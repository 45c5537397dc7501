//! Credentials for a relay. They must not be on a command line, which every user of the machine can
//! read: they are in a file or in an environment variable.

use crate::client::commands::exit::{Exit, Failure};
use std::path::Path;

/// The variable that holds the token if no file is given.
pub(super) const TOKEN_VARIABLE: &str = "RDV_SOCKET_TOKEN";

/// Returns the trimmed content of the file; without a file, the value of the variable, if set.
///
/// # Errors
/// The file cannot be read, or is empty.
pub(super) fn credential(file: Option<&Path>, variable: &str) -> Result<Option<String>, Failure> {
    let Some(file) = file else {
        return Ok(std::env::var(variable).ok().filter(|value| !value.is_empty()));
    };
    let shown = file.display();
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| Failure::local(format!("cannot read {shown}"), error))?;
    match text.trim() {
        "" => Err(Failure::new(Exit::Usage, format!("{shown} is empty"))),
        text => Ok(Some(text.to_owned())),
    }
}
