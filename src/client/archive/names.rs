//! Names in an archive: converts them to relative paths and makes top-level names safe.

use super::super::file_name::safe;
use super::super::output::told;
use super::named;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Maximum number of renamed top-level names, which are kept in memory. A benign archive has one or
/// two.
const RENAMED_MAX: usize = 1000;

/// Maximum length of a path, in bytes (`PATH_MAX`, pathconf(3)).
const PATH_MAX_BYTES: usize = 4096;

const NO_PATH: &str = "the path is outside of it";

/// Returns the path of an entry relative to the target directory, with its first component made
/// safe; `None` for that directory itself.
///
/// # Errors
/// One line: the path is absolute, leads upwards, is too long, or has an invalid first component.
pub(super) fn inside(bytes: &[u8]) -> io::Result<Option<PathBuf>> {
    if bytes.len() > PATH_MAX_BYTES {
        return Err(refused(bytes, "its path is too long"));
    }
    let path = Path::new(OsStr::from_bytes(bytes));
    let mut below = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if below.as_os_str().is_empty() => {
                below.push(safe(&name.to_string_lossy()).ok_or_else(|| refused(bytes, NO_PATH))?);
            }
            Component::Normal(name) => below.push(name),
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => {
                return Err(refused(bytes, NO_PATH));
            }
        }
    }
    Ok((!below.as_os_str().is_empty()).then_some(below))
}

/// The top-level names of one archive. Two names with the same safe form are refused: the second
/// would silently replace the first.
#[derive(Default)]
pub(super) struct TopLevelNames {
    last: OsString,
    /// Names that were made safe, with their original names.
    renamed: HashMap<OsString, OsString>,
}

impl TopLevelNames {
    /// Whether an entry has a different top-level name than the previous entry. `path` is the path
    /// in the archive, `top` the safe name; `is_there` returns whether this name already exists.
    ///
    /// # Errors
    /// One line: another name has the same safe form, or too many names were changed.
    pub fn is_next(
        &mut self,
        path: &[u8],
        top: &OsStr,
        is_there: impl FnOnce() -> bool,
    ) -> io::Result<bool> {
        let original = original(path);
        if original == self.last {
            return Ok(false);
        }
        original.clone_into(&mut self.last);
        let before = self.renamed.get(top).map(OsString::as_os_str);
        // An existing name that was not changed had this form in the archive.
        let before = before.or_else(|| is_there().then_some(top));
        if before.is_some_and(|before| before != original) {
            return Err(refused(path, "another name has been changed to the same one"));
        }
        if original != top {
            self.renamed.insert(top.to_owned(), original.to_owned());
        }
        if self.renamed.len() > RENAMED_MAX {
            return Err(refused(path, "too many names are not safe"));
        }
        Ok(true)
    }
}

/// Returns the first component of a path, as it is in the archive.
fn original(path: &[u8]) -> &OsStr {
    let mut components = Path::new(OsStr::from_bytes(path)).components();
    let first = components.find(|component| matches!(component, Component::Normal(_)));
    first.map(Component::as_os_str).unwrap_or_default()
}

fn refused(path: &[u8], why: &str) -> io::Error {
    let name = named(Path::new(OsStr::from_bytes(path)));
    told(ErrorKind::InvalidData, format!("the archive is refused at {name}: {why}"))
}
