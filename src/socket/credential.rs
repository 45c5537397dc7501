//! What proves something to a relay and must not stand on a command line, where everybody on the
//! machine reads it: it is in a file, or in a variable of the environment.

use crate::client::commands::exit::{Exit, Failure};
use std::path::Path;

/// Where a token is that no file was named for.
pub(super) const TOKEN_VARIABLE: &str = "RDV_SOCKET_TOKEN";

/// The content of the file, without the white space around it; else of the variable, if it is set.
///
/// # Errors
/// The file cannot be read, or is empty.
pub(super) fn credential(file: Option<&Path>, variable: &str) -> Result<Option<String>, Failure> {
    let Some(file) = file else {
        return Ok(std::env::var(variable).ok().filter(|value| !value.is_empty()));
    };
    let shown = file.display();
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| Failure::local(format!("reading {shown}"), error))?;
    match text.trim() {
        "" => Err(Failure::new(Exit::Usage, format!("{shown} is empty"))),
        text => Ok(Some(text.to_owned())),
    }
}
