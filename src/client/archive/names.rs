//! The names in an archive: as paths inside of it, and safe at the top.

use super::super::file_name::safe;
use super::super::output::told;
use super::named;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// How many names at the top may need to be made safe, for they are remembered. Archives that are
/// meant well have one or two.
const RENAMED_MAX: usize = 1000;

/// How long a path may be, in bytes (`PATH_MAX`, pathconf(3)).
const PATH_MAX_BYTES: usize = 4096;

const NO_PATH: &str = "the path is outside of it";

/// The path of an entry below the directory it is extracted into, its first name made safe. `None`
/// for that directory itself.
///
/// # Errors
/// One line: it is absolute, leads upwards, is too long, or begins with what is no name.
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

/// The names at the top of one archive. Two that become the same one when they are made safe are
/// refused: the second would replace the first unseen.
#[derive(Default)]
pub(super) struct TopLevelNames {
    last: OsString,
    /// What was made safe, and what it was before.
    renamed: HashMap<OsString, OsString>,
}

impl TopLevelNames {
    /// Whether an entry begins another name than the entry before. `path` is that of the archive,
    /// `top` the safe name, `is_there` whether something has that name already.
    ///
    /// # Errors
    /// One line: another name has become this one, or too many were changed.
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
        // A name that is there and was not changed was this one from the start.
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

/// The first name of a path, as the archive has it.
fn original(path: &[u8]) -> &OsStr {
    let mut components = Path::new(OsStr::from_bytes(path)).components();
    let first = components.find(|component| matches!(component, Component::Normal(_)));
    first.map(Component::as_os_str).unwrap_or_default()
}

fn refused(path: &[u8], why: &str) -> io::Error {
    let name = named(Path::new(OsStr::from_bytes(path)));
    told(ErrorKind::InvalidData, format!("the archive is refused at {name}: {why}"))
}
