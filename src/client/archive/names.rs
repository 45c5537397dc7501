//! Names in an archive: converts them to relative paths, as they were sent.

use super::SkipReason;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Maximum length of a path, in bytes (`PATH_MAX`, pathconf(3)).
const PATH_MAX_BYTES: usize = 4096;

/// Returns the path of an entry relative to the target directory; `None` for that directory itself.
///
/// # Errors
/// The path is absolute, leads upwards or is too long.
pub(super) fn inside(bytes: &[u8]) -> Result<Option<PathBuf>, SkipReason> {
    if bytes.len() > PATH_MAX_BYTES {
        return Err(SkipReason::NameTooLong);
    }
    let mut below = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(bytes)).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => below.push(name),
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => {
                return Err(SkipReason::Outside);
            }
        }
    }
    Ok((!below.as_os_str().is_empty()).then_some(below))
}
